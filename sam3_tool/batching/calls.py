"""A call that waits: whose it is, until when it is wanted, which of its requests have not begun, and its results."""

import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event
from typing import Generic, TypeVar

from sam3_tool.errors import DeadlineError, RequestCancelledError, UserError

Request = TypeVar("Request")
Result = TypeVar("Result")
Needs = frozenset[str]
"""What must be there before a request can be answered, by name, e.g. the embeddings of images."""


@dataclass(frozen=True)
class Ticket:
    """Whose requests these are, and how long they are wanted."""

    caller: Hashable | None = None
    """Calls with the same caller take turns as one; None makes each call a caller of its own."""
    is_batch: bool = False
    """Whether nobody sits and waits for them: interactive calls go first."""
    deadline: float | None = None
    """In seconds of `time.monotonic()`. What has not begun by then is not computed."""
    cancel: Event | None = None
    """Once it is set, what has not begun is not computed."""

    def find_problem(self) -> UserError | None:
        """Return why what has not begun is no longer wanted; None while it is."""
        if self.cancel is not None and self.cancel.is_set():
            return RequestCancelledError("cancelled before the work began; ask again if it is wanted after all")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return DeadlineError("not begun by the deadline; allow more time, or try again when less is asked")
        return None


class Call(Generic[Request, Result]):
    """Several requests that are answered together. The line's lock protects it."""

    def __init__(self, requests: Sequence[Request], ticket: Ticket, list_needs: Callable[[Request], Needs]) -> None:
        self.ticket = ticket
        self.joined = time.monotonic()
        self.outcome: Future[list[Result]] = Future()
        self._waiting = deque((place, request, list_needs(request)) for place, request in enumerate(requests))
        self._results: dict[int, Result] = {}
        self._count = len(requests)

    def __len__(self) -> int:
        """Requests that have not begun."""
        return len(self._waiting)

    def take_turn(self, most: int, has_room: Callable[[Needs], bool]) -> list[tuple[int, Request]]:
        """Take the next requests with the same needs, each with its place in the call: `most`, while there is room."""
        taken: list[tuple[int, Request]] = []
        first = self._waiting[0][2]
        while self._waiting and len(taken) < most and self._waiting[0][2] == first and has_room(first):
            place, request, _ = self._waiting.popleft()
            taken.append((place, request))
        return taken

    def add_results(self, results: dict[int, Result]) -> None:
        """Keep results by their places; the last ones end the call."""
        if self.outcome.done():
            return
        self._results |= results
        if len(self._results) == self._count:
            self.outcome.set_result([self._results[place] for place in range(self._count)])

    def fail(self, error: BaseException) -> None:
        """End the call. Nothing of it that has not begun will."""
        self._waiting.clear()
        if not self.outcome.done():
            self.outcome.set_exception(error)
