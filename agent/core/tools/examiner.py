"""Who judges masks for a tool: the part of a planner that tools may call."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agent.core.episode import Episode
    from agent.core.tools.verdict import Verdict


class Examiner(Protocol):
    """Looks at masks and says which of them belong to the answer. Every planner is one.

    Example:
        >>> from agent import Examiner, GrammarPlanner
        >>> examiner: Examiner = GrammarPlanner()
    """

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
