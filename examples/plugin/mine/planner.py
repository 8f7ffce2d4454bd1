"""A planner: it searches for one phrase, and answers with every mask."""

from collections.abc import Sequence

from agent import Decision, Episode, Planner, Toolset, Verdict
from agent.tools.toolsets import Answer, ReportNoMask, Segment
from mine.tool import MeasureColor


class PhrasePlanner:
    """Segments a fixed phrase, or the query itself where there is none. It measures colours if it has the tool."""

    def __init__(self, phrase: str, toolset: Toolset) -> None:
        self.phrase = phrase
        self.toolset = toolset

    def decide(self, episode: Episode) -> Decision:
        ids = list(episode.current_ids)
        if not episode.steps:
            return Segment(phrases=[self.phrase or episode.task.query]).to_decision("The whole query is one phrase.")
        if not ids:
            return ReportNoMask(reason="SAM 3 found nothing.").to_decision()
        if MeasureColor in self.toolset.tools and len(episode.steps) == 1:
            return MeasureColor(ids=ids).to_decision("The colours go into the answer.")
        return Answer(ids=ids, message=" ".join(episode.steps[-1].observation.text.split())).to_decision()

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        return [Verdict(mask_id, accept=True, probability=1.0, reason="not looked at") for mask_id in ids]


def load(spec: str, *, toolset: Toolset) -> Planner:
    """Make the planner that `mine:SPEC` names."""
    return PhrasePlanner(spec, toolset)
