"""Which process a request belongs to, by its path and the beginning of its body."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

PEEK_BYTES = 2**16
"""How much of a body is read before it is decided where it goes."""

_KEPT = re.compile(r"/v1/(?:conversations|episodes|jobs)/([^/]+)")
_IMAGE = re.compile(r"/v1/images/([^/]+)")
_VIDEO = re.compile(r"/v1/videos/([^/]+)")
_IMAGE_KEY = re.compile(rb'"(?:image|video)"\s*:\s*"([0-9a-f]{32})"')
_DATA_URL = re.compile(rb'"data:(?:image|video)/[^"]+')
_LABEL_TASK = re.compile(rb'"tasks"\s*:\s*\[\s*\{.{0,4096}?("data"\s*:\s*\{[^{}]*\})', re.DOTALL)


@dataclass(frozen=True)
class Route:
    """Where a request goes."""

    key: str | None = None
    """What it is about; None = any process will do."""
    is_kept: bool = False
    """Whether only the process that the key belongs to can answer: it keeps what the key names."""
    is_everywhere: bool = False
    """Whether all processes have to know."""


def find_route(method: str, path: str, headers: Iterable[tuple[bytes, bytes]], peek: bytes) -> Route:
    """Return where a request goes.

    Args:
        method: Of HTTP.
        path: Without its query.
        headers: Of the request.
        peek: The beginning of its body, `PEEK_BYTES` or more if it is so long.

    >>> find_route("POST", "/v1/segment", [], b'{"phrases": ["cat"], "image": "0123456789abcdef0123456789abcdef"}').key
    '0123456789abcdef0123456789abcdef'
    >>> find_route("GET", "/v1/jobs/abc/result", [], b"")
    Route(key='abc', is_kept=True, is_everywhere=False)
    >>> find_route("POST", "/v1/images", [], b"...")
    Route(key=None, is_kept=False, is_everywhere=False)
    """
    if (kept := _KEPT.match(path)) is not None:
        return Route(kept[1], is_kept=True)
    if (image := _IMAGE.match(path)) is not None:
        return Route(image[1], is_everywhere=method == "DELETE")
    if (video := _VIDEO.match(path)) is not None:
        return Route(video[1])
    if path in ("/v1/images", "/v1/videos"):
        return Route()
    return Route(_find_key(headers, peek))


def _find_key(headers: Iterable[tuple[bytes, bytes]], peek: bytes) -> str | None:
    """Return what a body is about: the key of an image, or a digest of what will be the same when it is asked again."""
    if (image := _IMAGE_KEY.search(peek)) is not None:
        return image[1].decode()
    for pattern in (_DATA_URL, _LABEL_TASK):
        if (found := pattern.search(peek)) is not None:
            return blake2b(found[found.re.groups], digest_size=16).hexdigest()
    for name, value in headers:
        if name == b"idempotency-key":
            return value.decode("latin-1")
    return None


def read_key(location: str) -> str | None:
    """Return the key of the image that an answer says it has made, by its header `location`.

    >>> read_key("/v1/images/0123"), read_key("/v1/jobs/0123")
    ('0123', None)
    """
    found = _IMAGE.fullmatch(location)
    return None if found is None else found[1]
