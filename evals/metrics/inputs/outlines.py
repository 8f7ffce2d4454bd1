"""Polygons drawn with their outline, pixel for pixel as OpenCV to 4.10 does.

Source: opencv/opencv 4.10 `modules/imgproc/src/drawing.cpp` (`LineIterator`, `clipLine`, `CollectPolyEdges`,
`FillEdgeCollection`), as `cv2.polylines` with thickness 1 and `cv2.fillPoly` call them on one polygon of whole
coordinates. From 4.11 on OpenCV draws some outlines otherwise, by up to five pixels a mask; published numbers are of
masks drawn in the older way.

An outline is the eight-connected line of each side. A row is filled between its first and second crossing with a side,
between its third and fourth, and so on. Crossings advance from row to row in steps of 1 / 65536 pixel, cut off; they
are rounded to whole pixels for sides that lie within the image, and cut off for others, which are clipped first.
"""

import numpy as np

Points = np.ndarray
"""int64, (P, 2), x y in whole pixels; they may lie outside the image."""
Sides = np.ndarray
"""int64, (S, 2, 2): x y of both ends of each side."""
Point = tuple[int, int]
"""x, y."""
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
    sides = np.stack([np.roll(points, 1, axis=0), points], axis=1).astype(np.int64)
    within = np.asarray(((sides >= 0) & (sides < [width, height])).all(axis=(1, 2)))
    clipped, visible = sides.copy(), within.copy()
    for place in np.flatnonzero(~within).tolist():
        start, end = sides[place].tolist()
        clipped[place], visible[place] = _clip_side(start, end, height, width)
    mask = _fill_rows(*_list_crossings(sides, clipped, within, height), height, width)
    x, y = _list_line_pixels(clipped[visible])
    mask[y, x] = True
    return mask


def _clip_side(start: Point, end: Point, height: int, width: int) -> tuple[tuple[Point, Point], bool]:
    """The part of a side within the image, and whether there is any; what is left of the side if there is none."""
    (x1, y1), (x2, y2) = start, end
    right, bottom = width - 1, height - 1
    first, second = _locate_point(x1, y1, right, bottom), _locate_point(x2, y2, right, bottom)
    if first & second or not first | second:
        return ((x1, y1), (x2, y2)), not first | second
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


def _list_line_pixels(sides: Sides) -> tuple[np.ndarray, np.ndarray]:
    """x and y, int64 (N,) each, of the pixels of eight-connected lines, each from its left end."""
    sides = np.where((sides[:, :1, :1] > sides[:, 1:, :1]), sides[:, ::-1], sides)
    (x, y), (wide, down) = sides[:, 0].T, (sides[:, 1] - sides[:, 0]).T
    less, more = np.minimum(wide, abs(down)), np.maximum(wide, abs(down))
    side, steps = _count_up(more + 1)
    # along the shorter way rounded to the nearest pixel, halves towards the start
    few = (2 * less[side] * steps + more[side] - 1) // np.maximum(2 * more[side], 1)
    few[more[side] == 0] = 0
    is_steep = (abs(down) > wide)[side]
    return x[side] + np.where(is_steep, few, steps), y[side] + np.sign(down)[side] * np.where(is_steep, steps, few)


def _count_up(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places and counts, int64 (N,) each: 0, 1 … up to each of `numbers`, exclusive."""
    places = np.repeat(np.arange(len(numbers)), numbers)
    return places, np.arange(len(places)) - np.repeat(np.cumsum(numbers) - numbers, numbers)


def _list_crossings(sides: Sides, clipped: Sides, within: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows that sides cross, and where, in 1 / 65536 pixels: int64 (N,) each. `within`: bool, (S,)."""
    (_, y1), (_, y2) = sides[:, 0].T, sides[:, 1].T
    top, bottom = np.minimum(y1, y2), np.maximum(y1, y2)
    first = np.maximum(top, 0)
    side, steps = _count_up(np.maximum(np.minimum(bottom, height) - first, 0))
    # what is left of a side may be level, and then says nothing of its slope
    level = clipped[:, 0, 1] == clipped[:, 1, 1]
    ends = np.where(level[:, None, None], sides, clipped)
    x = ends[..., 0] * _ONE + np.where(within, _ONE // 2, 0)[:, None]
    across, along = x[:, 1] - x[:, 0], ends[:, 1, 1] - ends[:, 0, 1]
    slope = np.sign(across) * np.sign(along) * (abs(across) // np.maximum(abs(along), 1))  # cut off
    start = np.where(y1 < y2, x[:, 0] + (y1 - ends[:, 0, 1]) * slope, x[:, 1] + (y2 - ends[:, 1, 1]) * slope)
    rows = first[side] + steps
    return rows, start[side] + (rows - top[side]) * slope[side]


def _fill_rows(y: np.ndarray, x: np.ndarray, height: int, width: int) -> np.ndarray:
    """bool, (height, width): what lies between the crossings, of which every row has an even number."""
    mask = np.zeros((height, width), bool)
    order = np.lexsort((x, y))
    left, right = (x[order] // _ONE).reshape(-1, 2).T
    spans = zip(y[order][::2].tolist(), np.maximum(left, 0).tolist(), (right + 1).tolist(), strict=True)
    for row, begin, end in spans:
        mask[row, begin : max(end, 0)] = True
    return mask
