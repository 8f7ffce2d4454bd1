"""Whether a verifier's probabilities are to be believed: calibration error, and accuracy by how much is left to it."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

BINS = 10
COVERAGES = tuple(round(step / 10, 1) for step in range(1, 11))
"""Shares of items, the surest first, of which the accuracy is told."""


def compute_calibration_error(probabilities: Sequence[float], is_right: Sequence[bool]) -> float:
    """Compute the expected calibration error (Naeini et al. 2015) with ten bins of equal width.

    Args:
        probabilities: In [0, 1], of "right", at least one.
        is_right: What people say of the same items.

    Returns:
        In [0, 1]: the distance of mean probability and share of right items in each bin, averaged over items.

    >>> compute_calibration_error([0.75, 0.75, 0.25, 0.25], [True, True, False, True])
    0.25
    """
    values, right = np.asarray(probabilities, np.float64), np.asarray(is_right, np.float64)
    bins: dict[int, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        bins[min(int(value * BINS), BINS - 1)].append(place)
    gaps = (len(own) * abs(values[own].mean() - right[own].mean()) for own in bins.values())
    return float(sum(gaps) / len(values))


def compute_coverage_curve(probabilities: Sequence[float], is_right: Sequence[bool]) -> list[tuple[float, float]]:
    """Compute how often a verifier is right on the items that it is surest of.

    It says "right" from 0.5 on, and is the surer the further its probability lies from 0.5. Items that are equally sure
    count with their mean, so that their order does not matter.

    Args:
        probabilities: In [0, 1], of "right", at least one.
        is_right: What people say of the same items.

    Returns:
        Pairs of coverage and accuracy, both in [0, 1].

    >>> compute_coverage_curve([0.9, 0.1, 0.6, 0.4], [True, False, False, False])[4::5]
    [(0.5, 1.0), (1.0, 0.75)]
    """
    values, right = np.asarray(probabilities, np.float64), np.asarray(is_right, bool)
    hits = ((values >= 0.5) == right).astype(np.float64)
    # 0.9 and 0.1 are equally sure, though 0.9 - 0.5 and 0.5 - 0.1 differ in their last bit
    sureness, place = np.unique(-np.abs(values - 0.5).round(12), return_inverse=True)
    means = np.bincount(place, hits, len(sureness)) / np.bincount(place, minlength=len(sureness))
    ordered = np.cumsum(means[np.sort(place)])
    counts = [max(1, int(np.ceil(coverage * len(values) - 1e-9))) for coverage in COVERAGES]
    return [
        (coverage, round(float(ordered[count - 1]) / count, 12))
        for coverage, count in zip(COVERAGES, counts, strict=True)
    ]
