"""Planners that follow a script: a list of calls, or the calls of a recorded episode."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from agent.core.english import pluralize
from agent.core.episode import Decision, Episode
from agent.core.errors import PlannerError
from agent.core.usage import NO_COST
from agent.core.verdict import Verdict
from agent.tools import WORKSPACE, Tool, Toolset

ScriptEntry = Decision | Tool | Callable[[Episode], Decision | Tool]
"""A call, or what makes it of the episode so far: the ids of what was just found are known only then."""


class ScriptedPlanner:
    """Makes these calls one after the other, whatever the tools answer.

    Safe to share between threads and episodes: which call is next depends on the episode alone.
    """

    def __init__(
        self,
        script: Iterable[ScriptEntry],
        *,
        toolset: Toolset = WORKSPACE,
        rejects: Collection[int] = (),
        verdicts: Iterable[Verdict] | None = None,
    ) -> None:
        """`toolset`: the tools that its calls are of.

        `rejects`: the numbers of the masks that `examine` refuses, whenever it is asked; it accepts all others.

        `verdicts`: what `examine` says instead, word for word; of a mask without one it says nothing.
        """
        self.script = list(script)
        self.toolset = toolset
        self.rejects = frozenset(rejects)
        self.verdicts = None if verdicts is None else {verdict.id: verdict for verdict in verdicts}

    def decide(self, episode: Episode) -> Decision:
        """The next call. Raises PlannerError when there is none."""
        step_count = len(episode.steps)
        if step_count >= len(self.script):
            raise PlannerError(f"the script ended after {pluralize(len(self.script), 'call')}, before the episode did")
        return _to_decision(self.script[step_count], episode)

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        if self.verdicts is not None:
            return [self.verdicts[id] for id in ids if id in self.verdicts]
        return build_certain_verdicts(ids, accepted=set(ids) - self.rejects)


def _to_decision(entry: ScriptEntry, episode: Episode) -> Decision:
    made = entry if isinstance(entry, Decision | Tool) else entry(episode)
    return made.to_decision() if isinstance(made, Tool) else made


class ReplayPlanner(ScriptedPlanner):
    """Makes the calls of a recorded episode, and judges masks as they were judged there. It costs no model call."""

    def __init__(self, recorded: Episode, *, toolset: Toolset = WORKSPACE) -> None:
        """`toolset`: that of the planner whose episode it is."""
        super().__init__((replace(step.decision, usage=NO_COST) for step in recorded.steps), toolset=toolset)
        self.recorded = recorded

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """The verdicts of the same step; where the record holds none, of the masks that were shown then."""
        observation = self.recorded.steps[len(episode.steps)].observation
        return list(observation.verdicts) or build_certain_verdicts(ids, accepted=observation.shown or ())


def build_certain_verdicts(ids: Sequence[int], *, accepted: Collection[int]) -> list[Verdict]:
    return [Verdict(id, accept=id in accepted, probability=float(id in accepted)) for id in ids]
