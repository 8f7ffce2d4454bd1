"""An episode as plain text for a terminal, and the numbers and rows that the HTML page shows too."""

from dataclasses import dataclass
from textwrap import indent

from agent.core.budget import FREE, Price
from agent.core.episode import Episode, Step
from agent.core.usage import Usage
from agent.core.workspace import Candidate
from agent.report.coverage import Coverage
from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.masks.rle import compute_areas

COST_NAMES = {
    "model_calls": "model calls",
    "prompt_tokens": "prompt tokens",
    "cached_tokens": "cached tokens",
    "completion_tokens": "completion tokens",
    "images": "pictures",
    "sam_encodes": "SAM 3 encodes",
    "sam_decodes": "SAM 3 phrases",
    "sam_requests": "SAM 3 requests",
    "sam_tokens": "SAM 3 tokens",
    "seconds": "seconds",
}


def to_text(episode: Episode) -> str:
    """The episode as plain lines: the query, each step, the answer with its masks, the cost. Safe to print."""
    image = episode.task.image
    blocks = [f"{episode.task.query}\n({image.width} x {image.height} pixels)"]
    blocks += [_format_step(number, step) for number, step in enumerate(episode.steps, start=1)]
    masks = [f"  {row}" for row in build_mask_rows(episode)]
    options = [f"  - {option}" for option in get_options(episode)]
    coverage = Coverage.from_episode(episode).summary
    blocks.append("\n".join([f"{episode.outcome or 'unfinished'}: {episode.message}", *options, *masks, coverage]))
    blocks.append(
        ", ".join(f"{amount} {name}" for name, amount in format_costs(episode.usage).items() if amount != "0")
    )
    return _replace_unprintable("\n\n".join(blocks)) + "\n"


@dataclass(frozen=True)
class MaskRow:
    """One mask of the answer, as tables show it."""

    number: int
    color: str
    """As CSS writes it."""
    phrase: str
    score: str
    probability: str
    """That it is right; '' where SAM 3 is not calibrated for it."""
    area: str
    share: str
    """Of the image."""
    box: str
    """x0 y0 x1 y1 in pixels."""
    origin: str
    reason: str = ""
    """Why it is in the answer, where somebody said so."""

    @classmethod
    def from_candidate(cls, candidate: Candidate, episode: Episode, *, reason: str = "") -> "MaskRow":
        image = episode.task.image
        area = int(compute_areas([candidate.rle])[0])
        return cls(
            number=candidate.id,
            color=format_css_color(candidate.id),
            phrase=candidate.phrase or "(by example)",
            score=f"{candidate.score:.2f}",
            probability="" if candidate.probability is None else f"{candidate.probability:.2f}",
            area=f"{area:,}",
            share=format_share(area, image.width * image.height),
            box=" ".join(f"{edge:.0f}" for edge in candidate.box),
            origin=candidate.origin,
            reason=reason,
        )

    def __str__(self) -> str:
        why = self.reason and f": {self.reason}"
        likely = self.probability and f", right with {self.probability}"
        return f"{self.number}: {self.phrase}, score {self.score}{likely}, {self.area} pixels, box {self.box}{why}"


def format_css_color(number: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*get_mask_color(number))


def format_share(part: float, whole: float) -> str:
    """In percent.

    >>> format_share(1, 8), format_share(1, 40), format_share(999, 1000), format_share(1, 10**7)
    ('12 %', '2.5 %', '100 %', 'under 0.01 %')
    """
    percent = 100 * part / whole
    if 0 < percent < 0.01:
        return "under 0.01 %"
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def _format_step(number: int, step: Step) -> str:
    decision, observation = step.decision, step.observation
    lines = [f"{number}. {decision.tool or '(no tool)'} {decision.arguments}"]
    if decision.note.strip():
        lines.append(f"   note: {decision.note.strip()}")
    if decision.thought.strip():
        lines.append(indent(decision.thought.strip(), "   | "))
    lines.append(indent(("mistake: " if observation.is_error else "") + observation.text, "   "))
    if observation.shown is not None:
        lines.append(f"   shown: {', '.join(map(str, observation.shown)) or 'no mask'}")
    return "\n".join(lines)


def _replace_unprintable(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def build_mask_rows(episode: Episode) -> list[MaskRow]:
    """The masks of the answer."""
    reasons = episode.reasons
    return [
        MaskRow.from_candidate(candidate, episode, reason=reasons.get(candidate.id, ""))
        for candidate in episode.workspace.pick(episode.current_ids)
    ]


def get_options(episode: Episode) -> tuple[str, ...]:
    """Between which readings the user may choose."""
    return episode.steps[-1].observation.options if episode.steps else ()


def format_costs(usage: Usage, price: Price = FREE) -> dict[str, str]:
    """By name; what is '0' was free."""
    amounts = {name: getattr(usage, field) for field, name in COST_NAMES.items()}
    costs = {name: f"{amount:.2f}" if isinstance(amount, float) else f"{amount:,}" for name, amount in amounts.items()}
    return costs | {"cost": format_money(price.compute_cost(usage))}


def format_money(amount: float) -> str:
    """In any currency: six decimals at most, no more than it takes.

    >>> format_money(0.00125), format_money(3.0), format_money(0)
    ('0.00125', '3', '0')
    """
    return f"{amount:,.6f}".rstrip("0").rstrip(".")
