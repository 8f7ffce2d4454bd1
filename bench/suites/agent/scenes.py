"""The generated world end to end, in the official formats, with both toolsets: `python -m bench.suites.agent.scenes`.

`eval make-scenes` writes the data, `eval run` asks GrammarPlanner and the embedded SAM 3, and the `scores.json` of all
runs become one table. Run again with the same `--out`, it goes on where it stopped. SA-Co's phrases go to SAM 3 alone.
What a file of `--save` holds of other data sets stays in it.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.cli.main import app
from evals.reports.summary import Summary, SummaryRow
from evals.runs.manifest import Manifest

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "speed" / "scenes.json"
SPLITS = {
    "reasonseg": "val",
    "refcoco": "val",
    "grefcoco": "val",
    "own": "all",
    "omnilabel": "val",
    "saco-gold": "metaclip",
    "pbench": "level_0",
    "refcocom": "val_object_part",
    "converseg": "human_annotated",
}
"""Data set -> its split among the generated ones."""
TOOLSET_NAMES = ("workspace", "paper")


def run_benchmarks(out: Path, number: int, names: Sequence[str] = tuple(SPLITS)) -> Iterator[tuple[str, str, Path]]:
    """Yield (data set, toolset, folder of the finished run), one run after the other."""
    _run_eval("make-scenes", "--out", out / "data", "--number", number)
    for name in names:
        split = SPLITS[name]
        for toolset in TOOLSET_NAMES:
            run = out / "runs" / f"{name}-{toolset}"
            words = ("run", name, "--data", out / "data" / name, "--split", split, "--out", run)
            _run_eval(*words, "--planner", "grammar", "--sam3", "tiny", "--toolset", toolset, "--pages", 0)
            yield name, toolset, run


def _run_eval(*words: object) -> None:
    if code := app(["eval", *map(str, words)], standalone_mode=False):
        raise SystemExit(code)


def summarize_run(run: Path) -> dict[str, object]:
    """Return what is kept of a run: its headline with the interval, all numbers, statuses, and what made it."""
    summary = Summary.model_validate_json((run / "scores.json").read_bytes())
    manifest = Manifest.load(run / "manifest.json")
    return {
        "headline": summary.headline,
        "overall": summary.overall.model_dump(),
        "metrics": dict(summary.metrics),
        "statuses": dict(summary.statuses),
        "data": manifest.data,
        "checkpoint": manifest.checkpoint,
        "runs_on": manifest.runs_on,
        "planner": manifest.made_by.planner,
    }


def format_scores(results: dict[str, dict[str, dict]]) -> str:
    """Return a table in Markdown of the headlines with their intervals."""
    lines = [f"| data | metric | samples | {' | '.join(TOOLSET_NAMES)} |", "| --- | --- | --- | --- | --- |"]
    for name, found in results.items():
        first = found[TOOLSET_NAMES[0]]
        cells = [_format_interval(SummaryRow(**found[toolset]["overall"])) for toolset in TOOLSET_NAMES]
        lines.append(f"| {name} | {first['headline']} | {first['overall']['samples']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _format_interval(row: SummaryRow) -> str:
    return f"{row.value:.3g} ({row.low:.3g} to {row.high:.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("out/scenes"), help="folder for data and runs")
    parser.add_argument("--number", type=int, default=300, help="queries in each format")
    parser.add_argument("--only", nargs="+", choices=SPLITS, default=tuple(SPLITS), help="these data sets alone")
    parser.add_argument("--save", type=Path, help=f"write the numbers as JSON into a file such as {RESULTS.name}")
    options = parser.parse_args()
    known = json.loads(options.save.read_text("utf-8")) if options.save and options.save.exists() else {}
    found: dict[str, dict[str, dict]] = {}
    for name, toolset, run in run_benchmarks(options.out, options.number, options.only):
        found.setdefault(name, {})[toolset] = summarize_run(run)
    results = {name: (known | found)[name] for name in SPLITS if name in known | found}
    print(format_scores(results))
    if options.save:
        options.save.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
