"""Many masks in one image: a numbered close-up of each, in rows."""

from collections.abc import Sequence
from math import ceil, isqrt

import numpy as np
import PIL.Image
from PIL import ImageDraw

from sam3_tool.drawing.outlines import ZOOM_STYLE, Color, Mark, choose_ink, draw_outline, get_mask_color
from sam3_tool.drawing.overlay import MASK_SHARE, PANEL_GAP, compute_close_up, enlarge_crop, load_font
from sam3_tool.image import Image
from sam3_tool.masks.rle import RleMask, decode_tight

MAX_MASKS = 12
"""Masks on one sheet: with more, the close-ups are too small to judge by."""
MAX_CELL_SIDE = 384
"""Pixels: a sheet of few masks is smaller, not coarser."""
CAPTION_HEIGHT = 28
"""Pixels of the strip with the number, above each close-up."""


def draw_contact_sheet(
    image: Image, masks: Sequence[RleMask], *, mask_ids: Sequence[int] | None = None, side: int = 1280
) -> Image:
    """Draw a square close-up of each mask, outlined in its colour under its number (1 to N by default), on white.

    `masks`: of the image's size, 1 to MAX_MASKS of them. The colours inside a mask are the image's own: it is not
    tinted, for a sheet is there to judge what things look like. At most `side` pixels wide and high. Raises ValueError
    for a number of masks or numbers that does not fit.
    """
    if not 1 <= len(masks) <= MAX_MASKS:
        raise ValueError(f"a sheet shows 1 to {MAX_MASKS} masks, got {len(masks)}")
    mask_ids = range(1, len(masks) + 1) if mask_ids is None else mask_ids
    # the smallest square grid that holds them all
    columns = isqrt(len(masks) - 1) + 1
    rows = ceil(len(masks) / columns)
    cell = compute_cell_side(columns, rows, side)
    cells = [
        (_draw_caption(mask_id, cell), draw_close_up(image, mask, mask_id, cell))
        for mask, mask_id in zip(masks, mask_ids, strict=True)
    ]
    return compose_sheet(cells, columns, cell, cell)


def compose_sheet(cells: Sequence[tuple[np.ndarray, np.ndarray]], columns: int, width: int, height: int) -> Image:
    """Put views of at most `width` x `height` pixels in rows, each in the middle of its place, on white.

    `cells`: for each, its caption, uint8 (CAPTION_HEIGHT, `width`, 3), and the view, uint8 (H, W, 3).
    """
    across, down = width + PANEL_GAP, height + CAPTION_HEIGHT + PANEL_GAP
    rows = ceil(len(cells) / columns)
    sheet = np.full((rows * down - PANEL_GAP, columns * across - PANEL_GAP, 3), 255, np.uint8)
    for place, (caption, view) in enumerate(cells):
        x, y = place % columns * across, place // columns * down
        sheet[y : y + CAPTION_HEIGHT, x : x + width] = caption
        _paste_centered(sheet[y + CAPTION_HEIGHT : y + CAPTION_HEIGHT + height, x : x + width], view)
    return Image(sheet)


def compute_cell_side(columns: int, rows: int, side: int) -> int:
    """Return pixels of the side of each close-up."""
    widest = (side + PANEL_GAP) // columns - PANEL_GAP
    highest = (side + PANEL_GAP) // rows - PANEL_GAP - CAPTION_HEIGHT
    return max(1, min(widest, highest, MAX_CELL_SIDE))


def draw_close_up(image: Image, mask: RleMask, mask_id: int, cell: int) -> np.ndarray:
    """Return uint8, (H, W, 3): what is around a mask, with its outline. An empty mask has none, and shows the image."""
    x, y, tight_mask = decode_tight(mask)
    if not tight_mask.size:
        return enlarge_crop(image.pixels, np.array([0, 0, image.width, image.height]), cell)[0]
    crop = _compute_crop(
        np.array([x, y, x + tight_mask.shape[1], y + tight_mask.shape[0]]), int(np.count_nonzero(tight_mask)), image
    )
    pixels = enlarge_crop(image.pixels, crop, cell)[0].copy()
    wide, tall = crop[2:] - crop[:2]
    # column after column in memory, as the mask is
    inside = np.zeros((wide, tall), np.uint8)
    inside[x - crop[0] :, y - crop[1] :][: tight_mask.shape[1], : tight_mask.shape[0]] = tight_mask.T * np.uint8(255)
    shown = np.ascontiguousarray(enlarge_crop(inside, np.array([0, 0, tall, wide]), cell)[0].T) > 127
    if shown.any():
        draw_outline(pixels, Mark(mask_id, shown), np.zeros(shown.shape, np.uint8), ZOOM_STYLE, dashed=False)
    return pixels


def _compute_crop(box: np.ndarray, area: int, image: Image) -> np.ndarray:
    """Return int64, (4,), x0 y0 x1 y1: a close-up of a mask, as square as the image allows. `box`: the mask's box."""
    x0, y0, x1, y1 = compute_close_up(box, area, MASK_SHARE, image.height, image.width).tolist()
    size = max(x1 - x0, y1 - y0)
    across, down = _widen_span(x0, x1, size, image.width), _widen_span(y0, y1, size, image.height)
    return np.array([across[0], down[0], across[1], down[1]])


def _widen_span(low: int, high: int, size: int, limit: int) -> tuple[int, int]:
    """Return a span of `size` pixels around this one, moved and if need be cut to lie within 0 and `limit`."""
    start = min(max(0, low - (size - (high - low)) // 2), max(0, limit - size))
    return start, min(start + size, limit)


def _paste_centered(cell: np.ndarray, view: np.ndarray) -> None:
    """Put the view into the middle of the cell, in place."""
    y, x = (cell.shape[0] - view.shape[0]) // 2, (cell.shape[1] - view.shape[1]) // 2
    cell[y : y + view.shape[0], x : x + view.shape[1]] = view


def _draw_caption(mask_id: int, width: int) -> np.ndarray:
    """Return uint8, (CAPTION_HEIGHT, width, 3): the mask id on its mask's colour."""
    return draw_caption(str(mask_id), width, get_mask_color(mask_id))


def draw_caption(text: str, width: int, color: Color) -> np.ndarray:
    """Return uint8, (CAPTION_HEIGHT, width, 3): a short text in the middle of a strip."""
    strip = PIL.Image.new("RGB", (width, CAPTION_HEIGHT), color)
    pen = ImageDraw.Draw(strip)
    middle = width / 2, CAPTION_HEIGHT / 2
    pen.text(middle, text, choose_ink(color), load_font(CAPTION_HEIGHT - 6), "mm", stroke_width=0.5)
    return np.asarray(strip)
