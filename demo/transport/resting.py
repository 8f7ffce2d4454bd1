"""The script `web/src/resting.ts` in the page, before Gradio's own, which remember how to ask for a frame."""

from typing import Any

from demo.transport.headers import Message, Receive, Send, read_content_type

PAGE_MARK = b"window.gradio_config"
"""What Gradio's page has, and no other document."""
HEAD = b"<head>"


class RestingMiddleware:
    """Adds a script to the page, first of all scripts.

    Args:
        app: What answers.
        script: JavaScript.
    """

    def __init__(self, app: Any, script: str) -> None:
        self.app = app
        self.script = f"<script>{script.strip()}</script>".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        start: Message | None = None

        async def send_page(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_document(message):
                start = message  # its length depends on what comes
                return
            if start is not None:
                before = message.get("body", b"")
                message["body"] = self.add_script(before)
                await send(_lengthen(start, len(message["body"]) - len(before)))
                start = None
            await send(message)

        await self.app(scope, receive, send_page)

    def add_script(self, document: bytes) -> bytes:
        """Return the document with the script in it; unchanged where it is not Gradio's page.

        Args:
            document: HTML.

        >>> RestingMiddleware(None, "rest();").add_script(b"<head><script>window.gradio_config = 1</script></head>")
        b'<head><script>rest();</script><script>window.gradio_config = 1</script></head>'
        """
        return document.replace(HEAD, HEAD + self.script, 1) if PAGE_MARK in document else document


def _is_document(start: Message) -> bool:
    return read_content_type(start["headers"]).startswith("text/html")


def _lengthen(start: Message, added: int) -> Message:
    """The start of a response whose body has become longer by so many bytes."""
    headers = [
        (name, str(int(value) + added).encode() if name.lower() == b"content-length" else value)
        for name, value in start["headers"]
    ]
    return {**start, "headers": headers}
