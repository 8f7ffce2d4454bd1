"""`Batcher`: blocking calls from many threads, served in batches by one."""

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from threading import Condition, Thread, current_thread
from typing import Generic

from sam3_tool.batching.calls import Call, Needs, Request, Result, Ticket
from sam3_tool.batching.line import FairLine, Turn
from sam3_tool.errors import OverloadedError

_log = logging.getLogger(__name__)
_ANYBODY = Ticket()


@dataclass(frozen=True)
class BatchRun:
    """What running one batch took."""

    size: int
    """Requests in it."""
    seconds: float
    """How long it ran."""
    waited: float
    """Seconds that its oldest call had waited when it began."""
    waiting: int
    """Requests that waited when it ended."""
    failed: bool
    """Whether it raised. Then each call in it is run once more without the others, which is a batch of its own."""


@dataclass(frozen=True)
class BatchLimits(Generic[Request]):
    """What bounds a batch, and the line.

    Raises:
        ValueError: A number is below 1.
    """

    max_size: int
    """Requests in a batch."""
    max_waiting: int | None = None
    """Requests that may wait. A call that would make them more is refused, unless nothing waits."""
    max_new: int | None = None
    """Needs that a batch may make anew; those of a single request always may be."""
    list_needs: Callable[[Request], Needs] = lambda request: frozenset()
    """What must be there before a request can be answered. It is called in the caller's thread."""
    is_ready: Callable[[str], bool] = lambda need: True
    """Whether a need is there already. It is called in the thread that runs batches."""

    def __post_init__(self) -> None:
        for name in ("max_size", "max_waiting", "max_new"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")

    @property
    def max_turn(self) -> int:
        """Requests with the same needs that a call may have in one turn: half a batch.

        If each request were a turn of its own, more images than fit the cache would be worked on in turns, and each
        be encoded again for every one of its prompts.
        """
        return max(1, self.max_size // 2)


class Batcher(Generic[Request, Result]):
    """Turns `run_batch` into a blocking call that is safe from any thread.

    `run_batch` is only ever called from one background thread, with 1 to `max_size` requests, and gives one result
    per request. What arrives while it runs is served next: callers take turns, so that a short call waits for a batch
    or two, and not for all of a long call. A caller who is alone never waits for company: only after a batch that
    served several calls are the others given up to `max_wait` seconds to come back.

    Every call ends: with its results, with an error of its own requests, with the error of its ticket, or with
    `RuntimeError` once closed. The thread starts with the first call and ends with `close`, with this object, or with
    the process.

    Args:
        run_batch: What answers requests.
        limits: The size of a batch, or all that bounds it.
        max_wait: Seconds that a batch waits for calls that shared the last one.
        on_batch: Is told of each batch, in the thread that ran it, before its answers are given.
        interrupt: Ends the batch that runs when nobody can read its answers any more. Default: it is finished.

    >>> double = Batcher(lambda numbers: [2 * number for number in numbers], BatchLimits(max_size=2))
    >>> double([1, 2, 3])
    [2, 4, 6]
    """

    def __init__(
        self,
        run_batch: Callable[[list[Request]], list[Result]],
        limits: BatchLimits[Request],
        *,
        max_wait: float = 0.001,
        on_batch: Callable[[BatchRun], None] | None = None,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        self._queue = _Queue(run_batch, limits, max_wait, on_batch, interrupt)
        # The thread holds the line, not this object: when nobody holds this object any more, the thread is ended.
        self.close = weakref.finalize(self, self._queue.close)

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return self._queue.count_waiting()

    def __call__(self, requests: Sequence[Request], ticket: Ticket = _ANYBODY) -> list[Result]:
        """Return one result per request, in order.

        Args:
            requests: More than `max_size` take several batches.
            ticket: Whose they are, and how long they are wanted.

        Raises:
            OverloadedError: Too many requests wait.
            DeadlineError: The ticket's deadline passed before all requests had begun.
            RequestCancelledError: The ticket was cancelled before all requests had begun.
            Exception: What `run_batch` raised for requests of this call.
        """
        if not requests:
            return []
        call = Call[Request, Result](requests, ticket, self._queue.limits.list_needs)
        try:
            self._queue.join(call)
            return self._queue.wait_for_outcome(call)
        finally:
            self._queue.leave(call)  # no-op unless the deadline or Ctrl-C ended the call: then nobody reads the rest


class _Queue(Generic[Request, Result]):
    """The calls that wait, and the thread that serves them."""

    def __init__(
        self,
        run_batch: Callable[[list[Request]], list[Result]],
        limits: BatchLimits[Request],
        max_wait: float,
        on_batch: Callable[[BatchRun], None] | None,
        interrupt: Callable[[], None] | None,
    ) -> None:
        self.run_batch = run_batch
        self.limits = limits
        self.max_wait = max_wait
        self.on_batch = on_batch
        self.interrupt = interrupt
        self._changed = Condition()  # protects everything below, and every call
        self._line = FairLine[Request, Result]()
        self._closed = False
        self._crowded = False
        self._thread: Thread | None = None

    # --- callers

    def count_waiting(self) -> int:
        with self._changed:
            return len(self._line)

    def join(self, call: Call[Request, Result]) -> None:
        if (problem := call.ticket.find_problem()) is not None:
            raise problem
        with self._changed:
            if self._closed:
                raise RuntimeError("closed: no more requests are taken")
            self._check_room(len(call))
            self._line.join(call)
            if self._thread is None or not self._thread.is_alive():  # dead in a forked child
                self._thread = Thread(target=self._serve_until_closed, name="batcher", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _check_room(self, count: int) -> None:
        most, waiting = self.limits.max_waiting, len(self._line)
        if most is None or waiting + count <= most:
            return
        self._fail_unwanted()
        waiting = len(self._line)
        if waiting and waiting + count > most:
            raise OverloadedError(
                f"busy: {waiting} requests wait, {count} more were asked for, and at most {most} may wait; try again in"
                " a moment"
            )

    def wait_for_outcome(self, call: Call[Request, Result]) -> list[Result]:
        """Return what the call ends with. Its deadline ends it as long as some of its requests have not begun."""
        if (deadline := call.ticket.deadline) is not None:
            wait([call.outcome], timeout=max(0.0, deadline - time.monotonic()) + 0.001)  # by then it surely has passed
            with self._changed:
                self._fail_unwanted()
        return call.outcome.result()

    def leave(self, call: Call[Request, Result]) -> None:
        with self._changed:
            if not call.outcome.done():
                self._line.leave(call)

    def close(self) -> None:
        """Fail what waits, and let the thread finish the batch it is in (at exit, for a few seconds at most)."""
        with self._changed:
            self._closed = True
            for call in list(self._line):
                self._end_call(call, RuntimeError("closed before this request was served"))
            self._changed.notify()
        if self._thread is not None and self._thread is not current_thread():
            if self.interrupt is not None:
                self.interrupt()
            self._thread.join(timeout=5.0)

    def _fail_unwanted(self) -> None:
        """End the calls of which something has not begun that is no longer wanted."""
        for call in list(self._line):
            if (problem := call.ticket.find_problem()) is not None:
                self._end_call(call, problem)

    def _end_call(self, call: Call[Request, Result], error: BaseException) -> None:
        self._line.leave(call)
        call.fail(error)

    # --- the thread

    def _serve_until_closed(self) -> None:
        while self._serve_next_batch():
            pass

    def _serve_next_batch(self) -> bool:
        """Serve one batch. False when closed. This is a call of its own, so that nothing of the batch outlives it."""
        turns = self._take_batch()
        if turns:
            self._answer_batch(turns)
        return turns is not None

    def _take_batch(self) -> "list[Turn[Request, Result]] | None":
        """Return the turns to serve next; None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._line) or self._closed)
            if self._crowded:
                self._changed.wait_for(self._is_full_or_closed, timeout=self.max_wait)
            if self._closed:
                return None
            self._fail_unwanted()
            turns = self._take_turns()
            # only a batch that served several calls makes the next one worth waiting for
            self._crowded = len({turn.call for turn in turns}) > 1
            return turns

    def _is_full_or_closed(self) -> bool:
        return len(self._line) >= self.limits.max_size or self._closed

    def _take_turns(self) -> list[Turn[Request, Result]]:
        limits, turns = self.limits, list[Turn[Request, Result]]()
        made: set[str] = set()

        def has_room(needs: Needs) -> bool:
            if limits.max_new is None:
                return True
            together = made.union(need for need in needs if not limits.is_ready(need))
            if made and len(together) > limits.max_new:
                return False
            made.update(together)
            return True

        room = limits.max_size
        while room and (turn := self._line.take_turn(min(room, limits.max_turn), has_room)) is not None:
            turns.append(turn)
            room -= len(turn.requests)
        return turns

    def _answer_batch(self, turns: list[Turn[Request, Result]]) -> None:
        by_call: dict[Call[Request, Result], list[tuple[int, Request]]] = {}
        for turn in turns:
            by_call.setdefault(turn.call, []).extend(turn.requests)
        error = self._run_calls(by_call)
        if error is None:
            return
        if len(by_call) == 1 or not isinstance(error, Exception):
            self._fail_calls(by_call, error)
            return
        for call, requests in by_call.items():  # one of them is at fault, and the others shall not pay for it
            if (own_error := self._run_calls({call: requests})) is not None:
                self._fail_calls([call], own_error)

    def _run_calls(self, by_call: "dict[Call[Request, Result], list[tuple[int, Request]]]") -> BaseException | None:
        """Run requests as one batch, and give their results to the calls; return what was raised instead."""
        requests = [request for each in by_call.values() for _, request in each]
        began = time.monotonic()
        error: BaseException | None = None
        results: list[Result] = []
        try:
            results = self.run_batch(requests)
            if len(results) != len(requests):
                raise RuntimeError(f"`run_batch` gave {len(results)} results for {len(requests)} requests")
        except BaseException as raised:  # even KeyboardInterrupt and SystemExit: a caller waits for each outcome
            error = raised
        self._report_batch(list(by_call), len(requests), began, error is not None)
        if error is None:
            found = iter(results)
            with self._changed:
                for call, each in by_call.items():
                    call.add_results({place: next(found) for place, _ in each})
        return error

    def _fail_calls(self, calls: Iterable[Call[Request, Result]], error: BaseException) -> None:
        with self._changed:
            for call in calls:
                self._end_call(call, error)

    def _report_batch(self, calls: list[Call[Request, Result]], size: int, began: float, failed: bool) -> None:
        if self.on_batch is None:
            return
        waited = began - min(call.joined for call in calls)
        run = BatchRun(size, time.monotonic() - began, waited, self.count_waiting(), failed)
        try:
            self.on_batch(run)
        except Exception:
            _log.exception("what is told of batches failed")
