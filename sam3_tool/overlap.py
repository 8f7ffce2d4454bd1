"""Removing instances that cover what a better one already covers."""

import numpy as np

from sam3_tool import rle
from sam3_tool.instances import Instances


def remove_overlaps(instances: Instances, *, threshold: float = 0.3) -> Instances:
    """The instances that lie to no more than `threshold` on, or under, a better one that is kept; in the same order.

    Greedy by score (at a tie the earlier instance wins): an instance goes when the intersection with a kept one,
    over the smaller of the two areas, exceeds `threshold` (strictly, in float32, as the published agent does).
    A part and its whole therefore exclude each other.
    """
    shares = intersection_over_smaller(instances.masks)
    kept: list[int] = []
    for index in np.argsort(-instances.scores, kind="stable").tolist():
        if not (shares[index, kept] > np.float32(threshold)).any():
            kept.append(index)
    return instances[sorted(kept)]


def intersection_over_smaller(masks: np.ndarray) -> np.ndarray:
    """float32, (N, N): of masks, bool (N, H, W), the shared area over the smaller area; 0 with an empty mask."""
    rles = rle.encode_all(masks)
    share = rle.coverage(rles, rles)
    return np.asarray(np.maximum(share, share.T), dtype=np.float32)
