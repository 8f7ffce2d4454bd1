"""Compressed answers, and answers that a browser keeps: a page that has not changed is not sent again."""

import asyncio
from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from threading import Lock
from typing import Any

import brotli

from demo.transport.headers import Message, Receive, Send, read_content_type

FILE_TYPES = ("text/html", "text/css", "application/javascript", "text/javascript", "image/svg+xml")
"""Compressed once, as well as can be, because they are sent often and change never or seldom."""
DATA_TYPES = ("application/json",)
"""Compressed each time, quickly."""
MIN_BYTES, MAX_BYTES = 200, 8 * 2**20
"""Smaller answers do not gain, and larger ones are downloads, which go out as they are read."""
FILE_QUALITY, DATA_QUALITY = 11, 5
KEPT_BYTES = 8 * 2**20
"""Bytes of compressed files that are kept."""
HASHED_PATHS = ("/assets/", "/theme.css")
"""Gradio's files whose address changes with what is in them."""
FOREVER, ASK_AGAIN = b"public, max-age=31536000, immutable", b"no-cache"

Headers = list[tuple[bytes, bytes]]


@dataclass(eq=False)
class CompressedFiles:
    """Files that were compressed, by what is in them. Safe to share between threads: `_lock` guards `_kept`."""

    _kept: OrderedDict[bytes, bytes] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def compress(self, body: bytes) -> bytes:
        """Compress a file, or return what was made of it before.

        Args:
            body: What is in the file.
        """
        key = blake2b(body, digest_size=16).digest()
        with self._lock:
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return known
        made: bytes = brotli.compress(body, quality=FILE_QUALITY)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return made


FILES_OF_PROCESS = CompressedFiles()
"""Of all pages of a process, which send the same scripts: compressing them takes seconds."""


class CompressionMiddleware:
    """Compresses pages, scripts, styles and JSON for browsers that take Brotli; the others get them as before."""

    def __init__(self, app: Any) -> None:
        self.app, self._files = app, FILES_OF_PROCESS

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        asked = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
        if (
            scope["type"] != "http"
            or scope["method"] == "HEAD"
            or not accepts_brotli(asked.get(b"accept-encoding", ""))
        ):
            await self.app(scope, receive, send)
            return
        # what is inside should not compress; it would be compressed twice
        plain = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]}
        reply = _Reply(scope, asked.get(b"if-none-match", ""), send, self._files)
        await self.app(plain, receive, reply.take)


class _Reply:
    """One response: collected and compressed, or passed on as it comes."""

    def __init__(self, scope: MutableMapping[str, Any], known_tag: str, send: Send, files: CompressedFiles) -> None:
        self._scope, self._known_tag, self._send, self._files = scope, known_tag, send, files
        self._start: Message | None = None
        self._parts: list[bytes] = []

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_compressible(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._finish(self._start, b"".join(self._parts))
        else:
            await self._send(message)

    async def _finish(self, start: Message, body: bytes) -> None:
        headers = [
            pair for pair in start["headers"] if pair[0].lower() not in (b"content-length", b"etag", b"accept-ranges")
        ]
        headers.append((b"vary", b"accept-encoding"))
        is_file = read_content_type(headers).startswith(FILE_TYPES)
        if is_file and self._scope["method"] == "GET" and start["status"] == 200:
            tag = f'W/"{blake2b(body, digest_size=9).hexdigest()}"'
            lasts = self._scope["path"].startswith(HASHED_PATHS)
            headers += [(b"etag", tag.encode()), (b"cache-control", FOREVER if lasts else ASK_AGAIN)]
            if tag in self._known_tag:
                await self._answer(304, headers, b"")
                return
        if len(body) >= MIN_BYTES:
            work = self._files.compress if is_file else partial(brotli.compress, quality=DATA_QUALITY)
            body = await asyncio.to_thread(work, body)
            headers.append((b"content-encoding", b"br"))
        await self._answer(start["status"], headers, body)

    async def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        sized = headers if status == 304 else [*headers, (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": sized})
        await self._send({"type": "http.response.body", "body": body})


def accepts_brotli(accepted: str) -> bool:
    """Tell whether a browser takes Brotli.

    Args:
        accepted: Its header `Accept-Encoding`.

    >>> accepts_brotli("gzip, deflate, br;q=0.9"), accepts_brotli("gzip, br;q=0"), accepts_brotli("gzip, zebra")
    (True, False, False)
    """
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == "br":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _is_compressible(start: Message) -> bool:
    """Whether a response is whole, of a type that gains, of a size that fits, and not compressed yet."""
    headers = {name.lower(): value for name, value in start["headers"]}
    size = int(headers.get(b"content-length", b"0"))
    is_plain = b"content-encoding" not in headers and b"content-range" not in headers
    fits = read_content_type(start["headers"]).startswith((*FILE_TYPES, *DATA_TYPES)) and size <= MAX_BYTES
    return is_plain and fits and start["status"] not in (204, 206, 304)
