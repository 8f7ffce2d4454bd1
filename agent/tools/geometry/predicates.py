"""Places and relations of masks: pure functions of masks, boolean or compressed.

Every margin below is a fraction of the image or of the objects; only contact has a floor in pixels. "Size" of an
object is the geometric mean of the sides of its box.
"""

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np

from agent.tools.geometry.distances import bound_box_gaps, compute_centroid_distances, compute_gaps, is_within_gap
from agent.tools.geometry.shapes import (
    Masks,
    Shape,
    count_shared,
    intersect_boxes,
    is_same_object,
    stack_boxes,
    to_shapes,
)
from agent.tools.geometry.terms import PLACES, RELATIONS, Place, Relation

SIDE_MARGIN = 0.02
"""left_of, right_of, above, below: how far apart the centroids must be, as a share of the image's width or height."""
SIZE_MARGIN = 1.05
"""larger, smaller: the least ratio of the two areas."""
CONTACT = 0.005
"""touching: the largest gap, as a share of the image's diagonal (at least 2 pixels)."""
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
"""located in the middle: the centroid's range on both axes, as a share of the image."""


def find_related(relation: Relation, masks: Masks, to: Masks, other: Masks = ()) -> np.ndarray:
    """Find which of the N `masks` stand in the relation to at least one of `to`: bool, (N,).

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
    of, others = to_shapes(masks), to_shapes(to)
    if relation == "between":
        seconds = to_shapes(other) or others
        return _to_flags(any(_is_between(a, b, c) for b in others for c in seconds) for a in of)
    if relation in ("nearest", "farthest"):
        return _find_extreme(of, others, farthest=relation == "farthest")
    holds, boxes = _PREDICATES[relation], stack_boxes(others)
    among = (_find_neighbours(a, others, boxes) if relation in _LOCAL_RELATIONS else others for a in of)
    return _to_flags(
        any(holds(a, b) and not is_same_object(a, b) for b in those) for a, those in zip(of, among, strict=True)
    )


def find_located(place: Place, masks: Masks) -> np.ndarray:
    """Find which of the N `masks` lie at an absolute place, by their centroid: bool, (N,).

    left, right, top, bottom: that half of the image. middle: its central half on both axes (`MIDDLE`). top_left and
    so on: that quarter. A centroid exactly on a line belongs to neither side; an empty mask lies nowhere.

    >>> corner = np.zeros((1, 8, 8), bool)
    >>> corner[0, :2, 6:] = True
    >>> [place for place in PLACES if find_located(place, corner)[0]]
    ['right', 'top', 'top_right']
    """
    if place not in PLACES:
        raise ValueError(f"`place` must be one of {', '.join(PLACES)}, got {place!r}")
    shapes = to_shapes(masks)
    if place == "middle":
        low, high = MIDDLE
        # pixel k covers k to k + 1
        return _to_flags(low < (a.x + 0.5) / a.width < high and low < (a.y + 0.5) / a.height < high for a in shapes)
    return _to_flags(all(_is_in_half(half, a) for half in place.split("_")) for a in shapes)


def _is_in_half(half: str, a: Shape) -> bool:
    # Pixel k covers k to k + 1, so the centroid of all pixels is at (side - 1) / 2, which is the dividing line.
    dx, dy = a.x - (a.width - 1) / 2, a.y - (a.height - 1) / 2
    return {"left": dx < 0, "right": dx > 0, "top": dy < 0, "bottom": dy > 0}[half]


def _is_left_of(a: Shape, b: Shape) -> bool:
    return b.x - a.x > SIDE_MARGIN * a.width


def _is_above(a: Shape, b: Shape) -> bool:
    return b.y - a.y > SIDE_MARGIN * a.height


def _is_larger(a: Shape, b: Shape) -> bool:
    return 0 < b.area * SIZE_MARGIN < a.area


def _is_inside(a: Shape, b: Shape) -> bool:
    if a.area == 0 or intersect_boxes(a.box, b.box) is None:
        return False
    if count_shared(a, a.crop, b, b.outline) >= INSIDE_SHARE * a.area:
        return True
    return count_shared(a, a.crop, b, b.hull) >= INSIDE_SHARE * a.area and _is_surrounded(a, b)


def _is_surrounded(a: Shape, b: Shape) -> bool:
    """Say whether rays from the centroid of `a` meet `b` in enough of 16 directions."""
    reach = np.arange(int(np.hypot(b.box[2] - b.box[0], b.box[3] - b.box[1])) + 1)
    angles = np.arange(16)[:, None] * (np.pi / 8)
    columns = np.rint(a.x - b.box[0] + reach * np.cos(angles)).astype(int)
    rows = np.rint(a.y - b.box[1] + reach * np.sin(angles)).astype(int)
    height, width = b.crop.shape
    within = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    hit = b.crop[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)] & within
    return bool(hit.any(axis=1).mean() >= SURROUNDED_SHARE)


def _is_on(a: Shape, b: Shape) -> bool:
    return _is_inside(a, b) or (a.y < b.y and _is_supported(a, b))


def _is_supported(a: Shape, b: Shape) -> bool:
    """Say whether enough of the lowest part of `a` has pixels of `b` right below it."""
    x0, y0, x1, y1 = a.box
    height = y1 - y0
    lowest = height - 1 - np.argmax(a.crop[::-1], axis=0)
    reach = max(2, round(SUPPORT_GAP * height))
    below = np.cumsum(b.cut_part(x0, y0, x1, min(y1 + reach, b.height)), axis=0, dtype=np.int32)
    columns = np.flatnonzero(a.crop.any(axis=0) & (lowest >= height - 1 - BOTTOM_STRIP * height))
    last = np.minimum(lowest[columns] + reach, len(below) - 1)
    held = below[last, columns] > below[lowest[columns], columns]
    return bool(held.mean() >= SUPPORT_SHARE)


def _is_under(a: Shape, b: Shape) -> bool:
    if _is_on(b, a):
        return True
    overlap = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    narrower = min(a.box[2] - a.box[0], b.box[2] - b.box[0])
    roofed = overlap >= ROOF_SHARE * narrower and _is_above(b, a) and not _is_inside(a, b)
    return roofed and is_within_gap(a, b, min(a.size, b.size))


def _is_touching(a: Shape, b: Shape) -> bool:
    return is_within_gap(a, b, _get_contact_gap(a))


def _get_contact_gap(a: Shape) -> float:
    """The largest gap, in pixels, at which masks in this image touch."""
    return max(2.0, CONTACT * float(np.hypot(a.height, a.width)))


def _is_overlapping(a: Shape, b: Shape) -> bool:
    if not _is_touching(a, b):
        return False
    if count_shared(a, a.crop, b, b.crop):
        return True
    smaller = min(int(np.count_nonzero(a.hull)), int(np.count_nonzero(b.hull)))
    return count_shared(a, a.hull, b, b.hull) >= OVERLAP_SHARE * smaller


def _is_next_to(a: Shape, b: Shape) -> bool:
    return is_within_gap(a, b, min(a.size, b.size)) and not _is_inside(a, b) and not _is_inside(b, a)


def _is_between(a: Shape, b: Shape, c: Shape) -> bool:
    if b is c or is_same_object(a, b) or is_same_object(a, c) or is_same_object(b, c):
        return False
    line = np.subtract(c.centroid, b.centroid)
    way = np.subtract(a.centroid, b.centroid)
    length = float(np.hypot(*line))
    along = float(way @ line) / max(length, 1e-9)
    off = abs(float(line[0] * way[1] - line[1] * way[0])) / max(length, 1e-9)
    return 0 < along < length and off <= max(CORRIDOR * length, max(a.size, b.size, c.size) / 2)


_PREDICATES: dict[str, Callable[[Shape, Shape], bool]] = {
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
"""Those that reach no farther than the longer side of either box, or what counts as contact."""


def _find_neighbours(a: Shape, others: list[Shape], boxes: np.ndarray) -> list[Shape]:
    """Find all that can stand in such a relation to `a`, or `a` to them, and some more.

    No such relation reaches farther than the longer side of either box, or what counts as contact. So few pairs need to
    be looked at.
    """
    # with 1,000 masks this takes 0.2 s where all pairs took 3 to 15 (benchmarks/NOTES.md)
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    reach = np.maximum(longest, max(a.box[2] - a.box[0], a.box[3] - a.box[1], _get_contact_gap(a)))
    return [others[index] for index in np.flatnonzero(bound_box_gaps(a, boxes) <= reach + 1)]


def _find_extreme(of: list[Shape], to: list[Shape], *, farthest: bool) -> np.ndarray:
    """bool, (N,): the one object that is nearest to (farthest from) any of `to`, itself none of them."""
    sign = -1 if farthest else 1
    gaps, boxes = compute_gaps(of, to), stack_boxes(to)
    first = np.lexsort((sign * compute_centroid_distances(of, to), sign * gaps))
    strangers = (i for i in first if np.isfinite(gaps[i]) and not _is_one_of(of[i], to, boxes))
    winner = np.zeros(len(of), dtype=bool)
    winner[list(islice(strangers, 1))] = True
    return winner


def _is_one_of(a: Shape, to: list[Shape], boxes: np.ndarray) -> bool:
    return any(is_same_object(a, to[index]) for index in np.flatnonzero(bound_box_gaps(a, boxes) == 0))


def _to_flags(values: Iterable[bool]) -> np.ndarray:
    return np.fromiter(values, dtype=bool)
