"""The line of queries: a few are answered at the same time, and the others know their place."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

from sam3_tool.errors import OverloadedError

LANES = 2
"""Queries that are answered at the same time."""
MAX_WAITING = 20
"""Queries that wait at most."""
REMEMBERED = 8
"""Answers whose seconds tell how long the next ones may take."""
ORDINALS = ("next", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True)
class AnswerLine:
    """Tickets in the order of their arrival. Safe to share between threads: `_lock` guards `_tickets`, `_seconds`."""

    lanes: int = LANES
    limit: int = MAX_WAITING
    """Queries that may wait; more are turned away."""
    _tickets: list[object] = field(default_factory=list)
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """What the latest answers took."""
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def join(self) -> Iterator[object]:
        """Stand in the line, and leave it in the end.

        Raises:
            OverloadedError: Too many wait already.

        >>> line = AnswerLine(lanes=1)
        >>> with line.join() as first, line.join() as second:
        ...     line.get_place(first), line.get_place(second)
        (0, 1)
        """
        ticket = object()
        with self._lock:
            if len(self._tickets) >= self.lanes + self.limit:
                raise OverloadedError(f"{len(self._tickets)} queries wait or are answered already; ask again later")
            self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            with self._lock:
                self._tickets.remove(ticket)

    @contextmanager
    def time_answer(self) -> Iterator[None]:
        """Remember how long an answer takes."""
        started = monotonic()
        yield
        with self._lock:
            self._seconds.append(monotonic() - started)

    def get_place(self, ticket: object) -> int:
        """Return how many have to end before this ticket's turn; 0 for one whose turn it is."""
        with self._lock:
            return max(0, self._tickets.index(ticket) - self.lanes + 1)

    def estimate_seconds(self, place: int) -> float | None:
        """Return about how long it takes until it is the turn of this place; None where nothing is known."""
        with self._lock:
            seconds = [*self._seconds]
        return sum(seconds) / len(seconds) * place / self.lanes if seconds else None


def describe_place(place: int, seconds: float | None) -> str:
    """Return in words where somebody stands in the line.

    >>> describe_place(1, None), describe_place(2, 19.6), describe_place(30, 200)
    ('You are next', 'You are second in line, about 20 s', 'You are number 30 in line, about 3 min')
    """
    words = "You are next" if place == 1 else f"You are {_format_ordinal(place)} in line"
    if seconds is None or seconds < 1:
        return words
    return f"{words}, about {seconds:.0f} s" if seconds < 100 else f"{words}, about {seconds / 60:.0f} min"


def _format_ordinal(place: int) -> str:
    return ORDINALS[place - 1] if place <= len(ORDINALS) else f"number {place}"
