"""A run in numbers: the metric with its interval, how samples ended, and both again for every slice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from pydantic import BaseModel, ConfigDict

from agent.episode import NO_COST, Usage
from evals.samples import Dataset, Prediction, Sample, Scores, Status
from evals.stats import Measure, interval


class Row(BaseModel):
    """The headline number over some of the samples."""

    model_config = ConfigDict(frozen=True)

    name: str
    samples: int
    value: float
    low: float
    """Of the 95 % interval, drawn over pictures."""
    high: float


class Summary(BaseModel):
    """`scores.json` of a run."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    split: str
    headline: str
    """Which of `metrics` the rows are about."""
    metrics: Mapping[str, float]
    """Every number of the benchmark, with failures as empty answers (the official way)."""
    metrics_of_successes: Mapping[str, float]
    """The same over the samples that did not fail: comparable with nothing, but it tells two kinds of error apart."""
    overall: Row
    slices: tuple[Row, ...]
    per_sample: Mapping[str, float]
    statuses: Mapping[Status, int]
    usage: Usage
    seconds: float
    """Of all samples together; they may have run at the same time."""

    @property
    def failed(self) -> int:
        return self.statuses.get("failed", 0)


def summarise(dataset: Dataset, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> Summary:
    """A pure function of the data and the predictions: no model is asked. `predictions`: one per sample, in order."""
    scores = dataset.score(predictions)
    measure = dataset.resample(predictions)
    statuses = Counter(prediction.status for prediction in predictions)
    return Summary(
        dataset=dataset.name,
        split=dataset.split,
        headline=scores.headline,
        metrics=scores.metrics,
        metrics_of_successes=_of_successes(dataset, predictions).metrics,
        overall=_row("all", range(len(samples)), samples, measure),
        slices=tuple(_row(name, chosen, samples, measure) for name, chosen in _slices(samples).items()),
        per_sample=scores.per_sample,
        statuses={status: statuses[status] for status in get_args(Status)},
        usage=sum((prediction.usage for prediction in predictions), NO_COST),
        seconds=sum(prediction.seconds for prediction in predictions),
    )


def _of_successes(dataset: Dataset, predictions: Sequence[Prediction]) -> Scores:
    kept = [prediction for prediction in predictions if prediction.status != "failed"]
    return dataset.score(kept) if kept else Scores("", {})


def _row(name: str, chosen: Sequence[int], samples: Sequence[Sample], measure: Measure) -> Row:
    spread = interval(
        [samples[index].group for index in chosen], lambda drawn: measure([chosen[index] for index in drawn])
    )
    return Row(name=name, samples=len(chosen), value=measure(list(chosen)), low=spread.low, high=spread.high)


def _slices(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """'length: short' -> the indices of its samples, names in order of first appearance."""
    found: dict[str, list[int]] = {}
    for index, sample in enumerate(samples):
        for name, value in sample.slices.items():
            found.setdefault(f"{name}: {value}", []).append(index)
    return found
