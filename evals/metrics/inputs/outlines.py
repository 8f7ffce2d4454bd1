"""Polygons drawn with their outline, pixel for pixel as OpenCV to 4.10 does.

Source: opencv/opencv 4.10 `modules/imgproc/src/drawing.cpp` (`LineIterator`, `clipLine`, `CollectPolyEdges`,
`FillEdgeCollection`), as `cv2.polylines` with thickness 1 and `cv2.fillPoly` call them on one polygon of whole
coordinates. From 4.11 on OpenCV draws some outlines otherwise, by up to five pixels a mask; published numbers are of
masks drawn in the older way.

An outline is the eight-connected line of each side. A row is filled between its first and second crossing with a side,
between its third and fourth, and so on. Crossings advance from row to row in steps of 1 / 65536 pixel, cut off; they
are rounded to whole pixels for sides that lie within the image, and cut off for others, which are clipped first.
"""

from collections.abc import Iterator

import numpy as np

Points = np.ndarray
"""int64, (P, 2), x y in whole pixels, at least one; they may lie outside the image."""
Point = tuple[int, int]
"""x, y."""
Side = tuple[Point, Point]
_ONE = 1 << 16
"""A pixel, in the units of crossings."""


def fill_polygon(points: Points, height: int, width: int) -> np.ndarray:
    """Draw one polygon, closed, inside and outline.

    Args:
        points: Its corners, int64 (P, 2), x y in whole pixels, one or more.
        height: Of the mask, in pixels.
        width: The same.

    Returns:
        bool, (height, width).

    >>> fill_polygon(np.array([[1, 0], [3, 2], [1, 2]]), 3, 4).astype(int).tolist()
    [[0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    """
    corners = [(x, y) for x, y in points.tolist()]
    sides = list(zip([corners[-1], *corners[:-1]], corners, strict=True))
    mask = _fill_rows(sides, height, width)
    for side in sides:
        clipped, is_visible = _clip_side(side, height, width)
        if is_visible:
            x, y = _list_line_pixels(clipped)
            mask[y, x] = True
    return mask


def _clip_side(side: Side, height: int, width: int) -> tuple[Side, bool]:
    """The part of a side within the image, and whether there is any; what is left of the side if there is none."""
    (x1, y1), (x2, y2) = side
    right, bottom = width - 1, height - 1
    first, second = _locate_point(x1, y1, right, bottom), _locate_point(x2, y2, right, bottom)
    if first & second or not first | second:
        return side, not first | second
    if first & 12:
        edge = 0 if first < 8 else bottom
        x1, y1 = x1 + int(float(edge - y1) * (x2 - x1) / (y2 - y1)), edge
        first = _locate_point(x1, y1, right, bottom)
    if second & 12:
        edge = 0 if second < 8 else bottom
        x2, y2 = x2 + int(float(edge - y2) * (x2 - x1) / (y2 - y1)), edge
        second = _locate_point(x2, y2, right, bottom)
    if first & second or not first | second:
        return ((x1, y1), (x2, y2)), not first | second
    if first:
        edge = 0 if first == 1 else right
        x1, y1 = edge, y1 + int(float(edge - x1) * (y2 - y1) / (x2 - x1))
    if second:
        edge = 0 if second == 1 else right
        x2, y2 = edge, y2 + int(float(edge - x2) * (y2 - y1) / (x2 - x1))
    return ((x1, y1), (x2, y2)), True


def _locate_point(x: int, y: int, right: int, bottom: int) -> int:
    """Where a point lies beside the image: 1 left, 2 right, 4 above, 8 below, or a sum of two of them; 0 within."""
    return (x < 0) + 2 * (x > right) + 4 * (y < 0) + 8 * (y > bottom)


def _list_line_pixels(side: Side) -> tuple[np.ndarray, np.ndarray]:
    """x and y, int64 (N,) each, of the pixels of an eight-connected line, from its left end."""
    (x1, y1), (x2, y2) = sorted(side, key=lambda point: point[0]) if side[1][0] < side[0][0] else side
    wide, tall = x2 - x1, abs(y2 - y1)
    down = 1 if y2 >= y1 else -1
    steps = np.arange(max(wide, tall) + 1)
    if tall > wide:
        return x1 + _round_slope(steps, wide, tall), y1 + down * steps
    return x1 + steps, y1 + down * _round_slope(steps, tall, wide)


def _round_slope(steps: np.ndarray, less: int, more: int) -> np.ndarray:
    """`steps` x less / more, rounded to the nearest pixel, halves towards the start."""
    return np.asarray((2 * less * steps + more - 1) // (2 * more) if more else steps)


def _fill_rows(sides: list[Side], height: int, width: int) -> np.ndarray:
    """bool, (height, width): what lies between the crossings, of which every row has an even number."""
    mask = np.zeros((height, width), bool)
    if parts := list(_list_crossings(sides, height, width)):
        y, x = np.concatenate(parts, axis=1)
        order = np.lexsort((x, y))
        left, right = (x[order] // _ONE).reshape(-1, 2).T
        spans = zip(y[order][::2].tolist(), np.maximum(left, 0).tolist(), (right + 1).tolist(), strict=True)
        for row, begin, end in spans:
            mask[row, begin : max(end, 0)] = True
    return mask


def _list_crossings(sides: list[Side], height: int, width: int) -> Iterator[np.ndarray]:
    """Per side int64, (2, N): the rows of the image that it crosses, and where, in 1 / 65536 pixels."""
    for side in sides:
        (_, y1), (_, y2) = side
        top, bottom = min(y1, y2), max(y1, y2)
        rows = np.arange(max(top, 0), min(bottom, height), dtype=np.int64)
        if len(rows):
            start, slope = _start_crossing(side, height, width)
            yield np.stack([rows, start + (rows - top) * slope])


def _start_crossing(side: Side, height: int, width: int) -> tuple[int, int]:
    """Where a side that is not level begins at its upper end, and how far it goes from row to row."""
    (_, y1), (_, y2) = side
    (start, end), _ = _clip_side(side, height, width)
    if start[1] == end[1]:  # what is left is level, and says nothing of the slope
        start, end = side
    more = _ONE // 2 if _is_within(side, height, width) else 0
    x1, x2 = start[0] * _ONE + more, end[0] * _ONE + more
    across, along = x2 - x1, end[1] - start[1]
    slope = abs(across) // abs(along) * (1 if (across < 0) == (along < 0) else -1)
    return (x1 + (y1 - start[1]) * slope, slope) if y1 < y2 else (x2 + (y2 - end[1]) * slope, slope)


def _is_within(side: Side, height: int, width: int) -> bool:
    return all(0 <= x < width and 0 <= y < height for x, y in side)
