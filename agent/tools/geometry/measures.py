"""Where masks lie, how they relate and what they measure: pure functions of masks, boolean or compressed.

Every margin below is a fraction of the picture or of the objects; only contact has a floor in pixels. "Size" of an
object is the geometric mean of the sides of its box; "gap" is the distance between the nearest pixels of two masks (0
when they share a pixel, 1 when they are neighbours). Exact for pictures up to `LONGEST_SIDE` pixels; larger masks are
pooled to at most that side first (a pooled pixel is set when any of its pixels is).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeAlias

import cv2
import numpy as np

from agent.tools.geometry.terms import MEASURES, PLACES, RELATIONS, SAME_OBJECT, Measure, Place, Relation
from sam3_tool.masks.boxes import mask_to_box
from sam3_tool.masks.rle import RleMask, decode_columns

__all__ = [
    "MEASURES",
    "PLACES",
    "RELATIONS",
    "Measure",
    "Place",
    "Relation",
    "find_located",
    "find_related",
    "measure_masks",
]

Masks: TypeAlias = np.ndarray | Sequence[RleMask]
"""Of one picture: bool, (N, H, W), or compressed, which is quicker as only what the masks touch is ever decoded."""
PixelBox: TypeAlias = tuple[int, int, int, int]
"""x0 y0 x1 y1 in pixels, x1 and y1 exclusive."""
LONGEST_SIDE = 2048
"""Pixels; the longer side of the masks that geometry is computed on."""
SIDE_MARGIN = 0.02
"""left_of, right_of, above, below: how far apart the centroids must be, as a share of the picture's width or height."""
SIZE_MARGIN = 1.05
"""larger, smaller: the least ratio of the two areas."""
CONTACT = 0.005
"""touching: the largest gap, as a share of the picture's diagonal (at least 2 pixels)."""
INSIDE_SHARE = 0.75
"""inside: how much of the object lies within the other's filled outline."""
SURROUNDED_SHARE = 0.75
"""inside, where the outline is broken: in how many of 16 directions the other is met, for an object within its hull."""
BOTTOM_STRIP = 0.25
"""on: the lowest part of the object's height, which must be supported …"""
SUPPORT_SHARE = 0.25
"""on: … in this share of that part's columns …"""
SUPPORT_GAP = 0.05
"""on: … by pixels of the other no farther below than this share of the object's height (at least 2 pixels)."""
ROOF_SHARE = 0.5
"""under: the horizontal overlap, as a share of the narrower of the two widths."""
OVERLAP_SHARE = 0.05
"""overlapping: the part that the convex hulls share, relative to the smaller hull."""
CORRIDOR = 0.25
"""between: how far the centroid may be off the line that joins the two others, as a share of that line's length."""
MIDDLE = (0.25, 0.75)
"""located in the middle: the centroid's range on both axes, as a share of the picture."""
MAX_PAIRS = 1 << 20
"""Of pixels that are measured one by one for a gap; for more, the distances of a whole area are quicker."""


def find_related(relation: Relation, masks: Masks, to: Masks, other: Masks = ()) -> np.ndarray:
    """Which of the N `masks` stand in the relation to at least one of `to`: bool, (N,).

    Empty masks stand in no relation, and neither does an object to itself (`SAME_OBJECT`).

    - left_of, right_of, above, below: centroids, at least `SIDE_MARGIN` apart on that axis.
    - inside: `INSIDE_SHARE` of it lies within the other's outline, holes filled (so an object drawn on top of another,
      or seen through a ring, is inside it though they share no pixel); or it lies within the other's convex hull and is
      surrounded by it (`SURROUNDED_SHARE`), as when it hides a part of the ring.
    - on: inside, or it stands on the other: centroid above the other's, and its lowest part supported from below.
    - under: the other is on it, or its centroid is lower, their columns overlap (`ROOF_SHARE`) and they are next to
      each other in the sense of the gap: a cat between the legs of a table.
    - touching: gap of at most `CONTACT`. overlapping: touching, and a pixel or `OVERLAP_SHARE` of the hulls is shared.
    - next_to: gap of at most the size of the smaller one, and neither inside the other.
    - between: the centroid projects into the line from one of `to` to one of `other` (with no `other`: to another one
      of `to`) and is at most `CORRIDOR` of its length, or half the size of the largest of the three, off it.
    - nearest, farthest: exactly one winner, by the least gap to any of `to`; ties: by centroid, then the first.
    - larger, smaller: by area, with `SIZE_MARGIN`.

    >>> row = np.zeros((3, 10, 10), bool)
    >>> row[0, 4:6, 0:2] = row[1, 4:6, 4:6] = row[2, 4:6, 8:10] = True
    >>> find_related("left_of", row, row[1:2]).tolist()
    [True, False, False]
    >>> find_related("between", row, row[:1], row[2:]).tolist()
    [False, True, False]
    """
    if relation not in RELATIONS:
        raise ValueError(f"`relation` must be one of {', '.join(RELATIONS)}, got {relation!r}")
    of, others = _to_shapes(masks), _to_shapes(to)
    if relation == "between":
        seconds = _to_shapes(other) or others
        return _to_flags(any(_is_between(a, b, c) for b in others for c in seconds) for a in of)
    if relation in ("nearest", "farthest"):
        return _find_extreme(of, others, farthest=relation == "farthest")
    holds, boxes = _PREDICATES[relation], _stack_boxes(others)
    among = (_find_neighbours(a, others, boxes) if relation in _LOCAL_RELATIONS else others for a in of)
    return _to_flags(
        any(holds(a, b) and not _is_same_object(a, b) for b in those) for a, those in zip(of, among, strict=True)
    )


def find_located(place: Place, masks: Masks) -> np.ndarray:
    """Which of the N `masks` lie at an absolute place, by their centroid: bool, (N,).

    left, right, top, bottom: that half of the picture. middle: its central half on both axes (`MIDDLE`). top_left and
    so on: that quarter. A centroid exactly on a line belongs to neither side; an empty mask lies nowhere.

    >>> corner = np.zeros((1, 8, 8), bool)
    >>> corner[0, :2, 6:] = True
    >>> [place for place in PLACES if find_located(place, corner)[0]]
    ['right', 'top', 'top_right']
    """
    if place not in PLACES:
        raise ValueError(f"`place` must be one of {', '.join(PLACES)}, got {place!r}")
    shapes = _to_shapes(masks)
    if place == "middle":
        low, high = MIDDLE
        # pixel k covers k to k + 1
        return _to_flags(low < (a.x + 0.5) / a.width < high and low < (a.y + 0.5) / a.height < high for a in shapes)
    return _to_flags(all(_is_in_half(half, a) for half in place.split("_")) for a in shapes)


def measure_masks(by: Measure, masks: Masks, scores: np.ndarray, to: Masks) -> np.ndarray:
    """One number per mask, float64 (N,), to rank by.

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
            values = [float(a.area) for a in _to_shapes(masks, 1)]
        case "score":
            return np.asarray(scores, dtype=np.float64)
        case "distance":
            return _compute_gaps(_to_shapes(masks), _to_shapes(to)) * _compute_pooling(masks)
        case "x" | "y":
            # the mean of whole numbers, so that equal means are equal numbers
            values = [np.nan_to_num(_compute_centroid(a.crop, a.left, a.top)[by == "y"]) for a in _to_shapes(masks, 1)]
        case "width" | "height":
            values = [float(a.crop.shape[by == "width"]) for a in _to_shapes(masks, 1)]
        case _:
            raise ValueError(f"`by` must be one of {', '.join(MEASURES)}, got {by!r}")
    return np.array(values, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Shape:
    """One mask, with what the predicates need of it computed once."""

    crop: np.ndarray
    """bool: the mask within its box; (0, 0) for an empty one."""
    left: int
    top: int
    """Where the box begins in the picture; 0 for an empty mask."""
    height: int
    width: int
    """Of the picture."""

    @property
    def box(self) -> PixelBox:
        """All 0 for an empty mask."""
        return self.left, self.top, self.left + self.crop.shape[1], self.top + self.crop.shape[0]

    @cached_property
    def area(self) -> int:
        return int(np.count_nonzero(self.crop))

    @cached_property
    def centroid(self) -> tuple[float, float]:
        """x, y of the mean pixel; NaN for an empty mask, so that every comparison fails."""
        x, y = _compute_centroid(self.crop)
        return x + self.left, y + self.top

    @property
    def x(self) -> float:
        return self.centroid[0]

    @property
    def y(self) -> float:
        return self.centroid[1]

    @property
    def size(self) -> float:
        """The geometric mean of the box's sides, pixels."""
        x0, y0, x1, y1 = self.box
        return float(np.sqrt((x1 - x0) * (y1 - y0)))

    @cached_property
    def outline(self) -> np.ndarray:
        """bool, as `crop`: the mask with its holes filled."""
        contours, _ = cv2.findContours(self.crop.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = np.zeros(self.crop.shape, dtype=np.uint8)
        return cv2.drawContours(filled, contours, -1, 1, thickness=cv2.FILLED).astype(bool)

    @cached_property
    def edge(self) -> np.ndarray:
        """int32, (K, 2), x y in the picture: the pixels of the (not empty) mask with a neighbour that is not of it."""
        pixels = self.crop.view(np.uint8)
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        inner = cv2.erode(pixels, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        return cv2.findNonZero(pixels - inner).reshape(-1, 2) + np.array([self.left, self.top], np.int32)

    @cached_property
    def hull(self) -> np.ndarray:
        """bool, as `crop`: the convex hull of the mask."""
        filled = np.zeros(self.crop.shape, dtype=np.uint8)
        return cv2.fillConvexPoly(filled, cv2.convexHull(self._row_ends), 1).astype(bool)

    @property
    def _row_ends(self) -> np.ndarray:
        """int32, (K, 2), x y in the crop: the first and last pixel of each row, which hold all corners of the hull."""
        rows = np.flatnonzero(self.crop.any(axis=1))
        first = self.crop[rows].argmax(axis=1)
        last = self.crop.shape[1] - 1 - self.crop[rows, ::-1].argmax(axis=1)
        return np.stack([np.concatenate([first, last]), np.tile(rows, 2)], axis=1).astype(np.int32)

    def cut_part(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """bool, (y1 - y0, x1 - x0): the mask in this part of the picture."""
        part = np.zeros((y1 - y0, x1 - x0), dtype=bool)
        common = _intersect_boxes(self.box, (x0, y0, x1, y1))
        if common is not None:
            part[_slice_box(common, x0, y0)] = self.crop[_slice_box(common, self.left, self.top)]
        return part


def _to_shapes(masks: Masks, step: int | None = None) -> list[_Shape]:
    """The masks that geometry is computed on, at most `LONGEST_SIDE` pixels long if no `step` of pooling is given."""
    step = _compute_pooling(masks) if step is None else step
    return [_to_shape(mask, step) for mask in masks]


def _compute_pooling(masks: Masks) -> int:
    height, width = _get_mask_size(masks[0]) if len(masks) else (1, 1)
    return max(1, -(-max(height, width) // LONGEST_SIDE))


def _get_mask_size(mask: np.ndarray | RleMask) -> tuple[int, int]:
    return mask.size if isinstance(mask, RleMask) else (mask.shape[0], mask.shape[1])


def _to_shape(mask: np.ndarray | RleMask, step: int) -> _Shape:
    """The mask, pooled: a pixel is set when any of the `step` x `step` that it stands for is."""
    left, near = (0, mask) if isinstance(mask, np.ndarray) else _decode_touched_columns(mask)
    x0, y0, x1, y1 = mask_to_box(near)
    crop, x0 = near[y0:y1, x0:x1], left + x0
    height, width = (-(-side // step) for side in _get_mask_size(mask))
    return _Shape(np.ascontiguousarray(_pool_crop(crop, x0, y0, step)), x0 // step, y0 // step, height, width)


def _decode_touched_columns(rle: RleMask) -> tuple[int, np.ndarray]:
    """The first column that the mask touches, and the mask, bool (H, W'), from there to the last one."""
    left, columns = decode_columns(rle)
    return left, columns.T


def _pool_crop(crop: np.ndarray, x: int, y: int, step: int) -> np.ndarray:
    """`crop`: bool, a part of the picture that begins at x, y, which need not be multiples of `step`."""
    if step == 1 or crop.size == 0:
        return crop
    height, width = crop.shape
    before = y % step, x % step
    padded = np.pad(
        crop, [(start, -(start + side) % step) for start, side in zip(before, (height, width), strict=True)]
    )
    return np.asarray(padded.reshape(padded.shape[0] // step, step, -1, step).any(axis=(1, 3)))


def _to_flags(values: Iterable[bool]) -> np.ndarray:
    return np.fromiter(values, dtype=bool)


def _compute_centroid(mask: np.ndarray, left: int = 0, top: int = 0) -> tuple[float, float]:
    """x, y of the mean pixel of a mask that begins at `left`, `top`; NaN for an empty one."""
    columns, rows = mask.sum(axis=0), mask.sum(axis=1)
    area = int(columns.sum())
    if area == 0:
        return float("nan"), float("nan")
    x, y = columns @ (left + np.arange(len(columns))), rows @ (top + np.arange(len(rows)))
    return float(x) / area, float(y) / area


def _is_in_half(half: str, a: _Shape) -> bool:
    # Pixel k covers k to k + 1, so the centroid of all pixels is at (side - 1) / 2, which is the dividing line.
    dx, dy = a.x - (a.width - 1) / 2, a.y - (a.height - 1) / 2
    return {"left": dx < 0, "right": dx > 0, "top": dy < 0, "bottom": dy > 0}[half]


def _intersect_boxes(a: PixelBox, b: PixelBox) -> PixelBox | None:
    """The part that two boxes share; None where there is none."""
    x0, y0 = max(a[0], b[0]), max(a[1], b[1])
    x1, y1 = min(a[2], b[2]), min(a[3], b[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _slice_box(box: PixelBox, left: int, top: int) -> tuple[slice, slice]:
    """Where the box is in an array that begins at `left`, `top`."""
    x0, y0, x1, y1 = box
    return slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)


def _count_shared(a: _Shape, of_a: np.ndarray, b: _Shape, of_b: np.ndarray) -> int:
    """How many pixels two crops (of `a` and of `b`) have in common."""
    common = _intersect_boxes(a.box, b.box)
    if common is None:
        return 0
    return int(np.count_nonzero(of_a[_slice_box(common, a.left, a.top)] & of_b[_slice_box(common, b.left, b.top)]))


def _is_same_object(a: _Shape, b: _Shape) -> bool:
    if min(a.area, b.area) <= SAME_OBJECT * max(a.area, b.area):
        return False  # even if one lay within the other; most pairs need not be compared
    shared = _count_shared(a, a.crop, b, b.crop)
    return shared > SAME_OBJECT * (a.area + b.area - shared)


def _compute_gap(a: _Shape, b: _Shape) -> float:
    """Pixels between the nearest pixels of two masks: 0 where they share one, inf where one is empty."""
    if a.area == 0 or b.area == 0:
        return float("inf")
    if _count_shared(a, a.crop, b, b.crop):
        return 0.0
    reach = _bound_squared_gap(a, b)
    of_a, of_b = (
        a.edge[_compute_squared_box_distances(a.edge, b.box) <= reach],
        b.edge[_compute_squared_box_distances(b.edge, a.box) <= reach],
    )
    few = len(of_a) * len(of_b) <= MAX_PAIRS
    return _compute_root(int(_compute_squared_distances(of_a, of_b).min()) if few else _find_least_square(of_a, of_b))


def _compute_root(square: int) -> float:
    """In single precision, as OpenCV measures distances."""
    return float(np.sqrt(np.float32(square)))


def _bound_squared_gap(a: _Shape, b: _Shape) -> int:
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
    # whole again: the roots differ in their last bits with the size of the picture and the number of threads
    return round(float(distances[tuple((a - low).T[::-1])].min()) ** 2)


def _bound_box_gap(a: _Shape, b: _Shape) -> float:
    """What the gap is at least, for masks that are not empty."""
    dx = max(a.box[0], b.box[0]) - min(a.box[2], b.box[2]) + 1
    dy = max(a.box[1], b.box[1]) - min(a.box[3], b.box[3]) + 1
    return _compute_root(max(dx, 0) ** 2 + max(dy, 0) ** 2)


def _is_within_gap(a: _Shape, b: _Shape, limit: float) -> bool:
    """Whether the gap is at most `limit` pixels; cheap where the boxes alone are farther apart."""
    return _bound_box_gap(a, b) <= limit and _compute_gap(a, b) <= limit


def _is_left_of(a: _Shape, b: _Shape) -> bool:
    return b.x - a.x > SIDE_MARGIN * a.width


def _is_above(a: _Shape, b: _Shape) -> bool:
    return b.y - a.y > SIDE_MARGIN * a.height


def _is_larger(a: _Shape, b: _Shape) -> bool:
    return 0 < b.area * SIZE_MARGIN < a.area


def _is_inside(a: _Shape, b: _Shape) -> bool:
    if a.area == 0 or _intersect_boxes(a.box, b.box) is None:
        return False
    if _count_shared(a, a.crop, b, b.outline) >= INSIDE_SHARE * a.area:
        return True
    return _count_shared(a, a.crop, b, b.hull) >= INSIDE_SHARE * a.area and _is_surrounded(a, b)


def _is_surrounded(a: _Shape, b: _Shape) -> bool:
    """Whether rays from the centroid of `a` meet `b` in enough of 16 directions."""
    reach = np.arange(int(np.hypot(b.box[2] - b.box[0], b.box[3] - b.box[1])) + 1)
    angles = np.arange(16)[:, None] * (np.pi / 8)
    columns = np.rint(a.x - b.box[0] + reach * np.cos(angles)).astype(int)
    rows = np.rint(a.y - b.box[1] + reach * np.sin(angles)).astype(int)
    height, width = b.crop.shape
    within = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    hit = b.crop[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)] & within
    return bool(hit.any(axis=1).mean() >= SURROUNDED_SHARE)


def _is_on(a: _Shape, b: _Shape) -> bool:
    return _is_inside(a, b) or (a.y < b.y and _is_supported(a, b))


def _is_supported(a: _Shape, b: _Shape) -> bool:
    """Whether enough of the lowest part of `a` has pixels of `b` right below it."""
    x0, y0, x1, y1 = a.box
    height = y1 - y0
    lowest = height - 1 - np.argmax(a.crop[::-1], axis=0)
    reach = max(2, round(SUPPORT_GAP * height))
    below = np.cumsum(b.cut_part(x0, y0, x1, min(y1 + reach, b.height)), axis=0, dtype=np.int32)
    columns = np.flatnonzero(a.crop.any(axis=0) & (lowest >= height - 1 - BOTTOM_STRIP * height))
    last = np.minimum(lowest[columns] + reach, len(below) - 1)
    held = below[last, columns] > below[lowest[columns], columns]
    return bool(held.mean() >= SUPPORT_SHARE)


def _is_under(a: _Shape, b: _Shape) -> bool:
    if _is_on(b, a):
        return True
    overlap = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    narrower = min(a.box[2] - a.box[0], b.box[2] - b.box[0])
    roofed = overlap >= ROOF_SHARE * narrower and _is_above(b, a) and not _is_inside(a, b)
    return roofed and _is_within_gap(a, b, min(a.size, b.size))


def _is_touching(a: _Shape, b: _Shape) -> bool:
    return _is_within_gap(a, b, _get_contact_gap(a))


def _get_contact_gap(a: _Shape) -> float:
    """The largest gap, in pixels, at which masks in this picture touch."""
    return max(2.0, CONTACT * float(np.hypot(a.height, a.width)))


def _is_overlapping(a: _Shape, b: _Shape) -> bool:
    if not _is_touching(a, b):
        return False
    if _count_shared(a, a.crop, b, b.crop):
        return True
    smaller = min(int(np.count_nonzero(a.hull)), int(np.count_nonzero(b.hull)))
    return _count_shared(a, a.hull, b, b.hull) >= OVERLAP_SHARE * smaller


def _is_next_to(a: _Shape, b: _Shape) -> bool:
    return _is_within_gap(a, b, min(a.size, b.size)) and not _is_inside(a, b) and not _is_inside(b, a)


def _is_between(a: _Shape, b: _Shape, c: _Shape) -> bool:
    if b is c or _is_same_object(a, b) or _is_same_object(a, c) or _is_same_object(b, c):
        return False
    line = np.subtract(c.centroid, b.centroid)
    way = np.subtract(a.centroid, b.centroid)
    length = float(np.hypot(*line))
    along = float(way @ line) / max(length, 1e-9)
    off = abs(float(line[0] * way[1] - line[1] * way[0])) / max(length, 1e-9)
    return 0 < along < length and off <= max(CORRIDOR * length, max(a.size, b.size, c.size) / 2)


_PREDICATES: dict[str, Callable[[_Shape, _Shape], bool]] = {
    "left_of": _is_left_of,
    "right_of": lambda a, b: _is_left_of(b, a),
    "above": _is_above,
    "below": lambda a, b: _is_above(b, a),
    "inside": _is_inside,
    "on": _is_on,
    "under": _is_under,
    "touching": _is_touching,
    "overlapping": _is_overlapping,
    "next_to": _is_next_to,
    "larger": _is_larger,
    "smaller": lambda a, b: _is_larger(b, a),
}


_LOCAL_RELATIONS = ("inside", "on", "under", "touching", "overlapping", "next_to")


def _find_neighbours(a: _Shape, others: list[_Shape], boxes: np.ndarray) -> list[_Shape]:
    """All that can stand in such a relation to `a`, or `a` to them, and some more: no such relation reaches farther
    than the longer side of either box, or what counts as contact. So few pairs need to be looked at."""
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    reach = np.maximum(longest, max(a.box[2] - a.box[0], a.box[3] - a.box[1], _get_contact_gap(a)))
    return [others[index] for index in np.flatnonzero(_bound_box_gaps(a, boxes) <= reach + 1)]


def _compute_gaps(of: list[_Shape], to: list[_Shape]) -> np.ndarray:
    """float64, (N,): the least gap to any of `to` that is not the object itself; inf where there is none."""
    boxes = _stack_boxes(to)
    return np.array([_find_least_gap(a, to, _bound_box_gaps(a, boxes)) for a in of], dtype=np.float64)


def _find_least_gap(a: _Shape, to: list[_Shape], least_gaps: np.ndarray) -> float:
    """The nearest by their boxes come first, so that most need not be looked at."""
    least = float("inf")
    for index in np.argsort(least_gaps, kind="stable"):
        if least_gaps[index] >= least:
            break
        if not _is_same_object(a, to[index]):
            least = min(least, _compute_gap(a, to[index]))
    return least


def _stack_boxes(shapes: list[_Shape]) -> np.ndarray:
    """int64, (N, 4), x0 y0 x1 y1."""
    return np.array([shape.box for shape in shapes], np.int64).reshape(-1, 4)


def _bound_box_gaps(a: _Shape, boxes: np.ndarray) -> np.ndarray:
    """float32, (N,): what the gaps from `a` are at least, as `_bound_box_gap` has it; 0 where boxes share a pixel."""
    apart = np.maximum(boxes[:, :2], a.box[:2]) - np.minimum(boxes[:, 2:], a.box[2:]) + 1
    return np.asarray(np.sqrt((np.maximum(apart, 0) ** 2).sum(axis=1).astype(np.float32)))


def _find_extreme(of: list[_Shape], to: list[_Shape], *, farthest: bool) -> np.ndarray:
    """bool, (N,): the one object that is nearest to (farthest from) any of `to`, itself none of them."""
    sign = -1 if farthest else 1
    gaps, boxes = _compute_gaps(of, to), _stack_boxes(to)
    first = np.lexsort((sign * _compute_centroid_distances(of, to), sign * gaps))
    strangers = (i for i in first if np.isfinite(gaps[i]) and not _is_one_of(of[i], to, boxes))
    winner = np.zeros(len(of), dtype=bool)
    winner[list(islice(strangers, 1))] = True
    return winner


def _is_one_of(a: _Shape, to: list[_Shape], boxes: np.ndarray) -> bool:
    return any(_is_same_object(a, to[index]) for index in np.flatnonzero(_bound_box_gaps(a, boxes) == 0))


def _compute_centroid_distances(of: list[_Shape], to: list[_Shape]) -> np.ndarray:
    """float64, (N,): pixels between each centroid and the nearest one of `to`; inf where there is none."""
    x, y = np.array([b.centroid for b in to if b.area]).reshape(-1, 2).T
    return np.array([np.hypot(a.x - x, a.y - y).min(initial=np.inf) for a in of])
