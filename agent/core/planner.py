"""The one seam between the loop and whatever does the thinking."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agent.core.episode import Decision, Episode
    from agent.core.toolset import Toolset
    from agent.core.verdict import Verdict


class Planner(Protocol):
    """Chooses the next tool call: a language model, a grammar, or a script.

    Any class with these three members is a planner. One planner may serve many threads and episodes at a time, so
    each decision must follow from the episode alone.

    Example:
        >>> from agent import GrammarPlanner, Planner
        >>> planner: Planner = GrammarPlanner()
        >>> planner.toolset.name
        'workspace'
    """

    @property
    def toolset(self) -> "Toolset":
        """The tools that it may call."""
        ...

    def decide(self, episode: "Episode") -> "Decision":
        """Choose the next call.

        Args:
            episode: Everything that happened so far.

        Returns:
            The call as text. What cannot be read is answered with a sentence about what to mend.

        Raises:
            PlannerError: The planner cannot go on.
        """
        ...

    def examine(self, episode: "Episode", ids: Sequence[int], *, closely: bool = False) -> "list[Verdict]":
        """Judge masks.

        Args:
            episode: Everything that happened so far.
            ids: The masks in question.
            closely: Whether to look at each one by itself.

        Returns:
            At most one verdict for each mask; a mask without one is not judged. A verdict on mask 0, which there never
            is, carries the cost of requests that brought no verdict.
        """
        ...
