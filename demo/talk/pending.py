"""A question that is being answered: what it waits for, what the language model thinks meanwhile, who still listens."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from threading import Event
from time import monotonic
from typing import Any

from agent.conversation.conversation import Conversation
from agent.core.episode import Episode
from agent.core.text.sanitizing import make_encodable
from agent.models.progress import ModelNews, PartialReply, RetryNotice
from demo.talk.step_titles import get_intention

ABANDONED_SECONDS = 60.0
"""Seconds after which an answer ends that no page has asked about."""
MAX_THOUGHT = 40_000
"""Characters of a thought that are shown while it comes; all of it is in the step."""


@dataclass
class Attention:
    """When a page last asked about an answer; it changes."""

    asked_at: float = inf
    """On the monotonic clock; infinite where nobody has to ask."""

    def renew(self) -> None:
        """Note that a page asks."""
        self.asked_at = monotonic()

    @property
    def is_lost(self) -> bool:
        """Whether no page has asked for long."""
        return monotonic() - self.asked_at > ABANDONED_SECONDS


@dataclass(frozen=True, eq=False)
class PendingAnswer:
    """A query that is being answered."""

    query: str
    episode: Episode | None = None
    """The episode so far; None before the first step."""
    progress: str = ""
    """How far the step has come that is under way, or what is waited for, in words."""
    started: float = field(default_factory=monotonic)
    """On the monotonic clock."""
    stop_event: Event = field(default_factory=Event)
    """Ends the answer once it is set."""
    base: Conversation | None = None
    """What it goes on from, where that is not the session's conversation: a question that is asked otherwise."""
    is_beside: bool = False
    """Whether it is for a comparison: its answer is put beside the one that is shown."""
    planner: str = ""
    """Who answers."""
    is_queued: bool = False
    """Whether its turn has not come yet."""
    partial: PartialReply = field(default_factory=PartialReply)
    """What the language model has written of its next reply."""
    replies: int = 0
    """How many replies have begun to come."""
    retries: int = 0
    """How many requests were sent again."""
    attention: Attention = field(default_factory=Attention)

    def hear(self, news: Episode | str | ModelNews) -> "PendingAnswer":
        """Return the answer after a step, a line on its progress, or news of the language model.

        Args:
            news: What has happened.
        """
        match news:
            case Episode():
                return replace(self, episode=news, progress="", partial=PartialReply(), is_queued=False)
            case RetryNotice():
                told = f"The language model is busy: try {news.number} of {news.limit}"
                return replace(self, progress=told, retries=self.retries + 1, partial=PartialReply())
            case PartialReply():
                goes_on = news.reasoning.startswith(self.partial.reasoning) and self.partial != PartialReply()
                return replace(self, progress="", partial=news, replies=self.replies + (not goes_on))
        return replace(self, progress=news, is_queued=False)


def describe_pending(pending: PendingAnswer, heard: tuple[int, int] = (0, 0)) -> Mapping[str, Any]:
    """Return what the page shows below the steps of an answer that is under way.

    Args:
        pending: The answer.
        heard: What the page has of the thought: the number of the reply, and how many characters.

    Returns:
        `title`; `seconds` so far; `isQueued`; `isBeside`; and `thought`: the number of the `reply`, the `text` that
        comes after the first `from` characters, or None where nothing is thought aloud.
    """
    return {
        "title": make_encodable(_choose_title(pending)),
        "seconds": round(monotonic() - pending.started, 1),
        "isQueued": pending.is_queued,
        "isBeside": pending.is_beside,
        "thought": _cut_thought(pending, heard),
    }


def _choose_title(pending: PendingAnswer) -> str:
    title = pending.progress or "Thinking"
    if not pending.progress and pending.partial.tool:
        title = f"About to {get_intention(pending.partial.tool)}"
    return f"{pending.planner}: {title[:1].lower()}{title[1:]}" if pending.is_beside else title


def _cut_thought(pending: PendingAnswer, heard: tuple[int, int]) -> Mapping[str, Any] | None:
    text = "\n".join(filter(None, (pending.partial.reasoning, pending.partial.text)))[:MAX_THOUGHT]
    if not text:
        return None
    reply, count = heard
    start = min(count, len(text)) if reply == pending.replies else 0
    if pending.partial.reasoning and pending.partial.text:
        start = min(start, len(pending.partial.reasoning))  # a line break has come between them
    return {"reply": pending.replies, "from": start, "text": make_encodable(text[start:])}
