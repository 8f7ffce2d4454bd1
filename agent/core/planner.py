"""The one seam between the loop and whatever does the thinking."""

from typing import TYPE_CHECKING, Protocol

from agent.core.tools.examiner import Examiner

if TYPE_CHECKING:
    from agent.core.episode import Decision, Episode
    from agent.core.tools.toolset import Toolset


class Planner(Examiner, Protocol):
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
