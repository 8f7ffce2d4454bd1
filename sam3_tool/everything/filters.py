"""Which masks of everything mode stay: not those that a crop cuts off, and of near duplicates one.

Source: https://github.com/facebookresearch/segment-anything, `automatic_mask_generator.py` and `utils/amg.py`.
"""

import cv2
import numpy as np

from sam3_tool.everything.crops import Crop

EDGE_PIXELS = 20
"""A mask whose box comes as near as that to the edge of a crop is cut off by it."""


def find_cut_off(boxes: np.ndarray, crop: Crop, height: int, width: int) -> np.ndarray:
    """Find masks that reach the edge of a crop, where it is not the edge of the image.

    Args:
        boxes: float, (N, 4), x0 y0 x1 y1 of masks in the image: their first and last pixels.
        crop: What they were found in.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        bool, (N,).
    """
    near_crop = np.abs(boxes - [crop.x0, crop.y0, crop.x1, crop.y1]) <= EDGE_PIXELS
    near_image = np.abs(boxes - [0, 0, width, height]) <= EDGE_PIXELS
    return np.asarray((near_crop & ~near_image).any(axis=1))


def suppress_duplicates(boxes: np.ndarray, scores: np.ndarray, max_iou: float) -> np.ndarray:
    """Go through boxes from the best score on, and drop each that overlaps one that stays: non-maximum suppression.

    Args:
        boxes: float, (N, 4), x0 y0 x1 y1.
        scores: float, (N,). Of equals, the first is the better one.
        max_iou: What overlaps by more is dropped.

    Returns:
        int64, indices of those that stay, best score first.

    >>> boxes = np.array([[0, 0, 9, 9], [0, 0, 10, 9], [20, 0, 30, 9]], float)
    >>> suppress_duplicates(boxes, np.array([0.8, 0.9, 0.7]), 0.7).tolist()
    [1, 2]
    """
    boxes = boxes.astype(np.float32)  # in which the published code computes what it compares with the limit
    left = (-scores).argsort(kind="stable")
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[left, :2]), np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.prod((high - low).clip(min=0), axis=1)
        union = np.maximum(areas[best] + areas[left] - shared, np.finfo(np.float32).tiny)
        left = left[(shared / union).astype(float) <= max_iou]
    return np.array(kept, np.int64)


def remove_small_regions(mask: np.ndarray, min_area: int) -> np.ndarray:
    """Fill holes and drop islands of a mask that have fewer pixels; where all islands have, the largest stays.

    Args:
        mask: bool, (H, W).
        min_area: In pixels.

    Returns:
        bool, (H, W).

    >>> mask = np.ones((5, 9), bool)
    >>> mask[2, 2] = mask[:, 6:8] = False
    >>> remove_small_regions(mask, 6)[2].astype(int).tolist()
    [1, 1, 1, 1, 1, 1, 0, 0, 0]
    """
    labels, sizes = _find_regions(~mask)
    filled = mask | np.isin(labels, 1 + np.flatnonzero(sizes < min_area))
    labels, sizes = _find_regions(filled)
    if not len(sizes):
        return filled
    least = min(min_area, int(sizes.max()))
    return np.isin(labels, 1 + np.flatnonzero(sizes >= least))


def _find_regions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each pixel's region, int32 (H, W), 0 for none, and how many pixels regions 1, 2 … have."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return labels, statistics[1:, cv2.CC_STAT_AREA]
