"""What each visitor has on the table: kept on the server under a secret, forgotten when it is not used."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from time import monotonic
from typing import Any

from agent.conversation.conversation import Conversation
from agent.conversation.events import ImageShown as ImageShown
from agent.core.episode import Episode
from sam3_tool.cache import ByteCache
from sam3_tool.errors import UserError

HOUR = 3600.0
STORE_BYTES = 2 * 2**30
"""Bytes for the pictures of all visitors."""
MIN_SESSION_BYTES = 2**20
"""Bytes that a visit counts at least."""

SESSION_EXPIRED_MESSAGE = (
    "This page was left alone for too long, or others needed the room, and its picture is forgotten. Reload the page."
)


@dataclass(frozen=True, eq=False)
class PendingAnswer:
    """A question that is being answered."""

    query: str
    episode: Episode | None = None
    """As far as it has come; None before the first step."""
    stop_event: Event = field(default_factory=Event)
    """Set, it ends the answer."""


@dataclass(frozen=True, eq=False)
class Session:
    """One visitor's work. Immutable; `SessionStore` holds the latest."""

    conversation: Conversation | None = None
    """None before the first picture."""
    pending_answer: PendingAnswer | None = None
    note: str = ""
    """What went wrong with the latest thing that was asked for, in words."""
    unanswered_query: str = ""
    """The latest question that got no turn of its own."""
    edit_lock: Lock = field(default_factory=Lock)
    """Held while the conversation is edited, and while a question begins: each sees what the one before it has done.

    While a question is answered no edit begins, so that its end (`SessionStore.update_answer`) needs no lock but its own.
    """


class SessionExpiredError(UserError, LookupError):
    """There is no such visit, or none any more. The message is for the visitor."""


class SessionStore:
    """Visits by their secrets. Safe to share between threads: `_lock` holds for `_sessions`."""

    def __init__(
        self, *, idle_seconds: float = HOUR, max_bytes: int = STORE_BYTES, now: Callable[[], float] = monotonic
    ) -> None:
        """`idle_seconds`: a visit is forgotten so long after it was last used. `max_bytes`: bytes; the least recent go first."""
        self._seconds, self._now = idle_seconds, now
        self._lock = Lock()
        self._sessions: ByteCache[str, tuple[Session, float]] = ByteCache(
            max_bytes, size=lambda entry: _weigh_session(entry[0])
        )

    def open(self) -> str:
        """The secret of a visit that begins now."""
        session_id = secrets.token_urlsafe(24)
        with self._lock:
            self._store_session(session_id, Session())
        return session_id

    def __contains__(self, session_id: object) -> bool:
        with self._lock:
            return isinstance(session_id, str) and self._find_live(session_id) is not None

    def __getitem__(self, session_id: str) -> Session:
        """Raises VisitOver."""
        return self.update(session_id)

    def update(self, session_id: str, **changes: Any) -> Session:
        """The visit with these fields changed, which is now the latest. Raises VisitOver."""
        with self._lock:
            return self._store_session(session_id, replace(self._get_latest(session_id), **changes))

    def update_answer(self, session_id: str, answer: PendingAnswer, /, **changes: Any) -> list[Session]:
        """As `update`, alone in a list; empty, and nothing is changed, where the visitor does not wait for this answer.

        Reloading the page ends an answer, which may notice it later. Raises VisitOver.
        """
        with self._lock:
            now = self._get_latest(session_id)
            if now.pending_answer is None or now.pending_answer.stop_event is not answer.stop_event:
                return []
            return [self._store_session(session_id, replace(now, **changes))]

    @contextmanager
    def hold_for_edit(self, session_id: str) -> Iterator[Session]:
        """The visit, which nobody else edits meanwhile. Raises VisitOver."""
        with self[session_id].edit_lock:
            yield self[session_id]

    def _get_latest(self, session_id: str) -> Session:
        session = self._find_live(session_id)
        if session is None:
            raise SessionExpiredError(SESSION_EXPIRED_MESSAGE)
        return session

    def _find_live(self, session_id: str) -> Session | None:
        session, until = self._sessions.get(session_id) or (None, 0.0)
        return session if until > self._now() else None

    def _store_session(self, session_id: str, session: Session) -> Session:
        self._sessions[session_id] = session, self._now() + self._seconds
        return session


def count_image_bytes(conversation: Conversation) -> int:
    """Of its pictures, each once."""
    images = [event.image for event in conversation.events if isinstance(event, ImageShown)]
    return sum({id(image): image.pixels.nbytes for image in images}.values())


def _weigh_session(session: Session) -> int:
    """Bytes, of the pictures."""
    return MIN_SESSION_BYTES + (0 if session.conversation is None else count_image_bytes(session.conversation))
