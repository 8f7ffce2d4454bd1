"""Removing instances that cover what a better one already covers."""

from collections.abc import Sequence

import numpy as np

from sam3_tool.instances import Instances
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask

BLOCK_SIZE = 100
"""Masks that are compared in one go, among themselves and with those kept of better ones, which are few in any picture:
so time grows with the number of masks, not with its square."""


def remove_overlaps(instances: Instances, *, threshold: float = 0.3) -> Instances:
    """The instances that lie to no more than `threshold` on, or under, a better one that is kept; in the same order.

    Greedy by score (at a tie the earlier instance wins): an instance goes when the intersection with a kept one,
    over the smaller of the two areas, exceeds `threshold` (strictly, in float32, as the published agent does).
    A part and its whole therefore exclude each other.
    """
    return instances[select_non_overlapping(instances.rles, instances.scores, threshold=threshold)]


def select_non_overlapping(masks: Sequence[RleMask], scores: np.ndarray, *, threshold: float) -> list[int]:
    """Which masks `remove_overlaps` keeps, in order. `scores`: float, (N,). An empty mask overlaps nothing."""
    order = np.argsort(-scores, kind="stable").tolist()
    kept: list[int] = []
    for start in range(0, len(order), BLOCK_SIZE):
        block = order[start : start + BLOCK_SIZE]
        others = [*kept, *block]
        shares = compute_intersection_over_smaller([masks[one] for one in block], [masks[one] for one in others])
        columns = list(range(len(kept)))  # of `others`: those that are kept
        for row, overlaps in enumerate(shares > np.float32(threshold)):
            if not overlaps[columns].any():
                columns.append(len(others) - len(block) + row)
        kept = [others[column] for column in columns]
    return sorted(kept)


def compute_intersection_over_smaller(a: Sequence[RleMask], b: Sequence[RleMask]) -> np.ndarray:
    """float32, (len(a), len(b)): the shared area over the smaller area; 0 with an empty mask."""
    of_a, of_b = rle.compute_areas(a)[:, None], rle.compute_areas(b)[None]
    shared = np.rint(rle.compute_coverage(a, b) * of_a)
    return np.asarray(shared / np.maximum(np.minimum(of_a, of_b), 1), dtype=np.float32)
