"""Masks edited by hand: painted, erased, cut into parts, mended. Compressed masks in and out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sam3_tool.masks.rle import RleMask, decode_tight, encode_mask_at
from sam3_tool.masks.tidying import tidy_mask

MAX_POINTS = 4000
"""Points of one stroke or polygon."""
MAX_PARTS = 50
"""Parts that a mask is cut into; smaller ones stay with the largest."""
SMOOTHING_SIDE = 600
"""Pixels along an axis; a larger mask is smoothed at a reduced size, since the blur grows with it."""
MAX_RADIUS = 10_000
"""Pixels; OpenCV draws no line of more than 32,767."""
MAX_COORDINATE = 10**6
"""Pixels beyond the image, before which a stroke or a polygon is refused."""
Point = tuple[float, float]


@dataclass(frozen=True)
class _Window:
    """A part of the image, bool (h, w), with the column and the row at which it begins."""

    mask: np.ndarray
    left: int
    top: int

    def encode(self, size: tuple[int, int]) -> RleMask:
        return encode_mask_at(self.mask, self.left, self.top, *size)


def paint_stroke(rle: RleMask, points: Sequence[Point], radius: float, *, erase: bool = False) -> RleMask:
    """Paint along a line with a round brush.

    Args:
        rle: The mask; one without a pixel begins a new object.
        points: x y in pixels, in the order in which the brush passes them; one is a dot.
        radius: Of the brush, in pixels, above 0. A brush paints at least the pixel that it is on.
        erase: Take away what the brush passes.

    Returns:
        The mask, in the same size. It may be empty.

    Raises:
        ValueError: There is no point, there are too many, or a number is out of range.

    >>> from sam3_tool.masks.rle import compute_areas, encode_mask
    >>> empty = encode_mask(np.zeros((20, 30), bool))
    >>> painted = paint_stroke(empty, [(5, 10), (24, 10)], 2)
    >>> erased = paint_stroke(painted, [(15, 10)], 4, erase=True)
    >>> compute_areas([painted, erased]).tolist()
    [110, 69]
    """
    line = _check_points(points, 1)
    if not 0 < radius <= MAX_COORDINATE:
        raise ValueError(
            f"the brush has a radius of {radius:g} pixels; it must be above 0 and at most {MAX_COORDINATE:,}"
        )
    height, width = rle.size
    reach = int(np.ceil(radius)) + 1
    window = _open_window(rle, _find_bounds(line, reach, height, width))
    stroke = _draw_line(line - (window.left, window.top), radius, window.mask.shape)
    mask = window.mask & ~stroke if erase else window.mask | stroke
    return _Window(mask, window.left, window.top).encode(rle.size)


def paint_polygon(rle: RleMask, points: Sequence[Point], *, erase: bool = False) -> RleMask:
    """Fill a polygon, or take it away.

    Args:
        rle: The mask; one without a pixel begins a new object.
        points: x y of the corners in pixels, at least three. Where the outline crosses itself, the even-odd rule holds.
        erase: Take the polygon away.

    Returns:
        The mask, in the same size. It may be empty.

    Raises:
        ValueError: There are too few or too many points, or a number is out of range.

    >>> from sam3_tool.masks.rle import compute_areas, encode_mask
    >>> empty = encode_mask(np.zeros((20, 30), bool))
    >>> compute_areas([paint_polygon(empty, [(2, 2), (12, 2), (12, 8), (2, 8)])]).tolist()
    [60]
    """
    corners = _check_points(points, 3)
    height, width = rle.size
    window = _open_window(rle, _find_bounds(corners, 1, height, width))
    filled = _fill_polygon(corners - (window.left, window.top), window.mask.shape)
    mask = window.mask & ~filled if erase else window.mask | filled
    return _Window(mask, window.left, window.top).encode(rle.size)


def fill_holes(rle: RleMask) -> RleMask:
    """Fill every hole of a mask.

    >>> from sam3_tool.masks.rle import compute_areas, encode_mask
    >>> ring = np.ones((9, 9), bool)
    >>> ring[3:6, 3:6] = False
    >>> compute_areas([fill_holes(encode_mask(ring))]).tolist()
    [81]
    """
    import cv2  # which would slow down every start of the program

    left, top, mask = decode_tight(rle)
    _, names = cv2.connectedComponents(np.pad(~mask, 1, constant_values=True).view(np.uint8), connectivity=4)
    outside = names == names[0, 0]
    return _Window(~outside[1:-1, 1:-1], left, top).encode(rle.size)


def remove_specks(rle: RleMask) -> RleMask:
    """Drop parts that are small beside the whole mask, and fill holes that are; `tidy_mask` says which are.

    >>> from sam3_tool.masks.rle import compute_areas, encode_mask
    >>> mask = np.zeros((20, 20), bool)
    >>> mask[2:12, 2:12] = mask[18, 18] = True
    >>> compute_areas([remove_specks(encode_mask(mask))]).tolist()
    [100]
    """
    left, top, mask = decode_tight(rle)
    return _Window(tidy_mask(mask), left, top).encode(rle.size)


def smooth_outline(rle: RleMask) -> RleMask:
    """Smooth the outline of a mask: by as much as it is large, so that it looks the same at every resolution.

    >>> from sam3_tool.masks.rle import decode_mask, encode_mask
    >>> mask = np.zeros((40, 40), bool)
    >>> mask[10:30, 10:30] = mask[20, 30:34] = True
    >>> decode_mask(smooth_outline(encode_mask(mask)))[20, 28:34].tolist()
    [True, True, True, False, False, False]
    """
    import cv2  # which would slow down every start of the program

    left, top, mask = decode_tight(rle)
    if not mask.size:
        return rle
    step = -(-max(mask.shape) // SMOOTHING_SIDE)
    sigma = max(1.0, float(np.sqrt(np.count_nonzero(mask))) / step / 30)
    margin = (int(4 * sigma) + 1) * step
    padded = np.pad(mask, margin).astype(np.uint8) * 255
    coarse = cv2.resize(
        padded, (-(-padded.shape[1] // step), -(-padded.shape[0] // step)), interpolation=cv2.INTER_AREA
    )
    blurred = cv2.GaussianBlur(coarse, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    smoothed = cv2.resize(blurred, padded.shape[::-1], interpolation=cv2.INTER_LINEAR) > 127
    return _crop_window(_Window(smoothed, left - margin, top - margin), *rle.size).encode(rle.size)


def split_parts(rle: RleMask) -> list[RleMask]:
    """Cut a mask into its connected parts, largest first; parts that touch at a corner are one.

    Args:
        rle: The mask.

    Returns:
        At most `MAX_PARTS` masks that make up the whole; smaller parts than those stay with the largest.

    >>> from sam3_tool.masks.rle import compute_areas, encode_mask
    >>> mask = np.zeros((9, 9), bool)
    >>> mask[:2, :2] = mask[5:, 5:] = True
    >>> compute_areas(split_parts(encode_mask(mask))).tolist()
    [16, 4]
    """
    import cv2  # which would slow down every start of the program

    left, top, mask = decode_tight(rle)
    if not mask.size:
        return [rle]
    count, names, statistics, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask).view(np.uint8))
    if count <= 2:
        return [rle]
    order = 1 + np.argsort(-statistics[1:, cv2.CC_STAT_AREA], kind="stable")
    names = np.where(np.isin(names, order[MAX_PARTS:]), order[0], names)
    return [_Window(names == name, left, top).encode(rle.size) for name in order[:MAX_PARTS]]


def _check_points(points: Sequence[Point], fewest: int) -> np.ndarray:
    """Return the points, float64 (N, 2). Raises ValueError."""
    if not fewest <= len(points) <= MAX_POINTS:
        raise ValueError(f"there are {len(points):,} points; between {fewest} and {MAX_POINTS:,} can be drawn at once")
    found = np.asarray(points, np.float64).reshape(-1, 2)
    if not (np.abs(found) <= MAX_COORDINATE).all():  # which NaN is not either
        raise ValueError(f"a point lies further than {MAX_COORDINATE:,} pixels outside; draw nearer to the image")
    return found


def _find_bounds(points: np.ndarray, reach: int, height: int, width: int) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of the part of the image that is within `reach` pixels of the points; it may be empty."""
    low = np.floor(points.min(axis=0)).astype(int) - reach
    high = np.ceil(points.max(axis=0)).astype(int) + reach + 1
    x0, y0 = np.clip(low, 0, [width, height])
    x1, y1 = np.clip(high, 0, [width, height])
    return int(x0), int(y0), int(x1), int(y1)


def _open_window(rle: RleMask, bounds: tuple[int, int, int, int]) -> _Window:
    """The part of the image that holds the mask and these bounds, so that a large image costs no more than they do."""
    left, top, mask = decode_tight(rle)
    own = (left, top, left + mask.shape[1], top + mask.shape[0])
    used = [box for box in (own, bounds) if box[0] < box[2] and box[1] < box[3]] or [(0, 0, 1, 1)]
    x0, y0 = min(box[0] for box in used), min(box[1] for box in used)
    x1, y1 = max(box[2] for box in used), max(box[3] for box in used)
    window = np.zeros((y1 - y0, x1 - x0), bool)
    if mask.size:
        window[top - y0 : top - y0 + mask.shape[0], left - x0 : left - x0 + mask.shape[1]] = mask
    return _Window(window, x0, y0)


def _crop_window(window: _Window, height: int, width: int) -> _Window:
    """The window without what lies outside the image."""
    x, y = max(0, -window.left), max(0, -window.top)
    mask = window.mask[y : height - window.top, x : width - window.left]
    return _Window(mask, window.left + x, window.top + y)


def _draw_line(line: np.ndarray, radius: float, size: tuple[int, ...]) -> np.ndarray:
    """Return bool (h, w): the pixels whose middle is within the radius of the line, float64 (N, 2) in pixels."""
    import cv2  # which would slow down every start of the program

    drawn = np.zeros(size, np.uint8)
    shift = 4  # sixteenths of a pixel
    fixed = np.round((line - 0.5) * 2**shift).astype(np.int32)
    thickness = max(1, round(2 * radius))
    for start, end in pairwise(fixed):
        cv2.line(drawn, start.tolist(), end.tolist(), 1, thickness, cv2.LINE_8, shift)
    for point in fixed:
        cv2.circle(drawn, point.tolist(), round(radius * 2**shift), 1, -1, cv2.LINE_8, shift)
    rows, columns = np.clip((line[:, ::-1]).astype(int), 0, np.array(size) - 1).T
    inside = ((line >= 0) & (line < np.array(size)[::-1])).all(axis=1)
    drawn[rows[inside], columns[inside]] = 1
    return drawn.view(bool)


def _fill_polygon(corners: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return bool (h, w): the pixels whose middle is inside the polygon, float64 (N, 2) in pixels, by even-odd."""
    rows = np.arange(size[0]) + 0.5
    crossings = np.zeros((size[0], size[1] + 1), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        first, last = np.searchsorted(rows, [min(y0, y1), max(y0, y1)])
        x = x0 + (rows[first:last] - y0) * (x1 - x0) / (y1 - y0)
        crossings[np.arange(first, last), np.clip(np.ceil(x - 0.5), 0, size[1]).astype(int)] ^= True
    return np.logical_xor.accumulate(crossings[:, :-1], axis=1)
