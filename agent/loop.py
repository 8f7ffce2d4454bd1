"""The agent: ask the planner for a tool call, run it, write down what happened, repeat."""

from collections.abc import Iterator
from time import perf_counter

from agent.core.budget import DEFAULT_BUDGET, Budget, end_early
from agent.core.calls import InvalidCall, ValidCall
from agent.core.episode import Decision, Episode, Observation, Step, Task
from agent.core.errors import PlannerError, ToolError
from agent.core.planner import Planner
from sam3_tool import Sam3


def run(task: Task, planner: Planner, sam3: Sam3, *, budget: Budget = DEFAULT_BUDGET) -> Episode:
    """Answer a query.

    Args:
        task: The image and the query.
        planner: It chooses the calls, among the tools of its toolset.
        sam3: The segmenter.
        budget: The limits of the episode.

    Returns:
        The finished episode: `outcome` says how it ended, `answer` holds the masks, `message` is for the user.

    Raises:
        PlannerError: The planner cannot even begin. Later, such an error ends the episode.
    """
    *_, episode = watch(task, planner, sam3, budget=budget)
    return episode


def watch(task: Task, planner: Planner, sam3: Sam3, *, budget: Budget = DEFAULT_BUDGET) -> Iterator[Episode]:
    """Answer a query step by step, for callers that show progress.

    Args:
        task: The image and the query.
        planner: It chooses the calls, among the tools of its toolset.
        sam3: The segmenter.
        budget: The limits of the episode.

    Yields:
        The episode after each step. The last one has an outcome.

    Raises:
        PlannerError: The planner cannot even begin. Later, such an error ends the episode.

    Example:
        >>> import numpy as np
        >>> from agent import GrammarPlanner
        >>> from sam3_tool import Image, ScriptedBackend
        >>> task = Task(Image(np.zeros((4, 6, 3), np.uint8)), "all the cups")
        >>> [episode.outcome for episode in watch(task, GrammarPlanner(), Sam3(ScriptedBackend({})))][-1]
        'no_match'
    """
    sam3.prefetch(task.image)  # it looks while the planner thinks
    episode = Episode(task)
    while episode.outcome is None:
        episode = budget.enforce(advance(episode, planner, sam3))
        yield episode


def advance(episode: Episode, planner: Planner, sam3: Sam3) -> Episode:
    """Take one step: a decision and its observation.

    A planner that cannot go on ends the episode, for what was found must not be lost. Before the first step, and for
    any other error, the error is raised.
    """
    started = perf_counter()
    try:
        decision = planner.decide(episode)
        observation = observe(decision, episode, planner, sam3)
    except PlannerError as error:
        if not episode.steps:
            raise
        return end_early(episode, "failed", f"because the planner cannot go on: {error}")
    return episode.append(Step(decision, observation, perf_counter() - started))


def observe(decision: Decision, episode: Episode, planner: Planner, sam3: Sam3) -> Observation:
    """Run the call. A planner's mistake is an observation, too."""
    match planner.toolset.read_call(decision):
        case InvalidCall(message):
            return Observation(text=message, is_error=True)
        case ValidCall(tool):
            try:
                return tool.run(episode, sam3, planner)
            except ToolError as error:
                return Observation(text=str(error), is_error=True)
