"""Many masks in one picture: a numbered close-up of each, in rows."""

from collections.abc import Sequence
from math import ceil, isqrt

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
from sam3_tool.rle import Rle, decode_tight

MOST = 12
"""Masks on one sheet: with more, the close-ups are too small to judge by."""
LARGEST_CELL = 384
"""Pixels: a sheet of few masks is smaller, not coarser."""
CAPTION = 28
"""Pixels of the strip with the number, above each close-up."""


def contact_sheet(
    picture: Picture, masks: Sequence[Rle], *, numbers: Sequence[int] | None = None, side: int = 1280
) -> Picture:
    """A square close-up of each mask, outlined in its colour under its number (1 to N by default), on white.

    `masks`: of the picture's size, 1 to MOST of them. The colours inside a mask are the picture's own: it is not
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
        x, y = place % columns * across, place // columns * down
        sheet[y : y + CAPTION, x : x + cell] = _caption(number, cell)
        _paste(sheet[y + CAPTION : y + CAPTION + cell, x : x + cell], _view(picture, mask, number, cell))
    return Picture(sheet)


def _cell(columns: int, rows: int, side: int) -> int:
    """Pixels of the side of each close-up."""
    widest = (side + GAP) // columns - GAP
    highest = (side + GAP) // rows - GAP - CAPTION
    return max(1, min(widest, highest, LARGEST_CELL))


def _view(picture: Picture, mask: Rle, number: int, cell: int) -> np.ndarray:
    """uint8, (H, W, 3): what is around a mask, with its outline; an empty mask has none, and shows the picture."""
    x, y, tight = decode_tight(mask)
    if not tight.size:
        return enlarged(picture.pixels, np.array([0, 0, picture.width, picture.height]), cell)[0]
    crop = _crop(np.array([x, y, x + tight.shape[1], y + tight.shape[0]]), int(np.count_nonzero(tight)), picture)
    pixels = enlarged(picture.pixels, crop, cell)[0].copy()
    wide, tall = crop[2:] - crop[:2]
    # column after column in memory, as the mask is
    inside = np.zeros((wide, tall), np.uint8)
    inside[x - crop[0] :, y - crop[1] :][: tight.shape[1], : tight.shape[0]] = tight.T * np.uint8(255)
    shown = np.ascontiguousarray(enlarged(inside, np.array([0, 0, tall, wide]), cell)[0].T) > 127
    if shown.any():
        draw_outline(pixels, Mark(number, shown), np.zeros(shown.shape, np.uint8), ZOOM, dashed=False)
    return pixels


def _crop(tight: np.ndarray, area: int, picture: Picture) -> np.ndarray:
    """int64, (4,), x0 y0 x1 y1: a close-up of a mask, as square as the picture allows. `tight`: the mask's box."""
    x0, y0, x1, y1 = close_up(tight, area, MASK_SHARE, picture.height, picture.width).tolist()
    size = max(x1 - x0, y1 - y0)
    across, down = _widened(x0, x1, size, picture.width), _widened(y0, y1, size, picture.height)
    return np.array([across[0], down[0], across[1], down[1]])


def _widened(low: int, high: int, size: int, limit: int) -> tuple[int, int]:
    """A span of `size` pixels around this one, moved and if need be cut to lie within 0 and `limit`."""
    start = min(max(0, low - (size - (high - low)) // 2), max(0, limit - size))
    return start, min(start + size, limit)


def _paste(cell: np.ndarray, view: np.ndarray) -> None:
    """Puts the view into the middle of the cell, in place."""
    y, x = (cell.shape[0] - view.shape[0]) // 2, (cell.shape[1] - view.shape[1]) // 2
    cell[y : y + view.shape[0], x : x + view.shape[1]] = view


def _caption(number: int, width: int) -> np.ndarray:
    """uint8, (CAPTION, width, 3): the number on its mask's colour."""
    strip = Image.new("RGB", (width, CAPTION), color_of(number))
    pen = ImageDraw.Draw(strip)
    pen.text(
        (width / 2, CAPTION / 2), str(number), ink_on(color_of(number)), font_of(CAPTION - 6), "mm", stroke_width=0.5
    )
    return np.asarray(strip)
