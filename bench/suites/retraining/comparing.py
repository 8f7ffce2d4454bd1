"""The gain of each kind of labels, and its share of the gain that true labels give, with intervals over scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.suites.retraining.measuring import score_outcomes
from evals.bootstrap import Interval, compute_interval
from evals.metrics.cgf1 import PairOutcome

Outcomes = Sequence[Sequence[PairOutcome]]
"""By scene."""
DRAWS = 500


@dataclass(frozen=True)
class ArmResult:
    """What one kind of labels gives on the shifted style, on average over the seeds of training."""

    numbers: Mapping[str, float]
    gain: float
    """Points of cgF1 above the checkpoint before."""
    gain_interval: Interval
    share: float
    """Of the gain that true labels give."""
    share_interval: Interval


def compare_arm(before: Outcomes, truths: Sequence[Outcomes], arms: Sequence[Outcomes]) -> ArmResult:
    """Compare the outcomes of one arm with those before, and with those of true labels.

    Args:
        before: Of the checkpoint that all arms start from.
        truths: Of the arm that learnt true labels, by seed of training.
        arms: Of the arm, by seed; all of the same scenes, which the intervals draw together.
    """

    def average_cgf1(runs: Sequence[Outcomes], scenes: Sequence[int]) -> float:
        return float(np.mean([score_outcomes([run[index] for index in scenes])["cgF1"] for run in runs]))

    def compute_gains(scenes: Sequence[int]) -> tuple[float, float]:
        start, most, own = (average_cgf1(runs, scenes) for runs in ([before], truths, arms))
        return own - start, (own - start) / (most - start)

    everything = range(len(before))
    groups = [str(index) for index in everything]
    gain, share = compute_gains(everything)
    numbers = [score_outcomes(run) for run in arms]
    return ArmResult(
        {name: float(np.mean([scores[name] for scores in numbers])) for name in numbers[0]},
        gain,
        compute_interval(groups, lambda scenes: compute_gains(scenes)[0], draws=DRAWS),
        share,
        compute_interval(groups, lambda scenes: compute_gains(scenes)[1], draws=DRAWS),
    )
