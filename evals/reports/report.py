"""A run's report: one table in markdown, and static pages from the headline down to each sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from agent.core.text.sanitizing import make_encodable
from evals.reports.summary import Costs, Summary, SummaryRow, group_by_slice
from evals.runs.manifest import Manifest
from evals.samples import DatasetInfo, Prediction, Sample

TESTING_ONLY = "TESTING ONLY: not the whole split, so that these numbers are comparable with nothing."
MAX_TABLE_ROWS, MAX_SLICE_ROWS = 1000, 25
"""Samples in the table of all, and in that of a slice; the worst ones."""


def to_markdown(summary: Summary, costs: Costs, manifest: Manifest, info: DatasetInfo) -> str:
    """The numbers with their intervals, how the samples ended, what made them."""
    blocks = [
        f"# {summary.dataset} {summary.split}: {summary.headline} {_format_number(summary.overall.value)}",
        *(f"**{banner}**" for banner in list_banners(summary, manifest)),
        format_counts(summary),
        _format_table(
            ("", "samples", summary.headline, "95 % interval"),
            [_format_row(row) for row in (summary.overall, *summary.slices)],
        ),
        _format_table(("metric", "all samples", "without failures"), _format_metric_rows(summary)),
        "Failures count as empty answers under *all samples*, which is the official way. *Without failures* leaves them"
        " out; it is comparable with nothing, and tells errors of the program from errors of judgement.",
        _format_table(("ended", "samples"), [(status, str(count)) for status, count in summary.statuses.items()]),
        _format_table(("cost", ""), list(format_costs(costs).items())),
        _format_table(("made with", ""), list(describe_provenance(manifest).items())),
        *(f"- {note}" for note in collect_notes(manifest, info)),
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
    def from_sample(cls, sample: Sample, prediction: Prediction, score: float | None, page: str) -> "SampleRow":
        return cls(
            id=sample.id,
            query=sample.query,
            source=sample.source,
            status=prediction.status,
            error=prediction.error,
            masks=len(prediction.masks) + len(prediction.masklets),
            score="" if score is None else _format_number(score),
            page=page,
        )


def to_html(
    summary: Summary,
    costs: Costs,
    manifest: Manifest,
    info: DatasetInfo,
    worst: Sequence[tuple[Sample, Prediction]],
    pages: Mapping[str, str],
) -> str:
    """One page without a script or a request, from the headline down to links to the samples' own pages.

    `worst`: every sample, the worst first. `pages`: sample id -> the file of its page, where it has one.
    """
    rows = [SampleRow.from_sample(s, p, summary.per_sample.get(s.id), pages.get(s.id, "")) for s, p in worst]
    members = group_by_slice([sample for sample, _ in worst])
    text = _load_template().render(
        summary=summary,
        banners=list_banners(summary, manifest),
        counts=format_counts(summary),
        slices=[(row, [rows[index] for index in members[row.name][:MAX_SLICE_ROWS]]) for row in summary.slices],
        metrics=_format_metric_rows(summary),
        costs=format_costs(costs),
        made_with=describe_provenance(manifest),
        notes=collect_notes(manifest, info),
        number=_format_number,
        rows=rows[:MAX_TABLE_ROWS],
    )
    return make_encodable(text)


def list_banners(summary: Summary, manifest: Manifest) -> list[str]:
    """List the warnings that a reader must see before the numbers."""
    unasked = f"UNFINISHED: {summary.unasked} of {summary.overall.samples} samples were not asked; they count as empty."
    return [*([TESTING_ONLY] if manifest.testing_only else []), *([unasked] if summary.unasked else [])]


def format_counts(summary: Summary) -> str:
    """Count the samples behind the headline, in one line."""
    return (
        f"{summary.overall.samples} scored, {summary.failed} failed, {summary.empty} empty,"
        f" {summary.statuses.get('budget', 0)} ended by the budget"
    )


def format_costs(costs: Costs) -> dict[str, str]:
    """Format what the run spent, by name, and per sample."""
    n, usage = max(1, costs.samples), costs.usage
    by_name = {
        "model calls": usage.model_calls,
        "prompt tokens": usage.prompt_tokens,
        "of them cached": usage.cached_tokens,
        "completion tokens": usage.completion_tokens,
        "images read by the model": usage.images,
        "images encoded by SAM 3": usage.sam_encodes,
        "phrases given to SAM 3": usage.sam_decodes,
        "requests to a hosted SAM 3": usage.sam_requests,
        "tokens of a hosted SAM 3": usage.sam_tokens,
    }
    amounts = {name: f"{amount:,} ({amount / n:.1f} a sample)" for name, amount in by_name.items() if amount}
    if costs.money:
        amounts["money, in the currency of the price"] = f"{costs.money:,.2f} ({costs.money / n:.4f} a sample)"
    if costs.asked_again:
        amounts["samples asked again after a failure"] = f"{costs.asked_again:,}"
    return amounts | {"seconds, summed over samples": f"{costs.seconds:,.1f} ({costs.seconds / n:.2f} a sample)"}


def describe_provenance(manifest: Manifest) -> dict[str, str]:
    made_by = manifest.made_by
    provenance = {
        "planner": made_by.planner,
        "model": " ".join(
            part for part in (made_by.model, made_by.capabilities and f"({made_by.capabilities})") if part
        ),
        "generation": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in manifest.generation.items()),
        "SAM 3": " ".join(part for part in (made_by.sam3, manifest.checkpoint[:12], manifest.runs_on) if part),
        "protocol": made_by.toolset.name,
        "task": f"{manifest.dataset} {manifest.split}, version {manifest.task}",
        "data": manifest.data[:12],
        "code": (manifest.commit[:12] or "not a checkout") + (" with changes" if manifest.changed_code else ""),
        "packages": ", ".join(f"{name} {version}" for name, version in manifest.packages.items()),
        "machine": manifest.machine,
    }
    return {name: value for name, value in provenance.items() if value}


def collect_notes(manifest: Manifest, info: DatasetInfo) -> list[str]:
    published = info.published
    other = published is not None and published != info.samples
    return [
        *([f"The published split has {published} samples, these data have {info.samples}."] if other else []),
        *info.notes,
    ]


def _format_metric_rows(summary: Summary) -> list[tuple[str, str, str]]:
    successes = summary.metrics_of_successes
    return [
        (name, _format_number(value), _format_number(successes[name]) if name in successes else "-")
        for name, value in summary.metrics.items()
    ]


def _format_row(row: SummaryRow) -> tuple[str, ...]:
    return (
        row.name,
        str(row.samples),
        _format_number(row.value),
        f"{_format_number(row.low)} to {_format_number(row.high)}",
    )


def _format_number(value: float) -> str:
    """Four digits; a whole number, such as a count, in full."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"


def _format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


@cache
def _load_template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("evals.reports") / "report.html").read_text("utf-8"))
