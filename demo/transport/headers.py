"""What a browser may load and do on the page, said with every answer that a browser could show as a page."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

DOCUMENT_HEADERS = {
    # gradio compiles its templates in the browser; nothing may be fetched but from this server
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'self' data:"
        " blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self';"
        " frame-ancestors 'self'"
    ),
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
INERT_TYPES = (
    "application/json",
    "application/javascript",
    "text/javascript",
    "text/css",
    "text/event-stream",
)
"""A browser shows none of these as a page of ours, so they need not carry half a kilobyte of `DOCUMENT_HEADERS`."""


class SecurityHeadersMiddleware:
    """Adds `nosniff` to every response, and `DOCUMENT_HEADERS` to all but `INERT_TYPES`."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = {"x-content-type-options": "nosniff"}
                if not read_content_type(message["headers"]).startswith(INERT_TYPES):
                    added |= DOCUMENT_HEADERS
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in added.items()),
                ]
            await send(message)

        await self.app(scope, receive, send_guarded)


def read_content_type(headers: list[tuple[bytes, bytes]]) -> str:
    """Return the type of a response, in small letters; '' where it has none.

    Args:
        headers: Of the response, as ASGI has them.

    >>> read_content_type([(b"Content-Type", b"text/html; charset=utf-8")])
    'text/html; charset=utf-8'
    """
    return next((value.decode("latin-1").lower() for name, value in headers if name.lower() == b"content-type"), "")
