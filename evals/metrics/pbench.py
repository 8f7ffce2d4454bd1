"""PBench's F1 of instance masks, over ten thresholds of IoU, and whether anything was rightly found at all.

Source: tiiuae/Falcon-Perception `eval/metrics.py` and `eval/pbench.py`, constants included. Of a sample,

1. predicted masks of another size are brought to that of the image, by the nearest pixel;
2. of two that overlap by an IoU above 0.5 the larger stays;
3. the others are matched once to the targets by the assignment with the greatest summed IoU;
4. at each threshold t of .50, .55 … .95 (of the split dense: .50 alone), TP counts matches with IoU >= t:
   precision p = TP / (predicted + 1e-8), recall r = TP / (targets + 1e-8), F1_t = 2 p r / (p + r + 1e-8).

F1 is the mean over t, and then over the samples *with* a target. Something found where there is nothing therefore costs
no F1: it is only counted, as IL FP. Scores are not looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from scipy.optimize import linear_sum_assignment

from evals.errors import ScoringError
from evals.metrics.inputs.sorting import sort_like_numpy
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
DENSE_THRESHOLDS = (0.5,)
MAX_OVERLAP = 0.5
"""IoU above which the smaller of two predicted masks goes."""
_EPSILON = 1e-8


class Outcome(NamedTuple):
    """What is kept of one sample."""

    f1: float
    """Mean over the thresholds, in [0, 1]; -1 without a target, which counts nowhere."""
    predicted: int
    """Masks that are left of those predicted."""
    targets: int

    @property
    def is_counted(self) -> bool:
        """True if the sample counts in F1."""
        return self.targets > 0


def score(
    samples: Iterable[tuple[Sequence[RleMask], Sequence[RleMask]]], *, thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, Any]:
    """Score (predicted, target) masks, one entry per sample, each sample in the size of its image.

    Args:
        samples: Run lengths, all masks of a sample in one size.
        thresholds: Of IoU, in (0, 1].

    Returns:
        `f1` as a fraction, `il_tp`, `il_tn`, `il_fp`, `il_fn`, `n_valid_f1`, `n`, and under `official` the numbers
        under their own names.

    Raises:
        ScoringError: There is no sample, or the masks of one are of different sizes.

    >>> disc = rle.encode_mask(np.eye(8, dtype=bool))
    >>> scores = score([([disc], [disc]), ([], []), ([disc], [])])
    >>> round(scores["f1"], 6), scores["il_tp"], scores["il_tn"], scores["il_fp"]
    (1.0, 1, 1, 1)
    """
    return score_outcomes([judge_sample(predicted, targets, thresholds) for predicted, targets in samples])


def score_outcomes(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Score as `score` does, from what `judge_sample` keeps of every sample."""
    if not outcomes:
        raise ScoringError("no samples: F1 is a mean over at least one")
    official: Mapping[str, float] = {
        "f1": compute_f1(outcomes),
        "il_tp": sum(o.targets > 0 and o.predicted > 0 for o in outcomes),
        "il_tn": sum(o.targets == 0 and o.predicted == 0 for o in outcomes),
        "il_fp": sum(o.targets == 0 and o.predicted > 0 for o in outcomes),
        "il_fn": sum(o.targets > 0 and o.predicted == 0 for o in outcomes),
        "n_samples": len(outcomes),
        "n_valid_f1": sum(o.is_counted for o in outcomes),
    }
    renamed = {"n" if name == "n_samples" else name: value for name, value in official.items()}
    return {**renamed, "official": official}


def compute_f1(outcomes: Sequence[Outcome]) -> float:
    """The mean over the samples with a target; 0 where there is none."""
    counted = [outcome.f1 for outcome in outcomes if outcome.is_counted]
    return float(np.mean(counted)) if counted else 0.0


def judge_sample(
    predicted: Sequence[RleMask], targets: Sequence[RleMask], thresholds: Sequence[float] = THRESHOLDS
) -> Outcome:
    """Match the masks of one sample, after the smaller of overlapping ones are gone. Raises ScoringError."""
    sizes = {mask.size for mask in (*predicted, *targets)}
    if len(sizes) > 1:
        found = " and ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise ScoringError(f"its masks are {found} pixels: expected all in the size of the image")
    kept = suppress_smaller(predicted)
    if not targets:
        return Outcome(-1.0, len(kept), 0)
    if not kept:
        return Outcome(0.0, 0, len(targets))
    ious = rle.compute_ious(kept, targets)
    matched = ious[linear_sum_assignment(-ious)]
    f1 = [_compute_f1(int((matched >= at).sum()), len(kept), len(targets)) for at in thresholds]
    return Outcome(float(np.mean(f1)), len(kept), len(targets))


def _compute_f1(hits: int, predicted: int, targets: int) -> float:
    precision, recall = hits / (predicted + _EPSILON), hits / (targets + _EPSILON)
    return 2.0 * precision * recall / (precision + recall + _EPSILON)


def suppress_smaller(masks: Sequence[RleMask]) -> list[RleMask]:
    """Keep of every two masks with an IoU above 0.5 the larger, from the largest on.

    Of equally large ones the later stays, as NumPy to 1.24 sorts them; newer versions leave that to the processor.
    """
    if len(masks) <= 1:
        return list(masks)
    order = sort_like_numpy(rle.compute_areas(masks).tolist())[::-1]
    overlaps = rle.compute_ious(masks, masks) > MAX_OVERLAP
    kept: list[int] = []
    for place in order:
        if not overlaps[kept, place].any():
            kept.append(place)
    return [masks[place] for place in kept]


def resize_mask(mask: RleMask, height: int, width: int) -> RleMask:
    """Bring a mask to another size by the nearest pixel, as Pillow does.

    >>> resize_mask(rle.encode_mask(np.ones((2, 2), bool)), 4, 6).size
    (4, 6)
    """
    if mask.size == (height, width):
        return mask
    pixels = PIL.Image.fromarray(rle.decode_mask(mask).astype(np.uint8))
    return rle.encode_mask(np.asarray(pixels.resize((width, height), PIL.Image.Resampling.NEAREST)) > 0)
