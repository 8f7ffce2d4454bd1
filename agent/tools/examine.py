"""Masks judged by the planner, each by itself: which of them belong to the answer, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from pydantic import Field

from agent.core.episode import Episode, Observation
from agent.core.text.english import format_ids, format_mask_count
from agent.core.tools.examiner import Examiner
from agent.core.tools.verdict import Verdict
from agent.core.usage import NO_COST, Usage
from agent.tools.base import Ids, Tool
from agent.tools.ids import validate_ids
from sam3_tool import Sam3


@dataclass(frozen=True)
class Judgement:
    """The verdicts of a planner on masks. A mask without a verdict is not rejected."""

    ids: tuple[int, ...]
    """The masks in question."""
    verdicts: tuple[Verdict, ...]
    """At most one for each of `ids`, in their order; free of cost, which is `usage`."""
    usage: Usage

    @classmethod
    def from_planner(
        cls, planner: Examiner, episode: Episode, ids: Sequence[int], *, closely: bool = False
    ) -> "Judgement":
        given = planner.examine(episode, ids, closely=closely)
        by_id = {verdict.id: replace(verdict, usage=NO_COST) for verdict in given}
        verdicts = tuple(by_id[id] for id in ids if id in by_id)
        return cls(tuple(ids), verdicts, sum((verdict.usage for verdict in given), NO_COST))

    @cached_property
    def rejected(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.accept)

    @cached_property
    def accepted(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.accept)

    @cached_property
    def unjudged(self) -> tuple[int, ...]:
        judged = {verdict.id for verdict in self.verdicts}
        return tuple(id for id in self.ids if id not in judged)

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """Accepted or not judged."""
        rejected = {verdict.id for verdict in self.rejected}
        return tuple(id for id in self.ids if id not in rejected)

    def to_observation(self, text: str) -> Observation:
        return Observation(text, shown=self.kept, usage=self.usage, verdicts=self.verdicts)


class Examine(Tool):
    """Look at each of these masks anew, enlarged, and keep those that match the query.

    Every verdict comes with a probability and a reason. For what geometry cannot tell: material, state, kind, text.
    """

    name: ClassVar[str] = "examine"
    aliases: ClassVar = ("examine_masks", "examine_each_mask", "check", "inspect", "verify", "judge")

    ids: Ids = Field(min_length=1, description="Numbers of the masks to judge.")
    closely: bool = Field(default=False, description="Each mask in a request of its own: slower, but more exact.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        ids = validate_ids(self.ids, episode.workspace)
        judgement = Judgement.from_planner(planner, episode, ids, closely=self.closely)
        return judgement.to_observation(_describe_judgement(judgement))


def _describe_judgement(judgement: Judgement) -> str:
    """E.g. "Of 3 masks, 1 matches: 2 (0.90, red); 1 does not: 1 (0.05, blue); not judged, so kept: 3."."""
    accepted, rejected = judgement.accepted, judgement.rejected
    groups = [
        f"{len(accepted)} {'match' if len(accepted) > 1 else 'matches'}{_format_verdicts(accepted)}"
        if accepted
        else "",
        "none matches" if rejected and not accepted else "",
        f"{len(rejected)} {'do' if len(rejected) > 1 else 'does'} not{_format_verdicts(rejected)}" if rejected else "",
        describe_unjudged(judgement.unjudged),
    ]
    return f"Of {format_mask_count(len(judgement.ids))}, {'; '.join(filter(None, groups))}."


def describe_unjudged(ids: Sequence[int]) -> str:
    """`ids`: as the planner knows them; "" for none."""
    return f"not judged, so kept: {format_ids(ids)}" if ids else ""


def format_reason(verdict: Verdict) -> str:
    """Fit to stand within a sentence."""
    return " ".join(verdict.reason.split()).removesuffix(".")


def _format_verdicts(verdicts: Sequence[Verdict]) -> str:
    """E.g. ': 2 (0.90, red), 4 (0.80)'."""
    each = (
        f"{verdict.id} ({', '.join(filter(None, [f'{verdict.probability:.2f}', format_reason(verdict)]))})"
        for verdict in verdicts
    )
    return f": {', '.join(each)}" if verdicts else ""
