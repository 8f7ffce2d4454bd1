"""The published protocol: four tools, and one current set of masks, numbered from 1 after each change.

The current set is what was shown last. Below the numbers that a planner sees, every mask keeps its id in the episode.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.text.english import format_ids, format_mask_count
from agent.core.tools.examiner import Examiner
from agent.core.usage import Usage
from agent.core.workspace import SearchRecord, Workspace
from agent.tools.base import Ids, Phrase, Tool
from agent.tools.examine import Judgement, describe_unjudged, format_reason
from agent.tools.finish import build_final_observation
from agent.tools.search_text import describe_search, drop_empty
from sam3_tool import ConceptPrompt, Sam3, remove_overlaps
from sam3_tool.phrases import normalize_phrase


class PaperTool(Tool):
    """A tool of the published protocol, which reads its own arguments and ignores all others."""

    ignores_unknown_arguments: ClassVar[bool] = True


class SegmentPhrase(PaperTool):
    """Segment every instance of a simple noun phrase in the picture. The masks found replace the current masks."""

    name: ClassVar[str] = "segment_phrase"
    aliases: ClassVar = ("segment", "segment_concept", "segment_object")
    field_aliases: ClassVar = {"phrase": "text_prompt", "prompt": "text_prompt", "text": "text_prompt"}

    text_prompt: Phrase = Field(description="A short, simple noun phrase such as 'yellow school bus'.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        workspace = episode.workspace
        if known := find_known_search(self.text_prompt, workspace):
            return Observation(text=describe_found(known, workspace, again=True), shown=known.ids)
        prompt = ConceptPrompt(self.text_prompt)
        report = sam3.run_requests([(episode.task.image, prompt)])
        found = drop_empty(report.instances[0])
        kept = remove_overlaps(found)
        workspace = workspace.with_search(kept, probabilities=sam3.estimate_probabilities(kept, prompt))
        search = workspace.searches[-1]
        return Observation(
            text=describe_found(search, workspace, removed=len(found) - len(kept)),
            workspace=workspace,
            shown=search.ids,
            usage=Usage.from_report(report),
        )


class ExamineEachMask(PaperTool):
    """Look at each of the current masks by itself and keep those that match the query. They are numbered anew."""

    name: ClassVar[str] = "examine_each_mask"
    aliases: ClassVar = ("examine", "examine_masks", "examine_each", "examine_all_masks")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        judgement = Judgement.from_planner(planner, episode, get_current_ids(episode), closely=True)
        return judgement.to_observation(describe_examined(judgement))


class SelectMasksAndReturn(PaperTool):
    """Answer with some of the current masks and finish."""

    name: ClassVar[str] = "select_masks_and_return"
    aliases: ClassVar = ("select_masks", "select", "select_and_return", "return_masks", "answer", "final_answer")
    field_aliases: ClassVar = {
        alias: "final_answer_masks" for alias in ("masks", "ids", "mask_ids", "numbers", "final_answer", "final_masks")
    }

    final_answer_masks: Ids = Field(min_length=1, description="Numbers of the masks, as drawn, counting from 1.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        ids = get_current_ids(episode)
        numbers = sorted(set(self.final_answer_masks))
        if unknown := [number for number in numbers if not 1 <= number <= len(ids)]:
            valid = format_ids(get_mask_numbers(ids))
            raise ToolError(f"There is no mask {format_ids(unknown, 'or')}; the valid numbers are {valid}.")
        chosen = tuple(ids[number - 1] for number in numbers)
        return build_final_observation(
            episode, sam3, ids=chosen, outcome="answered", message=f"{format_mask_count(len(chosen))}."
        )


class ReportNoMask(PaperTool):
    """Finish: nothing in the picture matches the query. Only after several phrases were tried."""

    name: ClassVar[str] = "report_no_mask"
    aliases: ClassVar = ("report_no_masks", "no_mask", "no_masks", "no_match")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        return build_final_observation(
            episode, sam3, ids=(), outcome="no_match", message="Nothing in the picture matches."
        )


def get_current_ids(episode: Episode) -> tuple[int, ...]:
    """The ids of the current masks: number k is at place k - 1. Raises ToolError when there are none."""
    if not episode.current_ids and all(step.observation.shown is None for step in episode.steps):
        raise ToolError("There are no masks yet; call `segment_phrase` with a short noun phrase first.")
    if not episode.current_ids:
        raise ToolError("There are no masks left to choose from; call `segment_phrase` with another noun phrase.")
    return episode.current_ids


def get_mask_numbers(ids: Sequence[int]) -> range:
    """The numbers of the current masks."""
    return range(1, len(ids) + 1)


def find_known_search(phrase: str, workspace: Workspace) -> SearchRecord | None:
    """Find the search that these tools made for a phrase, in whatever case and spacing.

    Searches of other tools are not theirs: those keep overlapping masks, or look in a region.
    """
    key = normalize_phrase(phrase)
    return next(
        (search for search in workspace.searches if not search.how and normalize_phrase(search.phrase) == key), None
    )


def describe_found(search: SearchRecord, workspace: Workspace, *, removed: int = 0, again: bool = False) -> str:
    """A search in words. `removed`: how many of its masks overlapped a better one. `again`: it was made before."""
    found = f"Found {describe_search(search, workspace, get_mask_numbers(search.ids), again=again)}"
    if not search.ids:
        return f"{found}; try another, perhaps more general, noun phrase."
    return f"{found}; {format_mask_count(removed)} more overlapped these and did not stay." if removed else f"{found}."


def describe_examined(judgement: Judgement) -> str:
    """Describe what became of the current masks, by the numbers they had before."""
    ids, kept = judgement.ids, judgement.kept
    number_by_id = {id: place for place, id in enumerate(ids, start=1)}
    unjudged = describe_unjudged([number_by_id[id] for id in judgement.unjudged])
    if len(kept) == len(ids):
        still = f"Kept all of {format_mask_count(len(ids))}; the numbers stay as they are"
        return "; ".join(filter(None, [still, unjudged])) + "."
    rejected = [(number_by_id[verdict.id], format_reason(verdict)) for verdict in judgement.rejected]
    why = ", ".join(f"{place} ({reason})" if reason else f"{place}" for place, reason in rejected)
    if not kept:
        return f"Rejected all of {format_mask_count(len(ids))}: {why}; try another noun phrase."
    moved = ", ".join(f"{number_by_id[id]} is now {place}" for place, id in enumerate(kept, start=1))
    summary = f"Kept {len(kept)} of {format_mask_count(len(ids))}, with new numbers: {moved}"
    return "; ".join(filter(None, [summary, f"rejected {why}", unjudged])) + "."
