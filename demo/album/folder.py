"""Where the files of a visitor lie while the page is in use, and how much room all visitors have together."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from weakref import finalize

from sam3_tool.errors import UserError
from sam3_tool.system.file_names import sanitize_file_name

DISK_BYTES = 8 * 2**30
"""Bytes for the files of all visitors."""


class NoRoomError(UserError):
    """There is no room for a file. The message is a sentence."""


@dataclass(eq=False)
class DiskBudget:
    """How many bytes the files of all visitors may have. Safe to share between threads."""

    max_bytes: int = DISK_BYTES
    used: int = 0
    _lock: Lock = field(default_factory=Lock)

    def take(self, size: int) -> None:
        """Take room for a file. Raises NoRoomError."""
        with self._lock:
            if self.used + size > self.max_bytes:
                raise NoRoomError("The server has no room for more files now; try again later.")
            self.used += size

    def release(self, size: int) -> None:
        """Give room back."""
        with self._lock:
            self.used -= size


class VisitorFolder:
    """A folder that vanishes with the last session that holds it."""

    def __init__(self, budget: DiskBudget, max_bytes: int) -> None:
        self._budget, self._max_bytes = budget, max_bytes
        self.path = Path(mkdtemp(prefix="sam3-agent-"))
        self._sizes: list[int] = []
        self._lock = Lock()
        finalize(self, _remove_folder, self.path, budget, self._sizes)

    def take_file(self, source: Path) -> Path:
        """Move a file here under a name of its own. Raises NoRoomError, and OSError."""
        size = source.stat().st_size
        with self._lock:
            if sum(self._sizes) + size > self._max_bytes:
                most = self._max_bytes / 2**20
                raise NoRoomError(
                    f"Your files may have {most:,.0f} MiB together, and there is no room for this one."
                    " Take others out of the strip."
                )
            self._budget.take(size)
            self._sizes.append(size)
            place = self.path / f"{len(self._sizes):04d}-{sanitize_file_name(source.name)}"
        shutil.move(source, place)
        return place

    def release_file(self, path: Path) -> None:
        """Remove a file."""
        with self._lock:
            size = path.stat().st_size if path.exists() else 0
            path.unlink(missing_ok=True)
            self._sizes.append(-size)
            self._budget.release(size)


def _remove_folder(path: Path, budget: DiskBudget, sizes: list[int]) -> None:
    shutil.rmtree(path, ignore_errors=True)
    budget.release(sum(sizes))
