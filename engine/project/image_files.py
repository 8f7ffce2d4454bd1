"""The image files that a person names, and what that person says of them: source, licence, alternative text."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotate.sources.base import Listing
from annotate.sources.files import FileReader
from annotate.sources.lists import ListReader
from annotate.sources.opening import SourceOptions, open_source
from engine.errors import EngineError
from engine.project.packed_images import MAX_COPIED_GB, CopiedImage
from engine.project.texts import find_alt_text
from engine.store.database import EngineDatabase
from engine.store.files import NewFile, add_files, count_other_sources, to_text, update_descriptions


@dataclass(frozen=True, eq=False)
class NamedImages:
    """Image files that a person names, with what is said of them."""

    listing: Listing
    source: str | None = None
    """Of all of them; None for the folder that each lies in."""
    licence: str = ""
    """Of all of them; "" where nothing is said."""
    alt_texts: Mapping[str, str] | None = None
    """By path within the folder, or by name; None where no file of them was given."""
    copies: Sequence[CopiedImage] = ()
    """Of images that are packed, once they are copied."""
    max_bytes: int = round(1e9 * MAX_COPIED_GB)
    """Of packed images that are copied."""

    def build_files(self) -> Iterator[NewFile]:
        """Yield the files in the order of their names."""
        texts = self.alt_texts or {}
        for path, inner, size in self._list_places():
            source = inner.rpartition("/")[0] if self.source is None else self.source
            yield NewFile(path, source, self.licence, find_alt_text(texts, inner), size)

    def _list_places(self) -> Iterator[tuple[Path, str, int]]:
        """Yield where each image lies, its name within the folder or archive, and its bytes."""
        reader = self.listing.reader
        if isinstance(reader, FileReader | ListReader):
            for item in self.listing.get_items(0, len(self.listing)):
                path = (reader.root / os.fsdecode(item.raw_name)).absolute()
                yield path, to_text(os.fsdecode(item.raw_name)), max(0, *item.numbers, 0)
        for copy in self.copies:
            yield copy.path, copy.inner, copy.size

    def count_unused_texts(self) -> int:
        """Count the alternative texts that name no file of these."""
        if not self.alt_texts:
            return 0
        names = {inner for _, inner, _ in self._list_places()}
        return len(self.alt_texts.keys() - names - {name.rpartition("/")[2] for name in names})


def list_images(images: Path, folder: Path, *, column: str = "image") -> Listing:
    """List image files.

    Args:
        images: A folder, one image, a list of paths, or what `annotate` reads as packed images.
        folder: Of the data engine; it holds none.
        column: Of parquet files, with the images.

    Raises:
        SourceError: There is none, or they cannot be listed.
        EngineError: The engine would lie among them.
    """
    if is_same_folder(images, folder):
        raise EngineError(f"an engine cannot lie in {images} itself, among the images; name another folder for it")
    return open_source(images, SourceOptions(column=column), out=folder)


def is_same_folder(images: Path, folder: Path) -> bool:
    """Whether the images lie where the engine is to be; a path that cannot be followed is none of it."""
    try:
        return images.is_dir() and images.resolve() == folder.resolve()
    except OSError:
        return False


def add_images(database: EngineDatabase, images: NamedImages) -> tuple[int, list[str]]:
    """Add files that are not listed yet, and keep what is said of those that are.

    Args:
        database: Of the engine.
        images: The files.

    Returns:
        How many are new, and what a person should know.

    Raises:
        EngineError: Nothing can be written.
    """
    notes = list(images.listing.notes)
    if images.licence or images.alt_texts:
        changed = update_descriptions(database, images.build_files())
        notes += [f"{changed:,} images that were listed before have this licence or text now"] if changed else []
    if images.source is not None and (kept := count_other_sources(database, images.build_files())):
        notes.append(f"{kept:,} images that were listed before keep their source: splits and thresholds rest on it")
    if unused := images.count_unused_texts():
        notes.append(f"{unused:,} of {len(images.alt_texts or ()):,} alternative texts name no image of these")
    return add_files(database, images.build_files()), notes
