"""Requests whose target is a whole address, as clients of a proxy send them (RFC 9112, 3.2.2)."""

import re
from urllib.parse import unquote

from serve.http.errors import Receive, Scope, Send
from serve.http.middleware.asgi import App

_ORIGIN = re.compile(rb"https?://([^/]*)", re.IGNORECASE)
"""How a whole address begins."""


class TargetMiddleware:
    """Reads the path out of a whole address, and takes its host for the one that is asked."""

    def __init__(self, app: App) -> None:
        """Wrap an application. `app`: what comes next sees paths alone."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(to_origin_form(scope) if scope["type"] == "http" else scope, receive, send)


def to_origin_form(scope: Scope) -> Scope:
    """Return a request with its target as a path, and with the host of the target, which counts before the header.

    Args:
        scope: The request as ASGI has it. One whose target is a path already is returned itself.

    Example:
        >>> asked = {"raw_path": b"http://sam3.local:8000/v1/images", "headers": [(b"host", b"proxy.local")]}
        >>> to_origin_form(asked)
        {'raw_path': b'/v1/images', 'headers': [(b'host', b'sam3.local:8000')], 'path': '/v1/images'}
    """
    target = scope.get("raw_path") or b""
    origin = _ORIGIN.match(target)
    if origin is None:
        return scope
    path = target[origin.end() :] or b"/"
    host = (b"host", origin[1].rpartition(b"@")[2])
    headers = [host, *(pair for pair in scope["headers"] if pair[0] != b"host")]
    return {**scope, "raw_path": path, "headers": headers, "path": unquote(path.decode("ascii", "replace"))}
