"""Where masks lie, how they relate and what they measure: pure functions of boolean masks.

Every margin below is a fraction of the picture or of the objects; only contact has a floor in pixels. "Size" of an
object is the geometric mean of the sides of its box; "gap" is the distance between the nearest pixels of two masks (0
when they share a pixel, 1 when they are neighbours). Exact for pictures up to `LONGEST_SIDE` pixels; larger masks are
pooled to at most that side first (a pooled pixel is set when any of its pixels is).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from agent.tools.relations import MEASURES, PLACES, RELATIONS, SAME_OBJECT, Measure, Place, Relation

__all__ = ["MEASURES", "PLACES", "RELATIONS", "Measure", "Place", "Relation", "located", "measure", "related"]

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


def related(relation: Relation, masks: np.ndarray, to: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """Which of `masks` stand in the relation to at least one of `to`.

    `masks`, `to`, `other`: bool, (N, H, W), (M, H, W), (K, H, W), one picture. Returns bool, (N,). Empty masks stand in
    no relation, and neither does an object to itself (`SAME_OBJECT`).

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
    >>> related("left_of", row, row[1:2]).tolist()
    [True, False, False]
    >>> related("between", row, row[:1], row[2:]).tolist()
    [False, True, False]
    """
    if relation not in RELATIONS:
        raise ValueError(f"`relation` must be one of {', '.join(RELATIONS)}, got {relation!r}")
    of = list(_shapes(masks))
    if relation == "between":
        firsts = list(_shapes(to))
        seconds = firsts if other is None or len(other) == 0 else list(_shapes(other))
        return _flags(any(_between(a, b, c) for b in firsts for c in seconds) for a in of)
    if relation in ("nearest", "farthest"):
        return _extreme(of, list(_shapes(to)), farthest=relation == "farthest")
    holds = _PREDICATES[relation]
    found = np.zeros(len(of), dtype=bool)
    for b in _shapes(to):
        found |= _flags(not _same(a, b) and holds(a, b) for a in of)
    return found


def located(place: Place, masks: np.ndarray) -> np.ndarray:
    """Which of `masks`, bool (N, H, W), lie at an absolute place, by their centroid. Returns bool, (N,).

    left, right, top, bottom: that half of the picture. middle: its central half on both axes (`MIDDLE`). top_left and
    so on: that quarter. A centroid exactly on a line belongs to neither side; an empty mask lies nowhere.

    >>> corner = np.zeros((1, 8, 8), bool)
    >>> corner[0, :2, 6:] = True
    >>> [place for place in PLACES if located(place, corner)[0]]
    ['right', 'top', 'top_right']
    """
    if place not in PLACES:
        raise ValueError(f"`place` must be one of {', '.join(PLACES)}, got {place!r}")
    shapes = _shapes(masks)
    if place == "middle":
        low, high = MIDDLE
        # pixel k covers k to k + 1
        return _flags(low < (a.x + 0.5) / a.width < high and low < (a.y + 0.5) / a.height < high for a in shapes)
    return _flags(all(_in_half(half, a) for half in place.split("_")) for a in shapes)


def measure(by: Measure, masks: np.ndarray, scores: np.ndarray, to: np.ndarray) -> np.ndarray:
    """One number per mask, float64 (N,), to rank by.

    `masks`: bool, (N, H, W). `scores`: float, (N,). `to`: bool, (M, H, W), used by distance only.
    size: area in pixels. x, y: centroid in pixels. width, height: of the mask's extents, in pixels. score: as given.
    distance: the least gap to any of `to` in pixels, leaving out the object itself; inf where there is none.
    An empty mask measures 0 (distance: inf).

    >>> mask = np.zeros((1, 10, 10), bool)
    >>> mask[0, 2:4, 5:9] = True
    >>> [measure(by, mask, np.ones(1), mask).item() for by in MEASURES]
    [8.0, 6.5, 2.5, 1.0, inf, 4.0, 2.0]
    """
    match by:
        case "size":
            return np.asarray(masks.sum(axis=(1, 2)), dtype=np.float64)
        case "score":
            return np.asarray(scores, dtype=np.float64)
        case "distance":
            return _gaps(list(_shapes(masks)), _shapes(to)) * _pooling(masks)
        case "x" | "y":
            return np.array([np.nan_to_num(_centroid(mask)[by == "y"]) for mask in masks], dtype=np.float64)
        case "width" | "height":
            return np.array([_extents(mask)[by == "height"] for mask in masks], dtype=np.float64)
    raise ValueError(f"`by` must be one of {', '.join(MEASURES)}, got {by!r}")


@dataclass(frozen=True, eq=False)
class _Shape:
    """One mask, with what the predicates need of it computed once."""

    mask: np.ndarray
    """bool, (H, W)."""

    @property
    def height(self) -> int:
        return int(self.mask.shape[0])

    @property
    def width(self) -> int:
        return int(self.mask.shape[1])

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """x0 y0 x1 y1, x1 and y1 exclusive; all 0 for an empty mask."""
        return _box(self.mask)

    @cached_property
    def crop(self) -> np.ndarray:
        """bool: the mask within its box."""
        x0, y0, x1, y1 = self.box
        return self.mask[y0:y1, x0:x1]

    @cached_property
    def area(self) -> int:
        return int(np.count_nonzero(self.crop))

    @cached_property
    def centroid(self) -> tuple[float, float]:
        """x, y of the mean pixel; NaN for an empty mask, so that every comparison fails."""
        x, y = _centroid(self.crop)
        return x + self.box[0], y + self.box[1]

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
    def distances(self) -> np.ndarray:
        """float32, (H, W): pixels from each pixel to the nearest one of the (not empty) mask."""
        return cv2.distanceTransform((~self.mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)

    @cached_property
    def hull(self) -> np.ndarray:
        """bool, as `crop`: the convex hull of the mask."""
        points = np.argwhere(self.crop)[:, ::-1].astype(np.int32)
        filled = np.zeros(self.crop.shape, dtype=np.uint8)
        return cv2.fillConvexPoly(filled, cv2.convexHull(points), 1).astype(bool)


def _shapes(masks: np.ndarray) -> Iterator[_Shape]:
    """The masks that geometry is computed on, at most `LONGEST_SIDE` pixels long; one by one, as each may grow big."""
    step = _pooling(masks)
    return (_Shape(_pooled(mask, step)) for mask in masks)


def _pooling(masks: np.ndarray) -> int:
    height, width = masks.shape[1:]
    return int(max(1, -(-max(height, width) // LONGEST_SIDE)))


def _pooled(mask: np.ndarray, step: int) -> np.ndarray:
    if step == 1:
        return mask
    height, width = (-(-side // step) * step for side in mask.shape)
    padded = np.zeros((height, width), dtype=bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return np.asarray(padded.reshape(height // step, step, width // step, step).any(axis=(1, 3)))


def _flags(values: Iterable[bool]) -> np.ndarray:
    return np.fromiter(values, dtype=bool)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _extents(mask: np.ndarray) -> tuple[int, int]:
    x0, y0, x1, y1 = _box(mask)
    return x1 - x0, y1 - y0


def _centroid(mask: np.ndarray) -> tuple[float, float]:
    """x, y of the mean pixel; NaN for an empty mask."""
    columns, rows = mask.sum(axis=0), mask.sum(axis=1)
    area = int(columns.sum())
    if area == 0:
        return float("nan"), float("nan")
    return float(columns @ np.arange(len(columns))) / area, float(rows @ np.arange(len(rows))) / area


def _in_half(half: str, a: _Shape) -> bool:
    # Pixel k covers k to k + 1, so the centroid of all pixels is at (side - 1) / 2, which is the dividing line.
    dx, dy = a.x - (a.width - 1) / 2, a.y - (a.height - 1) / 2
    return {"left": dx < 0, "right": dx > 0, "top": dy < 0, "bottom": dy > 0}[half]


def _common(a: _Shape, b: _Shape) -> tuple[int, int, int, int] | None:
    """The part that two boxes share, x0 y0 x1 y1; None where there is none."""
    x0, y0 = max(a.box[0], b.box[0]), max(a.box[1], b.box[1])
    x1, y1 = min(a.box[2], b.box[2]), min(a.box[3], b.box[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _shared(a: _Shape, of_a: np.ndarray, b: _Shape, of_b: np.ndarray) -> int:
    """How many pixels two crops (of `a` and of `b`) have in common."""
    common = _common(a, b)
    if common is None:
        return 0
    x0, y0, x1, y1 = common
    in_a = of_a[y0 - a.box[1] : y1 - a.box[1], x0 - a.box[0] : x1 - a.box[0]]
    in_b = of_b[y0 - b.box[1] : y1 - b.box[1], x0 - b.box[0] : x1 - b.box[0]]
    return int(np.count_nonzero(in_a & in_b))


def _same(a: _Shape, b: _Shape) -> bool:
    shared = _shared(a, a.crop, b, b.crop)
    return shared > SAME_OBJECT * (a.area + b.area - shared)


def _gap(a: _Shape, b: _Shape) -> float:
    """Pixels between the nearest pixels of two masks: 0 where they share one, inf where one is empty."""
    if a.area == 0 or b.area == 0:
        return float("inf")
    x0, y0, x1, y1 = a.box
    return float(b.distances[y0:y1, x0:x1][a.crop].min())


def _within(a: _Shape, b: _Shape, limit: float) -> bool:
    """Whether the gap is at most `limit` pixels; cheap where the boxes alone are farther apart."""
    dx = max(a.box[0], b.box[0]) - min(a.box[2], b.box[2]) + 1
    dy = max(a.box[1], b.box[1]) - min(a.box[3], b.box[3]) + 1
    return max(dx, dy) <= limit and _gap(a, b) <= limit


def _left_of(a: _Shape, b: _Shape) -> bool:
    return b.x - a.x > SIDE_MARGIN * a.width


def _above(a: _Shape, b: _Shape) -> bool:
    return b.y - a.y > SIDE_MARGIN * a.height


def _larger(a: _Shape, b: _Shape) -> bool:
    return 0 < b.area * SIZE_MARGIN < a.area


def _inside(a: _Shape, b: _Shape) -> bool:
    if a.area == 0 or _common(a, b) is None:
        return False
    if _shared(a, a.crop, b, b.outline) >= INSIDE_SHARE * a.area:
        return True
    return _shared(a, a.crop, b, b.hull) >= INSIDE_SHARE * a.area and _surrounded(a, b)


def _surrounded(a: _Shape, b: _Shape) -> bool:
    """Whether rays from the centroid of `a` meet `b` in enough of 16 directions."""
    reach = np.arange(int(np.hypot(b.box[2] - b.box[0], b.box[3] - b.box[1])) + 1)
    angles = np.arange(16)[:, None] * (np.pi / 8)
    columns = np.rint(a.x - b.box[0] + reach * np.cos(angles)).astype(int)
    rows = np.rint(a.y - b.box[1] + reach * np.sin(angles)).astype(int)
    height, width = b.crop.shape
    within = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    hit = b.crop[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)] & within
    return bool(hit.any(axis=1).mean() >= SURROUNDED_SHARE)


def _on(a: _Shape, b: _Shape) -> bool:
    return _inside(a, b) or (a.y < b.y and _supported(a, b))


def _supported(a: _Shape, b: _Shape) -> bool:
    """Whether enough of the lowest part of `a` has pixels of `b` right below it."""
    x0, _, x1, y1 = a.box
    height = a.crop.shape[0]
    lowest = height - 1 - np.argmax(a.crop[::-1], axis=0) + a.box[1]
    reach = max(2, round(SUPPORT_GAP * height))
    below = np.cumsum(b.mask[: y1 + reach, x0:x1], axis=0, dtype=np.int32)
    columns = np.flatnonzero(a.crop.any(axis=0) & (lowest >= y1 - 1 - BOTTOM_STRIP * height))
    last = np.minimum(lowest[columns] + reach, len(below) - 1)
    held = below[last, columns] > below[lowest[columns], columns]
    return bool(held.mean() >= SUPPORT_SHARE)


def _under(a: _Shape, b: _Shape) -> bool:
    if _on(b, a):
        return True
    overlap = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    narrower = min(a.box[2] - a.box[0], b.box[2] - b.box[0])
    roofed = overlap >= ROOF_SHARE * narrower and _above(b, a) and not _inside(a, b)
    return roofed and _within(a, b, min(a.size, b.size))


def _touching(a: _Shape, b: _Shape) -> bool:
    return _within(a, b, max(2.0, CONTACT * float(np.hypot(a.height, a.width))))


def _overlapping(a: _Shape, b: _Shape) -> bool:
    if not _touching(a, b):
        return False
    smaller = min(int(np.count_nonzero(a.hull)), int(np.count_nonzero(b.hull)))
    return _shared(a, a.crop, b, b.crop) > 0 or _shared(a, a.hull, b, b.hull) >= OVERLAP_SHARE * smaller


def _next_to(a: _Shape, b: _Shape) -> bool:
    return _within(a, b, min(a.size, b.size)) and not _inside(a, b) and not _inside(b, a)


def _between(a: _Shape, b: _Shape, c: _Shape) -> bool:
    if b is c or _same(a, b) or _same(a, c) or _same(b, c):
        return False
    line = np.subtract(c.centroid, b.centroid)
    way = np.subtract(a.centroid, b.centroid)
    length = float(np.hypot(*line))
    along = float(way @ line) / max(length, 1e-9)
    off = abs(float(line[0] * way[1] - line[1] * way[0])) / max(length, 1e-9)
    return 0 < along < length and off <= max(CORRIDOR * length, max(a.size, b.size, c.size) / 2)


_PREDICATES: dict[str, Callable[[_Shape, _Shape], bool]] = {
    "left_of": _left_of,
    "right_of": lambda a, b: _left_of(b, a),
    "above": _above,
    "below": lambda a, b: _above(b, a),
    "inside": _inside,
    "on": _on,
    "under": _under,
    "touching": _touching,
    "overlapping": _overlapping,
    "next_to": _next_to,
    "larger": _larger,
    "smaller": lambda a, b: _larger(b, a),
}


def _gaps(of: list[_Shape], to: Iterable[_Shape]) -> np.ndarray:
    """float64, (N,): the least gap to any of `to` that is not the object itself; inf where there is none."""
    least = np.full(len(of), np.inf)
    for b in to:
        least = np.minimum(least, [np.inf if _same(a, b) else _gap(a, b) for a in of])
    return least


def _extreme(of: list[_Shape], to: list[_Shape], *, farthest: bool) -> np.ndarray:
    """bool, (N,): the one object that is nearest to (farthest from) any of `to`, itself none of them."""
    sign = -1 if farthest else 1
    gaps = _gaps(of, to)
    centres = [min((float(np.hypot(a.x - b.x, a.y - b.y)) for b in to), default=np.inf) for a in of]
    others = [i for i, a in enumerate(of) if np.isfinite(gaps[i]) and not any(_same(a, b) for b in to)]
    winner = np.zeros(len(of), dtype=bool)
    if others:
        winner[min(others, key=lambda i: (sign * gaps[i], sign * centres[i], i))] = True
    return winner
