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
        self._queue = _RequestQueue(run_batch, max_size, max_wait)
        # The thread holds the line, not this object: when nobody holds this object any more, the thread is ended.
        self.close = weakref.finalize(self, self._queue.close)

    def __call__(self, requests: Sequence[Request]) -> list[Result]:
        """Return one result per request, in order. More than `max_size` requests take several batches.

        Raises what `run_batch` raised, also in every other call that shared the batch.
        """
        caller = object()
        pending = [_PendingRequest[Request, Result](request, caller) for request in requests]
        try:
            self._queue.enqueue_requests(pending)
            return [entry.future.result() for entry in pending]
        finally:
            for entry in pending:
                entry.future.cancel()  # no-op unless an error or Ctrl-C ended the call: then nobody reads the rest


@dataclass(frozen=True)
class _PendingRequest(Generic[Request, Result]):
    request: Request
    caller: object
    """The same for the requests of one call."""
    future: Future[Result] = field(default_factory=Future)


class _RequestQueue(Generic[Request, Result]):
    """The requests that wait, and the thread that serves them."""

    def __init__(self, run_batch: Callable[[list[Request]], list[Result]], max_size: int, max_wait: float) -> None:
        self.run_batch = run_batch
        self.max_size = max_size
        self.max_wait = max_wait
        self._changed = Condition()  # protects everything below
        self._pending: deque[_PendingRequest[Request, Result]] = deque()
        self._closed = False
        self._crowded = False
        self._thread: Thread | None = None

    def enqueue_requests(self, pending: Sequence[_PendingRequest[Request, Result]]) -> None:
        with self._changed:
            if self._closed:
                raise RuntimeError("closed: no more requests are taken")
            self._pending.extend(pending)
            if self._thread is None or not self._thread.is_alive():  # dead in a forked child
                self._thread = Thread(target=self._serve_until_closed, name="batcher", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Fail what waits, and let the thread finish the batch it is in (at exit, for a few seconds at most)."""
        with self._changed:
            self._closed = True
            abandoned = list(self._pending)
            self._pending.clear()
            self._changed.notify()
        for entry in abandoned:
            if entry.future.set_running_or_notify_cancel():
                entry.future.set_exception(RuntimeError("closed before this request was served"))
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(timeout=5.0)

    def _serve_until_closed(self) -> None:
        while self._serve_next_batch():
            pass

    def _serve_next_batch(self) -> bool:
        """Serve one batch. False when closed. This is a call of its own, so that nothing of the batch outlives it."""
        batch = self._take_batch()
        live = [entry for entry in batch if entry.future.set_running_or_notify_cancel()]
        if live:
            self._answer_batch(live)
        return bool(batch)

    def _take_batch(self) -> list[_PendingRequest[Request, Result]]:
        """Return the requests to serve next; none only when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closed)
            if self._crowded:
                self._changed.wait_for(self._is_full_or_closed, timeout=self.max_wait)
            batch = [self._pending.popleft() for _ in range(min(self.max_size, len(self._pending)))]
            # only a batch that served several callers makes the next one worth waiting for
            self._crowded = len({entry.caller for entry in batch}) > 1
            return batch

    def _is_full_or_closed(self) -> bool:
        return len(self._pending) >= self.max_size or self._closed

    def _answer_batch(self, batch: list[_PendingRequest[Request, Result]]) -> None:
        try:
            results = self.run_batch([entry.request for entry in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"`run_batch` gave {len(results)} results for {len(batch)} requests")
        except BaseException as error:  # even KeyboardInterrupt and SystemExit: a caller waits for each future
            for entry in batch:
                entry.future.set_exception(error)
        else:
            for entry, result in zip(batch, results, strict=True):
                entry.future.set_result(result)
