"""Counting: mean absolute error and exact matches, and how instances are counted.

Source: SAM 3 (2025), appendix F.4 (no code was released), its agent's `remove_overlapping_masks` for the overlap, and
dvlab-research/VisionReasoner `calculate_counting.py`. Counted are the instances left by non-maximum suppression on
IoM (intersection / smaller area > 0.5, best score first) that then have a score > 0.5; presence scores stay off.
MAE = mean |predicted - true|, RMSE = sqrt(mean (predicted - true)^2), accuracy = share of exact counts.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from evals.errors import ScoringError
from sam3_tool.masks import rle
from sam3_tool.masks.checks import is_number, shorten_value
from sam3_tool.masks.rle import RleMask
from sam3_tool.overlap import select_non_overlapping

MAX_COUNT = 1e9
"""Of objects in an image."""


def score(samples: Iterable[tuple[Any, float]]) -> dict[str, float]:
    """`mae`, `accuracy` in percent, `rmse` and `n` of (prediction, true number).

    A prediction is a number, or (masks, scores), which `count_instances` counts. No samples, and counts that are no
    numbers, raise ScoringError.

    >>> score([(3, 3), (1, 2), (0, 2)])
    {'mae': 1.0, 'accuracy': 33.33333333333333, 'rmse': 1.2909944487358056, 'n': 3}
    """
    pairs = [
        (_count_prediction(prediction, index), _require_number(truth, index))
        for index, (prediction, truth) in enumerate(samples)
    ]
    if not pairs:
        raise ScoringError("no samples: the mean error is one over at least one")
    errors = np.array([predicted - true for predicted, true in pairs])
    return {
        "mae": float(np.mean(np.abs(errors))),
        "accuracy": 100 * float(np.mean(errors == 0)),
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "n": len(pairs),
    }


def count_instances(
    masks: Sequence[RleMask] | np.ndarray,
    scores: Sequence[float] | np.ndarray,
    *,
    iom: float = 0.5,
    threshold: float = 0.5,
) -> int:
    """Count those of `masks`, run lengths or bool (N, H, W), that suppression leaves and that score above `threshold`.

    >>> count_instances(np.ones((2, 4, 4), bool), [0.9, 0.8])
    1
    """
    runs = rle.encode_masks(masks) if isinstance(masks, np.ndarray) else list(masks)
    confidence = np.asarray(scores, float)
    if confidence.shape != (len(runs),) or np.isnan(confidence).any():
        raise ScoringError(f"{len(runs)} masks need as many scores, none of them NaN, found {confidence.tolist()}")
    return sum(bool(confidence[index] > threshold) for index in select_non_overlapping(runs, confidence, threshold=iom))


def _count_prediction(prediction: Any, index: int) -> float:
    if isinstance(prediction, tuple):
        return count_instances(*prediction)
    return _require_number(prediction, index)


def _require_number(value: Any, index: int) -> float:
    if not is_number(value) or not abs(value) <= MAX_COUNT:
        raise ScoringError(f"sample {index}: a count must be a number, found {shorten_value(value)}")
    return float(value)
