"""The file of an image as an assistant gives it: a path in the server's folder, base64, or a URI."""

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import unquote_to_bytes
from urllib.request import url2pathname

from agent.core.errors import ToolError
from serve.mcp.folder import Folder, describe_excess_bytes
from serve.mcp.offers import OpenImage

NO_FOLDER = (
    "This server has no folder to use: it was started without --root. Ask the user to start it with `--root FOLDER`, or"
    " give the image as `data`."
)
_URL_SAFE = str.maketrans("-_", "+/")
_DATA_URL = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)


@dataclass(frozen=True)
class ImageFile:
    """The content of an image file, and its name."""

    content: bytes
    name: str = ""
    """Without folders; "" where it has none."""
    is_seen: bool = True
    """Whether the assistant may be taken to know what is in it, as it sent the pixels itself."""


def find_web_address(call: OpenImage) -> str | None:
    """Return the URL of another server that a call gives as its only source; None for any other source."""
    uri = (call.uri or "").strip()
    is_web = uri[:8].lower().startswith(("https://", "http://"))
    return uri if is_web and not call.path and not call.data else None


def read_image_source(call: OpenImage, folder: Folder | None, *, max_bytes: int) -> ImageFile:
    """Read the file that a call names or holds.

    Args:
        call: It gives exactly one source.
        folder: What the server may read; None = nothing.
        max_bytes: Larger files are refused.

    Raises:
        ToolError: There is none or more than one source, or it cannot be read.
    """
    match [(name, value) for name, value in call if value]:
        case [("data", text)]:
            return ImageFile(decode_data(text, max_bytes))
        case [("path", name)]:
            return _read_path(name, folder, max_bytes)
        case [("uri", uri)]:
            return _read_uri(uri, folder, max_bytes)
        case given:
            found = "none" if not given else " and ".join(f"`{name}`" for name, _ in given)
            raise ToolError(f"`{call.name}` needs exactly one of `path`, `data` and `uri`, and was given {found}.")


def _read_path(name: str, folder: Folder | None, max_bytes: int) -> ImageFile:
    if folder is None:
        raise ToolError(NO_FOLDER)
    return ImageFile(folder.read_file(name, max_bytes=max_bytes), PurePath(name).name, is_seen=False)


def _read_uri(uri: str, folder: Folder | None, max_bytes: int) -> ImageFile:
    scheme = uri.strip()[:20].partition(":")[0].lower()
    if scheme == "data":
        return ImageFile(decode_data(uri, max_bytes))
    if scheme == "file":
        host, path = _split_file_uri(uri.strip())
        if host not in ("", "localhost"):
            raise ToolError("A file: URI names a file of this server, so it has no host: file:///folder/image.png.")
        return _read_path(url2pathname(path), folder, max_bytes)
    raise ToolError("`uri` is a data:, file: or https: URI; give the name of a file as `path`.")


def _split_file_uri(uri: str) -> tuple[str, str]:
    """Host and path; "#" and "?" belong to the path, for models write them into such URIs as they are."""
    rest = uri.partition(":")[2]
    if not rest.startswith("//"):
        return "", rest
    host, slash, path = rest[2:].partition("/")
    return host.lower(), slash + path


def decode_data(text: str, max_bytes: int) -> bytes:
    r"""Decode base64, also with line breaks, without padding, for URLs, or as a data: URL.

    Raises:
        ToolError: It is none, or it is too large.

    >>> decode_data("data:image/png;base64,aGVs bG8", 100), decode_data("_-8", 100)
    (b'hello', b'\xff\xef')
    """
    if len(text) > max_bytes * 3 // 2 + 1024:  # before any copy is made; line breaks take some letters, too
        raise ToolError(describe_excess_bytes(len(text) * 3 // 4, max_bytes))
    header = _DATA_URL.match(text.lstrip()[:256])
    if header is not None:
        text = text.lstrip()[header.end() :]
        if not header[1].lower().replace(" ", "").endswith(";base64"):
            return unquote_to_bytes(text)
        text = unquote_to_bytes(text).decode("ascii", "replace") if "%" in text else text
    letters = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
    try:
        content = base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ToolError(
            "`data` is no base64 of a file; encode the bytes of an image file, or give a file's name as `path`."
        ) from error
    if len(content) > max_bytes:
        raise ToolError(describe_excess_bytes(len(content), max_bytes))
    return content
