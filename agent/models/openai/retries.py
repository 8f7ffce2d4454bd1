"""What the requests of one model share: slots, a pause that the server asked for, and what its refusals have taught."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from agent.models.openai.dialect import Dialect
from agent.models.openai.waiting import CallClock, OutOfTimeError

MAX_DELAY = 30.0
"""Seconds between two tries, where the server does not ask for more."""

log = logging.getLogger(__name__)


class SharedLimits:
    """What the requests of all threads to one model share. A lock guards every field; `_slots` guards itself."""

    def __init__(self, workers: int) -> None:
        self._lock = Lock()
        self._slots = BoundedSemaphore(workers)
        self._dialect = Dialect()
        self._is_proven = False
        self._paused_until = 0.0
        """On the monotonic clock."""

    @property
    def dialect(self) -> Dialect:
        """What the server has taught so far."""
        with self._lock:
            return self._dialect

    def update_dialect(self, learn: Callable[[Dialect], Dialect]) -> Dialect:
        """Remember a lesson for every later request, and return all that is known then."""
        with self._lock:
            self._dialect = learn(self._dialect)
            return self._dialect

    @property
    def is_proven(self) -> bool:
        """Whether the server has answered with a chat completion."""
        with self._lock:
            return self._is_proven

    def mark_proven(self) -> None:
        """Remember that the server has answered with a chat completion."""
        with self._lock:
            self._is_proven = True

    @contextmanager
    def wait_for_slot(self, clock: CallClock) -> Iterator[None]:
        """Hold one of the slots, once no pause is left. Waiting for a slot is not held against the server."""
        asked = time.monotonic()
        while not self._slots.acquire(timeout=0.5):
            clock.sleep(0)
            if clock.latest <= time.monotonic():
                raise OutOfTimeError
        try:
            clock.add_seconds(time.monotonic() - asked)
            # Another thread may be told to wait longer meanwhile.
            while (left := self.get_remaining_pause()) > 0:
                log.debug("waiting %.1f s, as the server asked", left)
                if clock.seconds_left <= 0:
                    raise OutOfTimeError
                clock.sleep(left)
            clock.sleep(0)
            yield
        finally:
            self._slots.release()

    def get_remaining_pause(self) -> float:
        """Return the seconds in which no request may begin."""
        with self._lock:
            return self._paused_until - time.monotonic()

    def update_pause(self, seconds: float) -> None:
        """Let nobody begin a request within these seconds."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)


def compute_retry_delay(first_delay: float, tries: int) -> float:
    """Return the seconds to wait after so many failed tries before this one: doubled each time, give or take a quarter.

    The chance keeps clients that failed together from coming back together.
    """
    return min(first_delay * 2.0**tries, MAX_DELAY) * random.uniform(0.75, 1.25)
