"""A logistic regression of which masks are right, and how far its probabilities are from what is so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.bootstrap import Interval, compute_interval
from evals.errors import ScoringError
from evals.studies.calibration.samples import MaskSamples
from sam3_tool.probability import ProbabilityCurve, ProbabilityEstimator, PromptKind, build_inputs

BINS = 10
"""Of probabilities, equally wide."""
_STEPS = 60
"""Of Newton's method, which needs some ten."""
_PENALTY = 1e-3
"""On squared weights: keeps them finite where a threshold alone tells right from wrong."""
_FEWEST = 20
"""Masks of each sort, right and wrong, that a fit of five weights needs."""


def fit_estimator(samples: Mapping[PromptKind, MaskSamples], *, fitted_on: str, weights: str) -> ProbabilityEstimator:
    """Fit a curve for each kind of prompt.

    Args:
        samples: Masks by what they were found by. A kind with too few right or wrong masks is left out.
        fitted_on: What is written down with the numbers.
        weights: SHA-256 of SAM 3's weights.

    Returns:
        The estimator.

    Raises:
        ScoringError: There are too few masks of any kind.
    """
    curves = {kind: fit_curve(held) for kind, held in samples.items() if _count_rarer(held) >= _FEWEST}
    if not curves:
        found = {kind: f"{int(held.is_right.sum())} of {len(held)} right" for kind, held in samples.items()}
        raise ScoringError(
            f"a calibration needs {_FEWEST} right and {_FEWEST} wrong masks, found {found}; take more scenes"
            " (--number), or weights that were trained"
        )
    return ProbabilityEstimator(curves, fitted_on, weights)


def _count_rarer(samples: MaskSamples) -> int:
    right = int(samples.is_right.sum())
    return min(right, len(samples) - right)


def fit_curve(samples: MaskSamples) -> ProbabilityCurve:
    """Fit the weights of a curve by Newton's method.

    Args:
        samples: Some of them are right, and some wrong.

    Returns:
        The curve of the greatest likelihood, with a small penalty on large weights.
    """
    inputs = build_inputs(samples.scores, samples.presences, samples.shares)
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        predicted = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        gradient = inputs.T @ (predicted - samples.is_right) + _PENALTY * weights
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + _PENALTY * np.eye(len(weights))
        weights = weights - np.linalg.solve(curvature, gradient)
    return ProbabilityCurve(*np.round(weights, 4).tolist())


@dataclass(frozen=True)
class ReliabilityBin:
    """Masks of nearly the same probability."""

    count: int
    probability: float
    """Their mean probability."""
    right: float
    """The share of them that is right."""


def build_bins(predicted: np.ndarray, is_right: np.ndarray) -> list[ReliabilityBin]:
    """Sort masks into bins of equal width, and leave out empty ones.

    Args:
        predicted: float64, (N,), in [0, 1].
        is_right: bool, (N,).

    Returns:
        The bins, lowest probabilities first.

    >>> build_bins(np.array([0.25, 0.25, 0.9]), np.array([True, False, True]))[0]
    ReliabilityBin(count=2, probability=0.25, right=0.5)
    """
    places = np.minimum((predicted * BINS).astype(int), BINS - 1)
    return [
        ReliabilityBin(int(held.sum()), float(predicted[held].mean()), float(is_right[held].mean()))
        for held in (places == place for place in np.unique(places))
    ]


def compute_ece(predicted: np.ndarray, is_right: np.ndarray) -> float:
    """Compute the expected calibration error (Guo et al. 2017): the mean gap between probability and share of right.

    Args:
        predicted: float64, (N,), in [0, 1].
        is_right: bool, (N,).

    Returns:
        In [0, 1]: the mean over bins of equal width, weighted by how many masks they hold; 0 for no mask.

    >>> compute_ece(np.array([0.5, 0.5]), np.array([True, False]))
    0.0
    """
    bins = build_bins(predicted, is_right)
    return sum(bin.count * abs(bin.probability - bin.right) for bin in bins) / max(1, len(predicted))


@dataclass(frozen=True)
class Reliability:
    """How far probabilities of held-out masks are from what is so."""

    name: str
    """Which masks."""
    masks: int
    right: float
    """The share that is right."""
    score_error: float
    """Expected calibration error of SAM 3's score."""
    error: float
    """That of the probability."""
    interval: Interval
    """Its 95 % interval, drawn over scenes."""
    brier: float
    """Mean squared error of the probability."""
    bins: Sequence[ReliabilityBin]


def measure_reliability(name: str, samples: MaskSamples, curve: ProbabilityCurve) -> Reliability:
    """Measure a curve on masks that it was not fitted on.

    Args:
        name: What the masks are, in words.
        samples: At least one mask.
        curve: What estimates their probabilities.

    Returns:
        Its errors.
    """
    predicted = curve.estimate(samples.scores, samples.presences, samples.shares)

    def measure(chosen: Sequence[int]) -> float:
        return compute_ece(predicted[chosen], samples.is_right[chosen])

    return Reliability(
        name=name,
        masks=len(samples),
        right=float(samples.is_right.mean()),
        score_error=compute_ece(samples.scores, samples.is_right),
        error=compute_ece(predicted, samples.is_right),
        interval=compute_interval([*map(str, samples.scenes.tolist())], measure, draws=400),
        brier=float(np.mean((predicted - samples.is_right) ** 2)),
        bins=build_bins(predicted, samples.is_right),
    )
