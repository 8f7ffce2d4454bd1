"""An episode for people as one self-contained HTML page."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from io import BytesIO
from itertools import starmap
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

import prompts
from agent.core.budget import FREE, Budget, Price
from agent.core.episode import Episode, Step
from agent.core.errors import OutputError
from agent.core.text.english import pluralize
from agent.core.text.sanitizing import make_encodable
from agent.core.tools.verdict import Verdict
from agent.core.usage import Usage
from agent.report.coverage import Coverage
from agent.report.prompt_trace import StepPrompt, reconstruct_prompts
from agent.report.text import (
    build_mask_rows,
    format_costs,
    format_css_color,
    format_money,
    get_options,
)
from agent.report.tracks import draw_tracks
from agent.report.video_view import VideoView, list_frame_edges
from sam3_tool import Image
from sam3_tool.drawing.overlay import draw_marks, resize_mask
from sam3_tool.system.files import write_atomically

if TYPE_CHECKING:
    from agent.records.provenance import Provenance

MIN_SIDE, MAX_ANSWER_SIDE, MAX_STEP_SIDE = 480, 1280, 800
"""Pixels of the long side: images are enlarged to the first, and reduced to the others, before marks are drawn."""


def to_html(
    episode: Episode,
    provenance: "Provenance",
    *,
    source: str = "",
    extra_images: Mapping[str, Image] = MappingProxyType({}),
) -> str:
    """The episode as one HTML file that needs nothing else: no script, no request; its images are inside.

    Whatever a person or a model wrote is escaped. `source`: the image's file name, for the heading. `extra_images`:
    further images by their captions, shown next to the answer.
    """
    masks, trace = build_mask_rows(episode), reconstruct_prompts(episode, provenance)
    step_prompts = trace.steps or (None,) * len(episode.steps)
    text = _load_template().render(
        query=episode.task.query,
        outcome=(episode.outcome or "unfinished").replace("_", " "),
        message=episode.message,
        options=get_options(episode),
        made_by=provenance,
        facts=_collect_facts(episode, provenance, source),
        video=_build_video_view(episode),
        picture=_encode_data_url(_fit_image(episode.task.image, MAX_ANSWER_SIDE).to_pil()),
        answer=_encode_data_url(_draw_masks(episode, episode.current_ids, episode.current_ids, MAX_ANSWER_SIDE)),
        beside={
            caption: _encode_data_url(_fit_image(extra_image, MAX_ANSWER_SIDE).to_pil())
            for caption, extra_image in extra_images.items()
        },
        masks=masks,
        reasons=any(mask.reason for mask in masks),
        calibrated=any(mask.probability for mask in masks),
        steps=[
            StepView.from_step(index, episode, provenance, prompt=sight) for index, sight in enumerate(step_prompts)
        ],
        shots=[_encode_data_url(image.to_pil()) for image in trace.images],
        other_prompts=bool(prompts.find_changed_prompts(provenance.prompts)),
        costs=_build_cost_table(episode, provenance.budget.price),
        coverage=Coverage.from_episode(episode),
    )
    return make_encodable(text)


def _build_video_view(episode: Episode) -> VideoView | None:
    """Of a video: its answer in the course of time."""
    task, timeline = episode.task, episode.task.timeline
    if timeline is None:
        return None
    phrases = [candidate.phrase for candidate in episode.workspace.pick(episode.current_ids)]
    part = range(timeline.start, timeline.stop)
    return VideoView.from_masklets(episode.masklets, phrases, list_frame_edges(timeline.times), part, task.video)


def write_html(
    episode: Episode, path: str | Path, *, provenance: "Provenance | None" = None, source: str | Path = ""
) -> None:
    """Write an episode as one HTML file that a browser shows without any other file.

    Args:
        episode: It may be unfinished.
        path: The file; one of that name is replaced.
        provenance: What made the episode. With it, the page shows what a language model was sent at each step.
        source: The image's file, whose name stands in the heading.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> import numpy as np, tempfile
        >>> from agent import Episode, Task
        >>> from sam3_tool import Image
        >>> episode = Episode(Task(Image(np.zeros((4, 6, 3), np.uint8)), "cups"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_html(episode, f"{folder}/episode.html")
        ...     "cups" in Path(f"{folder}/episode.html").read_text()
        True
    """
    from agent.records.provenance import UNKNOWN_PROVENANCE  # brings pydantic's models of saved files

    page = to_html(episode, provenance or UNKNOWN_PROVENANCE, source=Path(source).name)
    try:
        write_atomically(Path(path), page.encode("utf-8", "replace"))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@dataclass(frozen=True)
class VerdictRow:
    """What an examination said of one mask."""

    number: int
    color: str
    accept: bool
    probability: str
    reason: str

    @classmethod
    def from_verdict(cls, verdict: Verdict, number: int) -> "VerdictRow":
        probability = f"{100 * verdict.probability:.0f} %"
        return cls(number, format_css_color(number), verdict.accept, probability, verdict.reason)


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
    """Number and colour of each mask in the image."""
    image: Markup | None
    verdicts: list[VerdictRow]
    prompt: StepPrompt | None
    """What the model saw before it."""

    @classmethod
    def from_step(
        cls, index: int, episode: Episode, provenance: "Provenance", *, prompt: StepPrompt | None = None
    ) -> "StepView":
        step = episode.steps[index]
        decision, observation = step.decision, step.observation
        ids = observation.shown or ()
        numbers = _get_display_numbers(step, provenance)
        return cls(
            tool=decision.tool or "(no tool)",
            arguments=format_arguments(decision.arguments),
            note=decision.note.strip(),
            thought=decision.thought.strip(),
            reasoning=decision.reasoning.strip(),
            text=observation.text,
            is_error=observation.is_error,
            seconds=f"{step.seconds:.2f}",
            spent=_describe_spending(step.usage, provenance.budget.price),
            shown=[(number, format_css_color(number)) for number in numbers],
            image=_encode_data_url(_draw_masks(episode, ids, numbers, MAX_STEP_SIDE)) if ids else None,
            verdicts=_build_verdict_rows(index, episode, provenance),
            prompt=prompt,
        )


def _build_verdict_rows(index: int, episode: Episode, provenance: "Provenance") -> list[VerdictRow]:
    """What a step's examination said, with the numbers that the masks had before it."""
    earlier_ids = replace(episode, steps=episode.steps[:index]).current_ids
    numbers = {id: place for place, id in enumerate(earlier_ids, start=1)} if provenance.toolset.renumbers_masks else {}
    return [
        VerdictRow.from_verdict(verdict, numbers.get(verdict.id, verdict.id))
        for verdict in episode.steps[index].observation.verdicts
    ]


def _get_display_numbers(step: Step, provenance: "Provenance") -> Sequence[int]:
    """Of the masks that a step shows, as the planner saw them: in the paper's protocol by place, elsewhere by id."""
    ids = step.observation.shown or ()
    # an answer names ids in either protocol
    return range(1, len(ids) + 1) if provenance.toolset.renumbers_masks and step.observation.outcome is None else ids


def format_arguments(arguments: str) -> str:
    """A JSON object with one field on each line; what is no JSON object, as it is."""
    try:
        held = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    if not isinstance(held, dict) or not held:
        return arguments
    lines = [f"  {json.dumps(key, ensure_ascii=False)}: {json.dumps(held[key], ensure_ascii=False)}" for key in held]
    return "{\n" + ",\n".join(lines) + "\n}"


def _build_cost_table(episode: Episode, price: Price) -> dict[str, list]:
    """Column heads, a row for each step and the total; what cost nothing has no column."""
    total = format_costs(episode.usage, price)
    names = [name for name, amount in total.items() if amount != "0"]
    rows = [[step.decision.tool, *(format_costs(step.usage, price)[name] for name in names)] for step in episode.steps]
    return {"names": names, "rows": rows, "total": [total[name] for name in names]}


def _describe_spending(usage: Usage, price: Price) -> str:
    """All but the seconds, in words."""
    costs = {name: amount for name, amount in format_costs(usage, price).items() if amount != "0" and name != "seconds"}
    cost = costs.pop("cost", "")
    return ", ".join([*starmap(_format_amount, costs.items()), *([f"cost {cost}"] if cost else [])])


def _format_amount(name: str, amount: str) -> str:
    """Format an amount with its name, in the singular for exactly 1.

    >>> _format_amount("prompt tokens", "1,200"), _format_amount("model calls", "1")
    ('1,200 prompt tokens', '1 model call')
    """
    return f"{amount} {name.removesuffix('s') if amount == '1' else name}"


def _collect_facts(episode: Episode, provenance: "Provenance", source: str) -> dict[str, str]:
    """What the page says below its heading, by name; what is empty is left out."""
    image, price = episode.task.image, provenance.budget.price
    return {
        "picture" if episode.task.timeline is None else "video": f"{source} {image.width} x {image.height}".strip(),
        "read": " ".join(image.notes),
        "planner": provenance.planner,
        "model": "" if provenance.planner == provenance.model else provenance.model,
        "offered": provenance.capabilities,
        "SAM 3": provenance.sam3,
        "protocol": provenance.toolset.name,
        "view": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in provenance.view.items() if value),
        "budget": ", ".join(_describe_limits(provenance.budget)),
        "price": "" if price == FREE else _describe_price(price),
        "cost": "" if price == FREE else format_money(price.compute_cost(episode.usage)),
        "took": f"{episode.usage.seconds:.2f} s in {pluralize(len(episode.steps), 'step')}",
    }


def _describe_limits(budget: Budget) -> list[str]:
    """Those that are set, in words."""
    amounts = {
        "step": budget.max_steps,
        "second": budget.max_seconds,
        "phrase": budget.max_sam_calls,
        "model call": budget.max_model_calls,
        "token": budget.max_tokens,
    }
    limits = [f"{amount:,.12g} {noun}{'s' * (amount != 1)}" for noun, amount in amounts.items() if amount]
    return limits + ([f"a cost of {format_money(budget.max_cost)}"] if budget.max_cost else [])


def _describe_price(price: Price) -> str:
    cached = "" if price.cached is None else f", {format_money(price.cached)} of cached prompts"
    prompts, completions = format_money(price.prompt), format_money(price.completion)
    return f"{prompts} of prompts{cached}, {completions} of completions, per million tokens"


def _draw_masks(episode: Episode, ids: Sequence[int], numbers: Sequence[int], limit: int) -> PIL.Image.Image:
    if episode.task.timeline is not None:
        return draw_tracks(episode.task, numbers, episode.workspace.get_masklets(ids), side=limit).to_pil()
    image = _fit_image(episode.task.image, limit)
    found = episode.workspace.get_instances(ids)
    masks = np.array([resize_mask(mask, image.width, image.height) for mask in found.masks], dtype=bool)
    fitted = replace(found, masks=masks.reshape(-1, image.height, image.width))
    return draw_marks(image, fitted, mask_ids=numbers)


def _fit_image(image: Image, limit: int) -> Image:
    """Enlarged to SMALLEST pixels on the long side, or reduced to `limit`, so that marks and numbers are crisp."""
    long = max(image.width, image.height)
    scale = min(max(long, MIN_SIDE), limit) / long
    if scale == 1:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return Image(np.asarray(image.to_pil().resize(size, PIL.Image.Resampling.LANCZOS)))


def _encode_data_url(image: PIL.Image.Image) -> Markup:
    """JPEG for its size; no part of it comes from text, so that it needs no escaping."""
    file = BytesIO()
    # colours at half resolution would cost the thin, coloured outlines 6 dB (benchmarks/NOTES.md)
    image.save(file, "JPEG", quality=87, subsampling=0)
    return Markup("data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii"))


@cache
def _load_template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("agent.report") / "episode.html").read_text("utf-8"))
