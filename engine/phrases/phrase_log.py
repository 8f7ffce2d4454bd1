"""Where the phrases of each image came from, kept in the engine's database: who was asked, what was dropped and why.

What stands here was asked; a run that goes on asks nothing twice.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from engine.pairs import Pair
from engine.phrases.hygiene import CleanedPhrases
from engine.phrases.refusals import DroppedPhrase
from engine.store.store import EngineStore

TABLE = "phrase_sources"
LIST = "list"
"""The source of phrases for all images; its record belongs to no image, and holds the whole list as it is now."""
_SCHEMA = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    image TEXT NOT NULL, source TEXT NOT NULL, said_by TEXT NOT NULL, caption TEXT NOT NULL, kept TEXT NOT NULL,
    dropped TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (image, source, said_by)
) WITHOUT ROWID"""


@dataclass(frozen=True)
class PhraseSource:
    """What one source said of one image.

    >>> PhraseSource("5d", "model", "model:m@5d").image
    '5d'
    """

    image: str
    """Its key; "" for what holds for all images."""
    source: str
    """"list", "model", "alt-text" or "negatives"."""
    by: str
    """Of a model, its name and the hash of what it reads; else a hash of what was read."""
    caption: str = ""
    kept: tuple[str, ...] = ()
    dropped: tuple[DroppedPhrase, ...] = ()


def list_asked_images(store: EngineStore, source: str, by: str) -> frozenset[str]:
    """List the keys of the images about which a source was asked, whatever it said."""
    if not _has_table(store):
        return frozenset()
    with store.database.read() as connection:
        rows = connection.execute(f"SELECT image FROM {TABLE} WHERE source = ? AND said_by = ?", (source, by))
        return frozenset(row[0] for row in rows)


def add_source(store: EngineStore, said: PhraseSource, pairs: Iterable[Pair]) -> int:
    """Keep what a source said and the pairs that came of it, both or neither; return how many pairs are new.

    Raises:
        EngineError: Nothing can be written.
    """
    dropped = json.dumps([asdict(entry) for entry in said.dropped], ensure_ascii=False)
    row = (said.image, said.source, said.by, said.caption, json.dumps(said.kept), dropped, time.time())
    with store.database.write() as connection:
        connection.execute(_SCHEMA)
        connection.execute(f"INSERT OR REPLACE INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return store.add_pairs(pairs)


def read_sources(store: EngineStore, image: str = "") -> Iterator[PhraseSource]:
    """Yield what sources said, of all images or of one."""
    if not _has_table(store):
        return
    with store.database.read() as connection:
        query = f"SELECT image, source, said_by, caption, kept, dropped FROM {TABLE} WHERE ? IN ('', image)"
        rows = connection.execute(query, (image,)).fetchall()
    for key, source, by, caption, kept, dropped in rows:
        reasons = tuple(DroppedPhrase(**entry) for entry in json.loads(dropped))
        yield PhraseSource(key, source, by, caption, tuple(json.loads(kept)), reasons)


def count_dropped(store: EngineStore) -> Counter[str]:
    """Count dropped phrases by the kind of their reason."""
    return Counter(entry.kind for said in read_sources(store) for entry in said.dropped)


def forget_sources(store: EngineStore, image: str) -> int:
    """Remove what sources said of an image; return how many they were. Raises EngineError."""
    if not _has_table(store):
        return 0
    with store.database.write() as connection:
        return int(connection.execute(f"DELETE FROM {TABLE} WHERE image = ?", (image,)).rowcount)


def build_source(image: str, source: str, by: str, cleaned: CleanedPhrases, caption: str = "") -> PhraseSource:
    """Build the record of cleaned phrases."""
    return PhraseSource(image, source, by, caption, tuple(entry.phrase for entry in cleaned.kept), cleaned.dropped)


def _has_table(store: EngineStore) -> bool:
    with store.database.read() as connection:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return connection.execute(query, (TABLE,)).fetchone() is not None
