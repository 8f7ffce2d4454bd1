"""What the requests of one model share: slots, a pause that the server asked for, and the fields that it refuses."""

import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Any

from agent.models.openai.faults import is_too_long

FALLBACK_FIELDS = {
    "max_tokens": "max_completion_tokens",
    **dict.fromkeys(("temperature", "seed", "parallel_tool_calls", "tool_choice", "stream_options"), ""),
}
"""Field of a request that some servers refuse -> the field sent instead; "" = none."""
MAX_DELAY = 30.0
"""Seconds between two tries, where the server does not ask for more."""

log = logging.getLogger(__name__)


class SharedLimits:
    """What the requests of all threads to one model share. A lock guards every field; `_slots` guards itself."""

    def __init__(self, workers: int) -> None:
        self._lock = Lock()
        self._slots = BoundedSemaphore(workers)
        self._refused: frozenset[str] = frozenset()
        self._paused_until = 0.0
        """On the monotonic clock."""

    @contextmanager
    def wait_for_slot(self) -> Iterator[None]:
        """Hold one of the slots, once no pause is left."""
        with self._slots:
            # Another thread may be told to wait longer meanwhile.
            while (left := self._get_remaining_pause()) > 0:
                log.debug("waiting %.1f s, as the server asked", left)
                time.sleep(left)
            yield

    def _get_remaining_pause(self) -> float:
        with self._lock:
            return self._paused_until - time.monotonic()

    def update_pause(self, seconds: float) -> None:
        """Let nobody begin a request within these seconds."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def update_refused(self, name: str) -> None:
        """Remember that the server refuses this field."""
        with self._lock:
            self._refused |= {name}

    def drop_refused(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the request with each refused field replaced or left out."""
        with self._lock:
            refused = self._refused
        for name in FALLBACK_FIELDS.keys() & refused & request.keys():
            value, instead = request[name], FALLBACK_FIELDS[name]
            kept = {key: item for key, item in request.items() if key != name}
            request = kept | ({instead: value} if instead else {})
        return request


def find_refused_field(message: str, request: dict[str, Any]) -> str:
    """Return the field of the request that a server's words object to, if the request can do without; else ""."""
    if is_too_long(message):
        return ""
    return next((name for name in FALLBACK_FIELDS if name in request and re.search(rf"\b{name}\b", message)), "")


def compute_retry_delay(first_delay: float, tries: int) -> float:
    """Return the seconds to wait after so many failed tries before this one: doubled each time, give or take a quarter.

    The chance keeps clients that failed together from coming back together.
    """
    return min(first_delay * 2.0**tries, MAX_DELAY) * random.uniform(0.75, 1.25)
