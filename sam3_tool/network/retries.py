"""What the requests to one server share: slots, and a pause that it asked for; and when to ask it again."""

import email.utils
import logging
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from sam3_tool.system.waiting import CallClock, OutOfTimeError

MAX_DELAY = 30.0
"""Seconds between two tries, where the server does not ask for more."""
RETRYABLE_STATUSES = frozenset({408, 409, 424, 425, 429, 498, 499})
"""Statuses, beside 5xx, after which the same request may succeed."""
_TIME_UNITS = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DELAY_FIELD = re.compile(r'"retry_?(?:delay|after)(?:_seconds)?"\s*:\s*"?(\d+(?:\.\d+)?)s?\b', re.IGNORECASE)
_DELAY_WORDS = re.compile(
    r"(?:retry|try again|wait)\b[^.\d]{0,30}?((?:\d+(?:\.\d+)?\s*(?:ms|h|m|s)[a-z]*\s*)+)", re.IGNORECASE
)
_DELAY_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milli|h|m|s)", re.IGNORECASE)

log = logging.getLogger(__name__)


class RequestSlots:
    """What the requests of all threads to one server share. A lock guards every field; `_slots` guards itself."""

    def __init__(self, workers: int) -> None:
        self._lock = Lock()
        self._slots = BoundedSemaphore(workers)
        self._paused_until = 0.0
        """On the monotonic clock."""

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


def parse_retry_after(status: int, headers: Mapping[str, str], text: str) -> float:
    """Return the seconds that a server asks to wait; 0 where nothing can be read.

    It may say so in a header, as a number or a date, or in the body: in a field, or in words.

    >>> parse_retry_after(429, {"retry-after": "3"}, ""), parse_retry_after(503, {}, "Please try again in 1m.")
    (3.0, 60.0)
    """
    units = (("retry-after-ms", 0.001), ("retry-after", 1.0))
    for name, unit in units:
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", headers.get(name, "")):
            return float(headers[name]) * unit
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    if date:
        return max(0.0, email.utils.mktime_tz(date) - time.time())
    return parse_delay_text(text) if status in (429, 503) else 0.0


def parse_delay_text(text: str) -> float:
    """Return the seconds to wait that the body of an answer names; 0 for none.

    >>> [parse_delay_text(text) for text in ('{"retryDelay": "37s"}', "Please try again in 1m2.5s.", "no")]
    [37.0, 62.5, 0.0]
    """
    if found := _DELAY_FIELD.search(text):
        return float(found[1])
    if found := _DELAY_WORDS.search(text):
        parts = _DELAY_PART.findall(found[1])
        return sum(
            float(number) * _TIME_UNITS["ms" if unit.lower() == "milli" else unit.lower()] for number, unit in parts
        )
    return 0.0
