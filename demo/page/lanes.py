"""Lanes for what takes its time on the page: a few run at once, the others wait, and too many are turned away."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Semaphore

from sam3_tool.errors import OverloadedError

LANES, MAX_WAITING = 2, 16
"""What runs at the same time, and what may wait: each of them holds one of the 40 threads of the server."""


class Lanes:
    """Safe to share between threads: `_lock` guards `_held`."""

    def __init__(self, lanes: int = LANES, limit: int = MAX_WAITING) -> None:
        """Open so many lanes.

        Args:
            lanes: What runs at the same time.
            limit: What may wait.
        """
        self._most, self._held = lanes + limit, 0
        self._lock, self._free = Lock(), Semaphore(lanes)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold a lane, once there is one.

        Raises:
            OverloadedError: Too many wait already.

        >>> with Lanes(lanes=1).hold():
        ...     "this takes its time"
        'this takes its time'
        """
        with self._lock:
            if self._held >= self._most:
                raise OverloadedError(f"{self._held} files are made or opened already; ask again later")
            self._held += 1
        try:
            with self._free:
                yield
        finally:
            with self._lock:
                self._held -= 1
