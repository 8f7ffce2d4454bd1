"""Planners that follow a script: a list of calls, or the calls of a recorded episode."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from agent.core.episode import Decision, Episode
from agent.core.errors import PlannerError
from agent.core.text.english import pluralize
from agent.core.tools.verdict import Verdict
from agent.core.usage import NO_COST
from agent.tools import WORKSPACE, Tool, Toolset

ScriptEntry = Decision | Tool | Callable[[Episode], Decision | Tool]
"""A call, or a function that makes it of the episode so far, for the ids of new masks are known only then."""


class ScriptedPlanner:
    """A planner that makes these calls one after the other, whatever the tools answer.

    It is safe to share between threads and episodes, for the episode alone tells which call is next.

    Args:
        script: Tool calls, decisions, or functions from the episode so far to either.
        toolset: The tools that the calls are of.
        rejects: Ids of the masks that `examine` refuses whenever it is asked; it accepts all others.
        verdicts: What `examine` says instead, word for word. It says nothing of a mask without a verdict.

    Example:
        >>> from agent.tools.toolsets import Answer, Segment
        >>> answer_last = lambda episode: Answer(ids=[max(episode.current_ids)])
        >>> planner = ScriptedPlanner([Segment(phrases=["cup"]), answer_last])
        >>> len(planner.script)
        2
    """

    def __init__(
        self,
        script: Iterable[ScriptEntry],
        *,
        toolset: Toolset = WORKSPACE,
        rejects: Collection[int] = (),
        verdicts: Iterable[Verdict] | None = None,
    ) -> None:
        self.script = list(script)
        self.toolset = toolset
        self.rejects = frozenset(rejects)
        self.verdicts = None if verdicts is None else {verdict.id: verdict for verdict in verdicts}

    def decide(self, episode: Episode) -> Decision:
        """Return the next call.

        Args:
            episode: Its number of steps tells which call is next.

        Returns:
            The call, or what the function in its place made of the episode.

        Raises:
            PlannerError: The script has ended, or its tools are not for what the task is about.
        """
        self.toolset.require_subject(episode.task)
        step_count = len(episode.steps)
        if step_count >= len(self.script):
            raise PlannerError(f"the script ended after {pluralize(len(self.script), 'call')}, before the episode did")
        return _to_decision(self.script[step_count], episode)

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """Return the scripted verdicts, or accept every mask that is not in `rejects`.

        Args:
            episode: It changes nothing.
            ids: The masks in question.
            closely: It changes nothing.

        Returns:
            At most one verdict for each mask.
        """
        if self.verdicts is not None:
            return [self.verdicts[id] for id in ids if id in self.verdicts]
        return build_certain_verdicts(ids, accepted=set(ids) - self.rejects)


def _to_decision(entry: ScriptEntry, episode: Episode) -> Decision:
    made = entry if isinstance(entry, Decision | Tool) else entry(episode)
    return made.to_decision() if isinstance(made, Tool) else made


class ReplayPlanner(ScriptedPlanner):
    """A planner that makes the calls of a recorded episode and judges masks as was done there. It costs no model call.

    Args:
        recorded: The episode to repeat.
        toolset: The toolset of the planner that made it.

    Example:
        >>> import numpy as np
        >>> from agent import GrammarPlanner, Task, run
        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> task, sam3 = Task(Image(np.zeros((4, 6, 3), np.uint8)), "all the cups"), Sam3(ScriptedBackend({}))
        >>> recorded = run(task, GrammarPlanner(), sam3)
        >>> run(task, ReplayPlanner(recorded), sam3).message == recorded.message
        True
    """

    def __init__(self, recorded: Episode, *, toolset: Toolset = WORKSPACE) -> None:
        super().__init__((replace(step.decision, usage=NO_COST) for step in recorded.steps), toolset=toolset)
        self.recorded = recorded

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """Return the verdicts of the same step. Where the record holds none, the masks shown then are accepted.

        Args:
            episode: Its number of steps tells which step is meant.
            ids: The masks in question.
            closely: It changes nothing.

        Returns:
            The recorded verdicts, or one for each mask.
        """
        observation = self.recorded.steps[len(episode.steps)].observation
        return list(observation.verdicts) or build_certain_verdicts(ids, accepted=observation.shown or ())


def build_certain_verdicts(ids: Sequence[int], *, accepted: Collection[int]) -> list[Verdict]:
    """Give every mask the probability 1 if it is accepted, else 0."""
    return [Verdict(id, accept=id in accepted, probability=float(id in accepted)) for id in ids]
