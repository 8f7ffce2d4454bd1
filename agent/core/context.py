"""The conversation before a query: its turns, and the masks that were found."""

from dataclasses import dataclass, field
from typing import Any

from agent.core.outcome import Outcome
from agent.core.workspace import Workspace


@dataclass(frozen=True)
class PastTurn:
    """An earlier turn of a conversation."""

    query: str
    outcome: Outcome
    message: str
    """What the answer said."""
    selected: tuple[int, ...]
    """The masks of its answer; with the outcome 'asked', those in question, with 'no_match', the answer that stays."""
    options: tuple[str, ...] = ()
    """With the outcome 'asked': the readings between which the user may now choose."""
    by_hand: bool = False
    """Whether the user did it with a mouse or a command; the query then says what was done."""
    elsewhere: bool = False
    """Whether it was about an earlier image, so that its numbers mean nothing in this one."""
    plan: dict[str, Any] | None = field(default=None, hash=False)
    """How the planner understood the query, as JSON in its own form; None where it did not say."""


@dataclass(frozen=True)
class ConversationContext:
    """The state of a conversation before a query.

    Example:
        >>> turn = PastTurn("all the cups", "answered", "There are 2 masks.", selected=(1, 2))
        >>> ConversationContext(selected=turn.selected, turns=(turn,)).turns[0].query
        'all the cups'
    """

    workspace: Workspace | None = None
    """Every mask found so far in this image; None = none was."""
    selected: tuple[int, ...] = ()
    """The masks of the current answer, which the query may speak of."""
    turns: tuple[PastTurn, ...] = ()
    """What was said, oldest first."""


EMPTY_CONTEXT = ConversationContext()
