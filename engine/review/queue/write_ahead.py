"""The write-ahead file of a database of SQLite: what was committed is brought to the disk without holding the database.

SQLite itself waits for the disk while it holds the database (`synchronous = full`): whoever takes items would wait for
those who answer. With `synchronous = normal` a commit has written the file when it returns, and waiting for the disk
is left to whoever promises that it is there. A checkpoint waits for the disk by itself.
"""

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock


class WriteAheadFile:
    """The write-ahead file beside a database, which stays the same file while a connection is open.

    Args:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-wal")
        self._number: int | None = None
        self._lock = Lock()

    def synchronize(self) -> None:
        """Wait until all that was committed before is on the disk. Raises OSError where the disk fails."""
        with self._lock:
            if self._number is None:
                self._number = self._open_file()
        if self._number is not None:
            os.fsync(self._number)

    def _open_file(self) -> int | None:
        """Open the file; None where nothing was written yet. That it is there is brought to the disk as well."""
        try:
            number = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return None
        # Windows opens no folders, and needs none to be written
        with suppress(PermissionError):
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return number

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._number is not None:
                os.close(self._number)
                self._number = None
