"""A run in numbers: the metric with its interval, how samples ended, and both again for every slice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from pydantic import BaseModel, ConfigDict

from agent.core.budget import FREE, Price
from agent.core.usage import NO_COST, Usage
from evals.bootstrap import DEFAULT_DRAWS, Measure, compute_interval
from evals.errors import NoTruthError
from evals.samples import Dataset, Prediction, Sample, Scores, Status

NOT_ASKED = "not asked yet"
"""The error of a sample that the run has not come to."""


class SummaryRow(BaseModel):
    """The headline number over some of the samples."""

    model_config = ConfigDict(frozen=True)

    name: str
    samples: int
    value: float
    low: float
    """Lower end of the 95 % interval, drawn over images."""
    high: float


class Summary(BaseModel):
    """`scores.json` of a run: a function of the data and the predictions, so without a time, a date or a cost."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    task: str
    """Version of the task."""
    split: str
    headline: str
    """Which of `metrics` the rows are about."""
    metrics: Mapping[str, float]
    """Every number of the benchmark, with failures as empty answers (the official way)."""
    metrics_of_successes: Mapping[str, float]
    """The same over the samples that did not fail: comparable with nothing, but it tells two kinds of error apart."""
    overall: SummaryRow
    slices: tuple[SummaryRow, ...]
    per_sample: Mapping[str, float]
    statuses: Mapping[Status, int]
    empty: int
    """Samples without a mask, however they ended."""
    unasked: int
    """Samples that the run has not come to; they count as failed."""

    @property
    def failed(self) -> int:
        """Samples that ended by an error."""
        return self.statuses.get("failed", 0)


class Costs(BaseModel):
    """`costs.json` of a run: what it spent. Of a sample that was asked again after a failure, the last time counts."""

    model_config = ConfigDict(frozen=True)

    samples: int
    """That were asked."""
    usage: Usage
    money: float
    """In the currency of the budget's price; 0 without a price."""
    seconds: float
    """Sum over all samples, which may have run at the same time."""
    asked_again: int = 0
    """Further tries of samples that had failed."""


def sum_costs(predictions: Sequence[Prediction], *, price: Price = FREE, asked_again: int = 0) -> Costs:
    """Sum what the samples that were asked have spent."""
    asked = [prediction for prediction in predictions if prediction.error != NOT_ASKED]
    usage = sum((prediction.usage for prediction in asked), NO_COST)
    seconds = sum(prediction.seconds for prediction in asked)
    money = price.compute_cost(usage)
    return Costs(samples=len(asked), usage=usage, money=money, seconds=seconds, asked_again=asked_again)


def summarize_run(
    dataset: Dataset, samples: Sequence[Sample], predictions: Sequence[Prediction], *, draws: int = DEFAULT_DRAWS
) -> Summary:
    """A pure function of the data and the predictions: no model is asked. `predictions`: one per sample, in order.

    `draws`: how often images are drawn anew for each interval.
    """
    scores = dataset.score(predictions)
    measure = dataset.build_measure(predictions)
    statuses = Counter(prediction.status for prediction in predictions)
    return Summary(
        dataset=dataset.name,
        task=dataset.version,
        split=dataset.split,
        headline=scores.headline,
        metrics=scores.metrics,
        metrics_of_successes=_score_successes(dataset, predictions).metrics,
        overall=_build_row("all", range(len(samples)), samples, measure, draws),
        slices=tuple(
            _build_row(name, chosen, samples, measure, draws) for name, chosen in group_by_slice(samples).items()
        ),
        per_sample=scores.per_sample,
        statuses={status: statuses[status] for status in get_args(Status)},
        empty=sum(prediction.is_empty for prediction in predictions),
        unasked=sum(prediction.error == NOT_ASKED for prediction in predictions),
    )


def _score_successes(dataset: Dataset, predictions: Sequence[Prediction]) -> Scores:
    kept = [prediction for prediction in predictions if prediction.status != "failed"]
    try:
        return dataset.score(kept) if kept else Scores("", {})
    except NoTruthError:  # only samples without ground truth have succeeded
        return Scores("", {})


def _build_row(name: str, chosen: Sequence[int], samples: Sequence[Sample], measure: Measure, draws: int) -> SummaryRow:
    groups = [samples[index].group for index in chosen]
    spread = compute_interval(groups, lambda drawn: measure([chosen[index] for index in drawn]), draws=draws)
    return SummaryRow(name=name, samples=len(chosen), value=measure(list(chosen)), low=spread.low, high=spread.high)


def group_by_slice(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """'length: short' -> the indices of its samples, names as they first appear; none that holds all."""
    found: dict[str, list[int]] = {}
    for index, sample in enumerate(samples):
        for name, value in sample.slices.items():
            found.setdefault(f"{name}: {value}", []).append(index)
    return {name: members for name, members in found.items() if len(members) < len(samples)}
