"""What is changed in a database while it is read: found without reading all of it, or kept out."""

from engine.errors import EngineError
from engine.pairs import Reproposal
from engine.store.database import EngineDatabase
from engine.store.log import find_last_position, read_entries
from engine.store.media import count_forgotten


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


class LogMoment:
    """The end of the log at a moment. What is read of the log up to there, and of the masks, belongs together.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from engine.store.store import EngineStore
    >>> with EngineStore.create(Path(tempfile.mkdtemp(), "cups")) as store:
    ...     moment = LogMoment(store.database)
    ...     moment.check_masks()
    ...     moment.position
    0
    """

    def __init__(self, database: EngineDatabase) -> None:
        self._database = database
        self.position = find_last_position(database)
        """The last of the log that counts."""
        self._forgotten = count_forgotten(database)

    def check_masks(self) -> None:
        """Raise EngineError where masks are others than they were then: no position stands for what was read."""
        later = (record.entry for record in read_entries(self._database, None, self.position))
        if count_forgotten(self._database) != self._forgotten or any(isinstance(entry, Reproposal) for entry in later):
            raise EngineError(
                f"{self._database.path.parent} was changed while it was exported: images were forgotten or masks"
                " proposed again; export once more"
            )
