"""What a conversation consists of, and what its events have come to: the context of the next turn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.core.context import EMPTY_CONTEXT, ConversationContext, PastTurn
from agent.core.episode import Episode
from agent.core.outcome import EARLY_STOP_OUTCOMES
from sam3_tool import Image


@dataclass(frozen=True, eq=False)
class ImageShown:
    """The conversation turns to this image."""

    image: Image
    name: str = ""
    """The image's file name, without folders."""


Event = ImageShown | Episode


def build_context(events: Sequence[Event]) -> ConversationContext:
    """Return what these events have come to; masks of an earlier image mean nothing in the latest one."""
    latest = next((event for event in reversed(events) if isinstance(event, Episode)), None)
    if latest is None:
        return EMPTY_CONTEXT
    context = context_after(latest)
    if latest is events[-1]:
        return context
    return ConversationContext(turns=tuple(replace(turn, elsewhere=True) for turn in context.turns))


def context_after(episode: Episode) -> ConversationContext:
    """Return what a finished turn has come to."""
    task, outcome = episode.task, episode.outcome or "failed"
    options = episode.steps[-1].observation.options if episode.steps else ()
    shown = _choose_selected_ids(episode) if outcome == "no_match" else episode.current_ids
    turn = PastTurn(task.query, outcome, episode.message, shown, options, task.by_hand, plan=episode.plan)
    return ConversationContext(episode.workspace, _choose_selected_ids(episode), (*task.context.turns, turn))


def _choose_selected_ids(episode: Episode) -> tuple[int, ...]:
    """Take the answer where there is one; else the earlier answer; else the best that a stopped turn found."""
    if episode.outcome == "answered" or episode.task.by_hand:
        return episode.current_ids
    stopped = episode.outcome in EARLY_STOP_OUTCOMES
    return episode.task.context.selected or (episode.current_ids if stopped else ())
