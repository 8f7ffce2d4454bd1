"""Two runs over the same samples: the difference of their headline numbers, paired, with an interval."""

from dataclasses import dataclass

from evals.bootstrap import DEFAULT_DRAWS, Interval, compute_interval
from evals.errors import RunError
from evals.runs.run_folder import RunFolder
from evals.samples import Dataset, Prediction, Sample


@dataclass(frozen=True)
class Comparison:
    """The difference of two runs.

    Example:
        >>> str(Comparison("giou", 20, first=50.0, second=60.0, difference=Interval(2.5, 17.5)))
        'giou over 20 samples: 50 -> 60, difference +10 (95 % interval +2.5 to +17.5)'
    """

    headline: str
    """Name of the number that is compared."""
    samples: int
    """That both runs have done."""
    first: float
    second: float
    difference: Interval
    """95 %, of second - first; the same images are drawn for both."""

    def __str__(self) -> str:
        """Say both numbers and their difference in one line."""
        gain = self.second - self.first
        low, high = self.difference.low, self.difference.high
        return (
            f"{self.headline} over {self.samples} samples: {self.first:.4g} -> {self.second:.4g},"
            f" difference {gain:+.4g} (95 % interval {low:+.4g} to {high:+.4g})"
        )


def compare_predictions(
    dataset: Dataset, first: RunFolder, second: RunFolder, *, draws: int = DEFAULT_DRAWS
) -> Comparison:
    """Compare two runs over the samples that both have done.

    Raises RunError if the runs are of different data, or share no sample.
    """
    _check_same_data(first, second)
    samples, (before, after) = _pair_predictions(dataset, first, second)
    measures = [dataset.build_measure(predictions) for predictions in (before, after)]
    groups = [sample.group for sample in samples]
    everything = list(range(len(samples)))
    return Comparison(
        headline=dataset.score(before).headline,
        samples=len(samples),
        first=measures[0](everything),
        second=measures[1](everything),
        difference=compute_interval(groups, lambda drawn: measures[1](drawn) - measures[0](drawn), draws=draws),
    )


def _check_same_data(first: RunFolder, second: RunFolder) -> None:
    for field in ("dataset", "task", "split", "data"):
        a, b = (getattr(run.manifest, field) for run in (first, second))
        if a != b:
            raise RunError(
                f"{first.path} and {second.path} cannot be compared: {field} is {a} in one, {b} in the other"
            )


def _pair_predictions(
    dataset: Dataset, first: RunFolder, second: RunFolder
) -> tuple[list[Sample], list[list[Prediction]]]:
    """The samples that both have done, and the predictions of each."""
    by_run = [run.load_predictions() for run in (first, second)]
    samples = [sample for sample in dataset.list_samples() if all(sample.id in predictions for predictions in by_run)]
    if not samples:
        raise RunError(f"{first.path} and {second.path} have no finished sample in common")
    return samples, [[predictions[sample.id] for sample in samples] for predictions in by_run]
