"""Image files as they were listed, and what came of reading each of them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.media.images import EngineImage
from engine.store.database import EngineDatabase
from engine.store.media import bury_image, is_forgotten
from engine.store.rows import from_path, to_path, to_signed


@dataclass(frozen=True)
class NewFile:
    """An image file that nobody has read yet.

    >>> NewFile(Path("kitchen/a.png"), "kitchen").licence
    ''
    """

    path: Path
    source: str = ""
    licence: str = ""
    alt_text: str = ""
    size: int = 0
    """In bytes."""


@dataclass(frozen=True)
class UnreadFile:
    """A file that is to be read, as the database knows it."""

    id: int
    path: Path
    source: str


@dataclass(frozen=True)
class ReadFile:
    """What came of reading a file: an image, or an error."""

    file: UnreadFile
    original_hash: str = ""
    image: EngineImage | None = None
    error: str = ""


def add_files(database: EngineDatabase, files: Iterable[NewFile]) -> int:
    """Add files that are not listed yet; return how many. Raises EngineError."""
    added, folder = 0, database.path.parent
    with database.write() as connection:
        for file in files:
            path = from_path(file.path, folder)
            added += connection.execute(
                "INSERT OR IGNORE INTO files (path, name, source, licence, alt_text, size) VALUES (?, ?, ?, ?, ?, ?)",
                (path, to_text(file.path.name), file.source, file.licence, file.alt_text, file.size),
            ).rowcount
    return added


def update_descriptions(database: EngineDatabase, files: Iterable[NewFile]) -> int:
    """Give files that are listed the licence and the alternative text that are said of them now; "" changes nothing.

    Returns:
        How many have other ones than before.

    Raises:
        EngineError: Nothing can be written.
    """
    changed = 0
    with database.write() as connection:
        for file in files:
            changed += connection.execute(
                "UPDATE files SET licence = ifnull(nullif(?1, ''), licence),"
                " alt_text = ifnull(nullif(?2, ''), alt_text)"
                " WHERE path = ?3 AND (?1 NOT IN ('', licence) OR ?2 NOT IN ('', alt_text))",
                (file.licence, file.alt_text, from_path(file.path, database.path.parent)),
            ).rowcount
    return changed


def count_other_sources(database: EngineDatabase, files: Iterable[NewFile]) -> int:
    """Count the files that are listed with another source than is said now."""
    with database.read() as connection:
        query = "SELECT count(*) FROM files WHERE path = ? AND source != ?"
        folder = database.path.parent
        return sum(
            connection.execute(query, (from_path(file.path, folder), file.source)).fetchone()[0] for file in files
        )


def to_text(name: str) -> str:
    r"""Return a name as text that SQLite holds; bytes that are no UTF-8 are written as backslash, x and two digits.

    >>> to_text("caf\udce9.png")
    'caf\\xe9.png'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def count_files(database: EngineDatabase) -> tuple[int, int, int]:
    """Return how many files are listed, how many of them were not read yet, and how many cannot be read."""
    with database.read() as connection:
        query = "SELECT count(*), ifnull(sum(NOT is_read), 0), ifnull(sum(error != ''), 0) FROM files"
        total, unread, errors = connection.execute(query).fetchone()
        return int(total), int(unread), int(errors)


def list_unread(database: EngineDatabase, *, after: int, limit: int) -> list[UnreadFile]:
    """List files that were not read yet, with ids above `after`, in the order of ids."""
    with database.read() as connection:
        rows = connection.execute(
            "SELECT id, path, source FROM files WHERE NOT is_read AND id > ? ORDER BY id LIMIT ?", (after, limit)
        ).fetchall()
    return [UnreadFile(number, to_path(path, database.path.parent), source) for number, path, source in rows]


def reopen_errors(database: EngineDatabase) -> int:
    """Let files that could not be read be read again; return how many there are. Raises EngineError."""
    with database.write() as connection:
        query = "UPDATE files SET is_read = 0, error = '' WHERE error != '' AND image IS NULL"
        return int(connection.execute(query).rowcount)


def list_errors(database: EngineDatabase) -> Iterator[tuple[str, str]]:
    """Yield path and reason of every file that could not be read, and of every image that cannot be read now."""
    with database.read() as connection:
        rows = connection.execute(
            "SELECT path, error FROM files WHERE error != ''"
            " UNION ALL SELECT files.path, images.error FROM images JOIN files ON files.id = images.file"
            " WHERE images.error != ''"
        ).fetchall()
    return ((to_text(str(to_path(path, database.path.parent))), error) for path, error in rows)


def keep_read_files(database: EngineDatabase, files: Sequence[ReadFile]) -> list[ReadFile]:
    """Keep what came of reading files, all of it or nothing. What was forgotten leaves no trace but its tombstone.

    Returns:
        Those that were kept: all but those that hold what was forgotten.

    Raises:
        EngineError: Nothing can be written.
    """
    kept = []
    with database.write() as connection:
        for found in files:
            if is_forgotten(database, found.image.key if found.image else "", found.original_hash):
                connection.execute("DELETE FROM files WHERE id = ?", (found.file.id,))
                continue
            kept.append(found)
            connection.execute(
                "UPDATE files SET is_read = 1, original_hash = ?, image = ?, error = ? WHERE id = ?",
                (found.original_hash, found.image.key if found.image else None, found.error, found.file.id),
            )
            if found.image is not None:
                _insert_image(database, found.file.id, found.image)
    return kept


def _insert_image(database: EngineDatabase, file: int, image: EngineImage) -> None:
    with database.write() as connection:
        connection.execute(
            "INSERT OR IGNORE INTO images (key, file, width, height, dhash, duplicates, split)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (image.key, file, image.width, image.height, to_signed(image.dhash), image.group, image.split),
        )


def mark_image(database: EngineDatabase, key: str, error: str) -> None:
    """Keep why an image cannot be read now; "" once it can. Raises EngineError."""
    with database.write() as connection:
        connection.execute("UPDATE images SET error = ? WHERE key = ? AND error != ?", (error, key, error))


def find_files(database: EngineDatabase, path: Path, name: str) -> list[tuple[int, Path, str | None]]:
    """Find files by their whole path, or else by their name: id, path, and key of the image in it, if it has one."""
    query, folder = "SELECT id, path, image FROM files WHERE", database.path.parent
    with database.read() as connection:
        rows = connection.execute(f"{query} path = ?", (from_path(path, folder),)).fetchall()
        rows = rows or connection.execute(f"{query} name = ?", (to_text(name),)).fetchall()
    return [(number, to_path(found, folder), key) for number, found, key in rows]


def list_image_paths(database: EngineDatabase, key: str) -> list[Path]:
    """List the files that hold an image."""
    with database.read() as connection:
        rows = connection.execute("SELECT path FROM files WHERE image = ? ORDER BY id", (key,)).fetchall()
    return [to_path(path, database.path.parent) for (path,) in rows]


def remove_unread_file(database: EngineDatabase, file: int, original_hash: str) -> None:
    """Remove a file that holds no image that could be read; remember the hash of what is in it. Raises EngineError."""
    with database.write() as connection:
        connection.execute("DELETE FROM files WHERE id = ? AND image IS NULL", (file,))
        if original_hash:
            bury_image(database, original_hash, [])
