"""Gaps between masks: the gap is the distance between their nearest pixels.

It is 0 when they share a pixel, and 1 when they are neighbours.
"""

import cv2
import numpy as np

from agent.tools.geometry.shapes import PixelBox, Shape, count_shared, is_same_object, stack_boxes

MAX_PAIRS = 1 << 20
"""Of pixels that are measured one by one for a gap; for more, the distances of a whole area are quicker."""


def compute_gap(a: Shape, b: Shape) -> float:
    """Pixels between the nearest pixels of two masks: 0 where they share one, inf where one is empty."""
    if a.area == 0 or b.area == 0:
        return float("inf")
    if count_shared(a, a.crop, b, b.crop):
        return 0.0
    reach = _bound_squared_gap(a, b)
    of_a, of_b = (
        a.edge[_compute_squared_box_distances(a.edge, b.box) <= reach],
        b.edge[_compute_squared_box_distances(b.edge, a.box) <= reach],
    )
    few = len(of_a) * len(of_b) <= MAX_PAIRS
    return _compute_root(int(_compute_squared_distances(of_a, of_b).min()) if few else _find_least_square(of_a, of_b))


def _compute_root(square: int) -> float:
    """Take the root in single precision, as OpenCV measures distances."""
    return float(np.sqrt(np.float32(square)))


def _bound_squared_gap(a: Shape, b: Shape) -> int:
    """A square that the squared gap does not exceed, and often equals: back and forth between nearest pixels."""
    here = b.edge[:1]
    for edge in (a.edge, b.edge, a.edge, b.edge):
        squares = _compute_squared_distances(edge, here)
        here = edge[[squares.argmin()]]
    return int(squares.min())


def _compute_squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """int32, (K, L): squares of the distances between pixels, int32 (K, 2) and (L, 2)."""
    x, y = np.subtract.outer(a[:, 0], b[:, 0]), np.subtract.outer(a[:, 1], b[:, 1])
    return np.asarray(x * x + y * y)


def _compute_squared_box_distances(pixels: np.ndarray, box: PixelBox) -> np.ndarray:
    """int32, (K,): squares of the distances from pixels, int32 (K, 2), to the nearest one of a box."""
    away = pixels - np.clip(pixels, np.array(box[:2], np.int32), np.array(box[2:], np.int32) - 1)
    return np.asarray(away[:, 0] * away[:, 0] + away[:, 1] * away[:, 1])


def _find_least_square(a: np.ndarray, b: np.ndarray) -> int:
    """The least of `_compute_squared_distances(a, b)`, without memory for each pair."""
    low, high = np.minimum(a.min(axis=0), b.min(axis=0)), np.maximum(a.max(axis=0), b.max(axis=0))
    free = np.ones((high - low + 1)[::-1], np.uint8)
    free[tuple((b - low).T[::-1])] = 0
    distances = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # whole again: the roots differ in their last bits with the size of the image and the number of threads
    return round(float(distances[tuple((a - low).T[::-1])].min()) ** 2)


def _bound_box_gap(a: Shape, b: Shape) -> float:
    """Bound the gap from below, by the boxes of masks that are not empty."""
    dx = max(a.box[0], b.box[0]) - min(a.box[2], b.box[2]) + 1
    dy = max(a.box[1], b.box[1]) - min(a.box[3], b.box[3]) + 1
    return _compute_root(max(dx, 0) ** 2 + max(dy, 0) ** 2)


def bound_box_gaps(a: Shape, boxes: np.ndarray) -> np.ndarray:
    """float32, (N,): what the gaps from `a` are at least, as `_bound_box_gap` has it; 0 where boxes share a pixel."""
    apart = np.maximum(boxes[:, :2], a.box[:2]) - np.minimum(boxes[:, 2:], a.box[2:]) + 1
    return np.asarray(np.sqrt((np.maximum(apart, 0) ** 2).sum(axis=1).astype(np.float32)))


def is_within_gap(a: Shape, b: Shape, limit: float) -> bool:
    """Say whether the gap is at most `limit` pixels; cheap where the boxes alone are farther apart."""
    return _bound_box_gap(a, b) <= limit and compute_gap(a, b) <= limit


def compute_gaps(of: list[Shape], to: list[Shape]) -> np.ndarray:
    """float64, (N,): the least gap to any of `to` that is not the object itself; inf where there is none."""
    boxes = stack_boxes(to)
    return np.array([_find_least_gap(a, to, bound_box_gaps(a, boxes)) for a in of], dtype=np.float64)


def _find_least_gap(a: Shape, to: list[Shape], least_gaps: np.ndarray) -> float:
    """The nearest by their boxes come first, so that most need not be looked at."""
    least = float("inf")
    for index in np.argsort(least_gaps, kind="stable"):
        if least_gaps[index] >= least:
            break
        if not is_same_object(a, to[index]):
            least = min(least, compute_gap(a, to[index]))
    return least


def compute_centroid_distances(of: list[Shape], to: list[Shape]) -> np.ndarray:
    """float64, (N,): pixels between each centroid and the nearest one of `to`; inf where there is none."""
    x, y = np.array([b.centroid for b in to if b.area]).reshape(-1, 2).T
    return np.array([np.hypot(a.x - x, a.y - y).min(initial=np.inf) for a in of])
