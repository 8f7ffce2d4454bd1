"""Where a person who corrects a mask clicks next: the middle of what is most wrong."""

from typing import Literal

import cv2
import numpy as np

Click = tuple[int, int, Literal[0, 1]]
"""Column and row of a pixel, and 1 = it belongs to the object, 0 = it does not."""


def centre_click(truth: np.ndarray) -> Click:
    """The click that names an object: its innermost pixel. `truth`: bool (H, W), not empty."""
    return next_click(truth, np.zeros_like(truth))


def next_click(truth: np.ndarray, mask: np.ndarray) -> Click:
    """The pixel farthest inside the mask's deepest error (RITM, 2021): positive if missed, negative if too much.

    Both bool (H, W), `truth` not empty. Without an error it is the object's innermost pixel again.
    """
    missed, surplus = _depth(truth & ~mask), _depth(mask & ~truth)
    if missed.max() == surplus.max() == 0:
        missed = _depth(truth)
    if missed.max() >= surplus.max():
        return (*_deepest(missed), 1)
    return (*_deepest(surplus), 0)


def stray_click(truth: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Click:
    """Any pixel that is wrong, all equally likely; any of the object's where none is."""
    wrong = truth ^ mask
    rows, columns = np.nonzero(wrong if wrong.any() else truth)
    one = int(rng.integers(len(rows)))
    column, row = int(columns[one]), int(rows[one])
    return column, row, 1 if truth[row, column] else 0


def _depth(region: np.ndarray) -> np.ndarray:
    """float32, (H, W): distance to the nearest pixel outside the region; outside the picture is outside it."""
    padded = np.pad(region.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def _deepest(depth: np.ndarray) -> tuple[int, int]:
    """Column and row."""
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    return column, row
