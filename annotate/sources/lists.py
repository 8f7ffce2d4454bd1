"""Images that a list file names: paths, and URLs where they are allowed. `fsspec` reads what is no local path."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotate.errors import SourceError
from annotate.sources.base import Item, Listing
from sam3_tool.errors import ImageError, MissingPackageError, mask_passwords
from sam3_tool.image import Image
from sam3_tool.network.fetching import FetchError, fetch_url
from sam3_tool.system.files import decode_text
from sam3_tool.system.paths import is_folder, is_there

MAX_FILE_BYTES = 512 * 2**20
"""What is larger is not fetched: no image that can be decoded within the limit of pixels is."""
SECONDS = 60.0
"""For an image that is fetched without fsspec."""
_URL = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True)
class ListReader:
    """Reads images by path, relative to a folder, or by URL."""

    root: Path
    max_pixels: int | None = None

    def open_image(self, item: Item) -> Image:
        """Read an image. Raises ImageError or OSError."""
        if _URL.match(item.raw_name):
            return read_image(self.read_bytes(item), item.name, self.max_pixels)
        return Image.open(self._get_path(item), max_pixels=self.max_pixels)

    def read_bytes(self, item: Item) -> bytes:
        """Read the image's file as it is. Raises ImageError or OSError."""
        if _URL.match(item.raw_name):
            return _fetch_url(item.raw_name.decode("utf-8", "backslashreplace"))
        return self._get_path(item).read_bytes()

    def is_there(self) -> bool:
        """Whether the folder is there."""
        return is_folder(self.root)

    def _get_path(self, item: Item) -> Path:
        return self.root / os.fsdecode(item.raw_name)


def read_image(content: bytes, name: str, max_pixels: int | None) -> Image:
    """Decode an image whose file is in memory. Raises ImageError, which names it."""
    try:
        return Image.read(content, max_pixels=max_pixels)
    except ImageError as error:
        raise ImageError(f"{name}: {str(error).removeprefix('image: ')}") from error


def list_entries(file: Path, *, allow_urls: bool, limit: int | None, max_pixels: int | None) -> Listing:
    """List what a file names, in its order.

    Args:
        file: A path or URL on each line; or, where names may hold line breaks, with NUL characters between them, as
            `find -print0` writes it. Lines that begin with "#" are passed over. Relative paths count from the current
            folder, if the first of them is there, and else from the folder of the list.
        allow_urls: Whether URLs may be fetched.
        limit: Only the first so many.
        max_pixels: As `Image.open` takes it.

    Returns:
        The listing.

    Raises:
        SourceError: The file cannot be read, or holds a URL although none is allowed.
        MissingPackageError: What fetches such URLs is not installed.
    """
    try:
        names = list(_split_entries(file.read_bytes()))
    except OSError as error:
        raise SourceError(f"the list {file} cannot be read ({error.strerror or error})") from error
    _check_schemes(file, names, allow_urls=allow_urls)
    reader = ListReader(_find_root(file, names), max_pixels)
    return Listing(reader, ((name, ()) for name in names), limit=limit)


def _split_entries(content: bytes) -> Iterator[bytes]:
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield from (name for name in content.split(b"\0") if name)
        return
    with suppress(UnicodeDecodeError):  # names of files need not be text
        content = decode_text(content).encode("utf-8", "surrogateescape")
    lines = (line.strip(b"\r\n\t ") for line in content.split(b"\n"))
    yield from (line for line in lines if line and not line.startswith(b"#"))


def _find_root(file: Path, names: Sequence[bytes]) -> Path:
    """The folder that relative paths count from."""
    first = next((name for name in names if not _URL.match(name)), b"")
    return Path.cwd() if first and is_there(Path(os.fsdecode(first))) else file.parent.absolute()


def _check_schemes(file: Path, names: Sequence[bytes], *, allow_urls: bool) -> None:
    urls = {match[1].decode(): name for name in names if (match := _URL.match(name))}
    for scheme, name in urls.items():
        if not allow_urls:
            shown = mask_passwords(name.decode("utf-8", "backslashreplace"))[:100]
            raise SourceError(f"{file} holds URLs, e.g. {shown}; add --allow-urls to have them fetched")
        _check_scheme(scheme)


def _check_scheme(scheme: str) -> None:
    """Raise an error where nothing can fetch such URLs."""
    try:
        _import_fsspec().get_filesystem_class(scheme)
    except ImportError as error:
        if scheme.lower() != "https":  # which is fetched without a package as well
            raise MissingPackageError(f"{scheme}:// cannot be fetched: {error}") from error
    except ValueError as error:
        raise SourceError(f"{scheme}:// cannot be fetched: fsspec knows no such kind of URL") from error


def _fetch_url(url: str) -> bytes:
    fsspec = _import_fsspec()
    try:
        with fsspec.open(url, "rb") as file:
            content: bytes = file.read(MAX_FILE_BYTES + 1)
    except ImportError:  # `_check_scheme` lets no other URL come so far
        content = _fetch_https(url)
    except Exception as error:  # each of its file systems raises errors of its own
        said = " ".join(str(error).split())[:200]
        raise ImageError(f"{url}: cannot be fetched ({type(error).__name__}{f': {said}' if said else ''})") from error
    if len(content) > MAX_FILE_BYTES:
        raise ImageError(f"{url}: more than {MAX_FILE_BYTES >> 20} MiB, which is no image that can be read here")
    return content


def _fetch_https(url: str) -> bytes:
    try:
        return fetch_url(url, hosts=None, max_bytes=MAX_FILE_BYTES, seconds=SECONDS)
    except FetchError as error:
        raise ImageError(f"{url}: {error}") from error


def _import_fsspec() -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise MissingPackageError(
            "URLs need fsspec, which is not installed; install it with: uv pip install fsspec"
        ) from error
    return fsspec
