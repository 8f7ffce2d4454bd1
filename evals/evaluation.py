"""A run together with its data: asking, scoring, reporting. Each can be done alone, and again.

`evaluate` does all three, and `compare_runs` compares two runs.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Unpack

from agent.core.budget import DEFAULT_BUDGET, Budget, Price
from agent.core.planner import Planner
from agent.records import episode_file as transcript
from evals.bootstrap import DEFAULT_DRAWS
from evals.datasets.loading import LoadedDataset, load_dataset
from evals.errors import RunError
from evals.reports.compare import Comparison, compare_predictions
from evals.reports.preflight import rehearse_scoring
from evals.reports.report import to_html, to_markdown
from evals.reports.sample_page import render_page
from evals.reports.summary import NOT_ASKED, Costs, Summary, group_by_slice, sum_costs, summarize_run
from evals.runs.assembly import describe_components
from evals.runs.manifest import Manifest, Selection, hash_sample_ids
from evals.runs.run_folder import RunFolder, build_write_error
from evals.runs.runner import ProgressCallback, RunOptions, SolveFn, predict_samples
from evals.runs.solver import SampleResult
from evals.samples import Dataset, DatasetInfo, Prediction, Sample
from sam3_tool import Sam3
from sam3_tool.errors import UserError
from sam3_tool.system.files import decode_text

logger = logging.getLogger(__name__)

MAX_PAGES = 50
"""Samples with a page of their own, the worst first."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A run's folder with the data set that it asks and scores."""

    run: RunFolder
    dataset: Dataset
    samples: Sequence[Sample]
    """Those that are asked."""

    @classmethod
    def open(
        cls, path: Path, data: Path | None = None, *, options: Mapping[str, str] = MappingProxyType({})
    ) -> "Evaluation":
        """Open a run that was made before, with its data: those in `data`, else where they were then.

        `options`: of the data set, instead of those it was made with, e.g. where its images are now.

        Raises RunError for a folder that holds no run, or one of other data, and DatasetError where there are no data.
        """
        run = RunFolder(path)
        manifest = run.manifest
        asked = {**manifest.options, **options}
        dataset = load_dataset(manifest.dataset, data or manifest.where or None, manifest.split, **asked)
        return cls(run, dataset, manifest.selection.select_samples(dataset)).check_same_data()

    def check_same_data(self) -> "Evaluation":
        """Raises RunError where the data are not those of the run."""
        manifest = self.run.manifest
        found = {"task": self.dataset.version, "data": self.info.hash, "ids": hash_sample_ids(self.samples)}
        for field, value in found.items():
            if value != (then := getattr(manifest, field)):
                raise RunError(f"{self.run.path} was made with other data: {field} is {then} there, {value} here")
        return self

    @cached_property
    def info(self) -> DatasetInfo:
        """The files of the data set, described."""
        return self.dataset.collect_info()

    @property
    def price(self) -> Price:
        """Price of tokens, as the run's budget has it."""
        return self.run.manifest.made_by.budget.price

    def load_predictions(self) -> list[Prediction]:
        """One per sample, in the data set's order; a sample that was not asked yet counts as failed."""
        done = self.run.load_predictions()
        return [done.get(sample.id) or Prediction.make_failed(sample.id, NOT_ASKED) for sample in self.samples]

    def ask_samples(
        self,
        solve: SolveFn,
        *,
        on_result: ProgressCallback = lambda sample, solved: None,
        **options: Unpack[RunOptions],
    ) -> list[Prediction]:
        """Ask every sample that is not done; what is done stays. `options`: see `predict_samples`. Raises RunError."""

        def keep_result(sample: Sample, result: SampleResult) -> None:
            self._save_trace(sample, result)
            on_result(sample, result)

        return predict_samples(self.samples, solve, self.run, on_result=keep_result, **options)

    def _save_trace(self, sample: Sample, result: SampleResult) -> None:
        """The episode without its image, which is in the data. What is left of an earlier try goes."""
        path, page = self.run.get_trace_path(sample.id), self.run.get_page_path(sample.id)
        try:
            for stale in (path, page):
                stale.unlink(missing_ok=True)
            if result.episode is not None:
                path.parent.mkdir(exist_ok=True)
                made_by = self.run.manifest.made_by
                transcript.save_episode(result.episode, path, provenance=made_by, source=sample.source, pixels=False)
        except OSError as error:
            raise build_write_error(self.run.path, error) from error

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        """The benchmark's own files."""
        for name, content in self.dataset.build_submission(predictions).items():
            self.run.write_file(f"predictions/{name}", content)

    def score(self, predictions: Sequence[Prediction], *, draws: int = DEFAULT_DRAWS) -> Summary:
        """Writes `scores.json`. No model is asked."""
        summary = summarize_run(self.dataset, self.samples, predictions, draws=draws)
        self.run.write_file("scores.json", f"{summary.model_dump_json(indent=1)}\n".encode())
        return summary

    def write_report(
        self, summary: Summary, predictions: Sequence[Prediction], *, pages: int = MAX_PAGES, redraw: bool = False
    ) -> None:
        """Writes `costs.json`, `report.md`, `report.html` and the pages of the `pages` worst samples.

        `redraw`: pages that are there are drawn again.
        """
        spent = self.compute_costs(predictions)
        self.run.write_file("costs.json", f"{spent.model_dump_json(indent=1)}\n".encode())
        self.run.write_file("report.md", to_markdown(summary, spent, self.run.manifest, self.info).encode())
        worst = sort_worst_first(self.samples, predictions, summary.per_sample)
        for sample, prediction in _select_for_pages(worst, pages):
            if redraw or not self._has_page(sample, prediction):
                self.draw_page(sample, prediction)
        links = {s.id: f"pages/{page.name}" for s in self.samples if (page := self.run.get_page_path(s.id)).exists()}
        html = to_html(summary, spent, self.run.manifest, self.info, worst, links)
        self.run.write_file("report.html", html.encode())

    def compute_costs(self, predictions: Sequence[Prediction]) -> Costs:
        """Sum what the run has spent."""
        attempts = self.run.load_attempts()
        asked_again = len(attempts) - len({attempt.id for attempt in attempts})
        return sum_costs(predictions, price=self.price, asked_again=asked_again)

    def _has_page(self, sample: Sample, prediction: Prediction) -> bool:
        return prediction.error != NOT_ASKED and self.run.get_page_path(sample.id).exists()

    def draw_page(self, sample: Sample, prediction: Prediction) -> Path | None:
        """Writes a sample's page; None where its image or its episode cannot be read."""
        try:
            page = render_page(sample, prediction, self.run.get_trace_path(sample.id), self.run.manifest.made_by)
        except UserError as error:
            logger.warning("no page for sample %s: %s", sample.id, error)
            return None
        path = self.run.get_page_path(sample.id)
        self.run.write_file(f"pages/{path.name}", page.encode("utf-8", "replace"))
        return path


def load_costs(path: Path) -> Costs:
    """Read what a run has cost from its `costs.json`. Raises RunError where that cannot be read."""
    try:
        return Costs.model_validate_json(decode_text((path / "costs.json").read_bytes()))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} has no costs.json that can be read; `sam3-agent eval score {path}` makes it") from error


def _select_for_pages(worst: Sequence[tuple[Sample, Prediction]], pages: int) -> list[tuple[Sample, Prediction]]:
    """The worst `pages`, and the worst one of every slice, so that each row of the report leads to a page."""
    slices = group_by_slice([sample for sample, _ in worst])
    first = {members[0] for members in slices.values()} if pages else set()
    return [pair for place, pair in enumerate(worst) if place < pages or place in first]


def sort_worst_first(
    samples: Sequence[Sample], predictions: Sequence[Prediction], per_sample: Mapping[str, float]
) -> list[tuple[Sample, Prediction]]:
    """Sort by the sample's own number; where it has none, failed samples and those without a mask come first."""

    def get_badness(pair: tuple[Sample, Prediction]) -> tuple[float, bool, bool, str]:
        sample, prediction = pair
        own = per_sample.get(sample.id, 0.0)
        return own, prediction.status != "failed", not prediction.is_empty, sample.id

    return sorted(zip(samples, predictions, strict=True), key=get_badness)


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """The result of `evaluate`."""

    path: Path
    """Folder of the run: predictions, scores, report and pages."""
    summary: Summary
    """Scores with their 95 % intervals; `summary.metrics` holds them by name."""
    costs: Costs
    """Tokens, seconds and money that the run spent."""
    predictions: Sequence[Prediction]
    """One per sample, in the data set's order."""


def _ignore_result(sample: Sample, result: SampleResult) -> None:
    pass


def evaluate(
    dataset: Dataset,
    planner: Planner,
    sam3: Sam3,
    *,
    out: str | Path,
    limit: int | None = None,
    ids: Sequence[str] = (),
    workers: int = 1,
    budget: Budget = DEFAULT_BUDGET,
    threshold: float = 0.5,
    fail_on_error: float = 0.05,
    retry_failed: bool = False,
    pages: int = MAX_PAGES,
    draws: int = DEFAULT_DRAWS,
    on_result: ProgressCallback = _ignore_result,
) -> FinishedRun:
    """Ask every sample of a data set, score the answers, and write a report.

    The same call with the same `out` goes on where it stopped: no sample is asked twice.

    Args:
        dataset: The samples and their metric, as `load_dataset` gives them.
        planner: Decides the tool calls. With several workers it must be safe to share between threads.
        sam3: Segments; also alone, for samples that are plain noun phrases.
        out: Folder of the run. It is made, or it holds a run of the same data, planner and SAM 3.
        limit: Ask only the first so many samples; None = all.
        ids: Ask only these samples; empty = all.
        workers: Samples at a time, at least 1.
        budget: Limits of one episode.
        threshold: In [0, 1). Instances count that score strictly above it, for samples that go to SAM 3 alone.
        fail_on_error: In [0, 1]. The run stops once more than this share of its samples failed.
        retry_failed: Ask the samples again that failed before.
        pages: Samples that get a page of their own, the worst first.
        draws: Bootstrap draws for each interval.
        on_result: Called with each sample and its result, in the calling thread.

    Returns:
        The scores, the costs and the predictions of the run.

    Raises:
        RunError: The folder holds another run or cannot be written, another process is at work in it, or too many
            samples failed.
        DatasetError: `limit` and `ids` leave no sample, an id does not exist, or the ground truth cannot be used.

    >>> from tempfile import TemporaryDirectory
    >>> from agent import GrammarPlanner
    >>> from evals import evaluate, load_dataset
    >>> from sam3_tool import Sam3
    >>> with TemporaryDirectory() as folder:
    ...     run = evaluate(
    ...         load_dataset("scenes", number=2, size="200x150"), GrammarPlanner(), Sam3.load("tiny"), out=folder
    ...     )
    >>> 0.0 <= run.summary.metrics["giou"] <= 1.0
    True
    >>> run.summary.statuses["failed"], len(run.predictions)
    (0, 2)
    """
    selection = Selection(limit, tuple(ids))
    samples = selection.select_samples(dataset)
    components = describe_components(planner, sam3, budget=budget, threshold=threshold)
    rehearse_scoring(dataset, samples)
    origin = dataset.origin if isinstance(dataset, LoadedDataset) else {}
    manifest = Manifest.from_dataset(dataset, dataset.collect_info(), selection, **components.manifest_fields, **origin)
    with RunFolder.start(Path(out), manifest) as run:
        evaluation = Evaluation(run, dataset, samples)
        predictions = evaluation.ask_samples(
            components.solver,
            on_result=on_result,
            workers=workers,
            fail_on_error=fail_on_error,
            retry_failed=retry_failed,
        )
        evaluation.write_predictions(predictions)
        summary = evaluation.score(predictions, draws=draws)
        evaluation.write_report(summary, predictions, pages=pages)
    return FinishedRun(Path(out), summary, evaluation.compute_costs(predictions), predictions)


def compare_runs(
    first: str | Path,
    second: str | Path,
    *,
    data: str | Path | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
    draws: int = DEFAULT_DRAWS,
) -> Comparison:
    """Compare two runs over the samples that both have done.

    Args:
        first: Folder of a run.
        second: Folder of another run of the same data.
        data: Folder of the data, if they are no longer where they were when the first run was made.
        options: Options of the data set that are others now, e.g. where its images are.
        draws: Bootstrap draws for the interval.

    Returns:
        The headline number of both runs, and the 95 % interval of second - first, paired by sample.

    Raises:
        RunError: A folder holds no run, or the runs are of different data or share no sample.
        DatasetError: The data are not there.
    """
    evaluation = Evaluation.open(Path(first), None if data is None else Path(data), options=options)
    return compare_predictions(evaluation.dataset, evaluation.run, RunFolder(Path(second)), draws=draws)
