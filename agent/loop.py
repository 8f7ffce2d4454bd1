"""The agent: ask the planner for a tool call, run it, write down what happened, repeat."""

import logging
from collections.abc import Iterator
from time import perf_counter
from typing import NoReturn

from agent.core.budget import DEFAULT_BUDGET, Budget, end_early, get_remaining_seconds, limit_time
from agent.core.episode import Decision, Episode, Observation, Step, Task
from agent.core.errors import FailedCallError, PlannerError, ToolError
from agent.core.planner import Planner
from agent.core.text.sanitizing import to_one_line
from agent.core.tools.calls import InvalidCall, ValidCall
from sam3_tool import Sam3
from sam3_tool.errors import UserError

log = logging.getLogger(__name__)

MAX_ERROR_LENGTH = 200
"""Letters of what a library says about an error, in the last line of an episode."""


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
        UserError: The planner or SAM 3 cannot even begin: PlannerError, DeviceError, FailedCallError and others. Later,
            such an error ends the episode with its best answer.
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
        UserError: The planner or SAM 3 cannot even begin: PlannerError, DeviceError, FailedCallError and others. Later,
            such an error ends the episode with its best answer.

    Example:
        >>> import numpy as np
        >>> from agent import GrammarPlanner
        >>> from sam3_tool import Image, ScriptedBackend
        >>> task = Task(Image(np.zeros((4, 6, 3), np.uint8)), "all the cups")
        >>> [episode.outcome for episode in watch(task, GrammarPlanner(), Sam3(ScriptedBackend({})))][-1]
        'no_match'
    """
    # for 100 ms of thought, the first mask came after 161 ms instead of 237 (benchmarks/NOTES.md)
    sam3.prefetch(task.image)  # it looks while the planner thinks
    episode = Episode(task)
    while episode.outcome is None:
        log.debug("step %d: the planner decides", len(episode.steps) + 1)
        with limit_time(None if budget.max_seconds is None else budget.max_seconds - episode.usage.seconds):
            episode = advance(episode, planner, sam3, budget=budget)
        episode = budget.enforce(episode)
        yield episode


def advance(episode: Episode, planner: Planner, sam3: Sam3, *, budget: Budget = DEFAULT_BUDGET) -> Episode:
    """Take one step: a decision and its observation.

    A planner or a SAM 3 that cannot go on ends the episode, for what was found must not be lost. Before the first step
    there is nothing to lose, so the error is raised.
    """
    started = perf_counter()
    try:
        decision = planner.decide(episode)
    except PlannerError as error:
        if not episode.steps:
            raise
        if get_remaining_seconds() <= 0:
            return end_early(episode, "budget", budget.describe_time_limit())
        return end_early(episode, "failed", _describe_planner_failure(error))
    try:
        observation = observe(decision, episode, planner, sam3)
    except Exception as error:
        return end_failed(episode, decision, error, perf_counter() - started)
    return episode.append(Step(decision, observation, perf_counter() - started))


def end_failed(episode: Episode, decision: Decision, error: Exception, seconds: float) -> Episode:
    """End with the best answer so far, and with the call that gave no result as the last step."""
    if not episode.steps:
        _raise_first_error(decision, error)
    reason = _explain_failure(decision, error)
    failed = Observation(text=f"`{decision.tool}` gave no result.", is_error=True)
    return end_early(episode.append(Step(decision, failed, seconds)), "failed", reason)


def observe(decision: Decision, episode: Episode, planner: Planner, sam3: Sam3) -> Observation:
    """Run the call. A planner's mistake is an observation, too."""
    log.debug("step %d: `%s` runs", len(episode.steps) + 1, decision.tool)
    match planner.toolset.read_call(decision):
        case InvalidCall(message):
            return Observation(text=message, is_error=True)
        case ValidCall(tool):
            try:
                return tool.run(episode, sam3, planner)
            except ToolError as error:
                return Observation(text=str(error), is_error=True)


def _describe_planner_failure(error: PlannerError) -> str:
    return f"because the planner cannot go on: {error}"


def _explain_failure(decision: Decision, error: Exception) -> str:
    """Why a call gave no result. What says nothing to a person is a defect, and its traceback goes to the log."""
    if isinstance(error, PlannerError):
        return _describe_planner_failure(error)
    if isinstance(error, UserError):
        return f"because `{decision.tool}` cannot go on: {to_one_line(error)}"
    log.error("the call of `%s` failed", decision.tool, exc_info=error)
    return f"because `{decision.tool}` failed, and the log says where: {_format_error(error)}"


def _raise_first_error(decision: Decision, error: Exception) -> NoReturn:
    """Where nothing was found, raise one line for the user; any other defect as it is, with its traceback."""
    if isinstance(error, UserError) or not isinstance(error, RuntimeError | MemoryError | OSError):
        raise error
    log.error("the call of `%s` failed", decision.tool, exc_info=error)
    raise FailedCallError(f"`{decision.tool}` failed, and the log says where: {_format_error(error)}") from error


def _format_error(error: Exception) -> str:
    said = to_one_line(error)[:MAX_ERROR_LENGTH]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
