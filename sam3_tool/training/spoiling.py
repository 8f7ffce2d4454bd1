"""Masks that need mending: what a detector, or a person in a hurry, gets wrong."""

import cv2
import numpy as np


def spoil_mask(truth: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give the mask one typical fault: too fat, too thin, half missing, moved, or with other objects in it.

    All bool (H, W); `others`: what other objects cover.
    """
    side = truth.shape[0]
    reach = int(rng.integers(1, 1 + max(1, side // 16)))
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    fat: np.ndarray = cv2.dilate(truth.astype(np.uint8), square)
    thin: np.ndarray = cv2.erode(truth.astype(np.uint8), square)
    match rng.integers(5):
        case 0:
            return np.asarray(fat, bool)
        case 1:
            return np.asarray(thin, bool)
        case 2:
            return np.asarray(truth & _draw_half_plane(truth, rng))
        case 3:
            return np.roll(truth, rng.integers(-2 * reach, 2 * reach + 1, 2), axis=(0, 1))
        case _:
            return np.asarray(truth | (others & _draw_half_plane(truth, rng)))


def _draw_half_plane(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return bool (H, W): one side of a random line through a random pixel of the object."""
    rows, columns = np.nonzero(truth)
    index, angle = rng.integers(len(rows)), rng.uniform(0, 2 * np.pi)
    y, x = np.indices(truth.shape)
    return np.asarray((x - columns[index]) * np.cos(angle) + (y - rows[index]) * np.sin(angle) > 0)
