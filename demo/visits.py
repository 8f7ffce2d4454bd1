"""What each visitor has on the table: kept on the server under a secret, forgotten when it is not used."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from time import monotonic
from typing import Any

from agent.conversation import Conversation
from agent.conversation import Shown as PictureShown
from agent.episode import Episode
from sam3_tool.cache import ByteCache

HOUR = 3600.0
ROOM = 2 * 2**30
"""Bytes for the pictures of all visitors."""
LIGHT = 2**20
"""Bytes that a visit counts at least."""

FORGOTTEN = (
    "This page was left alone for too long, or others needed the room, and its picture is forgotten. Reload the page."
)


@dataclass(frozen=True, eq=False)
class Answering:
    """A question that is being answered."""

    query: str
    episode: Episode | None = None
    """As far as it has come; None before the first step."""
    stop: Event = field(default_factory=Event)
    """Set, it ends the answer."""


@dataclass(frozen=True, eq=False)
class Visit:
    """One visitor's work. Immutable; `Visits` holds the latest."""

    conversation: Conversation | None = None
    """None before the first picture."""
    answering: Answering | None = None
    note: str = ""
    """What went wrong with the latest thing that was asked for, in words."""
    asked: str = ""
    """The latest question that got no turn of its own."""
    editing: Lock = field(default_factory=Lock)
    """Held while the conversation is edited, and while a question begins: each sees what the one before it has done.

    While a question is answered no edit begins, so that its end (`Visits.update_answer`) needs no lock but its own.
    """


class VisitOver(LookupError):
    """There is no such visit, or none any more. The message is for the visitor."""


class Visits:
    """Visits by their secrets. Safe to share between threads: `_lock` holds for `_kept`."""

    def __init__(self, *, seconds: float = HOUR, room: int = ROOM, now: Callable[[], float] = monotonic) -> None:
        """`seconds`: a visit is forgotten so long after it was last used. `room`: bytes; the least recent go first."""
        self._seconds, self._now = seconds, now
        self._lock = Lock()
        self._kept: ByteCache[str, tuple[Visit, float]] = ByteCache(room, size=lambda kept: _weight(kept[0]))

    def open(self) -> str:
        """The secret of a visit that begins now."""
        secret = secrets.token_urlsafe(24)
        with self._lock:
            self._keep(secret, Visit())
        return secret

    def __contains__(self, secret: object) -> bool:
        with self._lock:
            return isinstance(secret, str) and self._live(secret) is not None

    def __getitem__(self, secret: str) -> Visit:
        """Raises VisitOver."""
        return self.update(secret)

    def update(self, secret: str, **changes: Any) -> Visit:
        """The visit with these fields changed, which is now the latest. Raises VisitOver."""
        with self._lock:
            return self._keep(secret, replace(self._latest(secret), **changes))

    def update_answer(self, secret: str, answer: Answering, /, **changes: Any) -> list[Visit]:
        """As `update`, alone in a list; empty, and nothing is changed, where the visitor does not wait for this answer.

        Reloading the page ends an answer, which may notice it later. Raises VisitOver.
        """
        with self._lock:
            now = self._latest(secret)
            if now.answering is None or now.answering.stop is not answer.stop:
                return []
            return [self._keep(secret, replace(now, **changes))]

    @contextmanager
    def edited(self, secret: str) -> Iterator[Visit]:
        """The visit, which nobody else edits meanwhile. Raises VisitOver."""
        with self[secret].editing:
            yield self[secret]

    def _latest(self, secret: str) -> Visit:
        visit = self._live(secret)
        if visit is None:
            raise VisitOver(FORGOTTEN)
        return visit

    def _live(self, secret: str) -> Visit | None:
        visit, until = self._kept.get(secret) or (None, 0.0)
        return visit if until > self._now() else None

    def _keep(self, secret: str, visit: Visit) -> Visit:
        self._kept[secret] = visit, self._now() + self._seconds
        return visit


def nbytes(conversation: Conversation) -> int:
    """Of its pictures, each once."""
    pictures = [event.picture for event in conversation.events if isinstance(event, PictureShown)]
    return sum({id(picture): picture.pixels.nbytes for picture in pictures}.values())


def _weight(visit: Visit) -> int:
    """Bytes, of the pictures."""
    return LIGHT + (0 if visit.conversation is None else nbytes(visit.conversation))
