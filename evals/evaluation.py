"""A run together with its data: asking, scoring, reporting. Each can be done alone, and again."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Unpack

from agent import transcript
from agent.budget import Price
from evals.datasets import load_dataset
from evals.manifest import RunError, hash_of_ids
from evals.pages import page_of
from evals.records import RunFolder, unwritable
from evals.report import to_html, to_markdown
from evals.runner import How, Solve, Watch, predict
from evals.samples import DataError, Dataset, Facts, Prediction, Sample
from evals.solver import Solved
from evals.stats import DRAWS
from evals.summary import NOT_ASKED, Costs, Summary, costs, slices_of, summarise
from sam3_tool import PictureError

logger = logging.getLogger(__name__)

PAGES = 50
"""Samples with a page of their own, the worst first."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    run: RunFolder
    dataset: Dataset
    samples: Sequence[Sample]
    """Those that are asked."""

    @classmethod
    def open(
        cls, path: Path, data: Path | None = None, *, options: Mapping[str, str] = MappingProxyType({})
    ) -> "Evaluation":
        """A run that was made before, with its data: those in `data`, else where they were then.

        `options`: of the data set, instead of those it was made with, e.g. where its pictures are now.

        Raises RunError for a folder that holds no run, or one of other data, and DataError where there are no data.
        """
        run = RunFolder(path)
        manifest = run.manifest
        asked = {**manifest.options, **options}
        dataset = load_dataset(manifest.dataset, data or Path(manifest.where), manifest.split, **asked)
        return cls(run, dataset, manifest.selection.of(dataset)).checked()

    def checked(self) -> "Evaluation":
        """Raises RunError where the data are not those of the run."""
        manifest = self.run.manifest
        found = {"task": self.dataset.version, "data": self.facts.hash, "ids": hash_of_ids(self.samples)}
        for field, value in found.items():
            if value != (then := getattr(manifest, field)):
                raise RunError(f"{self.run.path} was made with other data: {field} is {then} there, {value} here")
        return self

    @cached_property
    def facts(self) -> Facts:
        return self.dataset.facts()

    @property
    def price(self) -> Price:
        return self.run.manifest.made_by.budget.price

    def predictions(self) -> list[Prediction]:
        """One per sample, in the data set's order; a sample that was not asked yet counts as failed."""
        done = self.run.predictions()
        return [done.get(sample.id) or Prediction.empty(sample.id, NOT_ASKED) for sample in self.samples]

    def ask(self, solve: Solve, *, watch: Watch = lambda sample, solved: None, **how: Unpack[How]) -> list[Prediction]:
        """Asks every sample that is not done. `how`: see `predict`. Raises RunError; what is done is kept."""

        def keep(sample: Sample, solved: Solved) -> None:
            self._keep_trace(sample, solved)
            watch(sample, solved)

        return predict(self.samples, solve, self.run, watch=keep, **how)

    def _keep_trace(self, sample: Sample, solved: Solved) -> None:
        """The episode without its picture, which is in the data. What is left of an earlier try goes."""
        path, page = self.run.trace(sample.id), self.run.page(sample.id)
        try:
            for stale in (path, page):
                stale.unlink(missing_ok=True)
            if solved.episode is not None:
                path.parent.mkdir(exist_ok=True)
                made_by = self.run.manifest.made_by
                transcript.save(solved.episode, path, made_by=made_by, source=sample.source, pixels=False)
        except OSError as error:
            raise unwritable(self.run.path, error) from error

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        """The benchmark's own files."""
        for name, content in self.dataset.submission(predictions).items():
            self.run.write(f"predictions/{name}", content)

    def score(self, predictions: Sequence[Prediction], *, draws: int = DRAWS) -> Summary:
        """Writes `scores.json`. No model is asked."""
        summary = summarise(self.dataset, self.samples, predictions, draws=draws)
        self.run.write("scores.json", f"{summary.model_dump_json(indent=1)}\n".encode())
        return summary

    def report(
        self, summary: Summary, predictions: Sequence[Prediction], *, pages: int = PAGES, afresh: bool = False
    ) -> None:
        """Writes `costs.json`, `report.md`, `report.html` and the pages of the `pages` worst samples.

        `afresh`: pages that are there are drawn again.
        """
        spent = self.costs(predictions)
        self.run.write("costs.json", f"{spent.model_dump_json(indent=1)}\n".encode())
        self.run.write("report.md", to_markdown(summary, spent, self.run.manifest, self.facts).encode())
        worst = worst_first(self.samples, predictions, summary.per_sample)
        for sample, prediction in _with_pages(worst, pages):
            if afresh or not self._has_page(sample, prediction):
                self.draw(sample, prediction)
        links = {s.id: f"pages/{page.name}" for s in self.samples if (page := self.run.page(s.id)).exists()}
        html = to_html(summary, spent, self.run.manifest, self.facts, worst, links)
        self.run.write("report.html", html.encode())

    def costs(self, predictions: Sequence[Prediction]) -> Costs:
        attempts = self.run.attempts()
        asked_again = len(attempts) - len({attempt.id for attempt in attempts})
        return costs(predictions, price=self.price, asked_again=asked_again)

    def _has_page(self, sample: Sample, prediction: Prediction) -> bool:
        return prediction.error != NOT_ASKED and self.run.page(sample.id).exists()

    def draw(self, sample: Sample, prediction: Prediction) -> Path | None:
        """Writes a sample's page; None where its picture or its episode cannot be read."""
        try:
            page = page_of(sample, prediction, self.run.trace(sample.id), self.run.manifest.made_by)
        except (DataError, PictureError, transcript.TranscriptError) as error:
            logger.warning("no page for sample %s: %s", sample.id, error)
            return None
        path = self.run.page(sample.id)
        self.run.write(f"pages/{path.name}", page.encode("utf-8", "replace"))
        return path


def costs_of(path: Path) -> Costs:
    """What a run has cost, by its `costs.json`. Raises RunError where that cannot be read."""
    try:
        return Costs.model_validate_json((path / "costs.json").read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} has no costs.json that can be read; `sam3-agent eval score {path}` makes it") from error


def _with_pages(worst: Sequence[tuple[Sample, Prediction]], pages: int) -> list[tuple[Sample, Prediction]]:
    """The worst `pages`, and the worst one of every slice, so that each row of the report leads to a page."""
    slices = slices_of([sample for sample, _ in worst])
    first = {members[0] for members in slices.values()} if pages else set()
    return [pair for place, pair in enumerate(worst) if place < pages or place in first]


def worst_first(
    samples: Sequence[Sample], predictions: Sequence[Prediction], per_sample: Mapping[str, float]
) -> list[tuple[Sample, Prediction]]:
    """By the sample's own number; where there is none, those that failed and those without a mask come first."""

    def badness(pair: tuple[Sample, Prediction]) -> tuple[float, bool, bool, str]:
        sample, prediction = pair
        own = per_sample.get(sample.id, 0.0)
        return own, prediction.status != "failed", bool(prediction.masks), sample.id

    return sorted(zip(samples, predictions, strict=True), key=badness)
