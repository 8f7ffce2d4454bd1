"""What other processes have changed in a database, found without reading all of it."""

from engine.store.database import EngineDatabase


def read_data_version(database: EngineDatabase) -> int:
    """Return a number that changes when another process has written, and not when this one has."""
    with database.read() as connection:
        return int(connection.execute("PRAGMA data_version").fetchone()[0])


class ChangeFinder:
    """Finds the pairs of which something is new in the log, or masks are.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from engine.store.store import EngineStore
    >>> with EngineStore.create(Path(tempfile.mkdtemp(), "cups")) as store:
    ...     ChangeFinder().find_pairs(store.database)
    []
    """

    def __init__(self) -> None:
        self._position = self._proposal = 0

    def find_pairs(self, database: EngineDatabase) -> list[str]:
        """Return the keys of pairs that are new or changed since the last call; at first all. Raises EngineError."""
        with database.read_snapshot() as connection:
            logged = connection.execute(
                "SELECT pair, position FROM log WHERE position > ? ORDER BY position", (self._position,)
            ).fetchall()
            proposed = connection.execute(
                "SELECT pair, id FROM proposals WHERE id > ? ORDER BY id", (self._proposal,)
            ).fetchall()
        self._position = logged[-1][1] if logged else self._position
        self._proposal = proposed[-1][1] if proposed else self._proposal
        return [*dict.fromkeys(pair for pair, _ in (*proposed, *logged))]
