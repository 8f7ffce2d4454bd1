"""Where the number plates of masks go: close by, inside the image, off each other and off what they would hide."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

Rect = tuple[int, int, int, int]
"""x0 y0 x1 y1 in pixels; x1 and y1 lie just outside."""
Offset = tuple[float, float]
"""x y in pixels, from the centre of a mask's box to the centre of its plate."""

PLATE_GAPS = (0.3, 0.9, 1.8, 3.5, 6.0)
"""Distances beside its mask at which a plate may stand, in plate heights."""
BESIDE_COST = 0.06
"""Cost of a plate off its mask: that of hiding this share of one. So large masks carry their plate inside."""
CLASH_COST = 10.0
"""Cost of lying wholly under other plates."""
STAY_BONUS = 0.1
"""What a better place must be better by, for a plate to leave where it stood on the frame before."""
MAX_SPOTS = 6
"""Places inside a mask that are tried, at most."""


@dataclass(frozen=True)
class Target:
    """A mask that needs a plate."""

    box: Rect
    """Its tight box (for a mask too small to see, the box of what is drawn around it)."""
    patch: np.ndarray
    """uint8, (box height, box width): 1 where the mask is."""
    plate: tuple[int, int]
    """(width, height) of its plate in pixels."""
    earlier: Offset | None = None
    """Where its plate stood on the frame before."""

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return cv2.countNonZero(self.patch)

    @property
    def center(self) -> tuple[float, float]:
        """x y of the middle of its box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def measure_offset(self, plate: Rect) -> Offset:
        """Measure where a plate stands."""
        return (plate[0] + plate[2]) / 2 - self.center[0], (plate[1] + plate[3]) / 2 - self.center[1]


def place_plates(targets: Sequence[Target], height: int, width: int) -> list[Rect]:
    """Choose a place for the plate of each target, in their order.

    Small masks choose first. Each takes the cheapest of some places inside and beside it, where a place costs the
    shares of all masks that it would hide, plus its distance, plus much for overlapping a plate already placed.
    """
    crowd = np.zeros((height, width), np.uint8)
    shares = np.zeros((height, width), np.float32)
    for target in targets:
        window = to_slices(target.box)
        cv2.add(crowd[window], target.patch, dst=crowd[window])
        shares[window] += target.patch * np.float32(1 / target.area)
    sums = cv2.integral(shares, sdepth=cv2.CV_64F)
    # small masks choose first, because they have the fewest good places
    order = sorted(range(len(targets)), key=lambda i: targets[i].area)
    taken = np.zeros((len(targets), 4), np.int64)
    for count, index in enumerate(order):
        taken[count] = _choose_rect(targets[index], crowd, sums, taken[:count])
    placed = np.empty_like(taken)
    placed[order] = taken
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in placed.tolist()]


def _choose_rect(target: Target, crowd: np.ndarray, shares: np.ndarray, taken: np.ndarray) -> np.ndarray:
    height, width = crowd.shape
    stay = np.add([target.earlier] if target.earlier else np.zeros((0, 2)), target.center)
    centers = np.concatenate([stay, _find_inner_spots(target, crowd[to_slices(target.box)]), _list_outer_spots(target)])
    rects = _build_rects(centers, target.plate, height, width)
    area = target.plate[0] * target.plate[1]
    off = 1 - _count_hidden_pixels(rects, target) / area
    costs = _sum_rects(shares, rects) + BESIDE_COST * (2 * off + (off > 0.1)) / 3
    costs += _compute_distances(rects, target) / np.hypot(height, width)
    # plates that touch read as one number
    clearance = target.plate[1] // 3 * np.array([-1, -1, 1, 1])
    costs += CLASH_COST * compute_covered_areas(rects, taken + clearance) / area
    costs[: len(stay)] -= STAY_BONUS
    return np.asarray(rects[costs.argmin()])


def _find_inner_spots(target: Target, crowd: np.ndarray) -> np.ndarray:
    """Return float64, (N, 2), x y: the deepest points of the part of the mask that is its own, N <= MAX_SPOTS."""
    # a large mask is searched at a stride: 128 steps across are fine enough
    stride = max(1, max(crowd.shape) // 128)
    own = target.patch & (crowd == 1)
    depth = cv2.distanceTransform(np.pad(own[::stride, ::stride], 1), cv2.DIST_L2, cv2.DIST_MASK_3)
    reach = target.plate[1] / stride
    spots = []
    for _ in range(MAX_SPOTS):
        _, deepest, _, (x, y) = cv2.minMaxLoc(depth)
        if deepest < 0.4 * reach:
            break
        spots.append(((x - 0.5) * stride + target.box[0], (y - 0.5) * stride + target.box[1]))
        cv2.circle(depth, (x, y), max(1, round(reach)), 0.0, cv2.FILLED)
    return np.array(spots).reshape(-1, 2)


def _list_outer_spots(target: Target) -> np.ndarray:
    """Return float64, (N, 2), x y: points all around the box, near ones first, beginning at its upper right."""
    x0, y0, x1, y1 = target.box
    plate_width, plate_height = target.plate
    around = np.array([(1, -1), (0, -1), (1, 0), (-1, -1), (1, 1), (0, 1), (-1, 0), (-1, 1)], dtype=np.float64)
    between = np.array([(0.5, -1), (1, -0.5), (-0.5, -1), (1, 0.5), (0.5, 1), (-1, -0.5), (-0.5, 1), (-1, 0.5)])
    reach = np.array([[(x1 - x0 + plate_width) / 2, (y1 - y0 + plate_height) / 2]])
    rings = [np.concatenate([around, between]) * (reach + gap * plate_height) for gap in PLATE_GAPS]
    return np.asarray(np.concatenate(rings) + target.center)


def _build_rects(centers: np.ndarray, plate: tuple[int, int], height: int, width: int) -> np.ndarray:
    """Return int64, (N, 4): plates around these points, moved into the image."""
    room = np.maximum(np.array([width, height]) - plate, 0)
    corners = np.clip(np.rint(centers - np.array(plate) / 2), 0, room).astype(np.int64)
    return np.concatenate([corners, np.minimum(corners + plate, [width, height])], axis=1)


def _sum_rects(integral: np.ndarray, rects: np.ndarray) -> np.ndarray:
    """Return float64, (N,): what an integral image holds within each rect."""
    x0, y0, x1, y1 = rects.T
    return np.asarray(integral[y1, x1] - integral[y0, x1] - integral[y1, x0] + integral[y0, x0], dtype=np.float64)


def _count_hidden_pixels(rects: np.ndarray, target: Target) -> np.ndarray:
    """Return float64, (N,): how many pixels of the mask lie under each plate."""
    x0, y0, x1, y1 = target.box
    inner = np.clip(rects, [x0, y0, x0, y0], [x1, y1, x1, y1]) - [x0, y0, x0, y0]
    return _sum_rects(cv2.integral(target.patch), inner)


def _compute_distances(rects: np.ndarray, target: Target) -> np.ndarray:
    """Return float64, (N,): pixels from the centres of plates to the box, 0 inside it."""
    centers = (rects[:, :2] + rects[:, 2:]) / 2
    return np.asarray(np.linalg.norm(centers - np.clip(centers, target.box[:2], target.box[2:]), axis=1))


def compute_covered_areas(rects: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return float64, (N,): pixels that each of `rects`, int (N, 4), N > 0, shares with all of `taken`, int (M, 4).

    Only those of `taken` that lie near any of `rects` are compared with each of them.

    >>> rects, taken = np.array([[0, 0, 10, 10], [50, 50, 60, 60]]), np.array([[5, 5, 20, 20], [9, 0, 12, 4]])
    >>> compute_covered_areas(rects, taken).tolist()
    [29.0, 0.0]
    """
    # to look only at what is near took a drawing of 1,000 masks from 3.4 to 1.5 s (benchmarks/NOTES.md)
    low, high = rects[:, :2].min(axis=0), rects[:, 2:].max(axis=0)
    near = taken[((taken[:, :2] < high) & (taken[:, 2:] > low)).all(axis=1)]
    x0, y0, x1, y1 = rects.T[:, :, None]
    left, top, right, bottom = near.T
    wide = np.minimum(x1, right) - np.maximum(x0, left)
    tall = np.minimum(y1, bottom) - np.maximum(y0, top)
    shared = np.maximum(wide, 0) * np.maximum(tall, 0)
    return np.asarray(shared.sum(axis=1), dtype=np.float64)


def to_slices(box: Rect) -> tuple[slice, slice]:
    """Return rows and columns of a box."""
    x0, y0, x1, y1 = box
    return slice(y0, y1), slice(x0, x1)
