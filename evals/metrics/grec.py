"""Pr@(F1=1), N-acc and T-acc of generalised referring comprehension: boxes for none, one or several objects.

Source: henghuiding/gRefCOCO `mdetr/datasets/refexp.py: RefExpEvaluator` and `mdetr/util/box_ops.py`. Boxes with score
>= 0.7 are kept and matched one to one, greedily from the greatest *generalised* IoU (IoU less the share of the
enclosing box that the union leaves free, float32) while that is >= 0.5. A sample is right when all its boxes are
matched and none is left over; without target, when no box is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evals.errors import ScoringError
from sam3_tool.masks.checks import shorten_value

MIN_SCORE, MIN_IOU = 0.7, 0.5


class Sample(NamedTuple):
    """One expression. Boxes are x0, y0, x1, y1, (N, 4)."""

    boxes: Any
    scores: Any
    """(N,). They are compared in float32, in which 0.7 is just below the threshold, as officially."""
    target_boxes: Any
    no_target: bool | None = None
    """None: when there are no target boxes."""


def score(samples: Iterable[Sample | Sequence[Any] | Mapping[str, Any]]) -> dict[str, Any]:
    """`f1` (the share of samples with F1 = 1), `n_acc`, `t_acc` as fractions, `n`; the official names in `official`.

    A sample without boxes counts as one whose boxes all score below 0.7.

    >>> box = [[0, 0, 4, 4]]
    >>> scores = score([(box, [0.9], box), ([], [], []), (box, [0.9], [])])
    >>> round(scores["f1"], 3), scores["n_acc"], scores["t_acc"]
    (0.667, 0.5, 1.0)
    """
    judged = [_judge_sample(_parse_sample(value, index), index) for index, value in enumerate(samples)]
    answered = {missing: [kept for _, kept, without in judged if without == missing] for missing in (True, False)}
    for missing, some in answered.items():
        if not some:
            which = "without target: N_acc" if missing else "with a target: T_acc"
            raise ScoringError(f"none of {len(judged)} samples is {which} has no official value")
    numbers = {
        "F1_score": sum(right for right, _, _ in judged) / len(judged),
        "T_acc": sum(answered[False]) / len(answered[False]),
        "N_acc": sum(not kept for kept in answered[True]) / len(answered[True]),
    }
    return {
        "f1": numbers["F1_score"],
        "n_acc": numbers["N_acc"],
        "t_acc": numbers["T_acc"],
        "n": len(judged),
        "official": numbers,
    }


def _parse_sample(value: Any, index: int) -> Sample:
    if isinstance(value, Sample):
        return value
    try:
        return Sample(**value) if isinstance(value, Mapping) else Sample(*value)
    except TypeError as error:
        raise ScoringError(f"sample {index}: expected boxes, scores, target_boxes and no_target ({error})") from error


def _judge_sample(sample: Sample, index: int) -> tuple[bool, bool, bool]:
    """(right, anything kept, without target)."""
    targets = _parse_boxes(sample.target_boxes, f"sample {index}: `target_boxes`")
    missing = not len(targets) if sample.no_target is None else bool(sample.no_target)
    kept = _select_boxes(sample, index)
    if missing:
        return not len(kept), bool(len(kept)), True
    if not len(targets):
        raise ScoringError(f"sample {index} has neither `target_boxes` nor `no_target`")
    hits = _count_hits(compute_generalised_ious(kept, targets)) if len(kept) else 0
    return hits == len(kept) == len(targets), bool(len(kept)), False


def _select_boxes(sample: Sample, index: int) -> np.ndarray:
    """Boxes with a score high enough, float32, (N, 4): best first, of equals the one with the greater coordinates."""
    boxes = _parse_boxes(sample.boxes, f"sample {index}: `boxes`")
    scores = _to_float32(sample.scores, f"sample {index}: `scores`").reshape(-1)
    if len(scores) != len(boxes) or np.isnan(scores).any():
        raise ScoringError(f"sample {index}: {len(boxes)} boxes need as many scores, none of them NaN")
    ranked = sorted(zip(scores.tolist(), boxes.tolist(), strict=True), reverse=True)
    return np.array([box for confidence, box in ranked if confidence >= MIN_SCORE], np.float32).reshape(-1, 4)


def _to_float32(values: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ScoringError(f"{name} must be numbers, found {shorten_value(values)}") from error


def _parse_boxes(values: Any, name: str) -> np.ndarray:
    boxes = _to_float32(values, name)
    if boxes.size % 4:
        raise ScoringError(f"{name} must be x0, y0, x1, y1, found {shorten_value(values)}")
    boxes = boxes.reshape(-1, 4)
    if not (boxes[:, 2:] >= boxes[:, :2]).all():
        raise ScoringError(f"{name} must be x0, y0, x1, y1 with x1 >= x0 and y1 >= y0")
    return boxes


def _count_hits(ious: np.ndarray) -> int:
    """Greedy one-to-one matches, from the greatest; NaN, between two boxes without area, counts as the greatest."""
    ious = ious.copy()
    for hits in range(min(ious.shape)):
        row, column = np.unravel_index(int(ious.argmax()), ious.shape)
        if ious[row, column] < MIN_IOU:
            return hits
        ious[row, :] = ious[:, column] = 0
    return int(min(ious.shape))


def compute_generalised_ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32, (len(a), len(b)), in [-1, 1]; boxes x0, y0, x1, y1, float32."""
    first, second = a[:, None], b[None]
    inside = _compute_area(np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:]))
    union = _compute_area(first[..., :2], first[..., 2:]) + _compute_area(second[..., :2], second[..., 2:]) - inside
    around = _compute_area(np.minimum(first[..., :2], second[..., :2]), np.maximum(first[..., 2:], second[..., 2:]))
    with np.errstate(all="ignore"):
        return np.asarray(inside / union - (around - union) / around)


def _compute_area(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])
