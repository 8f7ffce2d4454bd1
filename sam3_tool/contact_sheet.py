"""Many masks in one picture: a numbered close-up of each, in rows."""

from collections.abc import Sequence
from math import ceil, isqrt

import cv2
import numpy as np
from PIL import Image, ImageDraw

from sam3_tool.draw import (
    GAP,
    MASK_SHARE,
    ZOOM,
    Mark,
    close_up,
    color_of,
    draw_outline,
    enlarged,
    font_of,
    ink_on,
)
from sam3_tool.picture import Picture

MOST = 12
"""Masks on one sheet: with more, the close-ups are too small to judge by."""
LARGEST_CELL = 384
"""Pixels: a sheet of few masks is smaller, not coarser."""
CAPTION = 28
"""Pixels of the strip with the number, above each close-up."""


def contact_sheet(
    picture: Picture, masks: Sequence[np.ndarray], *, numbers: Sequence[int] | None = None, side: int = 1280
) -> Image.Image:
    """A square close-up of each mask, outlined in its colour under its number (1 to N by default), on white.

    `masks`: bool, (height, width) each, 1 to MOST of them. The colours inside a mask are the picture's own: it is not
    tinted, for a sheet is there to judge what things look like. At most `side` pixels wide and high. Raises ValueError
    for a number of masks or numbers that does not fit.
    """
    if not 1 <= len(masks) <= MOST:
        raise ValueError(f"a sheet shows 1 to {MOST} masks, got {len(masks)}")
    numbers = range(1, len(masks) + 1) if numbers is None else numbers
    columns = isqrt(len(masks) - 1) + 1
    rows = ceil(len(masks) / columns)
    cell = _cell(columns, rows, side)
    across, down = cell + GAP, cell + CAPTION + GAP
    sheet = np.full((rows * down - GAP, columns * across - GAP, 3), 255, np.uint8)
    for place, (mask, number) in enumerate(zip(masks, numbers, strict=True)):
        x, y = place % columns * across, place // columns * down + CAPTION
        _paste(sheet[y : y + cell, x : x + cell], _view(picture, mask, number, cell))
    return _captioned(sheet, numbers, columns, across, down)


def _cell(columns: int, rows: int, side: int) -> int:
    """Pixels of the side of each close-up."""
    widest = (side + GAP) // columns - GAP
    highest = (side + GAP) // rows - GAP - CAPTION
    return max(1, min(widest, highest, LARGEST_CELL))


def _view(picture: Picture, mask: np.ndarray, number: int, cell: int) -> np.ndarray:
    """uint8, (H, W, 3): what is around a mask, with its outline; an empty mask has none, and shows the picture."""
    crop = _crop(mask)
    pixels = enlarged(picture.pixels, crop, cell)[0].copy()
    cut = np.ascontiguousarray(mask[crop[1] : crop[3], crop[0] : crop[2]]).view(np.uint8) * 255
    inside = enlarged(cut, np.array([0, 0, cut.shape[1], cut.shape[0]]), cell)[0] > 127
    if inside.any():
        draw_outline(pixels, Mark(number, inside), np.zeros(inside.shape, np.uint8), ZOOM, dashed=False)
    return pixels


def _crop(mask: np.ndarray) -> np.ndarray:
    """int64, (4,), x0 y0 x1 y1: a close-up of the mask, as square as the picture allows."""
    height, width = mask.shape
    tight = _tight(mask)
    area = cv2.countNonZero(np.ascontiguousarray(mask[tight[1] : tight[3], tight[0] : tight[2]]).view(np.uint8))
    x0, y0, x1, y1 = close_up(tight, area, MASK_SHARE, height, width).tolist()
    size = max(x1 - x0, y1 - y0)
    return np.array([*_widened(x0, x1, size, width), *_widened(y0, y1, size, height)])[[0, 2, 1, 3]]


def _tight(mask: np.ndarray) -> np.ndarray:
    """int64, (4,), x0 y0 x1 y1: around the mask; the whole picture for an empty one."""
    height, width = mask.shape
    by_rows = mask.flags.c_contiguous
    x, y, wide, tall = cv2.boundingRect((mask if by_rows else np.ascontiguousarray(mask.T)).view(np.uint8))
    x, y, wide, tall = (x, y, wide, tall) if by_rows else (y, x, tall, wide)
    return np.array([x, y, x + wide, y + tall] if wide else [0, 0, width, height])


def _widened(low: int, high: int, size: int, limit: int) -> tuple[int, int]:
    """A span of `size` pixels around this one, moved and if need be cut to lie within 0 and `limit`."""
    start = min(max(0, low - (size - (high - low)) // 2), max(0, limit - size))
    return start, min(start + size, limit)


def _paste(cell: np.ndarray, view: np.ndarray) -> None:
    """Puts the view into the middle of the cell, in place."""
    y, x = (cell.shape[0] - view.shape[0]) // 2, (cell.shape[1] - view.shape[1]) // 2
    cell[y : y + view.shape[0], x : x + view.shape[1]] = view


def _captioned(sheet: np.ndarray, numbers: Sequence[int], columns: int, across: int, down: int) -> Image.Image:
    """With each number on a strip of its mask's colour above the close-up."""
    image = Image.fromarray(sheet)
    pen = ImageDraw.Draw(image)
    for place, number in enumerate(numbers):
        x, y = place % columns * across, place // columns * down
        pen.rectangle((x, y, x + across - GAP - 1, y + CAPTION - 1), fill=color_of(number))
        centre = (x + (across - GAP) / 2, y + CAPTION / 2)
        pen.text(centre, str(number), ink_on(color_of(number)), font_of(CAPTION - 6), "mm", stroke_width=0.5)
    return image
