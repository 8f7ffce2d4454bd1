"""The database of a data engine: one SQLite file, checked before it is used, its errors told in one line."""

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import RLock

from engine.errors import EngineError, EngineInterruptedError
from sam3_tool.system.unfinished_files import build_unfinished_path

APPLICATION_ID = 0x53334445
""" "S3DE": tells the file from other SQLite files."""
SCHEMA_VERSION = 1
BUSY_SECONDS = 10.0
"""How long one connection waits for another one's write to end."""
SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, name TEXT NOT NULL, source TEXT NOT NULL, licence TEXT NOT NULL,
    alt_text TEXT NOT NULL, size INTEGER NOT NULL, original_hash TEXT NOT NULL DEFAULT '', image TEXT,
    error TEXT NOT NULL DEFAULT '', is_read INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX files_of_image ON files (image);
CREATE INDEX files_unread ON files (id) WHERE NOT is_read;
CREATE TABLE images (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, file INTEGER NOT NULL, width INTEGER NOT NULL,
    height INTEGER NOT NULL, dhash INTEGER, duplicates TEXT NOT NULL, split TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT ''
);
CREATE TABLE pairs (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, image TEXT NOT NULL, phrase TEXT NOT NULL,
    original TEXT NOT NULL, origin TEXT NOT NULL, parent TEXT NOT NULL
);
CREATE INDEX pairs_of_image ON pairs (image);
CREATE INDEX pairs_of_phrase ON pairs (phrase);
CREATE TABLE proposals (
    id INTEGER PRIMARY KEY, pair TEXT NOT NULL, shard TEXT NOT NULL, row INTEGER NOT NULL, masks INTEGER NOT NULL,
    made_by TEXT NOT NULL
);
CREATE INDEX proposals_of_pair ON proposals (pair);
CREATE INDEX proposals_of_shard ON proposals (shard);
CREATE TABLE log (
    position INTEGER PRIMARY KEY AUTOINCREMENT, pair TEXT NOT NULL, kind TEXT NOT NULL, choice TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX log_of_pair ON log (pair);
CREATE INDEX log_of_choice ON log (choice, pair);
CREATE TABLE tombstones (hash TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE unclean (shard TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class EngineDatabase:
    """One connection to the database, which threads share in turns.

    Args:
        path: The file.
        read_only: Whether nothing is to be written.

    Raises:
        EngineError: The file is missing, damaged, of another program, or of a newer version of this one.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = RLock()
        check_database_file(path)
        with self._report_errors():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            try:
                self._prepare_connection(read_only)
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def create(cls, path: Path) -> None:
        """Make an empty database; it is there whole, or not at all.

        Raises:
            EngineError: The file cannot be written.
        """
        unfinished = build_unfinished_path(path.parent)
        try:
            with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
                connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            unfinished.rename(path)
        except (sqlite3.Error, OSError) as error:
            unfinished.unlink(missing_ok=True)
            raise EngineError(f"{path} cannot be written ({error}); is there room, and may you write there?") from error

    def _prepare_connection(self, read_only: bool) -> None:
        check_version(self.path, self._connection)
        if read_only:
            self._connection.execute("PRAGMA query_only = ON")
            return
        self._connection.execute("PRAGMA journal_mode = WAL")
        # an answer that a person was told is kept must outlive a loss of power
        self._connection.execute("PRAGMA synchronous = FULL")
        # what is forgotten must not be readable in the file
        self._connection.execute("PRAGMA secure_delete = ON")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for reading, to one thread at a time. Raises EngineError."""
        with self._lock, self._report_errors():
            yield self._connection

    @contextmanager
    def read_snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for several reads that belong together: another process may write. Raises EngineError."""
        with self.read() as connection:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction: all that is written in the block is kept, or nothing.

        A block inside of another one belongs to the outer transaction. Raises EngineError.
        """
        with self._lock, self._report_errors():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def erase_traces(self) -> None:
        """Empty the write-ahead log, so that nothing that was deleted is left in it. Raises EngineError."""
        with self.read() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _report_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # a defect of whoever writes
        except sqlite3.DatabaseError as error:
            if (told := describe_database_error(self.path, error)) is None:
                raise
            raise told from error


def check_database_file(path: Path) -> None:
    """Check that a file is a whole database of a data engine, without opening it as one.

    Raises:
        EngineError: It is missing, cut off, or something else.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
        size, log = path.stat().st_size, path.with_name(f"{path.name}-wal")
    except FileNotFoundError as error:
        raise EngineError(
            f"{path.parent} holds no data engine (there is no {path.name}); make one with: sam3-agent engine init"
        ) from error
    except OSError as error:
        raise EngineError(f"{path} cannot be read ({error.strerror or error}); let this user read it") from error
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise EngineError(f"{path} is no database of a data engine, or only a part of one; put a copy of it back")
    pages, page = int.from_bytes(header[28:32], "big"), struct.unpack(">H", header[16:18])[0]
    # with a write-ahead log beside it, the file may still grow
    has_log = log.exists() and log.stat().st_size > 0
    if size < pages * (65_536 if page == 1 else page) and not has_log:
        raise EngineError(
            f"{path} is cut off ({size:,} bytes of {pages * page:,}); put a copy of it back, for it cannot be mended"
        )


def check_version(path: Path, connection: sqlite3.Connection) -> None:
    """Check that a database is one of a data engine that this version can read. Raises EngineError."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise EngineError(f"{path} is the database of another program; choose another folder for the data engine")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise EngineError(
            f"{path} was written by a newer version of this program (layout {version}, this one reads"
            f" {SCHEMA_VERSION}); install the newer one"
        )


def describe_database_error(path: Path, error: sqlite3.DatabaseError) -> EngineError | None:
    """Say in one line what is wrong with a database; None for what is a defect of the program."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return EngineInterruptedError(
                f"{path} cannot be written ({error}); make room and run the same command again, what is done is kept"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return EngineError(f"{path} cannot be written ({error}); let this user write in its folder")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return EngineError(f"{path} is damaged ({error}); put a copy of it back, for it cannot be mended")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return EngineError(f"{path} is held by another process ({error}); let it end, or stop it first")
    return None
