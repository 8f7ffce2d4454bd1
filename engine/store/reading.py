"""Reading tables page by page: a reader never holds more than a page, and holds up no writer."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.pairs import LogRecord, Pair
from engine.store.database import EngineDatabase
from engine.store.proposals import Place, find_places
from engine.store.rows import to_pair, to_record

PAGE_ROWS = 512


@dataclass(frozen=True)
class PairRow:
    """A pair with where its masks are, and what the log says of it."""

    key: str
    pair: Pair
    place: Place | None
    """None while nothing is proposed."""
    records: list[LogRecord] = field(default_factory=list)
    source: str = ""
    """Of the image, as the other two are."""
    split: str = ""
    group: str = ""


def read_pages(
    database: EngineDatabase, table: str, columns: str, where: Mapping[str, str] | None = None
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield rows of a table in the order of their ids, without these.

    Args:
        database: The database.
        table: Its name.
        columns: The id first, and where they come from.
        where: Columns and the values that they must have; an empty value stands for any.
    """
    wanted = {name: value for name, value in (where or {}).items() if value}
    condition = "".join(f" AND {table}.{name} = :{name}" for name in wanted)
    query = f"SELECT {columns} WHERE {table}.id > :last{condition} ORDER BY {table}.id LIMIT {PAGE_ROWS}"
    last = 0
    while True:
        with database.read() as connection:
            rows = connection.execute(query, {"last": last, **wanted}).fetchall()
        if not rows:
            return
        last = rows[-1][0]
        yield [row[1:] for row in rows]


def read_pair_pages(database: EngineDatabase) -> Iterator[list[PairRow]]:
    """Yield all pairs with their places and log, each page as of one moment."""
    query = (
        "SELECT pairs.id, pairs.key, source, split, duplicates, pairs.image, phrase, original, origin, parent"
        " FROM pairs JOIN images ON images.key = pairs.image JOIN files ON files.id = images.file"
        f" WHERE pairs.id > ? ORDER BY pairs.id LIMIT {PAGE_ROWS}"
    )
    last = 0
    while True:
        with database.read_snapshot() as connection:
            rows = connection.execute(query, (last,)).fetchall()
            keys = [row[1] for row in rows]
            places, records = find_places(database, keys), _read_records(database, keys)
        if not rows:
            return
        last = rows[-1][0]
        yield [
            PairRow(key, to_pair(tuple(pair)), places.get(key), records[key], source, split, group)
            for _, key, source, split, group, *pair in rows
        ]


def _read_records(database: EngineDatabase, keys: list[str]) -> dict[str, list[LogRecord]]:
    """Return what the log holds of pairs, by their key."""
    records: dict[str, list[LogRecord]] = defaultdict(list)
    marks = ",".join("?" * len(keys))
    with database.read() as connection:
        rows = connection.execute(
            f"SELECT pair, position, body FROM log WHERE pair IN ({marks}) ORDER BY position", keys
        ).fetchall()
    for pair, position, body in rows:
        records[pair].append(to_record(position, body))
    return records
