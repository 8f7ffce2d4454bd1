"""Measures of masks, to rank them by: pure functions of masks, boolean or compressed."""

import numpy as np

from agent.tools.geometry.distances import compute_gaps
from agent.tools.geometry.shapes import Masks, compute_centroid, compute_pooling, to_shapes
from agent.tools.geometry.terms import MEASURES, Measure


def measure_masks(by: Measure, masks: Masks, scores: np.ndarray, to: Masks) -> np.ndarray:
    """Measure each mask: float64, (N,), to rank by.

    `scores`: float, (N,). `to` is used by distance only.
    size: area in pixels. x, y: centroid in pixels. width, height: of the mask's extents, in pixels. score: as given.
    distance: the least gap to any of `to` in pixels, leaving out the object itself; inf where there is none.
    An empty mask measures 0 (distance: inf).

    >>> mask = np.zeros((1, 10, 10), bool)
    >>> mask[0, 2:4, 5:9] = True
    >>> [measure_masks(by, mask, np.ones(1), mask).item() for by in MEASURES]
    [8.0, 6.5, 2.5, 1.0, inf, 4.0, 2.0]
    """
    match by:
        case "size":
            values = [float(a.area) for a in to_shapes(masks, 1)]
        case "score":
            return np.asarray(scores, dtype=np.float64)
        case "distance":
            return compute_gaps(to_shapes(masks), to_shapes(to)) * compute_pooling(masks)
        case "x" | "y":
            # the mean of whole numbers, so that equal means are equal numbers
            values = [np.nan_to_num(compute_centroid(a.crop, a.left, a.top)[by == "y"]) for a in to_shapes(masks, 1)]
        case "width" | "height":
            values = [float(a.crop.shape[by == "width"]) for a in to_shapes(masks, 1)]
        case _:
            raise ValueError(f"`by` must be one of {', '.join(MEASURES)}, got {by!r}")
    return np.array(values, dtype=np.float64)
