"""The one seam between the loop and whatever does the thinking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.episode import NO_COST, Decision, Episode, Usage


class PlannerError(ValueError):
    """A planner cannot be made, or cannot go on. The message is one line for the user."""


@dataclass(frozen=True)
class Verdict:
    """A planner's opinion of one mask."""

    id: int
    accept: bool
    probability: float
    """In [0, 1]: that the mask belongs to the answer."""
    reason: str = ""
    usage: Usage = NO_COST
    """What this verdict cost; where one request gave several, the first carries it."""


class Planner(Protocol):
    """Chooses the next tool call. May be an LLM, a grammar, or a script; must be safe to share between threads."""

    def decide(self, episode: Episode) -> Decision:
        """The next call, given everything that happened so far."""
        ...

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """For each of these masks, whether it belongs to the answer. `closely`: each one looked at by itself.

        A mask that no verdict could be had for is left out.
        """
        ...
