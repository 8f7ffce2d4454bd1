"""Numbered masks over an image, and close-ups of one mask, as planners and people see them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType

import cv2
import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from sam3_tool.drawing.labels import Offset, Rect, Target, place_plates
from sam3_tool.drawing.outlines import (
    FRACTION_BITS,
    HAIRLINE_STYLE,
    ZOOM_STYLE,
    Color,
    Mark,
    Style,
    choose_ink,
    draw_lines,
    get_mask_color,
    paint_marks,
    round_box,
    to_fixed_point,
)
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.boxes import masks_to_boxes

PANEL_SIDE = 768
"""Pixels of the long side of each panel of a zoom pair."""
MAX_ENLARGEMENT = 16.0
PANEL_GAP = 8
CONTEXT_SHARE = 0.05
MASK_SHARE = 0.25
"""The share of a close-up that a mask fills at most, in the two panels of a zoom pair."""


def draw_marks(image: Image, instances: Instances, *, mask_ids: Sequence[int] | None = None) -> PIL.Image.Image:
    """Draw the image, in its own size, with every mask tinted, outlined and numbered (`mask_ids`: 1 to N by default).

    Larger masks lie under smaller ones. A mask that runs along an earlier one has a dashed outline; one too small
    to see has a ring around it; an empty one is left out. Raises ValueError if the sizes or counts do not fit.
    """
    mask_ids = range(1, len(instances) + 1) if mask_ids is None else mask_ids
    if instances.masks.shape[1:] != image.pixels.shape[:2]:
        raise ValueError(f"masks are {instances.masks.shape[1:]}, the image is {image.pixels.shape[:2]}")
    numbered = [*zip(mask_ids, instances.masks, strict=True)]
    return draw_numbered_masks(image.pixels.copy(), numbered, Style.from_size(image.height, image.width))[0]


def draw_numbered_masks(
    canvas: np.ndarray,
    masks: Sequence[tuple[int, np.ndarray]],
    style: Style,
    *,
    earlier: Mapping[int, Offset] = MappingProxyType({}),
) -> tuple[PIL.Image.Image, dict[int, Offset]]:
    """Draw masks with their numbers on `canvas`, which is used up, and return where each number stands, too.

    `masks`: number and bool (H, W) of each. `earlier`: where numbers stood on the frame before. They stay
    there while that is a good place, so that they do not jump about in a video.
    """
    marks = [Mark(mask_id, mask) for mask_id, mask in masks if mask.any()]
    # large masks first, so that small ones lie on top of them
    marks.sort(key=lambda mark: -mark.area)
    paint_marks(canvas, marks, style)
    targets = [replace(_build_target(mark, style), earlier=earlier.get(mark.mask_id)) for mark in marks]
    plates = place_plates(targets, canvas.shape[0], canvas.shape[1])
    offsets = {
        mark.mask_id: target.measure_offset(plate) for mark, target, plate in zip(marks, targets, plates, strict=True)
    }
    return _draw_labels(canvas, marks, plates, style), offsets


def draw_zoom_pair(image: Image, mask: np.ndarray, box: Sequence[float], *, mask_id: int = 1) -> PIL.Image.Image:
    """Draw two close-ups in one image: the surroundings with `box` outlined, and the mask with its contour.

    `mask`: bool, (height, width); `box`: x0 y0 x1 y1 in pixels, around the mask or what else is of interest;
    `mask_id` gives the colour. The mask fills about a twentieth and a quarter of its panel at most. Each panel has
    PANEL_SIDE pixels on its long side, whether that enlarges (at most MAX_ENLARGEMENT times) or reduces the pixels.
    """
    focus = _compute_focus(mask, box)
    area = int(mask.sum()) or (focus[2] - focus[0]) * (focus[3] - focus[1])
    wide = compute_close_up(focus, area, CONTEXT_SHARE, image.height, image.width)
    near = compute_close_up(focus, area, MASK_SHARE, image.height, image.width)
    color = get_mask_color(mask_id)
    context, scale = enlarge_crop(image.pixels, wide)
    x0, y0, x1, y1 = ((focus - np.tile(wide[:2], 2)) * scale).round().astype(int).tolist()
    corners = np.array([[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]])
    draw_lines(context, [corners], color, ZOOM_STYLE)
    detail, _ = enlarge_crop(image.pixels, near)
    inside = enlarge_crop(mask.astype(np.uint8) * 255, near)[0] > 127
    if inside.any():
        paint_marks(detail, [Mark(mask_id, inside)], ZOOM_STYLE)
    return _join_panels(context, detail)


def compute_close_up(box: np.ndarray, area: int, share: float, height: int, width: int) -> np.ndarray:
    """Return int64, (4,), x0 y0 x1 y1: the crop of the image in which a mask of `area` pixels fills at most `share`.

    `box`: the mask's, int (4,). It grows by a fifth, at least 16 pixels, on either axis; then further by
    sqrt(filled share / `share`) if the mask would fill more than that; and is moved, not cut, into the image.
    """
    limit = np.array([width, height])
    size = box[2:] - box[:2]
    grown = np.minimum(size + np.maximum(0.2 * size, 16), limit)
    grown = np.minimum(grown * max(1.0, area / grown.prod() / share) ** 0.5, limit)
    start = np.clip(box[:2] - (grown - size) / 2, 0, limit - grown)
    corners: np.ndarray = np.concatenate([start, start + grown]).round().astype(np.int64)
    return corners


def _draw_labels(canvas: np.ndarray, marks: Sequence[Mark], plates: Sequence[Rect], style: Style) -> PIL.Image.Image:
    """Draw a number plate for each mark, and a line to it where the plate stands beside its mask."""
    for mark, plate in zip(marks, plates, strict=True):
        _draw_leader(canvas, mark, plate, style)
    for mark, plate in zip(marks, plates, strict=True):
        _draw_plate(canvas, plate, mark.color, style.rim)
    image = PIL.Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    for mark, (x0, y0, x1, y1) in zip(marks, plates, strict=True):
        tall = load_font(style.font).getbbox(str(mark.mask_id), anchor="ms")[1]
        baseline = (x0 + x1) / 2, (y0 + y1 - tall) / 2
        pen.text(
            baseline,
            str(mark.mask_id),
            choose_ink(mark.color),
            load_font(style.font),
            "ms",
            stroke_width=style.font / 40,
        )
    return image


def _build_target(mark: Mark, style: Style) -> Target:
    digits = load_font(style.font).getlength(str(mark.mask_id))
    tall = round(1.1 * style.font) + 2 * style.rim
    plate = max(tall, round(digits + 0.55 * style.font) + 2 * style.rim), tall
    if not mark.is_tiny(style):
        return Target(mark.box, mark.patch, plate)
    height, width = mark.mask.shape
    low, high = np.floor(mark.compute_ring_box(style)[:2]), np.ceil(mark.compute_ring_box(style)[2:]) + 1
    (x0, y0), (x1, y1) = (np.clip(corner, 0, (width, height)).astype(int).tolist() for corner in (low, high))
    return Target((x0, y0, x1, y1), np.ones((y1 - y0, x1 - x0), np.uint8), plate)


def _draw_leader(canvas: np.ndarray, mark: Mark, plate: Rect, style: Style) -> None:
    """Draw a thin line from the plate to the nearest point of its mask or ring, unless the plate lies on the mask."""
    start = np.array([plate[0] + plate[2], plate[1] + plate[3]]) // 2
    if not mark.mask[start[1], start[0]]:
        goals = round_box(mark.compute_ring_box(style)) if mark.is_tiny(style) else np.concatenate(mark.contours)[:, 0]
        end = goals[((goals - start) ** 2).sum(axis=1).argmin()]
        draw_lines(
            canvas, [np.stack([start, end])], mark.color, HAIRLINE_STYLE if style.line < 4 else style, closed=False
        )


def _draw_plate(canvas: np.ndarray, plate: Rect, color: Color, rim: int) -> None:
    x0, y0, x1, y1 = plate
    for ink, inset in ((choose_ink(color), 0), (color, rim)):
        outline = round_box((x0 + inset, y0 + inset, x1 - 1 - inset, y1 - 1 - inset))
        cv2.fillConvexPoly(canvas, to_fixed_point(outline), ink, cv2.LINE_AA, FRACTION_BITS)


@cache
def load_font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _compute_focus(mask: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """Return int64, (4,): the whole pixels of `box` that lie in the image, at least one, and all of the mask's."""
    height, width = mask.shape
    low = np.clip(np.floor(box[:2]), 0, (width - 1, height - 1))
    high = np.clip(np.ceil(box[2:]), low + 1, (width, height))
    if mask.any():
        mask_box = masks_to_boxes(mask[None])[0]
        low, high = np.minimum(low, mask_box[:2]), np.maximum(high, mask_box[2:])
    focus: np.ndarray = np.concatenate([low, high]).astype(np.int64)
    return focus


def enlarge_crop(pixels: np.ndarray, crop: np.ndarray, side: int = PANEL_SIDE) -> tuple[np.ndarray, float]:
    """Return the crop with `side` pixels on its long side, if at most MAX_ENLARGEMENT times as large, and its scale.

    `pixels`: uint8, (H, W, 3) or (H, W); `crop`: int (4,), x0 y0 x1 y1; scale: panel pixels to one of the crop's.
    """
    cut = pixels[crop[1] : crop[3], crop[0] : crop[2]]
    scale = min(side / max(cut.shape[:2]), MAX_ENLARGEMENT)
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    return resize_pixels(cut, size), scale


def resize_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge or reduce pixels, uint8 (H, W, 3) or (H, W), to `size` = width and height, in about their proportions."""
    if max(size) > max(pixels.shape[:2]):
        return cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)
    return shrink_pixels(pixels, size)


def shrink_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Reduce pixels, uint8 (H, W, 3) or (H, W), to `size` = width and height, neither larger.

    Halved as long as it can be, then interpolated: every pixel counts, about as cv2.INTER_AREA would have it, which
    takes nine times as long. An odd last row or column is lost in halving.
    """
    width, height = size
    while pixels.shape[1] >= 2 * width and pixels.shape[0] >= 2 * height:
        half = pixels.shape[1] // 2, pixels.shape[0] // 2
        pixels = cv2.resize(pixels[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA)
    # only one side still has to be more than halved: bilinear would skip pixels along it
    oblong = pixels.shape[1] > 2 * width or pixels.shape[0] > 2 * height
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if oblong else cv2.INTER_LINEAR)


def resize_mask(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return bool, (height, width). A mask that has pixels keeps some, however small it gets."""
    soft = np.asarray(PIL.Image.fromarray(mask).convert("L").resize((width, height), PIL.Image.Resampling.BILINEAR))
    return np.asarray(soft > min(127, int(soft.max()) // 2))


def _join_panels(context: np.ndarray, detail: np.ndarray) -> PIL.Image.Image:
    """Join two panels: side by side if the first is taller than wide, else one above the other, with a white gap."""
    axis = 1 if context.shape[1] < context.shape[0] else 0
    across = max(context.shape[1 - axis], detail.shape[1 - axis])
    panels = [_pad_panel(panel, across, 1 - axis) for panel in (context, detail)]
    gap = np.full_like(panels[0], 255)[:, :PANEL_GAP] if axis else np.full_like(panels[0], 255)[:PANEL_GAP]
    return PIL.Image.fromarray(np.concatenate([panels[0], gap, panels[1]], axis=axis))


def _pad_panel(panel: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Return the panel with as much white on both sides as makes it `size` pixels along `axis`."""
    missing = size - panel.shape[axis]
    margins = [(0, 0), (0, 0), (0, 0)]
    margins[axis] = (missing // 2, missing - missing // 2)
    return np.pad(panel, margins, constant_values=255)
