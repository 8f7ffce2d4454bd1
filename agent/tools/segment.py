"""The tool that asks SAM 3 for noun phrases, in the whole image or a region of it."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.text.english import format_ids, pluralize
from agent.core.tools.examiner import Examiner
from agent.core.usage import Usage
from agent.core.workspace import SearchRecord, Workspace
from agent.tools.base import Boxes, Ids, Phrases, Tool
from agent.tools.ids import validate_ids
from agent.tools.regions.region import Region
from agent.tools.regions.seams import describe_merges, merge_across_border
from agent.tools.search_text import describe_search, drop_empty, drop_near_duplicates
from sam3_tool import ConceptPrompt, Instances, Sam3
from sam3_tool.phrases import normalize_phrase
from sam3_tool.prompts import Box

MAX_PHRASES = 8
"""In one call."""


class Segment(Tool):
    """Find and number every instance of each noun phrase; one call with many phrases is the fastest.

    Phrases are short and simple, such as 'red cup': no relations, no numbers, no negation.
    """

    name: ClassVar[str] = "segment"
    aliases: ClassVar = ("segment_phrase", "segment_phrases", "segment_concept", "find", "detect")
    field_aliases: ClassVar = {
        **dict.fromkeys(("phrase", "text_prompt", "text_prompts", "prompt", "prompts"), "phrases"),
        **dict.fromkeys(("box", "bbox", "crop"), "region"),
    }

    phrases: Phrases = Field(
        default=[],
        max_length=MAX_PHRASES,
        description=f"Up to {MAX_PHRASES} noun phrases; none if examples say it all.",
    )
    region: list[float] | None = Field(
        default=None, min_length=4, max_length=4, description="x0, y0, x1, y1 in pixels: look only there, enlarged."
    )
    exemplars: Ids = Field(default=[], description="Numbers of masks that show what is meant.")
    negatives: Ids = Field(default=[], description="Numbers of masks that show what is not meant.")
    boxes: Boxes = Field(default=[], max_length=16, description="Exemplars as boxes, x0, y0, x1, y1 in pixels.")
    negative_boxes: Boxes = Field(default=[], max_length=16, description="Negatives as boxes.")
    threshold: float = Field(default=0.5, ge=0, lt=1, description="Masks with a score above this are kept.")
    duplicates: bool = Field(default=False, description="Keep masks that nearly repeat a better one of their phrase.")
    close_ups: bool = Field(default=False, description="Also show each mask enlarged, to judge it by its looks.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        before, image = episode.workspace, episode.task.image
        region = Region.from_box(image, self.region)
        prompts = {
            normalize_phrase(phrase): self._build_prompt(phrase, before, region) for phrase in self._require_phrases()
        }
        known = self._find_known_searches(episode)
        asked = [prompt for key, prompt in prompts.items() if key not in known]
        report = sam3.run_requests([(region.crop_image(image), prompt) for prompt in asked])
        found = [region.to_image_pixels(drop_empty(instances), image) for instances in report.instances]
        workspace = before
        for prompt, instances in zip(asked, found, strict=True):
            kept = self._filter_duplicates(instances)
            workspace = workspace.with_search(
                kept,
                origin=f"segment{self._describe_scope(region)}",
                arguments=self._serialize_question(),
                probabilities=sam3.estimate_probabilities(kept, prompt),
            )
        fresh = {normalize_phrase(search.phrase): search for search in workspace.searches[len(before.searches) :]}
        searches = [(known | fresh)[key] for key in prompts]
        words = [describe_search(search, workspace, again=search not in fresh.values()) for search in searches]
        hidden = sum(map(len, found)) - (len(workspace) - len(before))
        ids = [id for search in searches for id in search.ids]
        workspace, whole_by_part = merge_across_border(ids if self.region else [], workspace, region)
        return Observation(
            text=self._describe_found(words + describe_merges(whole_by_part), hidden, region),
            workspace=workspace if workspace is not before else None,
            shown=tuple(dict.fromkeys(whole_by_part.get(id, id) for id in ids)),
            usage=Usage.from_report(report),
        )

    def _require_phrases(self) -> list[str]:
        """The phrases; the empty one where examples say it all."""
        if not self.phrases and not self.exemplars and not self.boxes:
            raise ToolError("`segment` needs `phrases`, or `exemplars` or `boxes` that show what is meant.")
        return self.phrases or [""]

    def _build_prompt(self, phrase: str, workspace: Workspace, region: Region) -> ConceptPrompt:
        positive: list[int | Sequence[float]] = [*self.exemplars, *self.boxes]
        negative: list[int | Sequence[float]] = [*self.negatives, *self.negative_boxes]
        boxes = tuple(_resolve_example_box(example, workspace, region) for example in positive + negative)
        labels = (1,) * len(positive) + (0,) * len(negative)
        return ConceptPrompt(phrase or None, boxes, labels, self.threshold)

    def _filter_duplicates(self, found: Instances) -> Instances:
        return found if self.duplicates else drop_near_duplicates(found)

    def _find_known_searches(self, episode: Episode) -> dict[str, SearchRecord]:
        """Find earlier searches with the same arguments, by the normal form of the phrase."""
        searches = episode.workspace.searches
        return {
            normalize_phrase(search.phrase): search for search in searches if search.how == self._serialize_question()
        }

    def _serialize_question(self) -> str:
        """All that an answer depends on beside the phrase."""
        return self.model_dump_json(exclude={"phrases", "close_ups"}, exclude_defaults=True)

    def _describe_scope(self, region: Region) -> str:
        """Describe what was special about the question, e.g. ' in 10,20,200,220 like 3'."""
        where = "" if self.region is None else f" in {region.x0},{region.y0},{region.x1},{region.y1}"
        like, unlike = (
            _format_examples(self.exemplars, self.boxes),
            _format_examples(self.negatives, self.negative_boxes),
        )
        return where + (f" like {like}" if like else "") + (f" unlike {unlike}" if unlike else "")

    def _describe_found(self, found: list[str], hidden: int, region: Region) -> str:
        left_out = [f"{pluralize(hidden, 'near duplicate')} hidden, which `duplicates: true` keeps"] if hidden else []
        scope = [f"looked{self._describe_scope(region)}"] if self._describe_scope(region) else []
        return f"Found {'; '.join(found + left_out + scope)}."


def _resolve_example_box(example: int | Sequence[float], workspace: Workspace, region: Region) -> Box:
    """The box of an exemplar, given by number or itself, as it is in the window.

    Raises ToolError for one that is not there.
    """
    if isinstance(example, int):
        [id] = validate_ids([example], workspace)
        x0, y0, x1, y1 = workspace[id].box
        wrong = f"Mask {id} lies outside the region; leave it out or choose another region."
    else:
        x0, y0, x1, y1 = example
        wrong = f"The box {[*example]} has no inside that is looked at; give x0, y0, x1, y1 in pixels."
    box = region.to_view_box((x0, y0, x1, y1))
    if box is None:
        raise ToolError(wrong)
    return box


def _format_examples(ids: Sequence[int], boxes: Sequence[Sequence[float]]) -> str:
    """E.g. '3, 4 and the box 10,20,60,80'; "" for none."""
    numbers = [format_ids(ids)] * bool(ids)
    return " and ".join(numbers + [f"the box {','.join(f'{edge:g}' for edge in box)}" for box in boxes])
