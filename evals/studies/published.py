"""Print the SAM 3 paper's numbers of its agent beside those of runs here.

Run it: `python -m evals.studies.published --runs runs`.

Every row is one run: its published numbers, those of the run of that command where it is done, and the command. With
`--videos` they are those of agents on video, with a language model of the same name. With `--further` they are those of
other systems on PBench, RefCOCOm and ConverSeg, beside a run of ours.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.reports.summary import Summary

FIGURES_PATH = Path(__file__).with_name("published.json")
MAIN_BENCHMARKS = ("reasonseg", "omnilabel")
"""The benchmarks of the paper's own table; the others stand in its appendix."""
DATA_FOLDERS = {
    "reasonseg": "ReasonSeg",
    "omnilabel": "omnilabel",
    "mevis": "mevis",
    "revos": "ReVOS",
    "reasonvos": "ReasonVOS",
    "pbench": "PBench",
    "refcocom": "RefCOCOm",
    "converseg": "ConverSeg",
}


@dataclass(frozen=True)
class PublishedRun:
    mllm: str
    planner: str
    base_url: str
    dataset: str
    split: str
    published: Mapping[str, float]
    """Metric, or slice of the headline as in 'length: short' -> percent."""
    system: str = ""
    """Whose agent it is; empty for that of the SAM 3 paper."""

    @property
    def is_video(self) -> bool:
        """True for agents on video, whose toolset is not the paper's, and whose numbers are in percent."""
        return bool(self.system)

    @property
    def name(self) -> str:
        """The system, unless it is the paper's, and its language model."""
        return f"{self.system} {self.mllm}".strip()

    @property
    def folder_name(self) -> str:
        return f"{self.dataset}-{self.split}-{self.name.lower().replace(' ', '-')}"

    def format_command(self, runs: Path) -> str:
        data = f"data/{DATA_FOLDERS.get(self.dataset, 'refer_seg')}"
        tools = "--toolset video" if self.is_video else "--as-published"
        return (
            f"uv run sam3-agent eval run {self.dataset} --data {data} --split {self.split} {tools}"
            f" --sam3 facebook/sam3 --planner {self.planner} --base-url {self.base_url} --out {runs / self.folder_name}"
        )

    def load_our_scores(self, runs: Path) -> dict[str, float]:
        """Percent; empty where this run is not there. A run of part of the split does not count."""
        found = _load_scores(runs / self.folder_name)
        scale = 1 if self.is_video else 100
        return {name: scale * found[name] for name in self.published if name in found}


@dataclass(frozen=True)
class FurtherRun:
    """A split on which others than agents with a language model are quoted, and a run of ours."""

    dataset: str
    split: str
    metric: str
    others: Mapping[str, float]
    """System -> percent; empty where none could be read."""
    planner: str
    base_url: str

    @property
    def folder_name(self) -> str:
        return f"{self.dataset}-{self.split}"

    def format_command(self, runs: Path) -> str:
        return (
            f"uv run sam3-agent eval run {self.dataset} --data data/{DATA_FOLDERS[self.dataset]} --split {self.split}"
            f" --strategy hypotheses,second-looks,working-mask --sam3 facebook/sam3 --planner {self.planner}"
            f" --base-url {self.base_url} --out {runs / self.folder_name}"
        )

    def load_our_scores(self, runs: Path) -> dict[str, float]:
        """Percent; empty where this run is not there. A run of part of the split does not count."""
        found = _load_scores(runs / self.folder_name)
        return {self.metric: 100 * found[self.metric]} if self.metric in found else {}


def _load_scores(folder: Path) -> dict[str, float]:
    path = folder / "scores.json"
    if not path.exists() or json.loads(path.with_name("manifest.json").read_bytes())["testing_only"]:
        return {}
    summary = Summary.model_validate_json(path.read_bytes())
    return {**summary.metrics, **{row.name: row.value for row in summary.slices}}


def load_published_runs(*, videos: bool = False) -> list[PublishedRun]:
    """In the order of the paper; `videos`: those of agents on video."""
    figures = json.loads(FIGURES_PATH.read_text("utf-8"))
    runs = figures["video_runs" if videos else "runs"]
    return [PublishedRun(**figures["models"][run["mllm"]], **run) for run in runs]


def load_further_runs() -> list[FurtherRun]:
    """Load the splits of PBench, RefCOCOm and ConverSeg."""
    figures = json.loads(FIGURES_PATH.read_text("utf-8"))
    model = figures["models"][figures["further_model"]]
    return [FurtherRun(**row, **model) for row in figures["further_runs"]]


def format_further_table(rows: Sequence[FurtherRun], runs: Path) -> str:
    """Return a table in Markdown of what others have, what a run here has, and its command."""
    head = "| benchmark | metric | others | ours | command |\n| --- | --- | --- | --- | --- |"
    lines = [
        f"| {row.dataset} {row.split} | {row.metric} | {_format_numbers(row.others)} |"
        f" {_format_numbers(row.load_our_scores(runs))} | `{row.format_command(runs)}` |"
        for row in rows
    ]
    return "\n".join([head, *lines])


def format_comparison_table(rows: Sequence[PublishedRun], runs: Path) -> str:
    head = "| language model | benchmark | published | ours | command |\n| --- | --- | --- | --- | --- |"
    lines = [
        f"| {row.name} | {row.dataset} {row.split} | {_format_numbers(row.published)} |"
        f" {_format_numbers(row.load_our_scores(runs))} | `{row.format_command(runs)}` |"
        for row in rows
    ]
    return "\n".join([head, *lines])


def _format_numbers(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name.removeprefix('length: ')} {value:.1f}" for name, value in numbers.items())


def main() -> None:
    parser = argparse.ArgumentParser(description="The paper's numbers beside ours, with the command for each.")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--all", action="store_true", help="also RefCOCO, RefCOCO+ and RefCOCOg, from the appendix")
    parser.add_argument("--videos", action="store_true", help="those of agents on video instead")
    parser.add_argument("--further", action="store_true", help="PBench, RefCOCOm and ConverSeg instead")
    options = parser.parse_args()
    if options.further:
        print(format_further_table(load_further_runs(), options.runs))
        return
    rows = load_published_runs(videos=options.videos)
    shown = [row for row in rows if options.all or options.videos or row.dataset in MAIN_BENCHMARKS]
    print(format_comparison_table(shown, options.runs))


if __name__ == "__main__":
    main()
