"""The file of a queue: transactions of one process, reads that nobody waits for, and what waits for the disk."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock

from engine.review.queue.tables import open_aside, open_tables
from engine.review.queue.write_ahead import WriteAheadFile

CHECKPOINT_WRITES = 200
"""Durable writes between two times at which the log of SQLite is moved into its file."""


class QueueFile:
    """A file of SQLite that threads share, or a database in memory.

    Args:
        path: The file, which is made where it is missing; ":memory:" for none.

    >>> file = QueueFile(":memory:")
    >>> file.read("select count(*) from item")
    [(0,)]
    """

    def __init__(self, path: str | Path) -> None:
        self._connection = open_tables(str(path))
        self._lock = RLock()
        self._writes = 0
        self._tidying = Lock()
        is_file = str(path) != ":memory:"
        self._reader = open_aside(str(path)) if is_file else self._connection
        self._reader_lock = RLock() if is_file else self._lock
        self._tidier = open_aside(str(path)) if is_file else None
        self._journal = WriteAheadFile(Path(path)) if is_file else None

    def close(self) -> None:
        """Close the file."""
        with self._tidying, self._lock, self._reader_lock:
            for connection in (self._tidier, self._reader, self._connection):
                if connection is not None:
                    connection.close()
            if self._journal is not None:
                self._journal.close()

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Hold the file for one transaction; `durable` then waits for the disk, while others may go on."""
        with self._transact() as connection:
            yield connection
        if durable and self._journal is not None:
            self._journal.synchronize()
            self._tidy_now_and_then()

    @contextmanager
    def _transact(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    @contextmanager
    def hold(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for reading what was just written."""
        with self._lock:
            yield self._connection

    def read(self, text: str, values: object = ()) -> list[tuple]:
        """Read little."""
        with self._lock:
            return self._connection.execute(text, values).fetchall()  # type: ignore[arg-type]

    def read_aside(self, text: str) -> list[tuple]:
        """Read much: nobody waits for it who takes or answers."""
        with self._reader_lock:
            return self._reader.execute(text).fetchall()

    def _tidy_now_and_then(self) -> None:
        """Move what was written into the file itself, by a connection of its own: nobody waits but who calls."""
        self._writes += 1
        if self._writes % CHECKPOINT_WRITES or self._tidier is None or not self._tidying.acquire(blocking=False):
            return
        try:
            # what is written during the first pass is little, and the second one moves it
            for _ in range(2):
                self._tidier.execute("pragma wal_checkpoint(passive)").fetchall()
        finally:
            self._tidying.release()
