"""The page of a data engine: what is done and by whom, what is left, how good it is; one file that needs no other."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, StrictUndefined, Template

from agent.core.text.sanitizing import make_encodable
from engine.project.standing import EngineStanding, PairCounts, describe_standing
from engine.quality.measures.describing import STAGE_NAMES, describe_quality
from engine.quality.measures.summary import QualityReport
from engine.quality.measures.verifiers import VerifierScore
from engine.report.curves import HEIGHT, WIDTH, Chart, Curve, draw_line
from engine.report.work import EngineWork, count_finished
from engine.review.team.estimate import format_hours
from engine.review.team.machine import describe_basis

TASKS = {"mv": "looks at a mask", "ev": "looks at the coverage of a pair", "correct": "corrections"}
DECIDERS = {"human": "by people alone", "model": "with a model"}


def build_status_page(
    name: str, standing: EngineStanding, quality: QualityReport, work: EngineWork, errors: Sequence[tuple[str, str]]
) -> str:
    """Build the page; whatever people or files are called is escaped.

    Args:
        name: Of the data engine.
        standing: How it stands.
        quality: How good its labels are.
        work: What is left, and when what is done was done.
        errors: Path and reason of images that cannot be read.

    Returns:
        HTML without a script or a request.
    """
    lines = [*describe_standing(standing), *describe_quality(quality)]
    groups = groupby((line for line in lines if line[0] != "finished"), key=lambda line: line[0])  # the bars say it
    tables = [(heading, [row[1:] for row in rows]) for heading, rows in groups]
    page = _load_template().render(
        name=name,
        position=standing.position,
        total=standing.pairs.total,
        ends=standing.pairs.ends,
        shares=[(split, _share_pairs(counts)) for split, counts in [("all", standing.pairs), *standing.splits.items()]],
        deciders=DECIDERS,
        rest=work.rest,
        machine=work.machine,
        basis=describe_basis(work.machine),
        answers=work.answers,
        tasks=TASKS,
        charts=[chart for chart in (draw_progress(work), *map(draw_verifier, quality.verifiers)) if chart.curves],
        size=(WIDTH, HEIGHT),
        tables=tables,
        errors=errors,
        format_hours=format_hours,
    )
    return make_encodable(page)


def _share_pairs(counts: PairCounts) -> list[tuple[str, int, float]]:
    """Return who decided, how many pairs, and their share of all in percent; what is open comes last."""
    ended = {who: counts.ends[who] for who in DECIDERS}
    parts = {**ended, "open": counts.total - sum(ended.values())}
    return [(who, count, 100 * count / max(1, counts.total)) for who, count in parts.items()]


def draw_progress(work: EngineWork) -> Chart:
    """Draw how many pairs were at their end, by time."""
    finished = work.finished
    if len(finished) < 2:
        return Chart("", (), "", "", "")
    span = finished[0][0], finished[-1][0]
    lines = {who: count_finished(finished, who) for who in DECIDERS}
    top = max(points[-1][1] for points in lines.values())
    curves = tuple(
        Curve(DECIDERS[who], draw_line(points, span, (0, top)), f"{points[-1][1]:,}")
        for who, points in lines.items()
        if points[-1][1]
    )
    left, right = (f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC" for at in span)
    return Chart("Pairs at their end", curves, left, right, f"{top:,}")


def draw_verifier(score: VerifierScore) -> Chart:
    """Draw how often a verifier is right on the items that it is surest of."""
    if not score.curve:
        return Chart("", (), "", "", "")
    title = f"{score.by.removeprefix('model:')}, {STAGE_NAMES[score.stage]}: how often right, the surest items first"
    last = f"{100 * score.curve[-1][1]:.0f} % of all {score.items:,} random items"
    curve = Curve("right", draw_line(score.curve, (score.curve[0][0], 1), (0.5, 1)), last)
    return Chart(title, (curve,), f"the surest {100 * score.curve[0][0]:.0f} %", "all", "100 %", "50 %")


@cache
def _load_template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("engine.report") / "status.html").read_text(encoding="utf-8"))
