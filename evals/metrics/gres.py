"""gIoU, cIoU, N-acc and T-acc of generalised referring segmentation: queries that mean none, one or several objects.

Sources, which differ by several points on one and the same input, so that the convention must be named:

- "rela", henghuiding/ReLA `gres_model/evaluation/refer_evaluation.py`: a query without target scores 1 if it is
  declared as such, else 0 and its predicted pixels go into the union. A target declared missing has I = 0, yet its
  predicted pixels stay in the union. gIoU = mean, cIoU = sum(I) / sum(U), Pr@t = share of targets with IoU >= t.
- "gsva", LeapLabTHU/GSVA `solver.py: eval_gres`: a target declared missing keeps its mask and its IoU,
  I / (U + 1e-8); a query has no target when its mask is empty; gIoU = sum / (n + 1e-5), cIoU = sum(I) / (sum(U) +
  1e-10), both in float32.

N-acc: share of queries without target that are declared as such. T-acc: share of the others that are not.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from evals.errors import ScoringError

Convention = Literal["rela", "gsva"]
PRECISION_THRESHOLDS = (0.7, 0.8, 0.9)


class Sample(NamedTuple):
    """One query; the names are those of ReLA's own records."""

    pred_mask: np.ndarray
    """bool, (H, W)."""
    gt_mask: np.ndarray
    """bool, (H, W)."""
    pred_nt: bool | None = None
    """Declared to have no target; None: when nothing is predicted."""
    gt_nt: bool | None = None
    """Has no target; None: when `gt_mask` is empty."""


class PixelCounts(NamedTuple):
    """The numbers that are kept of one query."""

    intersection: int
    union: int
    declared: bool
    missing: bool
    """Has no target."""


def score(
    samples: Iterable[Sample | Sequence[Any] | Mapping[str, Any]], convention: Convention = "rela"
) -> dict[str, Any]:
    """`giou`, `ciou`, `n_acc`, `t_acc` as fractions, `n`, and under `official` the numbers as the code prints them.

    ReLA's official numbers are gIoU, cIoU, Pr@0.7 … in percent, T_acc and N_acc as fractions, 0 where no query is
    without target; `precision_0.7` … are fractions. A sample is a Sample, a tuple, or a mapping with its names.

    >>> one, none = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    >>> scores = score([(one, one), (none, none), (one, none)])
    >>> round(scores["giou"], 3), scores["ciou"], scores["n_acc"], scores["t_acc"]
    (0.667, 0.5, 0.5, 1.0)
    """
    if convention not in ("rela", "gsva"):
        raise ScoringError(f"`convention` must be 'rela' or 'gsva', found {convention!r}")
    return score_counts(
        [
            count_pixels(_parse_sample(value, index), convention=convention, index=index)
            for index, value in enumerate(samples)
        ],
        convention,
    )


def score_counts(counts: Sequence[PixelCounts], convention: Convention = "rela") -> dict[str, Any]:
    """Score as `score` does, from what `count_pixels` keeps of every query."""
    if not any(not entry.missing for entry in counts):
        raise ScoringError(f"none of {len(counts)} samples has a target: cIoU and T-acc have no official value")
    return _score_rela(counts) if convention == "rela" else _score_gsva(counts)


def _parse_sample(value: Any, index: int) -> Sample:
    if isinstance(value, Sample):
        return value
    try:
        if isinstance(value, Mapping):
            return Sample(**{name: value[name] for name in Sample._fields if name in value})
        return Sample(*value)
    except TypeError as error:
        raise ScoringError(f"sample {index}: expected pred_mask, gt_mask, pred_nt and gt_nt ({error})") from error


def count_pixels(sample: Sample, *, convention: Convention = "rela", index: int = 0) -> PixelCounts:
    """`index` is for messages."""
    prediction, target = np.asarray(sample.pred_mask) != 0, np.asarray(sample.gt_mask) != 0
    if prediction.shape != target.shape:
        raise ScoringError(
            f"sample {index}: prediction is {prediction.shape}, target is {target.shape}: expected masks of one size"
        )
    empty = not target.any()
    return PixelCounts(
        int((prediction & target).sum()),
        int((prediction | target).sum()),
        bool(not prediction.any() if sample.pred_nt is None else sample.pred_nt),
        empty if sample.gt_nt is None or convention == "gsva" else bool(sample.gt_nt),
    )


def compute_sample_ious(counts: Sequence[PixelCounts], convention: Convention = "rela") -> np.ndarray:
    """float64, (n,): what every query adds to gIoU; 0 or 1 for one without target."""
    of_target = _compute_rela_iou if convention == "rela" else _compute_gsva_iou
    return np.array([float(c.declared) if c.missing else of_target(c) for c in counts])


def compute_giou(ious: np.ndarray, convention: Convention = "rela") -> float:
    """The mean of what queries add, as a fraction, with the constants of the convention."""
    total = _sum_in_order(ious.tolist())
    return total / len(ious) if convention == "rela" else float(np.float32(total) / np.float32(len(ious) + 1e-5))


def _compute_rela_iou(c: PixelCounts) -> float:
    return 0.0 if c.declared else _divide_or_zero(c.intersection, c.union)


def _compute_gsva_iou(c: PixelCounts) -> float:
    return c.intersection / (c.union + 1e-8)


def _score_rela(counts: Sequence[PixelCounts]) -> dict[str, Any]:
    # declared missing: a target keeps its union, a query without target adds nothing
    kept = [
        (0 if c.declared or c.missing else c.intersection, 0 if c.declared and c.missing else c.union) for c in counts
    ]
    intersection, union = (sum(column) for column in zip(*kept, strict=True))
    targets = [_compute_rela_iou(c) for c in counts if not c.missing]
    mean = compute_giou(compute_sample_ious(counts))
    n_acc, t_acc = _compute_accuracies(counts) if any(c.missing for c in counts) else (0.0, 0.0)
    reached = {at: sum(iou >= at for iou in targets) for at in PRECISION_THRESHOLDS}
    official = {
        "gIoU": 100.0 * mean,
        "cIoU": intersection * 100.0 / union if union else float("nan"),
        "T_acc": t_acc,
        "N_acc": n_acc,
        **{f"Pr@{at}": number * 100.0 / len(targets) for at, number in reached.items()},
    }
    return {
        "giou": mean,
        "ciou": intersection / union if union else float("nan"),
        "n_acc": n_acc,
        "t_acc": t_acc,
        **{f"precision_{at}": number / len(targets) for at, number in reached.items()},
        "n": len(counts),
        "official": official,
    }


def _divide_or_zero(intersection: int, union: int) -> float:
    return intersection / union if union else 0.0


def _sum_in_order(values: Iterable[float]) -> float:
    """The sum, added up one by one."""
    total = 0.0
    for value in values:
        total += value
    return total


def _compute_accuracies(counts: Sequence[PixelCounts]) -> tuple[float, float]:
    """N-acc, T-acc."""
    missing = [c.declared for c in counts if c.missing]
    present = [not c.declared for c in counts if not c.missing]
    return sum(missing) / len(missing), sum(present) / len(present)


def _score_gsva(counts: Sequence[PixelCounts]) -> dict[str, Any]:
    if not any(c.missing for c in counts):
        raise ScoringError(f"all of {len(counts)} samples have a target: N-acc has no value in GSVA's convention")
    intersection = np.float32(sum(c.intersection for c in counts if not c.missing))
    union = np.float32(sum(c.union for c in counts if not (c.missing and c.declared)))
    n_acc, t_acc = _compute_accuracies(counts)
    official = {
        "giou": compute_giou(compute_sample_ious(counts, "gsva"), "gsva"),
        "ciou": float(intersection / (union + np.float32(1e-10))),
        "N_acc": n_acc,
        "T_acc": t_acc,
    }
    return {
        "giou": official["giou"],
        "ciou": official["ciou"],
        "n_acc": n_acc,
        "t_acc": t_acc,
        "n": len(counts),
        "official": official,
    }
