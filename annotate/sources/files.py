"""Images that are files of their own: one of them, or all of a folder and of the folders in it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

from annotate.errors import SourceError
from annotate.sources.base import Entry, Item, Listing
from sam3_tool.image import Image
from sam3_tool.image_files.reading import IMAGE_SUFFIXES
from sam3_tool.system.file_names import escape_unprintable
from sam3_tool.system.paths import is_folder

MAX_NAMES = 3
"""How many names a note gives."""


@dataclass(frozen=True)
class FileReader:
    """Reads image files under a folder."""

    root: Path
    max_pixels: int | None = None

    def open_image(self, item: Item) -> Image:
        """Read an image. Raises ImageError."""
        return Image.open(self._get_path(item), max_pixels=self.max_pixels)

    def read_bytes(self, item: Item) -> bytes:
        """Read the image's file as it is. Raises OSError."""
        return self._get_path(item).read_bytes()

    def is_there(self) -> bool:
        """Whether the folder is there."""
        return is_folder(self.root)

    def _get_path(self, item: Item) -> Path:
        return self.root / os.fsdecode(item.raw_name)


def list_one_image(path: Path, *, max_pixels: int | None) -> Listing:
    """List one image file."""
    entry = (os.fsencode(path.name), (path.stat().st_size,))
    return Listing(FileReader(path.parent.absolute(), max_pixels), [entry])


def list_folder(folder: Path, *, without: Path, limit: int | None, max_pixels: int | None) -> Listing:
    """List the images of a folder and of all folders in it, by name.

    Args:
        folder: Links to folders are followed, each folder once. Names that begin with a dot are passed over.
        without: A folder that is passed over, for the results may lie inside the source.
        limit: Only the first so many.
        max_pixels: As `Image.open` takes it.

    Returns:
        The listing; its notes say what was passed over.
    """
    walk = FolderWalk(folder, without)
    listing = Listing(FileReader(folder.absolute(), max_pixels), walk.find_images(), limit=limit)
    listing.notes = walk.notes
    return listing


class FolderWalk:
    """Walks through a folder once, and counts what it passes over."""

    def __init__(self, folder: Path, without: Path) -> None:
        self._root = os.fsencode(folder)
        self._seen = set[tuple[int, int]]()
        with suppress(OSError):  # it cannot be reached, which whoever writes there will say
            if identity := _identify_folder(os.fsencode(without)):
                self._seen.add(identity)
        self._others = 0
        self._unreadable: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for files that are no images by their names, and one for folders that could not be read."""
        passed = (
            f"{self._others:,} of the files there are not named like images, and are passed over"
            if self._others
            else ""
        )
        shown = ", ".join(self._unreadable[:MAX_NAMES])
        more = f" and {len(self._unreadable) - MAX_NAMES} more" if len(self._unreadable) > MAX_NAMES else ""
        closed = f"images in these folders are left out, for they cannot be read: {shown}{more}" if shown else ""
        return tuple(note for note in (passed, closed) if note)

    def find_images(self) -> Iterator[Entry]:
        """Yield name and size of each image: those of a folder first, then those of the folders in it."""
        waiting = [b""]
        while waiting:
            inner = waiting.pop()
            names, folders = self._read_folder(inner)
            for name in names:
                yield inner + name, (_read_size(os.path.join(self._root, inner + name)),)
            waiting += [inner + name + b"/" for name in reversed(folders)]

    def _read_folder(self, inner: bytes) -> tuple[list[bytes], list[bytes]]:
        """Names of the images and of the folders in a folder, sorted."""
        path = os.path.join(self._root, inner)
        images: list[bytes] = []
        folders: list[bytes] = []
        try:
            # the same folder again, by a link, would be the same images again, and a loop would never end
            if (identity := _identify_folder(path)) is None or identity in self._seen:
                return [], []
            self._seen.add(identity)
            with os.scandir(path) as entries:
                for entry in entries:
                    self._sort_entry(entry, images, folders)
        except OSError as error:
            if not inner:
                raise SourceError(
                    f"the folder {os.fsdecode(self._root)} cannot be read ({error.strerror or error})"
                ) from error
            self._unreadable.append(f"{escape_unprintable(os.fsdecode(inner))} ({error.strerror or error})")
        return sorted(images), sorted(folders)

    def _sort_entry(self, entry: "os.DirEntry[bytes]", images: list[bytes], folders: list[bytes]) -> None:
        if entry.name.startswith(b"."):
            self._others += not entry.is_dir(follow_symlinks=False)
        elif _is_folder(entry):
            folders.append(entry.name)
        # a link that leads nowhere is an image that is missing, and is told as one
        elif os.fsdecode(os.path.splitext(entry.name)[1]).lower() in IMAGE_SUFFIXES and (
            entry.is_symlink() or entry.is_file()
        ):
            images.append(entry.name)
        else:
            self._others += 1


def _is_folder(entry: "os.DirEntry[bytes]") -> bool:
    """Whether it is a folder, or leads to one; a link that leads to itself, or where nobody may look, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identify_folder(path: bytes) -> tuple[int, int] | None:
    """What a folder is the same by, however it is reached; None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if S_ISDIR(found.st_mode) else None


def _read_size(path: bytes) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
