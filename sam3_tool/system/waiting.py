"""Waiting that ends: for one try, for one call with all its tries, for the slowest of many calls, and at Ctrl-C."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from math import inf
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import TypeVar

MAX_RENEWALS = 10
"""How many times the patience a stream may take in all."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class StoppedError(Exception):
    """Nobody waits for the reply any more. It never leaves the threads that ask."""


class OutOfTimeError(Exception):
    """There was no whole answer in time, whatever kept the connection alive."""


@dataclass
class CallClock:
    """When a call must be over with all its tries, and whether anybody still waits for it."""

    end: float
    """On the monotonic clock: the end of what the caller waits for a server that gives nothing."""
    latest: float = inf
    """On the monotonic clock: the end of the episode, which nothing moves."""
    stopped: Event = field(default_factory=Event)

    @property
    def seconds_left(self) -> float:
        return min(self.end, self.latest) - monotonic()

    def add_seconds(self, seconds: float) -> None:
        """Give the call as much longer as it waited for other calls."""
        self.end += seconds

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the end. Raise StoppedError once nobody waits any more."""
        if seconds > 0:
            self.stopped.wait(max(0.0, min(seconds, self.seconds_left)))
        if self.stopped.is_set():
            raise StoppedError


@dataclass
class Patience:
    """How long one try may take. What shows that the server goes on renews it, up to the call's end."""

    seconds: float
    clock: CallClock
    is_over: bool = False
    """Whether whoever waited has gone; what still comes is for nobody."""
    _end: float = 0.0
    _last_end: float = inf

    def __post_init__(self) -> None:
        self._last_end = monotonic() + MAX_RENEWALS * self.seconds
        self.renew()

    def renew(self) -> None:
        """Wait as long again from now on."""
        self._end = min(monotonic() + self.seconds, self._last_end)

    @property
    def seconds_left(self) -> float:
        return min(self._end - monotonic(), self.clock.latest - monotonic())


def wait_for_result(work: Callable[[], Result], patience: Patience) -> Result:
    """Return what `work` returns, or raise what it raises, or OutOfTimeError as soon as the patience ends.

    The work runs in a thread of its own: no server can keep it from ending in time, whether by silence, by headers one
    byte at a time, or by a name that is never resolved. What is left of it ends with the process.
    """
    outcome: Future[Result] = Future()

    def run_work() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run_work, name="request", daemon=True).start()
    try:
        while (left := patience.seconds_left) > 0 and not patience.clock.stopped.is_set():
            wait([outcome], timeout=min(left, 1.0))
            if outcome.done():
                return outcome.result()
    finally:
        patience.is_over = True
    if patience.clock.stopped.is_set():
        raise StoppedError
    raise OutOfTimeError


def map_in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], *, threads: int, stopped: Event
) -> list[Result]:
    """Return the results in order. When the caller is interrupted, nothing more begins, and nobody is waited for.

    The threads are daemons: a pool of `concurrent.futures` would keep the process until its last request has ended.
    """
    left: SimpleQueue[int] = SimpleQueue()
    outcomes: list[Future[Result]] = [Future() for _ in items]
    for place in range(len(items)):
        left.put(place)

    def work_off() -> None:
        while not stopped.is_set():
            try:
                place = left.get_nowait()
            except Empty:
                return
            try:
                outcomes[place].set_result(function(items[place]))
            except BaseException as error:
                outcomes[place].set_exception(error)

    for _ in range(min(threads, len(items))):
        Thread(target=work_off, name="requests", daemon=True).start()
    try:
        return [outcome.result() for outcome in outcomes]
    except BaseException:
        stopped.set()
        raise
