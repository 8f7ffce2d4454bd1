"""Which side of a frame is up, as the display matrix of its container says it."""

import math
import struct
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Orientation:
    """A turn by a multiple of 90 degrees, and perhaps a flip.

    >>> picture = np.array([[1, 2], [3, 4]])
    >>> Orientation(swaps_axes=True, flips_columns=True).apply_to(picture).tolist()  # a quarter turn clockwise
    [[3, 1], [4, 2]]
    """

    swaps_axes: bool = False
    flips_rows: bool = False
    """Top and bottom, after the swap."""
    flips_columns: bool = False
    """Left and right, after the swap."""
    is_exact: bool = True
    """False where the matrix asks for a turn between these."""

    @classmethod
    def from_display_matrix(cls, matrix: bytes) -> "Orientation":
        """Read a matrix of nine 32-bit numbers as in QuickTime: x' = a x + c y, y' = b x + d y, with y downwards."""
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
        swaps_axes = abs(b) > abs(a)
        to_x, to_y = (c, b) if swaps_axes else (a, d)
        off_axis = max(abs(a), abs(d)) if swaps_axes else max(abs(b), abs(c))
        is_exact = off_axis <= math.hypot(to_x, to_y) / 100
        return cls(swaps_axes, flips_rows=to_y < 0, flips_columns=to_x < 0, is_exact=is_exact)

    def apply_to(self, pixels: np.ndarray) -> np.ndarray:
        """Return the array, (H, W, …), upright."""
        if self.swaps_axes:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if self.flips_rows else 1, :: -1 if self.flips_columns else 1]
