"""Images in tar archives, as webdataset writes them: read where they lie, without unpacking."""

import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotate.errors import SourceError
from annotate.sources.base import Entry, Item, Listing
from annotate.sources.lists import read_image
from sam3_tool.errors import ImageError
from sam3_tool.image import Image
from sam3_tool.image_files.reading import IMAGE_SUFFIXES
from sam3_tool.system.paths import is_there


@dataclass(frozen=True)
class TarReader:
    """Reads members of tar archives. The numbers of an item: its archive, where it begins, and its bytes."""

    paths: tuple[Path, ...]
    max_pixels: int | None = None

    def open_image(self, item: Item) -> Image:
        """Read an image. Raises ImageError or OSError."""
        return read_image(self.read_bytes(item), item.name, self.max_pixels)

    def is_there(self) -> bool:
        """Whether the files are there."""
        return all(map(is_there, self.paths))

    def read_bytes(self, item: Item) -> bytes:
        """Read the image's file as it is. Raises ImageError or OSError."""
        archive, offset, size = item.numbers
        with self.paths[archive].open("rb") as file:
            file.seek(offset)
            content = file.read(size)
        if len(content) < size:
            raise ImageError(f"{item.name}: the archive ends after {len(content)} of its {size} bytes; get it again")
        return content


def list_tars(paths: Sequence[Path], *, limit: int | None, max_pixels: int | None) -> Listing:
    """List the images in tar archives, in the order in which they lie there. Raises SourceError."""
    walk = TarWalk(paths)
    reader = TarReader(tuple(path.absolute() for path in paths), max_pixels)
    listing = Listing(reader, walk.find_images(), limit=limit)
    listing.notes = tuple(walk.notes)
    return listing


class TarWalk:
    """Walks through archives once, and notes where one is cut off."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self.notes: list[str] = []

    def find_images(self) -> Iterator[Entry]:
        """Yield name and place of each image. Raises SourceError for what is no tar archive."""
        for number, path in enumerate(self._paths):
            try:
                with tarfile.open(path, "r:") as archive:
                    yield from self._list_members(archive, number, path)
            except (tarfile.TarError, OSError) as error:
                raise SourceError(
                    f"{path} cannot be read as a tar archive ({error}); a compressed one must be unpacked first"
                ) from error

    def _list_members(self, archive: tarfile.TarFile, number: int, path: Path) -> Iterator[Entry]:
        try:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined] # it would keep each of them
                name = os.fsencode(f"{path.name}/{member.name}")
                if member.isfile() and Path(member.name).suffix.lower() in IMAGE_SUFFIXES:
                    yield name, (number, member.offset_data, member.size)
        except tarfile.ReadError as error:
            self.notes.append(f"{path.name} is cut off ({error}); what lies behind that is left out")
