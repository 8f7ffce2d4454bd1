"""Values as rows of the database, and back."""

import os
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter

from engine.media.images import EngineImage, Split
from engine.pairs import Entry, Judgement, LogRecord, Pair
from engine.store.folder import is_copy

IMAGE_COLUMNS = """
images.key, images.width, images.height, images.dhash, images.duplicates, images.split, images.error, files.path,
files.source, files.licence, files.original_hash, files.alt_text
FROM images JOIN files ON files.id = images.file
"""
PAIR_COLUMNS = "image, phrase, original, origin, parent"
_ENTRIES: TypeAdapter[Entry] = TypeAdapter(Entry)
_OWN = b"./"
"""What a path begins with that lies in the engine's own folder: so the folder can be moved with the copies in it."""


def to_path(raw: bytes, folder: Path) -> Path:
    """Convert a path as the database holds it.

    Args:
        raw: Of a file.
        folder: The engine's.

    >>> to_path(b"./images/a.tar/1.png", Path("/engine")), to_path(b"/photos/1.png", Path("/engine"))
    (PosixPath('/engine/images/a.tar/1.png'), PosixPath('/photos/1.png'))
    """
    if raw.startswith(_OWN):
        return folder.absolute() / os.fsdecode(raw.removeprefix(_OWN))
    return Path(os.fsdecode(raw))


def from_path(path: Path, folder: Path) -> bytes:
    """Convert a path to what the database holds: that of an engine's own copy within its folder.

    >>> from_path(Path("/engine/images/a.tar/1.png"), Path("/engine"))
    b'./images/a.tar/1.png'
    """
    if is_copy(folder, path):
        return _OWN + os.fsencode(path.relative_to(folder.absolute()).as_posix())
    return os.fsencode(path)


def to_image(row: tuple[Any, ...], folder: Path) -> EngineImage:
    """Convert a row of `IMAGE_COLUMNS` of the engine in a folder."""
    key, width, height, dhash, group, split, error, path, source, licence, original_hash, alt_text = row
    return EngineImage(
        key=key,
        path=to_path(path, folder),
        width=width,
        height=height,
        source=source,
        licence=licence,
        original_hash=original_hash,
        group=group,
        split=cast(Split, split),
        dhash="" if dhash is None else from_signed(dhash),
        alt_text=alt_text,
        error=error,
    )


def to_pair(row: tuple[Any, ...]) -> Pair:
    """Convert a row of `PAIR_COLUMNS`."""
    image, phrase, original, origin, parent = row
    # it was checked when it came in
    return Pair.model_construct(image=image, phrase=phrase, original=original, origin=origin, parent=parent)


def to_record(position: int, body: str) -> LogRecord:
    """Convert a row of the log."""
    return LogRecord.model_construct(position=position, entry=_ENTRIES.validate_json(body))


def to_log_row(entry: Entry, pair: str) -> tuple[str, str, str, str]:
    """Convert an entry to pair, kind, choice and body."""
    choice = entry.choice if isinstance(entry, Judgement) else ""
    return pair, entry.kind, choice, entry.model_dump_json()


def to_signed(dhash: str) -> int | None:
    """Convert 16 hexadecimal digits to a number that SQLite holds; none to None.

    >>> to_signed("ffffffffffffffff"), from_signed(-1)
    (-1, 'ffffffffffffffff')
    """
    if not dhash:
        return None
    number = int(dhash, 16)
    return number - 2**64 if number >= 2**63 else number


def from_signed(number: int) -> str:
    """Convert back to 16 hexadecimal digits."""
    return f"{number % 2**64:016x}"
