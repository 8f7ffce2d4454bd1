"""A run's report: one table in markdown, and static pages from the headline down to each sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from agent.text import encodable
from evals.manifest import Manifest
from evals.samples import Facts, Prediction, Sample
from evals.summary import Costs, Row, Summary, slices_of

TESTING_ONLY = "TESTING ONLY: not the whole split, so that these numbers are comparable with nothing."
MOST_ROWS, MOST_OF_SLICE = 1000, 25
"""Samples in the table of all, and in that of a slice; the worst ones."""


def to_markdown(summary: Summary, spent: Costs, manifest: Manifest, facts: Facts) -> str:
    """The numbers with their intervals, how the samples ended, what made them."""
    blocks = [
        f"# {summary.dataset} {summary.split}: {summary.headline} {_number(summary.overall.value)}",
        *(f"**{banner}**" for banner in banners(summary, manifest)),
        counts(summary),
        _table(
            ("", "samples", summary.headline, "95 % interval"),
            [_row_cells(row) for row in (summary.overall, *summary.slices)],
        ),
        _table(("metric", "all samples", "without failures"), _metric_rows(summary)),
        "Failures count as empty answers under *all samples*, which is the official way. *Without failures* leaves them"
        " out; it is comparable with nothing, and tells errors of the program from errors of judgement.",
        _table(("ended", "samples"), [(status, str(count)) for status, count in summary.statuses.items()]),
        _table(("cost", ""), list(spending(spent).items())),
        _table(("made with", ""), list(made_with(manifest).items())),
        *(f"- {note}" for note in notes(manifest, facts)),
    ]
    return "\n\n".join(blocks) + "\n"


@dataclass(frozen=True)
class SampleRow:
    """One sample, as tables show it."""

    id: str
    query: str
    source: str
    status: str
    error: str
    masks: int
    score: str
    page: str
    """The file of its own page; may be empty."""

    @classmethod
    def of(cls, sample: Sample, prediction: Prediction, score: float | None, page: str) -> "SampleRow":
        return cls(
            id=sample.id,
            query=sample.query,
            source=sample.source,
            status=prediction.status,
            error=prediction.error,
            masks=len(prediction.masks),
            score="" if score is None else _number(score),
            page=page,
        )


def to_html(
    summary: Summary,
    spent: Costs,
    manifest: Manifest,
    facts: Facts,
    worst: Sequence[tuple[Sample, Prediction]],
    pages: Mapping[str, str],
) -> str:
    """One page without a script or a request, from the headline down to links to the samples' own pages.

    `worst`: every sample, the worst first. `pages`: sample id -> the file of its page, where it has one.
    """
    rows = [SampleRow.of(s, p, summary.per_sample.get(s.id), pages.get(s.id, "")) for s, p in worst]
    members = slices_of([sample for sample, _ in worst])
    text = _template().render(
        summary=summary,
        banners=banners(summary, manifest),
        counts=counts(summary),
        slices=[(row, [rows[index] for index in members[row.name][:MOST_OF_SLICE]]) for row in summary.slices],
        metrics=_metric_rows(summary),
        costs=spending(spent),
        made_with=made_with(manifest),
        notes=notes(manifest, facts),
        number=_number,
        rows=rows[:MOST_ROWS],
    )
    return encodable(text)


def banners(summary: Summary, manifest: Manifest) -> list[str]:
    """What must be read before the numbers."""
    unasked = f"UNFINISHED: {summary.unasked} of {summary.overall.samples} samples were not asked; they count as empty."
    return [*([TESTING_ONLY] if manifest.testing_only else []), *([unasked] if summary.unasked else [])]


def counts(summary: Summary) -> str:
    """How many samples stand behind the headline, in one line."""
    return (
        f"{summary.overall.samples} scored, {summary.failed} failed, {summary.empty} empty,"
        f" {summary.statuses.get('budget', 0)} ended by the budget"
    )


def spending(spent: Costs) -> dict[str, str]:
    """What the run spent, by name, and per sample."""
    n, usage = max(1, spent.samples), spent.usage
    by_name = {
        "model calls": usage.model_calls,
        "prompt tokens": usage.prompt_tokens,
        "of them cached": usage.cached_tokens,
        "completion tokens": usage.completion_tokens,
        "pictures read by the model": usage.images,
        "pictures encoded by SAM 3": usage.sam_encodes,
        "phrases given to SAM 3": usage.sam_decodes,
    }
    amounts = {name: f"{amount:,} ({amount / n:.1f} a sample)" for name, amount in by_name.items() if amount}
    if spent.money:
        amounts["money, in the currency of the price"] = f"{spent.money:,.2f} ({spent.money / n:.4f} a sample)"
    if spent.asked_again:
        amounts["samples asked again after a failure"] = f"{spent.asked_again:,}"
    return amounts | {"seconds, summed over samples": f"{spent.seconds:,.1f} ({spent.seconds / n:.2f} a sample)"}


def made_with(manifest: Manifest) -> dict[str, str]:
    made_by = manifest.made_by
    facts = {
        "planner": made_by.planner,
        "model": " ".join(
            part for part in (made_by.model, made_by.capabilities and f"({made_by.capabilities})") if part
        ),
        "generation": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in manifest.generation.items()),
        "SAM 3": " ".join(part for part in (made_by.sam3, manifest.checkpoint[:12], manifest.runs_on) if part),
        "protocol": made_by.protocol,
        "task": f"{manifest.dataset} {manifest.split}, version {manifest.task}",
        "data": manifest.data[:12],
        "code": (manifest.commit[:12] or "not a checkout") + (" with changes" if manifest.changed_code else ""),
        "packages": ", ".join(f"{name} {version}" for name, version in manifest.packages.items()),
        "machine": manifest.machine,
    }
    return {name: value for name, value in facts.items() if value}


def notes(manifest: Manifest, facts: Facts) -> list[str]:
    published = facts.published
    other = published is not None and published != facts.samples
    return [
        *([f"The published split has {published} samples, these data have {facts.samples}."] if other else []),
        *facts.notes,
    ]


def _metric_rows(summary: Summary) -> list[tuple[str, str, str]]:
    successes = summary.metrics_of_successes
    return [
        (name, _number(value), _number(successes[name]) if name in successes else "-")
        for name, value in summary.metrics.items()
    ]


def _row_cells(row: Row) -> tuple[str, ...]:
    return row.name, str(row.samples), _number(row.value), f"{_number(row.low)} to {_number(row.high)}"


def _number(value: float) -> str:
    """Four digits; a whole number, such as a count, in full."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("evals") / "report.html").read_text("utf-8"))
