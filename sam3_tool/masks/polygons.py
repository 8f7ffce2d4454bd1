"""Masks as polygons from which the same mask is drawn again, holes and parts included."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

Ring = np.ndarray
"""int, (P, 2), x y of a closed outline in half pixels: pixel p has the places 2 p and 2 p + 1. P is 4 or more."""

_FEW_RINGS = 32
"""So many are compared with each other one by one, which is faster than a tree."""


def trace_rings(mask: np.ndarray, *, tolerance: float = 0.0) -> list[Ring]:
    """Return one ring for each connected part of `mask`, bool (H, W); none for an empty one.

    `tolerance`: pixels by which outlines may miss the mask's edge, so that they have fewer corners; 0 loses nothing.

    A polygon cannot have holes; a ring goes into each of them along a cut of no width, around it, and back the same
    way, which every even-odd rasteriser undoes. Because the outline is taken at twice the resolution, it has an area
    even around a single pixel.
    """
    # at twice the resolution even a single pixel has an outline with an area
    twice = np.repeat(np.repeat(mask.view(np.uint8), 2, axis=0), 2, axis=1)
    outlines, family = cv2.findContours(twice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if family is None:
        return []
    rings = [_simplify_outline(outline, tolerance).reshape(-1, 2) for outline in outlines]
    return [
        join_rings([rings[outer], *(rings[hole] for hole in _find_holes(outer, family[0]))])
        for outer, (*_, parent) in enumerate(family[0])
        if parent < 0
    ]


def _simplify_outline(outline: np.ndarray, tolerance: float) -> np.ndarray:
    """Leave out corners of an outline at twice the resolution, unless fewer than three would be left."""
    few = cv2.approxPolyDP(outline, 2 * tolerance, True) if tolerance else outline
    return few if len(few) > 2 else outline


def measure_polygons(mask: np.ndarray, *, tolerance: float = 0.0) -> tuple[int, float]:
    """Return how many points the polygons of `mask`, bool (H, W), have, and their IoU with it as COCO draws them.

    >>> measure_polygons(np.ones((4, 6), bool))
    (4, 1.0)
    """
    from sam3_tool.masks.rle import compute_ious, encode_mask, from_polygons, merge_masks

    drawn = [to_edge_coordinates(ring).ravel().tolist() for ring in trace_rings(mask, tolerance=tolerance)]
    if not drawn:
        return 0, 1.0
    whole = merge_masks(from_polygons(drawn, *mask.shape))
    return sum(len(polygon) // 2 for polygon in drawn), float(compute_ious([whole], [encode_mask(mask)])[0, 0])


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Return the polygons of `mask`, bool (H, W), as COCO files hold them: x0, y0, x1, y1, … in pixels, one per part.

    >>> mask_to_polygons(np.ones((1, 1), bool))
    [[0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75, 0.25]]
    """
    return [to_edge_coordinates(ring).ravel().tolist() for ring in trace_rings(mask)]


def trace_outlines(mask: np.ndarray, *, tolerance: float = 1.0, min_share: float = 0.01) -> list[np.ndarray]:
    """Return the outer outlines of `mask`, bool (H, W), with few corners, for people to move; the largest part first.

    Holes are lost, and so are parts that are smaller than `min_share` of the largest one.

    Args:
        mask: What to outline.
        tolerance: Pixels by which an outline may miss the mask's edge.
        min_share: In [0, 1].

    Returns:
        float64, (P, 2) each with P of 3 or more: x y in pixels, where pixel p reaches from p to p + 1.

    >>> [outline.tolist() for outline in trace_outlines(np.ones((2, 3), bool))]
    [[[0.25, 0.25], [0.25, 1.75], [2.75, 1.75], [2.75, 0.25]]]
    """
    twice = np.repeat(np.repeat(mask.view(np.uint8), 2, axis=0), 2, axis=1)
    outlines, _ = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    by_area = sorted(((cv2.contourArea(outline), outline) for outline in outlines), key=lambda pair: -pair[0])
    kept = [outline for area, outline in by_area if area >= min_share * by_area[0][0]]
    simple = [cv2.approxPolyDP(outline, 2 * tolerance, True) for outline in kept]
    rings = [few if len(few) > 2 else outline for few, outline in zip(simple, kept, strict=True)]
    return [to_edge_coordinates(ring.reshape(-1, 2)) for ring in rings]


def _find_holes(outer: int, family: np.ndarray) -> Iterator[int]:
    """Yield the holes of an outline. `family`: next and previous outline, first child, parent of each; -1 for none."""
    hole = family[outer][2]
    while hole >= 0:
        yield int(hole)
        hole = family[hole][0]


def join_rings(rings: Sequence[Ring]) -> Ring:
    """Return one ring that goes around all, from each to one before it along a cut and back.

    A cut leads from a ring's first corner to the nearest corner of the rings before it, by the sum of steps across and
    down; of equals, to the one that comes first.
    """
    if len(rings) == 1:
        return rings[0]
    corners = np.concatenate(rings)
    starts = np.cumsum([0, *map(len, rings)])
    anchors = _find_anchors(corners, starts)
    return np.asarray(corners[_walk_rings(starts.tolist(), anchors.tolist())])


def _find_anchors(corners: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return int, (R,): for each ring, the corner of the rings before it where it is joined; -1 for the first one.

    `corners`: those of all rings, (C, 2). `starts`: where each ring begins among them, and where the last one ends.
    """
    count = len(starts) - 1
    anchors, nearest = np.full(count, -1), np.full(count, np.inf)
    halves = [(0, count)]
    while halves:  # each ring is compared with all before it, in a number of trees that grows as the logarithm
        first, last = halves.pop()
        if last - first <= _FEW_RINGS:
            for ring in range(first + 1, last):
                steps = np.abs(corners[starts[first] : starts[ring]] - corners[starts[ring]]).sum(axis=1)
                _update_anchors(anchors, nearest, ring, steps.min(), starts[first] + steps.argmin())
            continue
        middle = (first + last) // 2
        halves += [(first, middle), (middle, last)]
        steps, found = _query_corners(corners[starts[first] : starts[middle]], corners[starts[middle:last]])
        _update_anchors(anchors, nearest, slice(middle, last), steps, starts[first] + found)
    return anchors


def _update_anchors(anchors: np.ndarray, nearest: np.ndarray, rings: int | slice, steps: Any, found: Any) -> None:
    """Put corners in the place of those that are further away, or as far and later."""
    is_better = (steps < nearest[rings]) | ((steps == nearest[rings]) & (found < anchors[rings]))
    anchors[rings] = np.where(is_better, found, anchors[rings])
    nearest[rings] = np.where(is_better, steps, nearest[rings])


def _query_corners(corners: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many steps the nearest of `corners` is from each of `points`, and its index: of equals the first."""
    from scipy.spatial import KDTree  # only masks of many rings need it

    # a third coordinate, always below one step, ranks corners that are equally near; all sums are exact in float64
    rank = np.arange(len(corners)) / 2.0 ** len(corners).bit_length()
    tree = KDTree(np.column_stack([corners, rank]))
    distances, found = tree.query(np.column_stack([points, np.zeros(len(points))]), p=1)
    return np.floor(distances), np.asarray(found)


def _walk_rings(starts: Sequence[int], anchors: Sequence[int]) -> list[int]:
    """Return the order of corners around all rings: at an anchor, the ring that is joined there comes in between.

    Each of these ends where it began, and the anchor follows again. Of several at one anchor, the last one comes first.
    """
    joined: dict[int, list[int]] = {}
    for ring, anchor in enumerate(anchors[1:], start=1):
        joined.setdefault(anchor, []).append(ring)
    stops = sorted(joined)
    order: list[int] = []
    todo = [(0, starts[1], 0)]  # corners from, to, and from where on anchors count
    while todo:
        begin, end, unjoined = todo.pop()
        index = bisect_left(stops, unjoined)
        if index == len(stops) or stops[index] >= end:
            order += range(begin, end)
            continue
        anchor = stops[index]
        order += range(begin, anchor + 1)
        todo.append((anchor, end, anchor + 1))
        for number, ring in enumerate(joined[anchor]):
            todo += [(anchor, anchor + 1, anchor + 1)] if number else []
            todo += [(starts[ring], starts[ring] + 1, starts[ring] + 1), (starts[ring], starts[ring + 1], starts[ring])]
    return order


def to_edge_coordinates(ring: Ring) -> np.ndarray:
    """Return float64, (P, 2), in pixels, where pixel p reaches from p to p + 1, as COCO counts.

    The outline lies a quarter of a pixel inside the mask's edge, so that exactly the mask's pixel centres are within.
    """
    return (ring + 0.5) / 2


def to_pixel_coordinates(ring: Ring) -> np.ndarray:
    """Return float64, (P, 2), in pixels, where p is pixel p itself, as OpenCV draws.

    The fractions 0.2 and 0.4 are lost whether a reader rounds or cuts them off.
    """
    return ring // 2 + 0.2 + 0.2 * (ring % 2)
