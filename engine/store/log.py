"""The log: judgements, corrections and withdrawals, appended and never changed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from engine.errors import EngineError
from engine.pairs import Entry, Judgement, LogRecord, Withdrawal
from engine.states import list_standing_entries
from engine.store.database import EngineDatabase
from engine.store.rows import to_log_row, to_record

PAGE_ROWS = 1024


def append_entries(database: EngineDatabase, entries: Sequence[Entry]) -> list[int]:
    """Append entries, all of them or none, durably.

    Returns:
        Their positions, ascending.

    Raises:
        EngineError: A pair or a position that they name is not there, or nothing can be written.
    """
    with database.write() as connection:
        positions = []
        for entry in entries:
            pair = _find_pair(database, entry)
            with closing(
                connection.execute(
                    "INSERT INTO log (pair, kind, choice, body) VALUES (?, ?, ?, ?)", to_log_row(entry, pair)
                )
            ) as cursor:
                positions.append(int(cursor.lastrowid or 0))
    return positions


def _find_pair(database: EngineDatabase, entry: Entry) -> str:
    """Return the pair that an entry is of. Raises EngineError."""
    with database.read() as connection:
        if isinstance(entry, Withdrawal):
            row = connection.execute("SELECT pair FROM log WHERE position = ?", (entry.position,)).fetchone()
            if row is None:
                raise EngineError(f"the log has no entry {entry.position}; nothing can be taken back there")
            return str(row[0])
        if connection.execute("SELECT 1 FROM pairs WHERE key = ?", (entry.pair,)).fetchone() is None:
            raise EngineError(f"there is no pair {entry.pair!r} in this engine; its image may have been forgotten")
        return entry.pair


def read_entries(database: EngineDatabase, pair: str | None, after: int) -> Iterator[LogRecord]:
    """Yield the log, or what is of one pair, from the position after `after` on, some of it in memory at a time."""
    condition = "" if pair is None else "AND pair = :pair"
    query = f"SELECT position, body FROM log WHERE position > :after {condition} ORDER BY position LIMIT {PAGE_ROWS}"
    while True:
        with database.read() as connection:
            rows = connection.execute(query, {"after": after, "pair": pair}).fetchall()
        yield from (to_record(position, body) for position, body in rows)
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1][0]


def find_last_position(database: EngineDatabase) -> int:
    """Return the highest position that was ever taken; 0 where there is none."""
    with database.read() as connection:
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
    return 0 if row is None else int(row[0])


def find_blocked_phrases(database: EngineDatabase, until: int | None = None) -> frozenset[str]:
    """Return the phrases that a person has flagged and not taken back, up to a position or by now."""
    with database.read() as connection:
        rows = connection.execute(
            "SELECT DISTINCT pairs.key, pairs.phrase FROM log JOIN pairs ON pairs.key = log.pair WHERE choice = 'flag'"
        ).fetchall()
    return frozenset(phrase for key, phrase in rows if _is_flagged(database, key, until))


def select_until(records: Iterable[LogRecord], until: int | None) -> list[LogRecord]:
    """Select what the log held at a position; None selects all.

    >>> select_until([], 4)
    []
    """
    return [record for record in records if until is None or record.position <= until]


def _is_flagged(database: EngineDatabase, pair: str, until: int | None) -> bool:
    standing = list_standing_entries(select_until(read_entries(database, pair, 0), until))
    return any(isinstance(entry, Judgement) and entry.is_human and entry.choice == "flag" for entry in standing)
