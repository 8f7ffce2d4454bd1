"""Sessions: the server keeps each visitor's work under a secret id, and forgets it when it is not used."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from threading import Lock
from time import monotonic
from typing import Any

from agent.conversation.conversation import Conversation
from agent.conversation.events import Event as ConversationEvent
from agent.conversation.events import count_image_bytes
from agent.core.episode import Episode
from demo.album.entries import EMPTY_ALBUM, Album
from demo.remarks import MAX_REMARKS, NoteKind, Remark, describe_words
from demo.talk.branches import BranchTree
from demo.talk.pending import PendingAnswer
from demo.talk.ways import TurnInfo
from sam3_tool import Concept
from sam3_tool.cache import ByteCache
from sam3_tool.errors import UserError

HOUR = 3600.0
"""Seconds."""
STORE_BYTES = 2 * 2**30
"""Bytes for the images and concepts of all sessions."""
MIN_SESSION_BYTES = 2**20
"""Bytes that a session counts at least, so that empty ones have a limit too."""

SESSION_EXPIRED_MESSAGE = (
    "This page was not used for too long, or others needed its memory, so its image is forgotten. Reload the page."
)


@dataclass(frozen=True)
class EditedObject:
    """The object that the latest clicks are about."""

    token: int
    """What the page calls it."""
    mask_id: int


_versions = count(1)


@dataclass(frozen=True, eq=False)
class Session:
    """One visitor's work. Immutable; `SessionStore` holds the latest."""

    conversation: Conversation | None = None
    """About the image that is shown; None before the first one."""
    album: Album = EMPTY_ALBUM
    """All images; the state of the one that is shown is in `conversation`."""
    tree: BranchTree = field(default_factory=BranchTree)
    """Every way that the conversation went."""
    turn_infos: Mapping[Episode, TurnInfo] = field(default_factory=dict)
    """Of the turns that were answered here."""
    concepts: Mapping[str, Concept] = field(default_factory=dict)
    """That the visitor dropped, by the phrase that each stands for."""
    version: int = 0
    """Grows with every change."""
    pending_answer: PendingAnswer | None = None
    note: str = ""
    """What went wrong with the latest action, or has to be known of it, as a sentence."""
    note_kind: NoteKind = "note"
    remarks: tuple[Remark, ...] = ()
    """What was said beside the turns, oldest first."""
    unanswered_query: str = ""
    """The latest query that got no turn of its own."""
    edited: EditedObject | None = None
    """None where the latest edit was no click."""
    made_edits: tuple[str, int] = ("", 0)
    """Which loading of the page sent edits, and how many of them were made."""
    batch_lock: Lock = field(default_factory=Lock)
    """Held while the edits of one request are made."""
    edit_lock: Lock = field(default_factory=Lock)
    """Held while the conversation is edited, and while a query begins: each sees what the one before it has done.

    No edit begins while a query is answered, so that its end (`SessionStore.update_answer`) needs no lock but its own.
    """

    def evolve(self, **changes: Any) -> "Session":
        """Return the session with these fields changed; what was said and would vanish becomes a remark."""
        if "note" in changes:
            changes = {"note_kind": "note", "remarks": (*self.remarks, *self._keep_note()), **changes}
        if "turn_info" in changes:
            changes["turn_infos"] = self._note_turn(*changes.pop("turn_info"))
        if "tree" in changes:
            changes["conversation"] = changes["tree"].shown
        elif "conversation" in changes:
            kept = changes.get("remarks", self.remarks)
            changes["remarks"] = (*kept, *self._keep_undone(changes["conversation"]))
            changes["tree"] = self.tree.advance(changes["conversation"])
        if "remarks" in changes:
            changes["remarks"] = changes["remarks"][-MAX_REMARKS:]
        return replace(self, version=next(_versions), **changes) if changes else self

    def _note_turn(self, episode: Episode, info: TurnInfo) -> Mapping[Episode, TurnInfo]:
        """The infos of all turns with that of another one."""
        latest = [*self.turn_infos.items()][1 - MAX_REMARKS :]
        return {**dict(latest), episode: info}

    @property
    def shown(self) -> Conversation | None:
        """The conversation that is shown: while a question is asked otherwise, what that goes on from."""
        pending = self.pending_answer
        return self.conversation if pending is None or pending.base is None or pending.is_beside else pending.base

    @property
    def position(self) -> int:
        """How many events of the conversation count."""
        return 0 if self.conversation is None else self.conversation.cursor

    def _keep_note(self) -> list[Remark]:
        """The note with its query, as a remark; none where the query is still being answered."""
        pending = self.pending_answer
        is_pending = pending is not None and pending.query == self.unanswered_query
        if not self.note or not self.unanswered_query or is_pending:
            return []
        return [Remark(self.position, self.unanswered_query, self.note, self.note_kind, self._get_last_event())]

    def _get_last_event(self) -> ConversationEvent | None:
        return None if self.conversation is None else self.conversation.events[self.conversation.cursor - 1]

    def _keep_undone(self, conversation: Conversation | None) -> list[Remark]:
        """The undone queries that the next conversation no longer holds."""
        if self.conversation is None or conversation is None:
            return []
        held = {id(event) for event in conversation.events}
        undone = self.conversation.events[self.conversation.cursor :]
        return [
            Remark(self.position, describe_words(event), "", "undone", self._get_last_event(), event)
            for event in undone
            if isinstance(event, Episode) and id(event) not in held
        ]


class SessionExpiredError(UserError, LookupError):
    """There is no such session, or none any more. The message is for the visitor."""


class SessionStore:
    """Sessions by their secret ids. Safe to share between threads: `_lock` guards `_sessions`."""

    def __init__(
        self, *, idle_seconds: float = HOUR, max_bytes: int = STORE_BYTES, now: Callable[[], float] = monotonic
    ) -> None:
        """Create an empty store.

        Args:
            idle_seconds: A session is forgotten so long after it was last used.
            max_bytes: Bytes of all sessions' images. The least recently used sessions go first.
            now: A clock in seconds.
        """
        self._seconds, self._now = idle_seconds, now
        self._lock = Lock()
        self._sessions: ByteCache[str, tuple[Session, float]] = ByteCache(
            max_bytes, size=lambda entry: _weigh_session(entry[0])
        )

    def open(self) -> str:
        """Begin a session and return its secret id."""
        session_id = secrets.token_urlsafe(24)
        with self._lock:
            self._store_session(session_id, Session())
        return session_id

    def __contains__(self, session_id: object) -> bool:
        with self._lock:
            return isinstance(session_id, str) and self._find_live(session_id) is not None

    def __getitem__(self, session_id: str) -> Session:
        """The latest session of this id. Raises SessionExpiredError."""
        return self.update(session_id)

    def update(self, session_id: str, **changes: Any) -> Session:
        """Store and return the session with these fields changed. Raises SessionExpiredError."""
        with self._lock:
            return self._store_session(session_id, self._get_latest(session_id).evolve(**changes))

    def update_answer(self, session_id: str, answer: PendingAnswer, /, **changes: Any) -> list[Session]:
        """Update the session of an answer that is still awaited.

        Reloading the page ends an answer, and the thread that answers may notice it later.

        Returns:
            The updated session alone in a list, or an empty list if nobody waits for this answer any more.

        Raises:
            SessionExpiredError: There is no such session any more.
        """
        with self._lock:
            now = self._get_latest(session_id)
            if now.pending_answer is None or now.pending_answer.stop_event is not answer.stop_event:
                return []
            return [self._store_session(session_id, now.evolve(**changes))]

    def change(self, session_id: str, change: Callable[[Session], Mapping[str, Any]]) -> Session:
        """Store and return the session with the fields changed that `change` makes of the latest one, at once.

        Raises SessionExpiredError.
        """
        with self._lock:
            latest = self._get_latest(session_id)
            return self._store_session(session_id, latest.evolve(**change(latest)))

    @contextmanager
    def hold_for_edit(self, session_id: str) -> Iterator[Session]:
        """Hold a session so that nobody else edits it meanwhile. Raises SessionExpiredError."""
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


def _weigh_session(session: Session) -> int:
    """Bytes that a session counts in the store."""
    concepts = sum(concept.examples.nbytes + concept.surroundings.nbytes for concept in session.concepts.values())
    return MIN_SESSION_BYTES + session.album.packed_bytes + count_image_bytes(session.tree.list_events()) + concepts
