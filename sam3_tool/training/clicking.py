"""Where a person who corrects a mask clicks next: the middle of what is most wrong."""

from typing import Literal

import cv2
import numpy as np

Click = tuple[int, int, Literal[0, 1]]
"""Column and row of a pixel, and 1 = it belongs to the object, 0 = it does not."""


def find_centre_click(truth: np.ndarray) -> Click:
    """Return the click that names an object: its innermost pixel. `truth`: bool (H, W), not empty."""
    return find_next_click(truth, np.zeros_like(truth))


def find_next_click(truth: np.ndarray, mask: np.ndarray) -> Click:
    """Return the pixel farthest inside the mask's deepest error (RITM, 2021): positive if missed, negative if too much.

    Both bool (H, W), `truth` not empty. Without an error it is the object's innermost pixel again.
    """
    missed, surplus = _compute_depth(truth & ~mask), _compute_depth(mask & ~truth)
    if missed.max() == surplus.max() == 0:
        missed = _compute_depth(truth)
    if missed.max() >= surplus.max():
        return (*_find_deepest(missed), 1)
    return (*_find_deepest(surplus), 0)


def draw_stray_click(truth: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Click:
    """Return any pixel that is wrong, all equally likely; any of the object's where none is."""
    wrong = truth ^ mask
    rows, columns = np.nonzero(wrong if wrong.any() else truth)
    index = int(rng.integers(len(rows)))
    column, row = int(columns[index]), int(rows[index])
    return column, row, 1 if truth[row, column] else 0


def _compute_depth(region: np.ndarray) -> np.ndarray:
    """Return float32, (H, W): distance to the nearest pixel outside the region; outside the image is outside it."""
    padded = np.pad(region.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def _find_deepest(depth: np.ndarray) -> tuple[int, int]:
    """Return the column and the row."""
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    return column, row
