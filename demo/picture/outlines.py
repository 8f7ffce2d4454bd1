"""Outlines of masks as SVG paths."""

from functools import lru_cache

import cv2
import numpy as np

from sam3_tool import Image
from sam3_tool.masks.rle import RleMask, decode_columns

OUTLINE_SIDE = 1200
"""Pixels along an axis; outlines of a larger mask are traced at this reduced size."""


@lru_cache(maxsize=8192)
def trace_outline(rle: RleMask, side: int = OUTLINE_SIDE) -> tuple[str, float, float]:
    """Return an SVG path around the mask in the image's pixels, and x, y of a point well inside it.

    A mask of more than `side` pixels along an axis is traced at a reduced size.
    """
    left, columns = decode_columns(rle)
    if len(columns) == 0:
        return "", 0.0, 0.0
    mask = np.ascontiguousarray(columns.T).view(np.uint8)
    step = max(1, -(-max(mask.shape) // side))
    size = -(-mask.shape[1] // step), -(-mask.shape[0] // step)
    shares = cv2.resize(mask * 255, size, interpolation=cv2.INTER_AREA)
    coarse = (shares >= min(128, int(shares.max()))).astype(np.uint8)  # a mask with a pixel keeps one
    return _format_svg_path(coarse, left, (step, step)), *_find_deepest_point(coarse, left, step)


def trace_stretched_outline(mask: np.ndarray, image: Image) -> str:
    """Return an SVG path, in the image's pixels, around a mask of it that may be reduced.

    Args:
        mask: bool, (height, width), of any size.
        image: What it is stretched to.

    >>> image = Image(np.zeros((40, 60, 3), np.uint8))
    >>> trace_stretched_outline(np.ones((2, 3), bool), image)
    'M5 5L5 35L55 35L55 5Z'
    """
    steps = image.width / mask.shape[1], image.height / mask.shape[0]
    return _format_svg_path(np.ascontiguousarray(mask).view(np.uint8), 0, steps)


def _format_svg_path(mask: np.ndarray, left: int, steps: tuple[float, float]) -> str:
    """Trace a mask, uint8 (H, W), that begins `left` pixels from the image's edge.

    `steps`: pixels of the image per column and per row of the mask.
    """
    # OpenCV's contours run through pixel centres; at twice the size they follow the pixels' edges
    double = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(np.pad(double, 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    lines = [_reduce_corners(contour)[:, 0] for contour in contours if len(contour) > 3]
    scaled = [(line - 0.5) * (np.array(steps) / 2) + np.array([left, 0]) for line in lines]
    return "".join("M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in line) + "Z" for line in scaled)


def _reduce_corners(contour: np.ndarray) -> np.ndarray:
    """A contour with fewer corners; what would become a line, as a single pixel would, stays as it is."""
    reduced = cv2.approxPolyDP(contour, 0.9, closed=True)
    return np.asarray(reduced if len(reduced) > 2 else contour)


def _find_deepest_point(mask: np.ndarray, left: int, step: int) -> tuple[float, float]:
    distances = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, cv2.DIST_MASK_3)
    _, _, _, (x, y) = cv2.minMaxLoc(distances)
    return left + (x - 0.5) * step, (y - 0.5) * step
