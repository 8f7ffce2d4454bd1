"""Forgetting an image: its rows, its masks and what was said of it are removed, and hashes are all that is left."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineInterruptedError
from engine.store.database import EngineDatabase
from engine.store.media import bury_image
from engine.store.rows import to_path
from engine.store.shards import close_shards, read_shard, write_shard


@dataclass(frozen=True)
class Removal:
    """What was removed of an engine.

    >>> Removal(image="5d", pairs=2).files
    ()
    """

    image: str
    """Key of the image."""
    files: tuple[Path, ...] = ()
    """Image files that held it; they stay, but for copies in the engine's own folder."""
    pair_keys: tuple[str, ...] = ()
    pairs: int = 0
    proposals: int = 0
    """With their masks."""
    entries: int = 0
    """Of the log."""
    alike: tuple[str, ...] = ()
    """Keys of its near-duplicates, which are other images and stay."""
    copies: tuple[Path, ...] = ()
    """Those of the files that were such copies: they are removed."""


def forget_image(database: EngineDatabase, masks: Path, key: str) -> Removal:
    """Remove all that is known of an image; the database first, so that nothing is shown any more, then the files.

    Args:
        database: The engine's.
        masks: Folder of the files of proposals.
        key: The image's; one that is not there removes nothing.

    Returns:
        What was removed.

    Raises:
        EngineError: Nothing can be written. The same call again goes on.
    """
    with database.write() as connection:
        pairs = [row[0] for row in connection.execute("SELECT key FROM pairs WHERE image = ?", (key,))]
        rows = connection.execute("SELECT path, original_hash FROM files WHERE image = ?", (key,)).fetchall()
        shards = _find_shards(database, pairs)
        proposals, entries = (_count_rows(database, table, pairs) for table in ("proposals", "log"))
        for table in ("proposals", "log"):
            connection.executemany(f"DELETE FROM {table} WHERE pair = ?", [(pair,) for pair in pairs])
        connection.execute("DELETE FROM pairs WHERE image = ?", (key,))
        alike = _release_group(database, key)
        connection.execute("DELETE FROM images WHERE key = ?", (key,))
        connection.execute("DELETE FROM files WHERE image = ?", (key,))
        bury_image(database, key, [original_hash for _, original_hash in rows])
        connection.executemany("INSERT OR IGNORE INTO unclean VALUES (?)", [(shard,) for shard in shards])
    clean_shards(database, masks)
    database.erase_traces()
    files = tuple(to_path(path, database.path.parent) for path, _ in rows)
    return Removal(key, files, tuple(pairs), len(pairs), proposals, entries, alike)


def _find_shards(database: EngineDatabase, pairs: Sequence[str]) -> set[str]:
    with database.read() as connection:
        query = "SELECT DISTINCT shard FROM proposals WHERE pair = ?"
        return {row[0] for pair in pairs for row in connection.execute(query, (pair,))}


def _count_rows(database: EngineDatabase, table: str, pairs: Sequence[str]) -> int:
    with database.read() as connection:
        query = f"SELECT count(*) FROM {table} WHERE pair = ?"
        return sum(connection.execute(query, (pair,)).fetchone()[0] for pair in pairs)


def _release_group(database: EngineDatabase, key: str) -> tuple[str, ...]:
    """Return the near-duplicates of an image; where it stood for them, the first of them does so from now on."""
    with database.write() as connection:
        query = (
            "SELECT key FROM images WHERE key != :key AND duplicates = (SELECT duplicates FROM images WHERE key = :key)"
            " ORDER BY id"
        )
        alike = tuple(row[0] for row in connection.execute(query, {"key": key}))
        if alike:
            connection.execute("UPDATE images SET duplicates = ? WHERE duplicates = ?", (alike[0], key))
    return alike


def clean_shards(database: EngineDatabase, masks: Path) -> None:
    """Write every file anew that still holds masks of what was forgotten, without them.

    A kill between two steps leaves either the old file, which is still known as unclean, or the new one beside it.

    Raises:
        EngineError: A file cannot be read or written.
    """
    with database.read() as connection:
        unclean = [row[0] for row in connection.execute("SELECT shard FROM unclean ORDER BY shard")]
    for shard in unclean:
        _clean_shard(database, masks, shard)


def _clean_shard(database: EngineDatabase, masks: Path, shard: str) -> None:
    with database.read() as connection:
        known = connection.execute("SELECT row, id FROM proposals WHERE shard = ? ORDER BY row", (shard,)).fetchall()
    ids = dict(known)
    kept = [each for row, each in enumerate(read_shard(masks / shard)) if row in ids] if known else []
    try:
        name = write_shard(masks, kept) if kept else ""
    except OSError as error:
        raise EngineInterruptedError(
            f"{masks} cannot be written ({error.strerror or error}); make room and forget the image again"
        ) from error
    with database.write() as connection:
        places = [(name, place, number) for place, (_, number) in enumerate(known)]
        connection.executemany("UPDATE proposals SET shard = ?, row = ? WHERE id = ?", places)
        connection.execute("DELETE FROM unclean WHERE shard = ?", (shard,))
    close_shards()
    with suppress(OSError):
        (masks / shard).unlink()
