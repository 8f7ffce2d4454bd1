"""The one seam between the loop and whatever does the thinking."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agent.core.episode import Decision, Episode
    from agent.core.toolset import Toolset
    from agent.core.verdict import Verdict


class Planner(Protocol):
    """Chooses the next tool call. May be an LLM, a grammar, or a script; must be safe to share between threads."""

    @property
    def toolset(self) -> "Toolset":
        """The tools that it may call."""
        ...

    def decide(self, episode: "Episode") -> "Decision":
        """The next call, given everything that happened so far."""
        ...

    def examine(self, episode: "Episode", ids: Sequence[int], *, closely: bool = False) -> "list[Verdict]":
        """For each of these masks, whether it belongs to the answer. `closely`: each one looked at by itself.

        A mask that no verdict could be had for is left out; what was spent in vain may come as the usage of a verdict
        on mask 0, which there never is.
        """
        ...
