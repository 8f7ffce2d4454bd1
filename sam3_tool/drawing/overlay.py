"""Numbered masks over a picture, and close-ups of one mask, as planners and people see them."""

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import cv2
import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from sam3_tool.drawing.labels import Rect, Target, place_plates, to_slices
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.boxes import mask_to_box, masks_to_boxes

Color = tuple[int, int, int]
"""Red, green, blue in 0..255."""

# Chosen greedily for the largest smallest distance in OKLab, then ordered so that the first ones are the plainest.
PALETTE: tuple[Color, ...] = (
    (255, 45, 60), (30, 144, 255), (50, 215, 75), (255, 200, 0), (225, 0, 255), (105, 240, 255),
    (255, 128, 0), (120, 50, 150), (255, 175, 250), (70, 100, 0), (195, 255, 0), (150, 0, 0),
    (30, 165, 150), (0, 0, 240), (255, 0, 150), (180, 120, 10), (185, 135, 255), (0, 150, 0),
    (0, 90, 165), (180, 240, 165), (180, 105, 150), (165, 180, 90), (135, 75, 255), (255, 150, 120),
)  # fmt: skip
DARK: Color = (16, 16, 16)
LIGHT: Color = (255, 255, 255)

FRACTION_BITS = 4
"""Fractional bits of the coordinates that OpenCV draws at."""
FILL_OPACITY = 0.2
"""Opacity of a mask's colour over its pixels."""
MAX_OUTLINES = 500
"""Of one mask. A mask that is all specks shows the rest of them by their tint."""
PANEL_SIDE = 768
"""Pixels of the long side of each panel of a zoom pair."""
MAX_ENLARGEMENT = 16.0
PANEL_GAP = 8
CONTEXT_SHARE = 0.05
MASK_SHARE = 0.25
"""The share of a close-up that a mask fills at most, in the two panels of a zoom pair."""


def get_mask_color(mask_id: int) -> Color:
    """The colour of the mask with this number (from 1), the same in every picture.

    The first 24 are clearly distinct; later ones walk around the hues by the golden ratio, in three shades.

    >>> get_mask_color(1), get_mask_color(25)
    ((255, 45, 60), (109, 242, 203))
    """
    if mask_id <= len(PALETTE):
        return PALETTE[mask_id - 1]
    saturation, value = ((1.0, 1.0), (0.55, 0.95), (0.8, 0.62))[mask_id % 3]
    red, green, blue = colorsys.hsv_to_rgb(mask_id * 0.61803398875 % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_marks(image: Image, instances: Instances, *, mask_ids: Sequence[int] | None = None) -> PIL.Image.Image:
    """The picture, in its own size, with every mask tinted, outlined and numbered (`mask_ids`: 1 to N by default).

    Larger masks lie under smaller ones. A mask that runs along an earlier one has a dashed outline; one too small
    to see has a ring around it; an empty one is left out. Raises ValueError if the sizes or counts do not fit.
    """
    mask_ids = range(1, len(instances) + 1) if mask_ids is None else mask_ids
    if instances.masks.shape[1:] != image.pixels.shape[:2]:
        raise ValueError(f"masks are {instances.masks.shape[1:]}, the picture is {image.pixels.shape[:2]}")
    style = Style.from_size(image.height, image.width)
    marks = [Mark(mask_id, mask) for mask_id, mask in zip(mask_ids, instances.masks, strict=True) if mask.any()]
    marks.sort(key=lambda mark: -mark.area)
    canvas = image.pixels.copy()
    _paint_marks(canvas, marks, style)
    return _draw_labels(canvas, marks, style)


def draw_zoom_pair(image: Image, mask: np.ndarray, box: Sequence[float], *, mask_id: int = 1) -> PIL.Image.Image:
    """Two close-ups in one picture: the surroundings with `box` outlined, and the mask with its contour.

    `mask`: bool, (height, width); `box`: x0 y0 x1 y1 in pixels, around the mask or what else is of interest;
    `mask_id` gives the colour. The mask fills about a twentieth and a quarter of its panel at most. Each panel has
    PANEL pixels on its long side, whether that enlarges (at most MAX_ENLARGEMENT times) or reduces the pixels.
    """
    focus = _compute_focus(mask, box)
    area = int(mask.sum()) or (focus[2] - focus[0]) * (focus[3] - focus[1])
    wide = compute_close_up(focus, area, CONTEXT_SHARE, image.height, image.width)
    near = compute_close_up(focus, area, MASK_SHARE, image.height, image.width)
    color = get_mask_color(mask_id)
    context, scale = enlarge_crop(image.pixels, wide)
    x0, y0, x1, y1 = ((focus - np.tile(wide[:2], 2)) * scale).round().astype(int).tolist()
    corners = np.array([[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]])
    _draw_lines(context, [corners], color, ZOOM_STYLE)
    detail, _ = enlarge_crop(image.pixels, near)
    inside = enlarge_crop(mask.astype(np.uint8) * 255, near)[0] > 127
    if inside.any():
        _paint_marks(detail, [Mark(mask_id, inside)], ZOOM_STYLE)
    return _join_panels(context, detail)


def compute_close_up(box: np.ndarray, area: int, share: float, height: int, width: int) -> np.ndarray:
    """int64, (4,), x0 y0 x1 y1: the crop of the picture in which a mask of `area` pixels fills at most `share`.

    `box`: the mask's, int (4,). It grows by a fifth, at least 16 pixels, on either axis; then further by
    sqrt(filled share / `share`) if the mask would fill more than that; and is moved, not cut, into the picture.
    """
    limit = np.array([width, height])
    size = box[2:] - box[:2]
    grown = np.minimum(size + np.maximum(0.2 * size, 16), limit)
    grown = np.minimum(grown * max(1.0, area / grown.prod() / share) ** 0.5, limit)
    start = np.clip(box[:2] - (grown - size) / 2, 0, limit - grown)
    corners: np.ndarray = np.concatenate([start, start + grown]).round().astype(np.int64)
    return corners


@dataclass(frozen=True)
class Style:
    """How thick and how large things are drawn, in pixels."""

    line: int
    rim: int
    font: int
    tiny: float
    """A mask whose box is smaller than this on both axes gets a ring."""

    @property
    def ring_width(self) -> int:
        """How thick a ring is: a curve of one pixel would be pale."""
        return max(2, self.line)

    @classmethod
    def from_size(cls, height: int, width: int) -> "Style":
        side = (height * width) ** 0.5
        line = round(1 + side / 600)
        return cls(line=line, rim=max(1, line // 3), font=max(10, round(7 + side / 56)), tiny=max(6.0, side / 70))


ZOOM_STYLE = Style(line=2, rim=1, font=0, tiny=0.0)
HAIRLINE_STYLE = Style(line=1, rim=1, font=0, tiny=0.0)


@dataclass(frozen=True, eq=False)
class Mark:
    """One numbered mask that is not empty."""

    mask_id: int
    mask: np.ndarray
    """bool, (height, width)."""

    @cached_property
    def box(self) -> Rect:
        return mask_to_box(self.mask)

    @cached_property
    def patch(self) -> np.ndarray:
        """uint8, 0 or 1: the mask within its box."""
        return np.ascontiguousarray(self.mask[to_slices(self.box)]).view(np.uint8)

    @cached_property
    def area(self) -> int:
        return cv2.countNonZero(self.patch)

    @cached_property
    def contours(self) -> list[np.ndarray]:
        """int32, (K, 1, 2), x y in the picture: outlines, also of holes, point by point; the longest if too many."""
        found, _ = cv2.findContours(self.patch, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=self.box[:2])
        return sorted(found, key=len, reverse=True)[:MAX_OUTLINES]

    @property
    def color(self) -> Color:
        return get_mask_color(self.mask_id)

    def is_tiny(self, style: Style) -> bool:
        x0, y0, x1, y1 = self.box
        return max(x1 - x0, y1 - y0) < style.tiny

    def compute_ring_box(self, style: Style) -> tuple[float, float, float, float]:
        """x0 y0 x1 y1 of a ring that leaves some pixels free around a tiny mask."""
        x0, y0, x1, y1 = self.box
        radius = np.hypot(x1 - x0, y1 - y0) / 2 + 2.5 * style.ring_width + style.rim
        x, y = (x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2
        return x - radius, y - radius, x + radius, y + radius


def _paint_marks(canvas: np.ndarray, marks: Sequence[Mark], style: Style) -> None:
    """Tints and outlines the masks on `canvas`, in place; the last one lies on top."""
    borders = np.zeros(canvas.shape[:2], np.uint8)
    for mark in marks:
        window = to_slices(mark.box)
        cv2.copyTo(_tint_pixels(canvas[window], mark.color), mark.patch, canvas[window])
        np.maximum(borders[window], _compute_border(mark.patch, style.line), out=borders[window])
    for mark, dashed in zip(marks, _find_repeats(marks, style), strict=True):
        if mark.is_tiny(style):
            _draw_lines(
                canvas, [_round_box(mark.compute_ring_box(style))], mark.color, replace(style, line=style.ring_width)
            )
        else:
            draw_outline(canvas, mark, borders, style, dashed=dashed)


def _tint_pixels(pixels: np.ndarray, color: Color) -> np.ndarray:
    mix = np.column_stack([(1 - FILL_OPACITY) * np.eye(3), FILL_OPACITY * np.array(color)])
    return np.asarray(cv2.transform(pixels, mix))


def _compute_border(patch: np.ndarray, width: int) -> np.ndarray:
    """uint8, 0 or 1: the outermost pixels of the mask."""
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return patch - cv2.erode(patch, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)


def draw_outline(canvas: np.ndarray, mark: Mark, borders: np.ndarray, style: Style, *, dashed: bool) -> None:
    """Draws the contours, but not over other masks' borders unless the mask covers them: neighbours keep their side."""
    x0, y0, x1, y1 = mark.box
    margin = style.line + style.rim
    box = max(0, x0 - margin), max(0, y0 - margin), x1 + margin, y1 + margin
    window = to_slices(box)
    mask = mark.mask[window].view(np.uint8)
    layer = canvas[window].copy()
    lines = [line - box[:2] for contour in mark.contours for line in _trace_lines(contour, style, dashed)]
    thin = min(x1 - x0, y1 - y0) < 8 * style.line
    _draw_lines(layer, lines, mark.color, HAIRLINE_STYLE if thin else style, closed=not dashed, inside=mask)
    cv2.copyTo(layer, mask | (borders[window] == 0), canvas[window])


def _trace_lines(contour: np.ndarray, style: Style, dashed: bool) -> Iterator[np.ndarray]:
    """float32, (K, 2) each: the contour without its pixel steps, whole or in dashes."""
    points = contour[:, 0].astype(np.float32)
    if len(points) > 16:
        points = np.mean([np.roll(points, shift, axis=0) for shift in (-2, -1, 0, 1, 2)], axis=0)
    dash = 6 * style.line if dashed else len(points)
    for start in range(0, len(points), 2 * dash):
        yield cv2.approxPolyDP(points[start : start + dash], 0.2, closed=not dashed)[:, 0]


def _draw_lines(
    canvas: np.ndarray,
    lines: Sequence[np.ndarray],
    color: Color,
    style: Style,
    *,
    closed: bool = True,
    inside: np.ndarray | None = None,
) -> None:
    """Draws lines (x y in pixels) with a rim that stands out on any background; where `inside` is 1, without it."""
    fixed_lines = [_to_fixed_point(line) for line in lines]
    plain = canvas.copy() if inside is not None else canvas
    cv2.polylines(
        canvas, fixed_lines, closed, choose_ink(color), style.line + 2 * style.rim, cv2.LINE_AA, FRACTION_BITS
    )
    if inside is not None:
        cv2.copyTo(plain, inside, canvas)
    cv2.polylines(canvas, fixed_lines, closed, color, style.line, cv2.LINE_AA, FRACTION_BITS)


@cache
def choose_ink(color: Color) -> Color:
    """Dark or light, whichever is easy to read on this colour."""
    red, green, blue = ((channel / 255) ** 2.2 for channel in color)
    return DARK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.25 else LIGHT


def _find_repeats(marks: Sequence[Mark], style: Style) -> list[bool]:
    """Of each mark: whether its box coincides with that of an earlier one, which its outline would hide."""
    boxes = np.array([mark.box for mark in marks]).reshape(-1, 4)
    # one row after the other: all at once would be 64 MB for 1,000 masks
    return [bool((np.abs(boxes[:i] - box) <= 2 * style.line).all(axis=1).any()) for i, box in enumerate(boxes)]


def _draw_labels(canvas: np.ndarray, marks: Sequence[Mark], style: Style) -> PIL.Image.Image:
    """The canvas with a number plate for each mark, and a line to it where the plate stands beside its mask."""
    targets = [_build_target(mark, style) for mark in marks]
    plates = place_plates(targets, canvas.shape[0], canvas.shape[1])
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
    """A thin line from the plate to the nearest point of its mask or ring, unless the plate lies on the mask."""
    start = np.array([plate[0] + plate[2], plate[1] + plate[3]]) // 2
    if not mark.mask[start[1], start[0]]:
        goals = _round_box(mark.compute_ring_box(style)) if mark.is_tiny(style) else np.concatenate(mark.contours)[:, 0]
        end = goals[((goals - start) ** 2).sum(axis=1).argmin()]
        _draw_lines(
            canvas, [np.stack([start, end])], mark.color, HAIRLINE_STYLE if style.line < 4 else style, closed=False
        )


def _draw_plate(canvas: np.ndarray, plate: Rect, color: Color, rim: int) -> None:
    x0, y0, x1, y1 = plate
    for ink, inset in ((choose_ink(color), 0), (color, rim)):
        outline = _round_box((x0 + inset, y0 + inset, x1 - 1 - inset, y1 - 1 - inset))
        cv2.fillConvexPoly(canvas, _to_fixed_point(outline), ink, cv2.LINE_AA, FRACTION_BITS)


def _round_box(box: tuple[float, float, float, float]) -> np.ndarray:
    """float64, (64, 2), x y: the outline of a box with round ends; a circle if it is square."""
    x0, y0, x1, y1 = box
    radius = min(x1 - x0, y1 - y0) / 2
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False) + np.pi / 64
    turn = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    half = np.array([(x1 - x0) / 2 - radius, (y1 - y0) / 2 - radius])
    return np.asarray([(x0 + x1) / 2, (y0 + y1) / 2] + np.sign(turn) * half + radius * turn)


def _to_fixed_point(points: np.ndarray) -> np.ndarray:
    """int32: points as OpenCV takes them with SHIFT fractional bits."""
    return np.rint(points * 2.0**FRACTION_BITS).astype(np.int32)


@cache
def load_font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _compute_focus(mask: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """int64, (4,): the whole pixels of `box` that lie in the picture, at least one, and all of the mask's."""
    height, width = mask.shape
    low = np.clip(np.floor(box[:2]), 0, (width - 1, height - 1))
    high = np.clip(np.ceil(box[2:]), low + 1, (width, height))
    if mask.any():
        mask_box = masks_to_boxes(mask[None])[0]
        low, high = np.minimum(low, mask_box[:2]), np.maximum(high, mask_box[2:])
    focus: np.ndarray = np.concatenate([low, high]).astype(np.int64)
    return focus


def enlarge_crop(pixels: np.ndarray, crop: np.ndarray, side: int = PANEL_SIDE) -> tuple[np.ndarray, float]:
    """The crop with `side` pixels on its long side, if at most MAX_ENLARGEMENT times as large, and its scale.

    `pixels`: uint8, (H, W, 3) or (H, W); `crop`: int (4,), x0 y0 x1 y1; scale: panel pixels to one of the crop's.
    """
    cut = pixels[crop[1] : crop[3], crop[0] : crop[2]]
    scale = min(side / max(cut.shape[:2]), MAX_ENLARGEMENT)
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    return cv2.resize(cut, size, interpolation=cv2.INTER_CUBIC) if scale > 1 else shrink_pixels(cut, size), scale


def shrink_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`pixels`, uint8 (H, W, 3) or (H, W), at `size` = width and height, neither larger.

    Halved as long as it can be, then interpolated: every pixel counts, about as cv2.INTER_AREA would have it, which
    takes nine times as long. An odd last row or column is lost in halving.
    """
    width, height = size
    while pixels.shape[1] >= 2 * width and pixels.shape[0] >= 2 * height:
        half = pixels.shape[1] // 2, pixels.shape[0] // 2
        pixels = cv2.resize(pixels[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA)
    oblong = pixels.shape[1] > 2 * width or pixels.shape[0] > 2 * height
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if oblong else cv2.INTER_LINEAR)


def _join_panels(context: np.ndarray, detail: np.ndarray) -> PIL.Image.Image:
    """Side by side if the first is taller than wide, else one above the other; centred, with a white gap."""
    axis = 1 if context.shape[1] < context.shape[0] else 0
    across = max(context.shape[1 - axis], detail.shape[1 - axis])
    panels = [_pad_panel(panel, across, 1 - axis) for panel in (context, detail)]
    gap = np.full_like(panels[0], 255)[:, :PANEL_GAP] if axis else np.full_like(panels[0], 255)[:PANEL_GAP]
    return PIL.Image.fromarray(np.concatenate([panels[0], gap, panels[1]], axis=axis))


def _pad_panel(panel: np.ndarray, size: int, axis: int) -> np.ndarray:
    """The panel with as much white on both sides as makes it `size` pixels along `axis`."""
    missing = size - panel.shape[axis]
    margins = [(0, 0), (0, 0), (0, 0)]
    margins[axis] = (missing // 2, missing - missing // 2)
    return np.pad(panel, margins, constant_values=255)
