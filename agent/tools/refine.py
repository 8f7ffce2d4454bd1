"""The tool that corrects one mask, or masks one object, by points and a box."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.tools.examiner import Examiner
from agent.core.usage import Usage
from agent.core.workspace import Candidate, Workspace
from agent.tools.base import SmallInt, Tool
from agent.tools.ids import validate_ids
from sam3_tool import Image, Instances, Sam3, VisualPrompt
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import decode_masks
from sam3_tool.prompts import Box

REFINE_ORIGIN = "refine"
"""How the origin of a refined mask begins; then whose correction it is, and every click and box behind it."""

PRESENT = 0.5
"""The presence below which a person's click on a new object finds nothing: there is probably no object."""

_CLICK_PATTERN = re.compile(r"([+-])(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)")
_BOX_PATTERN = re.compile(r"in (\d+(?:\.\d+)?),(\d+(?:\.\d+)?),(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)")


Clicks = list[tuple[float, float, bool]]
"""x, y in pixels, and whether what is there belongs to the object."""


class Click(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    x: float
    y: float
    positive: bool = True


def _parse_click(value: object) -> object:
    """[x, y], or [x, y, positive], as a click; anything else as it is."""
    if isinstance(value, list | tuple) and 2 <= len(value) <= 3:
        return dict(zip(("x", "y", "positive"), value, strict=False))
    return value


ClickArgument = Annotated[
    Click,
    BeforeValidator(_parse_click),
    # Written out, as a schema with references is beyond some servers.
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"x": {"type": "number"}, "y": {"type": "number"}, "positive": {"type": "boolean"}},
            "required": ["x", "y"],
            "additionalProperties": False,
        }
    ),
]


def _wrap_single_click(value: object) -> object:
    """A list of one for a single point."""
    alone = isinstance(value, dict) or (isinstance(value, list | tuple) and value and isinstance(value[0], int | float))
    return [value] if alone else value


class Refine(Tool):
    """Correct one mask, or mask one object by itself, by points and a box; the result is a mask with its own number.

    A positive point lies on what belongs to the object, a negative one on what does not.
    """

    name: ClassVar[str] = "refine"
    aliases: ClassVar[tuple[str, ...]] = (
        "refine_mask",
        "correct",
        "correct_mask",
        "click",
        "segment_point",
        "segment_object",
    )
    field_aliases: ClassVar = {
        **dict.fromkeys(("mask", "mask_id"), "id"),
        **dict.fromkeys(("point", "clicks", "click"), "points"),
        "bbox": "box",
    }

    id: SmallInt | None = Field(
        default=None, description="Number of the mask to correct; none for an object without one."
    )
    points: Annotated[list[ClickArgument], BeforeValidator(_wrap_single_click)] = Field(
        default=[], max_length=32, description="In pixels."
    )
    labels: list[bool] = Field(default=[], description="Of points written as [x, y]: 1 positive, 0 negative.")
    box: list[float] | None = Field(
        default=None, min_length=4, max_length=4, description="x0, y0, x1, y1 in pixels, around the object."
    )

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        workspace, image = episode.workspace, episode.task.image
        [earlier] = [None] if self.id is None else workspace.pick(validate_ids([self.id], workspace))
        prompt = self._build_prompt(earlier, image)
        # as the published notebooks and predictor: candidates for one click alone, filled holes for a person's clicks
        prompt = replace(prompt, multimask=prompt.is_ambiguous, fill_holes=episode.task.by_hand)
        found, usage = (_find_by_hand if episode.task.by_hand else _find_object)(image, prompt, sam3)
        if not found.masks[:1].any():
            text = _describe_miss(found.presence, by_hand=episode.task.by_hand)
            return Observation(f"{text} Mask {self.id} is as it was." if earlier else text, usage=usage)
        best = replace(found[[0]], phrase=earlier.phrase if earlier else "")
        likely = sam3.estimate_probabilities(best, prompt)
        grown = workspace.with_instances(best, origin=_format_origin(earlier, prompt), probabilities=likely)
        if earlier is not None and episode.task.by_hand:
            return Observation(
                text=f"Mask {earlier.id} corrected (score {found.scores[0]:.2f}).",
                workspace=correct_in_place(workspace, grown, earlier.id),
                shown=compute_shown_ids(episode, earlier, earlier.id),
                usage=usage,
            )
        return Observation(
            text=_describe_result(len(grown), earlier, found),
            workspace=grown,
            shown=compute_shown_ids(episode, earlier, len(grown)),
            usage=usage,
        )

    def _build_prompt(self, earlier: Candidate | None, image: Image) -> VisualPrompt:
        """Build the prompt, with what the mask was made of already. Raises ToolError for places that cannot be."""
        clicks, box = self.add_marks(*_parse_origin(earlier), image)
        mask = None if earlier is None else decode_masks([earlier.rle], image.height, image.width)[0]
        return VisualPrompt(tuple((x, y) for x, y, _ in clicks), tuple(int(yes) for *_, yes in clicks), box, mask)

    def add_marks(self, clicks: Clicks, box: Box | None, image: Image) -> tuple[Clicks, Box | None]:
        """Add what is marked now to the clicks and the box of before. Raises ToolError for places that cannot be."""
        clicks = [*clicks, *((click.x, click.y, click.positive) for click in self._apply_labels())]
        box = box if self.box is None else _clip_box(self.box, image)
        if not self.points and self.box is None:
            raise ToolError("`refine` needs `points`, a `box` or both; give at least one point in pixels.")
        for x, y, _ in clicks:
            if not (0 <= x <= image.width and 0 <= y <= image.height):
                size = f"{image.width} wide and {image.height} high"
                raise ToolError(f"The point [{x:g}, {y:g}] lies outside the picture, which is {size}.")
        return clicks, box

    def _apply_labels(self) -> list[Click]:
        if not self.labels:
            return self.points
        if len(self.labels) != len(self.points):
            raise ToolError(f"There are {len(self.points)} points but {len(self.labels)} labels; give one label each.")
        pairs = zip(self.points, self.labels, strict=True)
        return [click.model_copy(update={"positive": label}) for click, label in pairs]


def _find_object(image: Image, prompt: VisualPrompt, sam3: Sam3) -> tuple[Instances, Usage]:
    report = sam3.run_requests([(image, prompt)])
    return report.instances[0], Usage.from_report(report)


def _find_by_hand(image: Image, prompt: VisualPrompt, sam3: Sam3) -> tuple[Instances, Usage]:
    """Find what a person clicked: tidy, and with every positive click inside, or nothing.

    A correction that still misses the latest click gets the object at that click added to the mask.
    """
    found, usage = _find_object(image, prompt, sam3)
    tidied = found.tidy(prompt.points, prompt.labels)
    if prompt.mask is None:
        is_there = found.presence >= PRESENT
        return (tidied if is_there else tidied[[]]), usage
    if len(tidied) or not (prompt.labels and prompt.labels[-1]):
        return tidied, usage
    alone = VisualPrompt(prompt.points[-1:], fill_holes=True)
    there, more = _find_by_hand(image, alone, sam3)
    joined = there.masks[:1] | prompt.mask
    whole = Instances(joined, masks_to_boxes(joined), there.scores[:1], there.presence, "")
    return whole.tidy(prompt.points, prompt.labels), usage + more


def correct_in_place(workspace: Workspace, grown: Workspace, id: int) -> Workspace:
    """Put the last mask of the grown workspace in the place of the one with this id."""
    return workspace.with_correction(replace(grown[len(grown)], id=id))


def _clip_box(box: Sequence[float], image: Image) -> Box:
    x0, y0, x1, y1 = box
    inside = (max(x0, 0.0), max(y0, 0.0), min(x1, image.width), min(y1, image.height))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        size = f"{image.width} wide and {image.height} high"
        raise ToolError(f"The box {[*box]} has no inside in a picture {size}; give x0, y0, x1, y1 in pixels.")
    return inside


def _parse_origin(earlier: Candidate | None) -> tuple[Clicks, Box | None]:
    """The clicks and the box behind a refined mask: the network is told all of them again with each further one."""
    if earlier is None or not earlier.origin.startswith(REFINE_ORIGIN):
        return [], None
    return parse_marks(earlier.origin)


def parse_marks(text: str) -> tuple[Clicks, Box | None]:
    """The clicks and the box that a text names.

    >>> parse_marks("+90,120 -30.5,40 in 30,60,150,180")
    ([(90.0, 120.0, True), (30.5, 40.0, False)], (30.0, 60.0, 150.0, 180.0))
    """
    clicks = [(float(x), float(y), sign == "+") for sign, x, y in _CLICK_PATTERN.findall(text)]
    box = _BOX_PATTERN.search(text)
    return clicks, None if box is None else tuple(map(float, box.groups()))  # type: ignore[return-value]


def _format_origin(earlier: Candidate | None, prompt: VisualPrompt) -> str:
    """E.g. 'refine of 3: +90,120 -30.5,40 in 30,60,150,180'."""
    whose = f" of {earlier.id}" if earlier else ""
    return f"{REFINE_ORIGIN}{whose}: {format_marks(prompt)}"


def format_marks(prompt: VisualPrompt) -> str:
    """Write the clicks and the box of a prompt, as `parse_marks` reads them."""
    signs = ("+" if label else "-" for label in prompt.labels)
    clicks = [
        f"{sign}{_format_pixels(x)},{_format_pixels(y)}" for sign, (x, y) in zip(signs, prompt.points, strict=True)
    ]
    box = [] if prompt.box is None else ["in " + ",".join(map(_format_pixels, prompt.box))]
    return " ".join(clicks + box)


def _format_pixels(pixels: float) -> str:
    """Write numbers to a hundredth of a pixel and without an exponent, as `_parse_origin` reads them.

    >>> _format_pixels(90.0), _format_pixels(30.5), _format_pixels(12345.678), _format_pixels(1e-5)
    ('90', '30.5', '12345.68', '0')
    """
    return f"{pixels:.2f}".rstrip("0").rstrip(".")


def _describe_miss(presence: float, *, by_hand: bool) -> str:
    if by_hand and presence >= PRESENT:
        return "No mask that was found there covers the click; click nearer to the middle of the object."
    return f"Nothing was found there (presence {presence:.2f}){'; click on an object' if by_hand else ''}."


def _describe_result(new: int, earlier: Candidate | None, found: Instances) -> str:
    what = f"Mask {earlier.id} corrected is mask {new}" if earlier else f"The object there is mask {new}"
    doubt = f"; there may be no object there (presence {found.presence:.2f})" if found.presence < 0.5 else ""
    return f"{what} (score {found.scores[0]:.2f}){doubt}."


def compute_shown_ids(episode: Episode, earlier: Candidate | None, new: int) -> tuple[int, ...]:
    """Put the corrected mask in the place of the one it corrects, or after all others."""
    before: Any = episode.current_ids or episode.task.context.selected
    if earlier is not None and earlier.id in before:
        return tuple(new if id == earlier.id else id for id in before)
    return (*before, new)
