"""What was said but is no turn of a conversation."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.conversation.events import Event as ConversationEvent
from agent.core.episode import Episode

NoteKind = Literal["note", "error", "answer", "undone"]
MAX_REMARKS = 200
"""Remarks of a session, and turns whose planner is known; older ones are forgotten."""


@dataclass(frozen=True)
class Remark:
    """What was said but is no turn of the conversation: a query that failed, a greeting, a turn undone for good."""

    position: int
    """How many events of the conversation stand before it."""
    query: str
    """What the visitor said; '' for what an image brought about."""
    text: str
    """What was said to it."""
    kind: NoteKind
    after: ConversationEvent | None = field(default=None, repr=False)
    """The event behind which it stands; None at the beginning."""
    undone: Episode | None = field(default=None, repr=False)
    """The turn that was undone."""


def detach_remarks(remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    """Return remarks without the events, which hold the image; `attach_remarks` finds them again."""
    return tuple(replace(remark, after=None, undone=None) for remark in remarks)


def attach_remarks(remarks: Sequence[Remark], events: Sequence[ConversationEvent]) -> tuple[Remark, ...]:
    """Return remarks behind the events of a conversation that was opened again."""
    return tuple(
        replace(remark, after=events[remark.position - 1] if 0 < remark.position <= len(events) else None)
        for remark in remarks
    )
