"""A limit on the cost of an episode, and the end of an episode that reaches it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from itertools import takewhile
from math import inf
from time import monotonic

from agent.core.episode import Episode
from agent.core.outcome import Outcome
from agent.core.text.english import format_ids, format_mask_count, pluralize
from agent.core.text.sanitizing import to_one_line
from agent.core.usage import Usage

MAX_QUOTED = 200
"""Letters of a reply that are told to the user where it was no call."""


@dataclass(frozen=True)
class Price:
    """The price of a language model, per million tokens, in any one currency.

    Example:
        >>> Price(prompt=0.4, completion=1.6).compute_cost(Usage(prompt_tokens=1_000_000))
        0.4
    """

    prompt: float = 0.0
    """For a million prompt tokens."""
    completion: float = 0.0
    """For a million completion tokens."""
    cached: float | None = None
    """For prompt tokens that the server had cached; None = as any other."""

    def compute_cost(self, usage: Usage) -> float:
        """Compute what this usage costs.

        Args:
            usage: Its tokens are counted; its cached tokens are among its prompt tokens.

        Returns:
            The cost, in the currency of the price.
        """
        cached = self.prompt if self.cached is None else self.cached
        prompt = (usage.prompt_tokens - usage.cached_tokens) * self.prompt + usage.cached_tokens * cached
        return (prompt + usage.completion_tokens * self.completion) / 1e6


FREE = Price()


@dataclass(frozen=True)
class Budget:
    """Limits of an episode, which ends with the first step that reaches one of them.

    A limit of None is none.

    Raises:
        ValueError: A limit is not positive.

    Example:
        >>> Budget(max_steps=5, max_seconds=60).max_model_calls is None
        True
    """

    max_steps: int = 12
    max_seconds: float | None = None
    max_sam_calls: int | None = None
    """Phrases given to SAM 3's detector; of a hosted SAM 3 requests, where they are more."""
    max_model_calls: int | None = None
    """Requests to a language model, examinations included."""
    max_tokens: int | None = None
    """Tokens of prompts and completions together, cached ones included."""
    max_cost: float | None = None
    """In the currency of `price`."""
    price: Price = FREE
    max_repairs: int = 3
    """Mistakes in a row that a planner may make; with one more, it is given up."""

    def __post_init__(self) -> None:
        limits = (getattr(self, field.name) for field in fields(self) if field.name.startswith("max_"))
        if any(limit is not None and limit <= 0 for limit in limits):
            raise ValueError(f"every limit of a budget must be positive, got {self}")

    def enforce(self, episode: Episode) -> Episode:
        """End the episode with its best answer so far if it reached a limit and no tool has ended it.

        Args:
            episode: At least one step was taken.

        Returns:
            The episode, as it was or ended.
        """
        reached = self.find_reached_limit(episode)
        return end_early(episode, *reached) if reached and episode.outcome is None else episode

    def find_reached_limit(self, episode: Episode) -> tuple[Outcome, str] | None:
        """Find the first limit that the episode has reached.

        Args:
            episode: Its steps and its usage are compared with the limits.

        Returns:
            The outcome, and the reason in words, e.g. 'at the limit of 12 steps'; None where no limit is reached.
        """
        if mistakes := self._describe_mistakes(episode):
            return "failed", mistakes
        if len(episode.steps) >= self.max_steps:
            return "step_limit", f"at the limit of {pluralize(self.max_steps, 'step')}"
        spent = next((limit for value, most, limit in self._list_spending(episode.usage) if most and value >= most), "")
        return ("budget", f"at the limit of {spent}") if spent else None

    def describe_time_limit(self) -> str:
        """Return why an episode ends whose time was over while it waited, e.g. 'at the limit of 60 seconds'."""
        return f"at the limit of {'time' if self.max_seconds is None else pluralize(self.max_seconds, 'second')}"

    def _describe_mistakes(self, episode: Episode) -> str:
        mistakes = sum(1 for _ in takewhile(lambda step: step.observation.is_error, reversed(episode.steps)))
        if mistakes <= self.max_repairs:
            return ""
        last = episode.steps[-1].decision
        words = "" if last.tool else to_one_line(last.thought)[:MAX_QUOTED]
        said = f" (instead of a call, the last reply said {words!r})" if words else ""
        return f"after {pluralize(mistakes, 'mistake')} in a row{said}"

    def _list_spending(self, usage: Usage) -> Iterable[tuple[float, float | None, str]]:
        """List each amount that was spent, its limit, and that limit in words."""
        yield usage.seconds, self.max_seconds, pluralize(self.max_seconds or 0, "second")
        sam_calls = max(usage.sam_decodes, usage.sam_requests)
        yield sam_calls, self.max_sam_calls, f"{pluralize(self.max_sam_calls or 0, 'phrase')} for SAM 3"
        yield usage.model_calls, self.max_model_calls, pluralize(self.max_model_calls or 0, "model call")
        yield usage.prompt_tokens + usage.completion_tokens, self.max_tokens, pluralize(self.max_tokens or 0, "token")
        yield self.price.compute_cost(usage), self.max_cost, f"a cost of {self.max_cost:g}" if self.max_cost else ""


DEFAULT_BUDGET = Budget()


def end_early(episode: Episode, outcome: Outcome, reason: str) -> Episode:
    """End an episode at its last step, with the masks that were shown last as the answer.

    `reason`: e.g. 'at the limit of 12 steps'. The last observation says it to the user.
    """
    *steps, last = episode.steps
    best = episode.best_ids
    so_far = (
        f"the best answer so far is {format_mask_count(len(best))}: {format_ids(best)}"
        if best
        else "nothing was found so far"
    )
    text = f"{last.observation.text} Stopped {reason}; {so_far}."
    observation = replace(last.observation, text=text, shown=best, outcome=outcome)
    return replace(episode, steps=(*steps, replace(last, observation=observation)), outcome=outcome)


# --- the time that is left, for whoever waits for something slow ---------------------------------

_END: ContextVar[float] = ContextVar("end", default=inf)
"""On the monotonic clock."""


@contextmanager
def limit_time(seconds: float | None) -> Iterator[None]:
    """Let what is called here take so many seconds at most. A limit around it holds as well; None adds none.

    Nothing is stopped from outside: what may wait for long asks `get_remaining_seconds`.
    """
    token = _END.set(min(_END.get(), inf if seconds is None else monotonic() + seconds))
    try:
        yield
    finally:
        _END.reset(token)


def get_remaining_seconds() -> float:
    """Return the seconds that are left; infinity where there is no limit.

    >>> with limit_time(0):
    ...     get_remaining_seconds() <= 0
    True
    """
    return _END.get() - monotonic()
