"""An episode for people: as text for a terminal, as one self-contained HTML page."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from io import BytesIO
from textwrap import indent
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from agent.episode import Candidate, Episode, Step, Usage
from sam3_tool import Picture
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
    masks = [f"  {MaskRow.of(candidate, episode)}" for candidate in episode.workspace.pick(episode.shown)]
    blocks.append("\n".join([f"{episode.outcome or 'unfinished'}: {episode.message}", *masks]))
    blocks.append(", ".join(f"{amount} {name}" for name, amount in _costs(episode.usage).items() if amount != "0"))
    return _printable("\n\n".join(blocks)) + "\n"


def to_html(episode: Episode, made_by: "MadeBy", *, source: str = "") -> str:
    """The episode as one HTML file that needs nothing else: no script, no request; its pictures are inside.

    Whatever a person or a model wrote is escaped. `source`: the picture's file name, for the heading.
    """
    text = _template().render(
        query=episode.task.query,
        outcome=(episode.outcome or "unfinished").replace("_", " "),
        message=episode.message,
        made_by=made_by,
        facts=_facts(episode, made_by, source),
        picture=_data_url(_fitted(episode.task.picture, ANSWER).to_pil()),
        answer=_data_url(_marked(episode, episode.shown, episode.shown, ANSWER)),
        masks=[MaskRow.of(candidate, episode) for candidate in episode.workspace.pick(episode.shown)],
        steps=[StepView.of(step, episode, by_place=made_by.protocol == "paper") for step in episode.steps],
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
    area: str
    share: str
    """Of the picture."""
    box: str
    """x0 y0 x1 y1 in pixels."""
    origin: str

    @classmethod
    def of(cls, candidate: Candidate, episode: Episode) -> "MaskRow":
        picture = episode.task.picture
        area = int(areas([candidate.rle])[0])
        return cls(
            number=candidate.id,
            color=css_color(candidate.id),
            phrase=candidate.phrase or "(by example)",
            score=f"{candidate.score:.2f}",
            area=f"{area:,}",
            share=f"{100 * area / (picture.width * picture.height):.2g} %",
            box=" ".join(f"{edge:.0f}" for edge in candidate.box),
            origin=candidate.origin,
        )

    def __str__(self) -> str:
        return f"{self.number}: {self.phrase}, score {self.score}, {self.area} pixels, box {self.box}"


@dataclass(frozen=True)
class StepView:
    """One step, as the page shows it."""

    tool: str
    arguments: str
    thought: str
    text: str
    is_error: bool
    seconds: str
    shown: list[tuple[int, str]]
    """Number and colour of each mask in the picture."""
    picture: Markup | None

    @classmethod
    def of(cls, step: Step, episode: Episode, *, by_place: bool) -> "StepView":
        """`by_place`: whether the planner saw the masks numbered by their place among those shown, not by id."""
        seen = step.observation
        ids = seen.shown or ()
        # an answer names ids in either protocol
        numbers = range(1, len(ids) + 1) if by_place and seen.outcome is None else ids
        return cls(
            tool=step.decision.tool or "(no tool)",
            arguments=pretty(step.decision.arguments),
            thought=step.decision.thought.strip(),
            text=seen.text,
            is_error=seen.is_error,
            seconds=f"{step.seconds:.2f}",
            shown=[(number, css_color(number)) for number in numbers],
            picture=_data_url(_marked(episode, ids, numbers, STEP)) if ids else None,
        )


def css_color(number: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color_of(number))


def pretty(arguments: str) -> str:
    """A JSON object with one field on each line; what is no JSON object, as it is."""
    try:
        held = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    if not isinstance(held, dict) or not held:
        return arguments
    lines = [f"  {json.dumps(key, ensure_ascii=False)}: {json.dumps(held[key], ensure_ascii=False)}" for key in held]
    return "{\n" + ",\n".join(lines) + "\n}"


def _step_text(number: int, step: Step) -> str:
    decision, seen = step.decision, step.observation
    lines = [f"{number}. {decision.tool or '(no tool)'} {decision.arguments}"]
    if decision.thought.strip():
        lines.append(indent(decision.thought.strip(), "   | "))
    lines.append(indent(("mistake: " if seen.is_error else "") + seen.text, "   "))
    if seen.shown is not None:
        lines.append(f"   shown: {', '.join(map(str, seen.shown)) or 'no mask'}")
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _costs(usage: Usage) -> dict[str, str]:
    amounts = {name: getattr(usage, field) for field, name in COSTS.items()}
    return {name: f"{amount:.2f}" if isinstance(amount, float) else f"{amount:,}" for name, amount in amounts.items()}


def _cost_table(episode: Episode) -> dict[str, list]:
    """Column heads, a row for each step and the total; what cost nothing has no column."""
    total = _costs(episode.usage)
    names = [name for name, amount in total.items() if amount != "0"]
    rows = [[step.decision.tool, *(_costs(step.usage)[name] for name in names)] for step in episode.steps]
    return {"names": names, "rows": rows, "total": [total[name] for name in names]}


def _facts(episode: Episode, made_by: "MadeBy", source: str) -> dict[str, str]:
    """What the page says below its heading, by name."""
    picture = episode.task.picture
    names = [field.name for field in fields(made_by.budget) if field.name.startswith("max_")]
    limits = {name.removeprefix("max_"): getattr(made_by.budget, name) for name in names}
    return {
        "picture": f"{source} {picture.width} x {picture.height}".strip(),
        "planner": made_by.planner,
        "SAM 3": made_by.sam3,
        "protocol": made_by.protocol,
        "budget": ", ".join(f"{limit:g} {name.replace('_', ' ')}" for name, limit in limits.items() if limit),
        "took": f"{episode.usage.seconds:.2f} s in {len(episode.steps)} steps",
    }


def _marked(episode: Episode, ids: Sequence[int], numbers: Sequence[int], limit: int) -> Image.Image:
    picture = _fitted(episode.task.picture, limit)
    found = episode.workspace.instances(ids)
    masks = np.array([_resized(mask, picture) for mask in found.masks], dtype=bool)
    fitted = replace(found, masks=masks.reshape(-1, picture.height, picture.width))
    return draw_marks(picture, fitted, numbers=numbers)


def _fitted(picture: Picture, limit: int) -> Picture:
    """Enlarged to SMALLEST pixels on the long side, or reduced to `limit`, so that marks and numbers are crisp."""
    long = max(picture.width, picture.height)
    scale = min(max(long, SMALLEST), limit) / long
    if scale == 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return Picture(np.asarray(picture.to_pil().resize(size, Image.Resampling.LANCZOS)))


def _resized(mask: np.ndarray, picture: Picture) -> np.ndarray:
    """bool, in the picture's size. A mask that has pixels keeps some, however small it gets."""
    soft = np.asarray(
        Image.fromarray(mask).convert("L").resize((picture.width, picture.height), Image.Resampling.BILINEAR)
    )
    return soft > min(127, int(soft.max()) // 2)


def _data_url(image: Image.Image) -> Markup:
    """JPEG for its size; no part of it comes from text, so that it needs no escaping."""
    file = BytesIO()
    image.save(file, "JPEG", quality=87, subsampling=0)
    return Markup("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii"))


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("agent") / "episode.html").read_text("utf-8"))
