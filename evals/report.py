"""A run's report: one table in markdown, and static pages from the headline down to each sample."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from evals.manifest import Manifest
from evals.samples import Facts, Prediction, Sample
from evals.summary import Row, Summary

TESTING_ONLY = "TESTING ONLY: not the whole split, so that these numbers are comparable with nothing."


def to_markdown(summary: Summary, manifest: Manifest, facts: Facts) -> str:
    """The numbers with their intervals, how the samples ended, what made them."""
    blocks = [
        f"# {summary.dataset} {summary.split}: {summary.headline} {_number(summary.overall.value)}",
        *([f"**{TESTING_ONLY}**"] if manifest.testing_only else []),
        _table(
            ("", "samples", summary.headline, "95 % interval"),
            [_row_cells(row) for row in (summary.overall, *summary.slices)],
        ),
        _table(("metric", "all samples", "without failures"), _metric_rows(summary)),
        "Failures count as empty answers under *all samples*, which is the official way. *Without failures* leaves them"
        " out; it is comparable with nothing, and tells errors of the program from errors of judgement.",
        _table(("ended", "samples"), [(status, str(count)) for status, count in summary.statuses.items()]),
        _table(("cost", ""), list(costs(summary).items())),
        _table(("made with", ""), list(made_with(manifest).items())),
        *(f"- {note}" for note in notes(manifest, facts)),
    ]
    return "\n\n".join(blocks) + "\n"


def to_html(
    summary: Summary,
    manifest: Manifest,
    facts: Facts,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    pages: Mapping[str, str],
) -> str:
    """One page without a script or a request. `pages`: sample id -> the file of its own page, where it has one."""
    text = _template().render(
        summary=summary,
        banner=TESTING_ONLY if manifest.testing_only else "",
        rows=(summary.overall, *summary.slices),
        metrics=_metric_rows(summary),
        costs=costs(summary),
        made_with=made_with(manifest),
        notes=notes(manifest, facts),
        number=_number,
        samples=sorted(
            (
                (sample, prediction, summary.per_sample.get(sample.id), pages.get(sample.id))
                for sample, prediction in zip(samples, predictions, strict=True)
            ),
            key=lambda row: (row[2] is None, row[2], row[0].id),
        ),
    )
    return text.encode("utf-8", "replace").decode()


def costs(summary: Summary) -> dict[str, str]:
    """What the run spent, by name, and per sample."""
    n, usage = max(1, summary.overall.samples), summary.usage
    spent = {
        "model calls": usage.model_calls,
        "prompt tokens": usage.prompt_tokens,
        "of them cached": usage.cached_tokens,
        "completion tokens": usage.completion_tokens,
        "pictures read by the model": usage.images,
        "pictures encoded by SAM 3": usage.sam_encodes,
        "phrases given to SAM 3": usage.sam_decodes,
    }
    amounts = {name: f"{amount:,} ({amount / n:.1f} a sample)" for name, amount in spent.items() if amount}
    return amounts | {"seconds, summed over samples": f"{summary.seconds:,.1f} ({summary.seconds / n:.2f} a sample)"}


def made_with(manifest: Manifest) -> dict[str, str]:
    made_by = manifest.made_by
    facts = {
        "planner": made_by.planner,
        "model": " ".join(
            part for part in (made_by.model, made_by.capabilities and f"({made_by.capabilities})") if part
        ),
        "SAM 3": f"{made_by.sam3} {manifest.checkpoint[:12]}".strip(),
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
    return f"{value:.4g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("evals") / "report.html").read_text("utf-8"))
