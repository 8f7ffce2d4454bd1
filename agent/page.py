"""An episode for people: as text for a terminal, as one self-contained HTML page."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from io import BytesIO
from itertools import starmap
from textwrap import indent
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

import prompts
from agent.budget import FREE, Budget, Price
from agent.episode import Candidate, Episode, Step, Usage, Verdict
from agent.seen import Sight, seen
from agent.text import encodable
from agent.tools.words import counted
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
    "images": "pictures",
    "sam_encodes": "SAM 3 encodes",
    "sam_decodes": "SAM 3 phrases",
    "seconds": "seconds",
}


def to_text(episode: Episode) -> str:
    """The episode as plain lines: the query, each step, the answer with its masks, the cost. Safe to print."""
    picture = episode.task.picture
    blocks = [f"{episode.task.query}\n({picture.width} x {picture.height} pixels)"]
    blocks += [_step_text(number, step) for number, step in enumerate(episode.steps, start=1)]
    masks = [f"  {row}" for row in _mask_rows(episode)]
    options = [f"  - {option}" for option in _options(episode)]
    blocks.append("\n".join([f"{episode.outcome or 'unfinished'}: {episode.message}", *options, *masks]))
    blocks.append(", ".join(f"{amount} {name}" for name, amount in _costs(episode.usage).items() if amount != "0"))
    return _printable("\n\n".join(blocks)) + "\n"


def to_html(
    episode: Episode, made_by: "MadeBy", *, source: str = "", beside: Mapping[str, Picture] = MappingProxyType({})
) -> str:
    """The episode as one HTML file that needs nothing else: no script, no request; its pictures are inside.

    Whatever a person or a model wrote is escaped. `source`: the picture's file name, for the heading. `beside`: further
    pictures by their captions, shown next to the answer.
    """
    masks, shown = _mask_rows(episode), seen(episode, made_by)
    sights = shown.sights or (None,) * len(episode.steps)
    text = _template().render(
        query=episode.task.query,
        outcome=(episode.outcome or "unfinished").replace("_", " "),
        message=episode.message,
        options=_options(episode),
        made_by=made_by,
        facts=_facts(episode, made_by, source),
        picture=_data_url(_fitted(episode.task.picture, ANSWER).to_pil()),
        answer=_data_url(_marked(episode, episode.shown, episode.shown, ANSWER)),
        beside={caption: _data_url(_fitted(one, ANSWER).to_pil()) for caption, one in beside.items()},
        masks=masks,
        reasons=any(mask.reason for mask in masks),
        steps=[StepView.of(index, episode, made_by, sight=sight) for index, sight in enumerate(sights)],
        shots=[_data_url(picture.to_pil()) for picture in shown.pictures],
        other_prompts=bool(made_by.prompts) and made_by.prompts != prompts.hashes(),
        costs=_cost_table(episode, made_by.budget.price),
    )
    return encodable(text)


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
    reason: str = ""
    """Why it is in the answer, where somebody said so."""

    @classmethod
    def of(cls, candidate: Candidate, episode: Episode, *, reason: str = "") -> "MaskRow":
        picture = episode.task.picture
        area = int(areas([candidate.rle])[0])
        return cls(
            number=candidate.id,
            color=css_color(candidate.id),
            phrase=candidate.phrase or "(by example)",
            score=f"{candidate.score:.2f}",
            area=f"{area:,}",
            share=share(area, picture.width * picture.height),
            box=" ".join(f"{edge:.0f}" for edge in candidate.box),
            origin=candidate.origin,
            reason=reason,
        )

    def __str__(self) -> str:
        why = self.reason and f": {self.reason}"
        return f"{self.number}: {self.phrase}, score {self.score}, {self.area} pixels, box {self.box}{why}"


@dataclass(frozen=True)
class VerdictRow:
    """What an examination said of one mask."""

    number: int
    color: str
    accept: bool
    probability: str
    reason: str

    @classmethod
    def of(cls, verdict: Verdict, number: int) -> "VerdictRow":
        probability = f"{100 * verdict.probability:.0f} %"
        return cls(number, css_color(number), verdict.accept, probability, verdict.reason)


@dataclass(frozen=True)
class StepView:
    """One step, as the page shows it."""

    tool: str
    arguments: str
    note: str
    thought: str
    reasoning: str
    text: str
    is_error: bool
    seconds: str
    spent: str
    """On the model and on SAM 3, in words."""
    shown: list[tuple[int, str]]
    """Number and colour of each mask in the picture."""
    picture: Markup | None
    verdicts: list[VerdictRow]
    sight: Sight | None
    """What the model saw before it."""

    @classmethod
    def of(cls, index: int, episode: Episode, made_by: "MadeBy", *, sight: Sight | None = None) -> "StepView":
        step = episode.steps[index]
        decision, observed = step.decision, step.observation
        ids = observed.shown or ()
        numbers = _numbers(step, made_by)
        return cls(
            tool=decision.tool or "(no tool)",
            arguments=pretty(decision.arguments),
            note=decision.note.strip(),
            thought=decision.thought.strip(),
            reasoning=decision.reasoning.strip(),
            text=observed.text,
            is_error=observed.is_error,
            seconds=f"{step.seconds:.2f}",
            spent=_spent(step.usage, made_by.budget.price),
            shown=[(number, css_color(number)) for number in numbers],
            picture=_data_url(_marked(episode, ids, numbers, STEP)) if ids else None,
            verdicts=_verdicts(index, episode, made_by),
            sight=sight,
        )


def _verdicts(index: int, episode: Episode, made_by: "MadeBy") -> list[VerdictRow]:
    """What a step's examination said, with the numbers that the masks had before it."""
    before = replace(episode, steps=episode.steps[:index]).shown
    numbers = {id: place for place, id in enumerate(before, start=1)} if made_by.protocol == "paper" else {}
    return [
        VerdictRow.of(verdict, numbers.get(verdict.id, verdict.id))
        for verdict in episode.steps[index].observation.verdicts
    ]


def _numbers(step: Step, made_by: "MadeBy") -> Sequence[int]:
    """Of the masks that a step shows, as the planner saw them: in the paper's protocol by place, elsewhere by id."""
    ids = step.observation.shown or ()
    # an answer names ids in either protocol
    return range(1, len(ids) + 1) if made_by.protocol == "paper" and step.observation.outcome is None else ids


def css_color(number: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color_of(number))


def share(part: float, whole: float) -> str:
    """In percent.

    >>> share(1, 8), share(1, 40), share(999, 1000), share(1, 10**7)
    ('12 %', '2.5 %', '100 %', 'under 0.01 %')
    """
    percent = 100 * part / whole
    if 0 < percent < 0.01:
        return "under 0.01 %"
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


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
    if decision.note.strip():
        lines.append(f"   note: {decision.note.strip()}")
    if decision.thought.strip():
        lines.append(indent(decision.thought.strip(), "   | "))
    lines.append(indent(("mistake: " if seen.is_error else "") + seen.text, "   "))
    if seen.shown is not None:
        lines.append(f"   shown: {', '.join(map(str, seen.shown)) or 'no mask'}")
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _mask_rows(episode: Episode) -> list[MaskRow]:
    """The masks of the answer."""
    reasons = episode.reasons
    return [
        MaskRow.of(candidate, episode, reason=reasons.get(candidate.id, ""))
        for candidate in episode.workspace.pick(episode.shown)
    ]


def _options(episode: Episode) -> tuple[str, ...]:
    """Between which readings the user may choose."""
    return episode.steps[-1].observation.options if episode.steps else ()


def _costs(usage: Usage, price: Price = FREE) -> dict[str, str]:
    """By name; what is '0' was free."""
    amounts = {name: getattr(usage, field) for field, name in COSTS.items()}
    costs = {name: f"{amount:.2f}" if isinstance(amount, float) else f"{amount:,}" for name, amount in amounts.items()}
    return costs | {"cost": money(price.of(usage))}


def _cost_table(episode: Episode, price: Price) -> dict[str, list]:
    """Column heads, a row for each step and the total; what cost nothing has no column."""
    total = _costs(episode.usage, price)
    names = [name for name, amount in total.items() if amount != "0"]
    rows = [[step.decision.tool, *(_costs(step.usage, price)[name] for name in names)] for step in episode.steps]
    return {"names": names, "rows": rows, "total": [total[name] for name in names]}


def _spent(usage: Usage, price: Price) -> str:
    """All but the seconds, in words."""
    costs = {name: amount for name, amount in _costs(usage, price).items() if amount != "0" and name != "seconds"}
    cost = costs.pop("cost", "")
    return ", ".join([*starmap(_amount, costs.items()), *([f"cost {cost}"] if cost else [])])


def _amount(name: str, amount: str) -> str:
    """
    >>> _amount("prompt tokens", "1,200"), _amount("model calls", "1")
    ('1,200 prompt tokens', '1 model call')
    """
    return f"{amount} {name.removesuffix('s') if amount == '1' else name}"


def money(amount: float) -> str:
    """In any currency: six decimals at most, no more than it takes.

    >>> money(0.00125), money(3.0), money(0)
    ('0.00125', '3', '0')
    """
    return f"{amount:,.6f}".rstrip("0").rstrip(".")


def _facts(episode: Episode, made_by: "MadeBy", source: str) -> dict[str, str]:
    """What the page says below its heading, by name; what is empty is left out."""
    picture, price = episode.task.picture, made_by.budget.price
    return {
        "picture": f"{source} {picture.width} x {picture.height}".strip(),
        "planner": made_by.planner,
        "model": "" if made_by.planner == made_by.model else made_by.model,
        "offered": made_by.capabilities,
        "SAM 3": made_by.sam3,
        "protocol": made_by.protocol,
        "view": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in made_by.view.items() if value),
        "budget": ", ".join(_limits(made_by.budget)),
        "price": "" if price == FREE else _price(price),
        "cost": "" if price == FREE else money(price.of(episode.usage)),
        "took": f"{episode.usage.seconds:.2f} s in {counted(len(episode.steps), 'step')}",
    }


def _limits(budget: Budget) -> list[str]:
    """Those that are set, in words."""
    amounts = {
        "step": budget.max_steps,
        "second": budget.max_seconds,
        "phrase": budget.max_sam_calls,
        "model call": budget.max_model_calls,
        "token": budget.max_tokens,
    }
    limits = [f"{amount:,.12g} {noun}{'s' * (amount != 1)}" for noun, amount in amounts.items() if amount]
    return limits + ([f"a cost of {money(budget.max_cost)}"] if budget.max_cost else [])


def _price(price: Price) -> str:
    cached = "" if price.cached is None else f", {money(price.cached)} of cached prompts"
    return f"{money(price.prompt)} of prompts{cached}, {money(price.completion)} of completions, per million tokens"


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
