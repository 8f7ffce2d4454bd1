"""The line of queries: a few are answered at the same time, and the others know their place."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

LANES = 2
"""Queries that are answered at the same time."""


@dataclass(frozen=True)
class AnswerLine:
    """Tickets in the order of their arrival. Safe to share between threads: `_lock` guards `_tickets`."""

    lanes: int = LANES
    _tickets: list[object] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def join(self) -> Iterator[object]:
        """Stand in the line, and leave it in the end.

        >>> line = AnswerLine(lanes=1)
        >>> with line.join() as first, line.join() as second:
        ...     line.get_place(first), line.get_place(second)
        (0, 1)
        """
        ticket = object()
        with self._lock:
            self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            with self._lock:
                self._tickets.remove(ticket)

    def get_place(self, ticket: object) -> int:
        """Return how many have to end before this ticket's turn; 0 for one whose turn it is."""
        with self._lock:
            return max(0, self._tickets.index(ticket) - self.lanes + 1)
