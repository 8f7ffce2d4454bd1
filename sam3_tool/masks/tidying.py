"""Masks of clicked objects without specks and small holes, and with every positive click inside."""

from collections.abc import Sequence

import numpy as np

from sam3_tool.masks.boxes import masks_to_boxes

Point = tuple[float, float]

SMALL_SHARE = 0.05
"""A part or a hole of less than this share of the mask is a speck or a small hole."""


def tidy_mask(mask: np.ndarray, points: Sequence[Point] = (), labels: Sequence[int] = ()) -> np.ndarray:
    """Fill small holes of a mask and drop its specks.

    A hole without a negative click goes when it has less than `SMALL_SHARE` of the mask's pixels, and so does a part
    without a positive click. The largest part always stays.

    Args:
        mask: bool, (height, width).
        points: Clicks, x y in pixels.
        labels: 1 = on the object, 0 = on what does not belong to it, one per point.

    Returns:
        bool, (height, width).

    >>> mask = np.zeros((20, 20), bool)
    >>> mask[2:12, 2:12] = mask[18, 18] = True
    >>> mask[5, 5] = False
    >>> int(tidy_mask(mask).sum()), int(tidy_mask(mask, [(5, 5), (18, 18)], [0, 1]).sum())
    (100, 100)
    """
    if not mask.any():
        return mask
    x0, y0, x1, y1 = map(int, masks_to_boxes(mask[None])[0])
    window = slice(max(0, y0 - 1), y1 + 1), slice(max(0, x0 - 1), x1 + 1)
    places = [(place, label) for place, label in zip(_find_pixels(mask, points), labels, strict=True)]
    inner = [((y - window[0].start, x - window[1].start), label) for (y, x), label in places]
    part, limit = mask[window], SMALL_SHARE * np.count_nonzero(mask)
    filled = part | _find_small(~part, limit, [place for place, label in inner if not label], inside=True)
    specks = _find_small(filled, limit, [place for place, label in inner if label], inside=False)
    tidied = mask.copy()
    tidied[window] = filled & ~specks
    return tidied


def holds_clicks(mask: np.ndarray, points: Sequence[Point], labels: Sequence[int]) -> bool:
    """Tell whether every positive click lies inside the mask.

    Args:
        mask: bool, (height, width).
        points: Clicks, x y in pixels.
        labels: 1 = on the object, 0 = on what does not belong to it, one per point.

    Returns:
        Whether it is so; True where there is no positive click.

    >>> holds_clicks(np.eye(3, dtype=bool), [(1.5, 1.2), (2, 0)], [1, 0])
    True
    """
    return all(mask[place] for place, label in zip(_find_pixels(mask, points), labels, strict=True) if label)


def _find_pixels(mask: np.ndarray, points: Sequence[Point]) -> list[tuple[int, int]]:
    """Row and column of each point; the last one for a point on the far edge."""
    height, width = mask.shape
    return [(min(int(y), height - 1), min(int(x), width - 1)) for x, y in points]


def _find_small(region: np.ndarray, limit: float, spared: Sequence[tuple[int, int]], *, inside: bool) -> np.ndarray:
    """Return which pixels, bool (h, w), lie in connected parts of the region with fewer pixels than the limit.

    `spared`: parts with one of these pixels stay. `inside`: what touches the border counts as none, because it is no
    hole; else the largest part stays.
    """
    import cv2  # which would slow down every start of the program

    _, names, statistics, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=4 if inside else 8)
    sizes = statistics[:, cv2.CC_STAT_AREA]
    small = sizes < limit
    small[0] = False  # what is not of the region
    if inside:
        small[np.unique(np.concatenate([names[0], names[-1], names[:, 0], names[:, -1]]))] = False
    elif len(sizes) > 1:
        small[1 + int(sizes[1:].argmax())] = False
    height, width = region.shape
    small[[names[y, x] for y, x in spared if 0 <= y < height and 0 <= x < width]] = False
    return np.asarray(small[names])
