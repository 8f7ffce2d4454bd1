"""The line of calls: round robin over callers, interactive calls first, batch calls never starved."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic

from sam3_tool.batching.calls import Call, Needs, Request, Result

BATCH_SHARE = 4
"""While both wait, one in so many requests is of batch calls."""


@dataclass(frozen=True, eq=False)
class Turn(Generic[Request, Result]):
    """Requests that a call has next."""

    call: Call[Request, Result]
    requests: list[tuple[int, Request]]
    """Each with its place in the call."""


class FairLine(Generic[Request, Result]):
    """Calls that wait, in two classes. Not thread-safe.

    >>> from sam3_tool.batching.calls import Ticket
    >>> line = FairLine[str, None]()
    >>> for requests in ["aaa", "b"]:
    ...     line.join(Call(requests, Ticket(), list_needs=frozenset))
    >>> [turn.requests for turn in iter(lambda: line.take_turn(2, lambda needs: True), None)]
    [[(0, 'a'), (1, 'a')], [(0, 'b')], [(2, 'a')]]
    """

    def __init__(self) -> None:
        self._interactive = _RoundRobin[Request, Result]()
        self._batch = _RoundRobin[Request, Result]()
        self._owed = 0
        """Interactive requests that went before batch calls that waited, less three for each request of these."""

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._interactive) + len(self._batch)

    def __iter__(self) -> Iterator[Call[Request, Result]]:
        yield from self._interactive
        yield from self._batch

    def join(self, call: Call[Request, Result]) -> None:
        """Put a call at the end of its caller's calls."""
        (self._batch if call.ticket.is_batch else self._interactive).join(call)

    def leave(self, call: Call[Request, Result]) -> None:
        """Take a call out, if it is there."""
        (self._batch if call.ticket.is_batch else self._interactive).leave(call)

    def take_turn(self, most: int, has_room: Callable[[Needs], bool]) -> Turn[Request, Result] | None:
        """Take the requests to serve next; None if there are none for which there is room.

        Args:
            most: At least 1. So many requests with the same needs at most.
            has_room: Whether a request with these needs may still join the batch. A caller without room keeps its
                place.
        """
        both = bool(len(self._interactive) and len(self._batch))
        batch_first = self._owed >= BATCH_SHARE - 1
        for robin in (self._batch, self._interactive) if batch_first else (self._interactive, self._batch):
            if (turn := robin.take_turn(most, has_room)) is not None:
                weight = 1 - BATCH_SHARE if robin is self._batch else 1
                self._owed = self._owed + weight * len(turn.requests) if both else 0
                return turn
        return None


class _RoundRobin(Generic[Request, Result]):
    """Calls by caller: callers take turns, and so do the calls of a caller."""

    def __init__(self) -> None:
        self._callers: deque[tuple[Hashable, deque[Call[Request, Result]]]] = deque()

    def __len__(self) -> int:
        return sum(len(call) for call in self)

    def __iter__(self) -> Iterator[Call[Request, Result]]:
        for _, calls in self._callers:
            yield from calls

    def join(self, call: Call[Request, Result]) -> None:
        caller = call if call.ticket.caller is None else call.ticket.caller
        for name, calls in self._callers:
            if name == caller:
                calls.append(call)
                return
        self._callers.append((caller, deque([call])))

    def leave(self, call: Call[Request, Result]) -> None:
        for name, calls in self._callers:
            if call in calls:
                calls.remove(call)
                if not calls:
                    self._callers.remove((name, calls))
                return

    def take_turn(self, most: int, has_room: Callable[[Needs], bool]) -> Turn[Request, Result] | None:
        for place, (_, calls) in enumerate(self._callers):
            for call in calls:
                if requests := call.take_turn(most, has_room):
                    self._move_back(place, call)
                    return Turn(call, requests)
        return None

    def _move_back(self, place: int, call: Call[Request, Result]) -> None:
        """Put a caller, and its call, behind all others; without requests they are gone."""
        name, calls = self._callers[place]
        del self._callers[place]
        calls.remove(call)
        if len(call):
            calls.append(call)
        if calls:
            self._callers.append((name, calls))
