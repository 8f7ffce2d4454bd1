"""The agent: ask the planner for a tool call, run it, write down what happened, repeat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from agent.episode import Episode, Observation, Outcome, Step, Task
from agent.planner import Planner
from agent.tools import TOOLS, Tool, ToolError, parse_call
from agent.tools.words import counted, listed, masks
from sam3_tool import Sam3


@dataclass(frozen=True)
class Budget:
    """What an episode may cost. It ends with the first step that reaches a limit."""

    max_steps: int = 12
    max_seconds: float | None = None
    max_sam_calls: int | None = None
    """Phrases given to SAM 3's detector."""

    def __post_init__(self) -> None:
        if any(limit is not None and limit <= 0 for limit in (self.max_steps, self.max_seconds, self.max_sam_calls)):
            raise ValueError(f"every limit of a budget must be positive, got {self}")

    def close(self, episode: Episode) -> Episode:
        """The episode, ended with its best answer so far if it reached a limit and no tool has ended it."""
        reached = self.reached(episode)
        return end(episode, *reached) if reached and episode.outcome is None else episode

    def reached(self, episode: Episode) -> tuple[Outcome, str] | None:
        """How the first limit that is reached ends an episode, and the limit in words."""
        usage = episode.usage
        if len(episode.steps) >= self.max_steps:
            return "step_limit", f"the limit of {counted(self.max_steps, 'step')}"
        if self.max_seconds is not None and usage.seconds >= self.max_seconds:
            return "budget", f"the limit of {counted(self.max_seconds, 'second')}"
        if self.max_sam_calls is not None and usage.sam_decodes >= self.max_sam_calls:
            return "budget", f"the limit of {counted(self.max_sam_calls, 'phrase')} for SAM 3"
        return None


DEFAULT_BUDGET = Budget()


def run(
    task: Task, planner: Planner, sam3: Sam3, *, tools: Sequence[type[Tool]] = TOOLS, budget: Budget = DEFAULT_BUDGET
) -> Episode:
    """The finished episode: `outcome` says how it ended, `answer` holds the masks, `message` is for the user."""
    *_, episode = watch(task, planner, sam3, tools=tools, budget=budget)
    return episode


def watch(
    task: Task, planner: Planner, sam3: Sam3, *, tools: Sequence[type[Tool]] = TOOLS, budget: Budget = DEFAULT_BUDGET
) -> Iterator[Episode]:
    """The episode after each step, for callers that show progress. The last one has an outcome."""
    episode = Episode(task)
    while episode.outcome is None:
        episode = budget.close(advance(episode, planner, sam3, tools))
        yield episode


def advance(episode: Episode, planner: Planner, sam3: Sam3, tools: Sequence[type[Tool]]) -> Episode:
    """One decision and its observation. A planner's mistake is an observation too; any other error is raised."""
    started = perf_counter()
    decision = planner.decide(episode)
    try:
        observation = parse_call(decision, tools).run(episode, sam3, planner)
    except ToolError as error:
        observation = Observation(text=str(error), is_error=True)
    return episode.append(Step(decision, observation, perf_counter() - started))


def end(episode: Episode, outcome: Outcome, why: str) -> Episode:
    """Ended at its last step, with the masks that were shown last as the answer, and `why` said to the user."""
    *steps, last = episode.steps
    best = next((ids for step in reversed(episode.steps) if (ids := step.observation.shown)), ())
    so_far = f"the best answer so far is {masks(len(best))}: {listed(best)}" if best else "nothing was found so far"
    text = f"{last.observation.text} Stopped at {why}; {so_far}."
    observation = replace(last.observation, text=text, shown=best, outcome=outcome)
    return replace(episode, steps=(*steps, replace(last, observation=observation)), outcome=outcome)
