"""Masks judged by the planner, each by itself: which of them belong to the answer, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from pydantic import Field

from agent.episode import NO_COST, Episode, Observation, Usage, Verdict
from agent.planner import Planner
from agent.tools.base import Ids, Tool
from agent.tools.ids import known_ids
from agent.tools.words import listed, masks
from sam3_tool import Sam3


@dataclass(frozen=True)
class Judgement:
    """What a planner said of masks. One that it said nothing of is not rejected."""

    ids: tuple[int, ...]
    """The masks in question."""
    verdicts: tuple[Verdict, ...]
    """At most one for each of `ids`, in their order; free of cost, which is `usage`."""
    usage: Usage

    @classmethod
    def of(cls, planner: Planner, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> "Judgement":
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

    def observation(self, text: str) -> Observation:
        return Observation(text, shown=self.kept, usage=self.usage, verdicts=self.verdicts)


class Examine(Tool):
    """Look at each of these masks anew, enlarged, and keep those that match the query.

    Every verdict comes with a probability and a reason. For what geometry cannot tell: material, state, kind, text.
    """

    name: ClassVar[str] = "examine"
    aliases: ClassVar = ("examine_masks", "examine_each_mask", "check", "inspect", "verify", "judge")

    ids: Ids = Field(min_length=1, description="Numbers of the masks to judge.")
    closely: bool = Field(default=False, description="Each mask in a request of its own: slower, but more exact.")

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        ids = known_ids(self.ids, episode.workspace)
        judgement = Judgement.of(planner, episode, ids, closely=self.closely)
        return judgement.observation(_said(judgement))


def _said(judgement: Judgement) -> str:
    """E.g. "Of 3 masks, 1 matches: 2 (0.90, red); 1 does not: 1 (0.05, blue); not judged, so kept: 3."."""
    accepted, rejected = judgement.accepted, judgement.rejected
    groups = [
        f"{len(accepted)} {'match' if len(accepted) > 1 else 'matches'}{_listed(accepted)}" if accepted else "",
        "none matches" if rejected and not accepted else "",
        f"{len(rejected)} {'do' if len(rejected) > 1 else 'does'} not{_listed(rejected)}" if rejected else "",
        not_judged(judgement.unjudged),
    ]
    return f"Of {masks(len(judgement.ids))}, {'; '.join(filter(None, groups))}."


def not_judged(ids: Sequence[int]) -> str:
    """`ids`: as the planner knows them; "" for none."""
    return f"not judged, so kept: {listed(ids)}" if ids else ""


def reason_of(verdict: Verdict) -> str:
    """Fit to stand within a sentence."""
    return " ".join(verdict.reason.split()).removesuffix(".")


def _listed(verdicts: Sequence[Verdict]) -> str:
    """E.g. ': 2 (0.90, red), 4 (0.80)'."""
    each = (f"{one.id} ({', '.join(filter(None, [f'{one.probability:.2f}', reason_of(one)]))})" for one in verdicts)
    return f": {', '.join(each)}" if verdicts else ""
