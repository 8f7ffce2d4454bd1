"""How far a planner of small questions has come, read off the episode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.core.episode import Episode
from agent.planners.strategies.evidence import (
    SAME_OBJECT,
    Look,
    average_looks,
    choose_representatives,
    find_same_place,
)

WRONG = -2.0
"""Log odds that a check's word against a mask is worth."""


def count_known(episode: Episode) -> int:
    """Count the masks that a conversation had found before the query."""
    return len(episode.task.context.workspace or ())


def is_follow_up(episode: Episode) -> bool:
    """Whether the query goes on with a conversation."""
    return bool(episode.task.context.turns or episode.task.context.workspace)


@dataclass(frozen=True)
class Progress:
    """What the planner decided last: it wrote that beside its decision."""

    plan: Mapping[str, Any]
    """Stage, round, whether several things are wanted, boxes; empty before the first proposal."""
    round: int = 0
    """Proposals so far."""

    @classmethod
    def from_episode(cls, episode: Episode) -> "Progress":
        """Read the progress of an episode."""
        plans = [step.decision.plan for step in episode.steps if step.decision.plan and "stage" in step.decision.plan]
        return cls(plans[-1], plans[-1]["round"]) if plans else cls({})

    @property
    def stage(self) -> str:
        """'start', 'proposed', 'boxed', 'judged' or 'repaired'."""
        return str(self.plan.get("stage", "start"))

    @property
    def wants_one(self) -> bool:
        """Whether the query means one thing."""
        return not self.plan.get("several", False)

    def find_unjudged(self, episode: Episode, *, least: float = SAME_OBJECT) -> list[int]:
        """Find the masks that were not judged, one for each object that several phrases found.

        `least`: IoU from which on two masks are one object.
        """
        judged = {verdict.id for step in episode.steps for verdict in step.observation.verdicts}
        known = count_known(episode)
        every = [
            candidate.id
            for candidate in episode.workspace
            if candidate.id > known or candidate.id in self.plan.get("among", ())
        ]
        shown = choose_representatives(episode.workspace, every, least=least)
        return [id for id in shown if id not in judged or id in self._list_disputed(episode, shown)]

    def _list_disputed(self, episode: Episode, shown: Sequence[int]) -> list[int]:
        """List the masks that a check spoke against, and those that lie where it missed something."""
        if "checked_at" not in self.plan:
            return []
        repaired = [candidate.id for candidate in episode.workspace if candidate.id > self.plan["checked_at"]]
        return [*self.plan["wrong"], *find_same_place(episode.workspace, shown, repaired)]

    def collect_evidence(self, episode: Episode) -> dict[int, float]:
        """Collect the log odds of every mask that was judged, less what a check says against it."""
        verdicts = [verdict for step in episode.steps for verdict in step.observation.verdicts]
        evidence = average_looks([Look(verdicts)])
        wrong = self.plan.get("wrong", [])
        return {id: logit + (WRONG if id in wrong else 0.0) for id, logit in evidence.items()}

    def choose_masks(self, evidence: Mapping[int, float]) -> list[int]:
        """Choose the best mask, or all that are likelier than not; none where none is."""
        likely = sorted(id for id, logit in evidence.items() if logit > 0)
        return [max(likely, key=lambda id: evidence[id])] if likely and self.wants_one else likely
