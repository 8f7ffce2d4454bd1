"""Where everything mode looks: parts of an image that overlap, and a grid of points in each."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

_MAX_PER_SIDE = 32
_MIN_STEP = 8
"""Pixels between points of a grid that nobody chose the size of."""


@dataclass(frozen=True)
class Crop:
    """A part of an image."""

    x0: int
    y0: int
    x1: int
    """The column after the last one."""
    y1: int
    """The row after the last one."""
    layer: int
    """0 is the whole image; each further layer has twice as many parts a side."""

    @property
    def area(self) -> int:
        """Pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


def build_crops(height: int, width: int, layers: int, overlap: float) -> list[Crop]:
    """Return the whole image, and 2, 4, 8 … parts a side of it.

    Source: `generate_crop_boxes` of https://github.com/facebookresearch/segment-anything.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        layers: How many times it is cut up.
        overlap: Of neighbours in the first layer, as a share of the image's shorter side; half of it in the next.

    >>> [(crop.x0, crop.x1) for crop in build_crops(100, 100, 1, 0.2)]
    [(0, 100), (0, 60), (0, 60), (40, 100), (40, 100)]
    """
    crops = [Crop(0, 0, width, height, 0)]
    for layer in range(1, layers + 1):
        count = 2**layer
        shared = int(overlap * min(height, width) * 2 / count)
        wide, high = (math.ceil((shared * (count - 1) + side) / count) for side in (width, height))
        for column, row in product(range(count), range(count)):
            x0, y0 = column * (wide - shared), row * (high - shared)
            crops.append(Crop(x0, y0, min(x0 + wide, width), min(y0 + high, height), layer))
    return crops


def build_grid(per_side: int, height: int, width: int) -> np.ndarray:
    """Return points in the middles of equal cells, row by row: float32, (per_side ** 2, 2), x y in pixels.

    >>> build_grid(2, 4, 8).tolist()
    [[2.0, 1.0], [6.0, 1.0], [2.0, 3.0], [6.0, 3.0]]
    """
    middles = (np.arange(per_side) + 0.5) / per_side
    x, y = np.meshgrid(middles * width, middles * height)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def choose_points_per_side(height: int, width: int) -> int:
    """Return the published 32, or fewer for an image in which points would lie closer than 8 pixels.

    >>> choose_points_per_side(480, 640), choose_points_per_side(40, 60)
    (32, 8)
    """
    return max(1, min(_MAX_PER_SIDE, math.ceil(max(height, width) / _MIN_STEP)))
