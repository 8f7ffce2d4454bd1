"""Adding images and pairs: what is there already, or was forgotten, is not added again."""

from collections.abc import Iterable
from time import time

from engine.errors import EngineError
from engine.media.images import EngineImage
from engine.pairs import Pair
from engine.store.database import EngineDatabase
from engine.store.rows import from_path, to_signed


def add_images(database: EngineDatabase, images: Iterable[EngineImage]) -> int:
    """Add images, with the file that each was found in; return how many are new. Raises EngineError."""
    added = 0
    with database.write() as connection:
        for image in images:
            if is_forgotten(database, image.key, image.original_hash):
                continue
            path = from_path(image.path, database.path.parent)
            connection.execute(
                "INSERT INTO files (path, name, source, licence, alt_text, size, original_hash, image, is_read)"
                " VALUES (?, ?, ?, ?, ?, 0, ?, ?, 1)"
                " ON CONFLICT (path) DO UPDATE SET image = excluded.image, is_read = 1",
                (path, image.path.name, image.source, image.licence, image.alt_text, image.original_hash, image.key),
            )
            file = connection.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()[0]
            added += connection.execute(
                "INSERT OR IGNORE INTO images (key, file, width, height, dhash, duplicates, split)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (image.key, file, image.width, image.height, to_signed(image.dhash), image.group, image.split),
            ).rowcount
    return added


def add_pairs(database: EngineDatabase, pairs: Iterable[Pair]) -> int:
    """Add pairs; return how many are new. Raises EngineError where an image is not there."""
    added = 0
    known: dict[str, bool] = {}
    with database.write() as connection:
        for pair in pairs:
            if pair.image not in known:
                row = connection.execute("SELECT 1 FROM images WHERE key = ?", (pair.image,)).fetchone()
                known[pair.image] = row is not None
            if not known[pair.image]:
                raise EngineError(f"there is no image {pair.image!r} in this engine; it may have been forgotten")
            added += connection.execute(
                "INSERT OR IGNORE INTO pairs (key, image, phrase, original, origin, parent) VALUES (?, ?, ?, ?, ?, ?)",
                (pair.key, pair.image, pair.phrase, pair.original, pair.origin, pair.parent),
            ).rowcount
    return added


def is_forgotten(database: EngineDatabase, key: str, original_hash: str) -> bool:
    """Whether an image, or the file that it came from, was forgotten."""
    with database.read() as connection:
        query = "SELECT 1 FROM tombstones WHERE hash IN (?, ?)"
        return connection.execute(query, (key, original_hash or key)).fetchone() is not None


def bury_image(database: EngineDatabase, key: str, original_hashes: Iterable[str]) -> None:
    """Remember that an image was forgotten, by the hashes of its pixels and of its files. Raises EngineError."""
    hashes = {key, *original_hashes} - {""}
    with database.write() as connection:
        connection.executemany("INSERT OR IGNORE INTO tombstones VALUES (?, ?)", [(hash, time()) for hash in hashes])


def count_forgotten(database: EngineDatabase) -> int:
    """Return how many images were forgotten: the hash of pixels has 32 digits, that of a file 64."""
    with database.read() as connection:
        return int(connection.execute("SELECT count(*) FROM tombstones WHERE length(hash) < 64").fetchone()[0])
