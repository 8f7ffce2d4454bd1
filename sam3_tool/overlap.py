"""Removing instances that cover what a better one already covers."""

from collections.abc import Sequence

import numpy as np

from sam3_tool import rle
from sam3_tool.instances import Instances
from sam3_tool.rle import Rle


def remove_overlaps(instances: Instances, *, threshold: float = 0.3) -> Instances:
    """The instances that lie to no more than `threshold` on, or under, a better one that is kept; in the same order.

    Greedy by score (at a tie the earlier instance wins): an instance goes when the intersection with a kept one,
    over the smaller of the two areas, exceeds `threshold` (strictly, in float32, as the published agent does).
    A part and its whole therefore exclude each other.
    """
    return instances[without_overlaps(instances.rles, instances.scores, threshold=threshold)]


def without_overlaps(masks: Sequence[Rle], scores: np.ndarray, *, threshold: float) -> list[int]:
    """Which masks `remove_overlaps` keeps, in order. `scores`: float, (N,). An empty mask overlaps nothing."""
    overlaps = intersection_over_smaller(masks) > np.float32(threshold)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if not overlaps[index, kept].any():
            kept.append(index)
    return sorted(kept)


def intersection_over_smaller(masks: Sequence[Rle]) -> np.ndarray:
    """float32, (N, N): the shared area over the smaller area; 0 with an empty mask."""
    share = rle.coverage(masks, masks)
    return np.asarray(np.maximum(share, share.T), dtype=np.float32)
