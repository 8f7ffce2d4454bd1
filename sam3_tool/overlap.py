"""Removing instances that cover what a better one already covers."""

from collections.abc import Sequence

import numpy as np

from sam3_tool.instances import Instances
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask

BLOCK_SIZE = 100
"""Masks that are compared in one go, among themselves and with those kept of better ones, which are few in any image:
so time grows with the number of masks, not with its square."""


def remove_overlaps(instances: Instances, *, threshold: float = 0.3) -> Instances:
    """Remove the instances that cover what a better one already covers.

    The best score comes first; at a tie the earlier instance wins. An instance goes when its intersection with one that
    is kept, over the smaller of the two areas, exceeds `threshold` (strictly, in float32, as the published agent does).
    A part and its whole therefore exclude each other.

    Args:
        instances: Instances of one image.
        threshold: In [0, 1].

    Returns:
        The instances that are kept, in the same order.

    >>> masks, scores = np.ones((2, 4, 6), bool), np.array([0.75, 0.5], np.float32)
    >>> remove_overlaps(Instances(masks, np.zeros((2, 4), np.float32), scores, 1.0, "cup")).scores.tolist()
    [0.75]
    """
    return instances[select_non_overlapping(instances.rles, instances.scores, threshold=threshold)]


def select_non_overlapping(masks: Sequence[RleMask], scores: np.ndarray, *, threshold: float) -> list[int]:
    """Return which masks `remove_overlaps` keeps, in order. `scores`: float, (N,). An empty mask overlaps nothing."""
    order = np.argsort(-scores, kind="stable").tolist()
    kept: list[int] = []
    for start in range(0, len(order), BLOCK_SIZE):
        block = order[start : start + BLOCK_SIZE]
        others = [*kept, *block]
        shares = compute_intersection_over_smaller(
            [masks[index] for index in block], [masks[index] for index in others]
        )
        columns = list(range(len(kept)))  # of `others`: those that are kept
        for row, overlaps in enumerate(shares > np.float32(threshold)):
            if not overlaps[columns].any():
                columns.append(len(others) - len(block) + row)
        kept = [others[column] for column in columns]
    return sorted(kept)


def compute_intersection_over_smaller(a: Sequence[RleMask], b: Sequence[RleMask]) -> np.ndarray:
    """Return float32, (len(a), len(b)): the shared area over the smaller area; 0 with an empty mask."""
    areas_a, areas_b = rle.compute_areas(a)[:, None], rle.compute_areas(b)[None]
    # coverage is a quotient of whole numbers of pixels: rounding gives the shared pixels back exactly
    shared = np.rint(rle.compute_coverage(a, b) * areas_a)
    return np.asarray(shared / np.maximum(np.minimum(areas_a, areas_b), 1), dtype=np.float32)
