"""Images that lie packed in tar archives or parquet files: copied one by one into the engine's own folder."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from agent.core.text.english import format_count
from annotate.sources.base import Item, Listing
from annotate.sources.files import FileReader
from annotate.sources.lists import ListReader
from annotate.sources.tars import TarReader
from engine.errors import EngineError, EngineInterruptedError
from engine.store.files import to_text
from engine.store.folder import COPIES_FOLDER
from engine.store.media import is_forgotten
from engine.store.store import EngineStore
from sam3_tool.errors import ImageError
from sam3_tool.image_files.file_kinds import find_suffix
from sam3_tool.system.file_names import sanitize_file_name
from sam3_tool.system.files import write_atomically

MAX_COPIED_GB = 100.0
"""Of images that one command copies: a data set may be larger than the disk that the engine lies on."""
MAX_IMAGE_BYTES = 2**30
"""Of one image: it is in memory while it is copied."""
PAGE = 256
"""Images that are listed together."""


@dataclass(frozen=True)
class CopiedImage:
    """An image that was packed, and where its copy lies.

    >>> CopiedImage(Path("/engine/images/part-0.tar/kitchen/a.png"), "kitchen/a.png", 120).inner
    'kitchen/a.png'
    """

    path: Path
    """Absolute."""
    inner: str
    """Its name within the archive, with "/" between its parts."""
    size: int
    """In bytes."""


@dataclass(eq=False)
class PackedCopier:
    """Copies packed images into an engine's folder; what is there already, byte for byte, is not written again."""

    store: EngineStore
    listing: Listing
    max_bytes: int
    on_progress: Callable[[str], None] = field(default=lambda text: None)
    notes: list[str] = field(default_factory=list, init=False)
    """What was left out."""

    def copy_images(self) -> list[CopiedImage]:
        """Copy all images of the listing.

        Returns:
            The copies, in the order of the listing.

        Raises:
            EngineError: They are larger than the limit.
            EngineInterruptedError: A copy cannot be written, or the archive cannot be reached any more.
        """
        copies: list[CopiedImage] = []
        copied, forgotten, errors = 0, 0, list[str]()
        for item in iterate_items(self.listing):
            try:
                content = self._read_content(item)
            except ImageError as error:
                errors.append(str(error))
                continue
            if (copied := copied + len(content)) > self.max_bytes:
                raise describe_excess(self.listing, f"the first {len(copies) + 1:,} of", copied, self.max_bytes)
            if is_forgotten(self.store.database, "", sha256(content).hexdigest()):
                forgotten += 1
                continue
            copies.append(self._copy_content(item, content, len(copies)))
            self.on_progress(f"{len(copies):,} of {len(self.listing):,} images copied")
        if forgotten:
            self.notes.append(
                f"{format_count(forgotten, 'packed image')} forgotten before; what is forgotten stays out"
            )
        if errors:
            self.notes.append(
                f"{format_count(len(errors), 'packed image')} cannot be read and left out; the first: {errors[0]}"
            )
        return copies

    def _read_content(self, item: Item) -> bytes:
        """Return an image's file. Raises ImageError, or EngineInterruptedError where the archive is gone."""
        if isinstance(self.listing.reader, TarReader) and item.numbers[2] > MAX_IMAGE_BYTES:
            raise ImageError(f"{item.name} has {item.numbers[2]:,} bytes; expected at most {MAX_IMAGE_BYTES:,}")
        try:
            return self.listing.reader.read_bytes(item)
        except OSError as error:
            if self.listing.reader.is_there():  # a path in a parquet file may lead nowhere
                raise ImageError(f"{item.name}: {os.strerror(error.errno) if error.errno else error}") from error
            raise EngineInterruptedError(
                f"{item.name} cannot be read any more ({error.strerror or error}); connect its disk and give the same"
                " command again: what is copied is kept"
            ) from error

    def _copy_content(self, item: Item, content: bytes, done: int) -> CopiedImage:
        archive, inner = split_name(item, content)
        folder = self.store.folder.absolute() / COPIES_FOLDER / archive
        parts = [sanitize_file_name(part) for part in inner.split("/") if part not in ("", ".", "..")]
        by_content = f"{sha256(content).hexdigest()[:16]}-{parts[-1][-80:]}"
        try:
            path = folder.joinpath(*parts)
            if not _keep_content(path, content):  # another image has this name
                path = folder / by_content
                _keep_content(path, content)
        except OSError as error:
            raise EngineInterruptedError(
                f"{self.store.folder} cannot be written ({error.strerror or error}); make room and give the same"
                f" command again: {done:,} of {len(self.listing):,} images are copied"
            ) from error
        return CopiedImage(path, inner, len(content))


def is_packed(listing: Listing) -> bool:
    """Return whether the images of a listing are packed into other files."""
    return not isinstance(listing.reader, FileReader | ListReader)


def check_size(listing: Listing, max_bytes: int) -> None:
    """Check, where archives say so, that images are not larger than a limit; those of parquet files show it later.

    Raises:
        EngineError: They are.
    """
    if isinstance(listing.reader, TarReader):
        total = sum(item.numbers[2] for item in iterate_items(listing))
        if total > max_bytes:
            raise describe_excess(listing, "all", total, max_bytes)


def iterate_items(listing: Listing) -> Iterator[Item]:
    """Yield the items of a listing, some in memory at a time."""
    for start in range(0, len(listing), PAGE):
        yield from listing.get_items(start, start + PAGE)


def describe_excess(listing: Listing, which: str, size: int, max_bytes: int) -> EngineError:
    """Say that images are larger than the limit, and what to do."""
    return EngineError(
        f"{which} {len(listing):,} packed images take {size / 1e9:,.3g} GB, and at most {max_bytes / 1e9:,.3g} GB are"
        " copied into an engine; allow more with --max-copied-gb, or unpack them yourself and give the folder"
    )


def split_name(item: Item, content: bytes) -> tuple[str, str]:
    """Split an item's name into that of its archive, and a name within it.

    Args:
        item: Of a tar archive ("a.tar/kitchen/1.png"), or a row of a parquet file ("a.parquet#12").
        content: Of its file, which says the suffix where the name does not.

    >>> split_name(Item(0, b"a.tar/kitchen/1.png", (0, 512, 99)), b"")
    ('a.tar', 'kitchen/1.png')
    >>> split_name(Item(0, b"a.parquet#12", (0, 0, 12)), bytes.fromhex("89504e470d0a1a0a"))
    ('a.parquet', 'a-00000012.png')
    """
    name = to_text(os.fsdecode(item.raw_name))
    archive, slash, inner = name.partition("/")
    if slash:
        return sanitize_file_name(archive), inner.strip("/")
    archive, _, row = name.rpartition("#")
    return sanitize_file_name(archive), f"{Path(archive).stem}-{int(row):08}{find_suffix(content)}"


def _keep_content(path: Path, content: bytes) -> bool:
    """Write a file that is not there yet; return False where its place holds something else. Raises OSError."""
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except FileNotFoundError:
        pass
    except (NotADirectoryError, IsADirectoryError):
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return False
    write_atomically(path, content)
    return True
