"""An episode for people: as text for a terminal, as one self-contained HTML page."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib.resources import files
from io import BytesIO
from textwrap import indent
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from agent.episode import Candidate, Decision, Episode, Step, Usage
from sam3_tool import Instances, Picture
from sam3_tool.draw import color_of, draw_marks
from sam3_tool.rle import areas

if TYPE_CHECKING:
    from agent.transcript import MadeBy

SMALLEST, ANSWER, STEP = 480, 1280, 800
"""Pixels of the long side: pictures are enlarged to the first, and reduced to the others, before marks are drawn."""

COSTS = {
    "model_calls": "model calls",
    "prompt_tokens": "prompt tokens",
    "cached_tokens": "cached tokens",
    "completion_tokens": "completion tokens",
    "images": "pictures read",
    "sam_encodes": "SAM 3 encodes",
    "sam_decodes": "SAM 3 phrases",
    "seconds": "seconds",
}


def to_text(episode: Episode) -> str:
    """The episode as plain lines: the query, each step, the answer with its masks, the cost. Safe to print."""
    picture = episode.task.picture
    blocks = [f"{episode.task.query}\n({picture.width} x {picture.height} pixels)"]
    blocks += [_step_text(number, step) for number, step in enumerate(episode.steps, start=1)]
    rows = [mask_row(candidate, episode) for candidate in episode.workspace.pick(episode.shown)]
    blocks.append("\n".join([_headline(episode), *(f"  {row.text}" for row in rows)]))
    blocks.append(", ".join(f"{amount} {name}" for name, amount in _costs(episode.usage).items() if amount != "0"))
    return _printable("\n\n".join(blocks)) + "\n"


def to_html(episode: Episode, made_by: "MadeBy", *, source: str = "") -> str:
    """The episode as one HTML file that needs nothing else: no script, no request; its pictures are inside.

    Whatever a person or a model wrote is escaped. `source`: the picture's file name, for the heading.
    """
    views = _Views(episode, by_position=made_by.protocol == "paper")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        (files("agent") / "episode.html").read_text("utf-8")
    )
    text = page.render(
        episode=episode,
        made_by=made_by,
        source=source,
        outcome=(episode.outcome or "unfinished").replace("_", " "),
        picture=_data_url(views.plain(ANSWER).to_pil()),
        answer=_data_url(views.marked(episode.shown, episode.shown, ANSWER)),
        masks=[mask_row(candidate, episode) for candidate in episode.workspace.pick(episode.shown)],
        steps=[_StepView.of(step, views) for step in episode.steps],
        costs=_cost_table(episode),
    )
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class MaskRow:
    """One mask of the answer, as tables show it."""

    number: int
    color: str
    """As CSS writes it."""
    phrase: str
    score: str
    percent: float
    area: str
    share: str
    """Of the picture."""
    box: str
    """x0 y0 x1 y1."""
    origin: str

    @property
    def text(self) -> str:
        return f"{self.number}: {self.phrase}, score {self.score}, {self.area} pixels, box {self.box}"


def mask_row(candidate: Candidate, episode: Episode) -> MaskRow:
    picture = episode.task.picture
    area = int(areas([candidate.rle])[0])
    return MaskRow(
        number=candidate.id,
        color=css_color(candidate.id),
        phrase=candidate.phrase or "by example",
        score=f"{candidate.score:.2f}",
        percent=round(100 * candidate.score, 1),
        area=f"{area:,}",
        share=f"{100 * area / (picture.width * picture.height):.3g} %",
        box=" ".join(f"{edge:.0f}" for edge in candidate.box),
        origin=candidate.origin,
    )


def css_color(number: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color_of(number))


@dataclass(frozen=True)
class _StepView:
    step: Step
    arguments: str
    chips: list[tuple[int, str]]
    """Number and colour of each mask that is shown."""
    image: Markup | None

    @classmethod
    def of(cls, step: Step, views: "_Views") -> "_StepView":
        shown = step.observation.shown or ()
        numbers = views.numbers(step)
        image = _data_url(views.marked(shown, numbers, STEP)) if shown else None
        return cls(step, pretty(step.decision), [(number, css_color(number)) for number in numbers], image)


@dataclass(frozen=True, eq=False)
class _Views:
    """Pictures of an episode in the sizes of a page."""

    episode: Episode
    by_position: bool
    """Whether the planner saw masks numbered by their place among those shown, not by id."""

    def numbers(self, step: Step) -> Sequence[int]:
        """The numbers that the masks of a step were drawn with; an answer always names ids."""
        shown = step.observation.shown or ()
        return range(1, len(shown) + 1) if self.by_position and step.observation.outcome is None else shown

    def plain(self, limit: int) -> Picture:
        pixels = self.episode.task.picture.to_pil()
        return Picture(np.asarray(pixels.resize(self._size(limit), Image.Resampling.LANCZOS)))

    def marked(self, ids: Sequence[int], numbers: Sequence[int], limit: int) -> Image.Image:
        found = self._workspace.instances(ids)
        height, width = self.plain(limit).pixels.shape[:2]
        masks = np.array([_resized(mask, width, height) for mask in found.masks], bool).reshape(-1, height, width)
        return draw_marks(self.plain(limit), replace(found, masks=masks), numbers=numbers)

    def _size(self, limit: int) -> tuple[int, int]:
        picture = self.episode.task.picture
        long = max(picture.width, picture.height)
        scale = min(max(long, SMALLEST), limit) / long
        return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))

    @cached_property
    def _workspace(self): 
        return self.episode.workspace
