"""gIoU and cIoU, exactly as LISA computes them for ReasonSeg.

Source: LISA (Lai et al., 2024), `train_ds.validate()` and `utils/utils.py: intersectionAndUnionGPU`.
"""

from collections.abc import Iterable

import numpy as np

IGNORED = 255
"""Target value of pixels that are neither target nor background."""


def score(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """`{"giou", "ciou", "n"}` of (prediction bool (H, W), target uint8 (H, W) out of 0, 1, 255 = ignored).

    gIoU = sum(I / (U + 1e-5), plus 1 where U is 0) / (n + 1e-5); cIoU = sum(I) / (sum(U) + 1e-10): LISA's constants.
    Two empty masks score 1, an empty prediction of a real target scores 0.

    >>> whole = np.ones((10, 10), np.uint8)
    >>> scores = score([(whole > 0, whole), (whole > 1, whole), (whole > 1, whole * 0)])
    >>> round(scores["giou"], 4), round(scores["ciou"], 4), scores["n"]
    (0.6667, 0.5, 3)
    """
    counts = np.array([_counts(prediction, target) for prediction, target in pairs], float).reshape(-1, 2)
    intersections, unions = counts.T
    ious = intersections / (unions + 1e-5) + (unions == 0)
    return {
        "giou": float(ious.sum() / (len(counts) + 1e-5)),
        "ciou": float(intersections.sum() / (unions.sum() + 1e-10)),
        "n": len(counts),
    }


def _counts(prediction: np.ndarray, target: np.ndarray) -> tuple[int, int]:
    if prediction.shape != target.shape:
        raise ValueError(f"prediction is {prediction.shape}, target is {target.shape}: expected masks of one size")
    counted = target != IGNORED
    wanted = (target == 1) & counted
    given = prediction & counted
    return int((given & wanted).sum()), int((given | wanted).sum())
