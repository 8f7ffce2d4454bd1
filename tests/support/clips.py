"""Clips of rectangles, made by hand: where each object is on each frame is known to the pixel."""

from collections.abc import Sequence

import numpy as np

from sam3_tool.video.masklets import Masklet

HEIGHT, WIDTH = 60, 100
Rectangle = tuple[int, int, int, int]


def draw_rectangle(box: Rectangle | None, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """bool, (height, width): x0 y0 x1 y1 filled, x1 and y1 exclusive, cut to the frame; empty for None."""
    mask = np.zeros((height, width), dtype=bool)
    if box is not None:
        x0, y0, x1, y1 = np.clip(box, 0, [width, height, width, height])
        mask[y0:y1, x0:x1] = True
    return mask


def make_masklet(boxes: Sequence[Rectangle | None], *, score: float = 0.9) -> Masklet:
    """One object, a rectangle on each frame; None where it is not seen."""
    return Masklet.from_masks([draw_rectangle(box) for box in boxes], score=score)


def slide_rectangle(box: Rectangle, step: tuple[int, int], count: int) -> list[Rectangle]:
    """The rectangle on `count` frames, each one step farther."""
    x0, y0, x1, y1 = box
    dx, dy = step
    return [(x0 + dx * k, y0 + dy * k, x1 + dx * k, y1 + dy * k) for k in range(count)]
