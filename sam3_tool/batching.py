"""Many threads' calls, one call on the accelerator."""

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread, current_thread
from typing import Generic, TypeVar

Request = TypeVar("Request")
Result = TypeVar("Result")


class Batcher(Generic[Request, Result]):
    """Turns `run_batch` into a blocking call that is safe from any thread.

    `run_batch` is only ever called from one background thread, with 1 to `max_size` requests, and gives one result
    per request. What arrives while it runs is served next, together. A caller who is alone never waits for company:
    only after a batch that served several calls are the others given up to `max_wait` seconds to come back.

    Every call ends: with its results, with the error of a batch it was in, or with `RuntimeError` once closed.
    The thread starts with the first call and ends with `close`, with this object, or with the process.

    >>> double = Batcher(lambda numbers: [2 * number for number in numbers], max_size=2)
    >>> double([1, 2, 3])
    [2, 4, 6]
    """

    def __init__(
        self, run_batch: Callable[[list[Request]], list[Result]], *, max_size: int, max_wait: float = 0.001
    ) -> None:
        if max_size < 1:
            raise ValueError(f"`max_size` must be at least 1, got {max_size}")
        self._line = _Line(run_batch, max_size, max_wait)
        # The thread holds the line, not this object: when nobody holds this object any more, the thread is ended.
        self.close = weakref.finalize(self, self._line.close)

    def __call__(self, requests: Sequence[Request]) -> list[Result]:
        """One result per request, in order. More than `max_size` requests take several batches.

        Raises what `run_batch` raised, also in every other call that shared the batch.
        """
        caller = object()
        waiting = [_Waiting[Request, Result](request, caller) for request in requests]
        try:
            self._line.join(waiting)
            return [one.future.result() for one in waiting]
        finally:
            for one in waiting:
                one.future.cancel()  # no-op unless an error or Ctrl-C ended the call: then nobody reads the rest


@dataclass(frozen=True)
class _Waiting(Generic[Request, Result]):
    request: Request
    caller: object
    """The same for the requests of one call."""
    future: Future[Result] = field(default_factory=Future)


class _Line(Generic[Request, Result]):
    """The requests that wait, and the thread that serves them."""

    def __init__(self, run_batch: Callable[[list[Request]], list[Result]], max_size: int, max_wait: float) -> None:
        self.run_batch = run_batch
        self.max_size = max_size
        self.max_wait = max_wait
        self._changed = Condition()  # protects everything below
        self._waiting: deque[_Waiting[Request, Result]] = deque()
        self._closed = False
        self._crowded = False
        self._thread: Thread | None = None

    def join(self, newcomers: Sequence[_Waiting[Request, Result]]) -> None:
        with self._changed:
            if self._closed:
                raise RuntimeError("closed: no more requests are taken")
            self._waiting.extend(newcomers)
            if self._thread is None or not self._thread.is_alive():  # dead in a forked child
                self._thread = Thread(target=self._serve, name="batcher", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Fails what waits, and lets the thread finish the batch it is in (at exit, for a few seconds at most)."""
        with self._changed:
            self._closed = True
            abandoned = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for one in abandoned:
            if one.future.set_running_or_notify_cancel():
                one.future.set_exception(RuntimeError("closed before this request was served"))
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(timeout=5.0)

    def _serve(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Serve one batch. False when closed. A call of its own, so that nothing of the batch outlives it."""
        batch = self._next_batch()
        live = [one for one in batch if one.future.set_running_or_notify_cancel()]
        if live:
            self._run(live)
        return bool(batch)

    def _next_batch(self) -> list[_Waiting[Request, Result]]:
        """Empty only when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._crowded:
                self._changed.wait_for(self._is_full_or_closed, timeout=self.max_wait)
            batch = [self._waiting.popleft() for _ in range(min(self.max_size, len(self._waiting)))]
            self._crowded = len({one.caller for one in batch}) > 1
            return batch

    def _is_full_or_closed(self) -> bool:
        return len(self._waiting) >= self.max_size or self._closed

    def _run(self, batch: list[_Waiting[Request, Result]]) -> None:
        try:
            results = self.run_batch([one.request for one in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"`run_batch` gave {len(results)} results for {len(batch)} requests")
        except BaseException as error:  # even KeyboardInterrupt and SystemExit: a caller waits for each future
            for one in batch:
                one.future.set_exception(error)
        else:
            for one, result in zip(batch, results, strict=True):
                one.future.set_result(result)
