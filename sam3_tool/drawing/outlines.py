"""Masks in their colours: tints, outlines, and rings around what is too small to see."""

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import cv2
import numpy as np

from sam3_tool.drawing.labels import Rect, to_slices
from sam3_tool.masks.boxes import mask_to_box

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
"""Outlines of one mask, at most. A mask that is all specks shows the rest of them by their tint."""


def get_mask_color(mask_id: int) -> Color:
    """Return the colour of the mask with this number (from 1), the same in every image.

    The first 24 are clearly distinct; later ones walk around the hues by the golden ratio, in three shades.

    >>> get_mask_color(1), get_mask_color(25)
    ((255, 45, 60), (109, 242, 203))
    """
    if mask_id <= len(PALETTE):
        return PALETTE[mask_id - 1]
    # steps of the golden ratio never come close to an earlier hue
    saturation, value = ((1.0, 1.0), (0.55, 0.95), (0.8, 0.62))[mask_id % 3]
    red, green, blue = colorsys.hsv_to_rgb(mask_id * 0.61803398875 % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


@cache
def choose_ink(color: Color) -> Color:
    """Choose dark or light, whichever is easy to read on this colour."""
    # relative luminance with the weights of Rec. 709 and a gamma of 2.2
    red, green, blue = ((channel / 255) ** 2.2 for channel in color)
    return DARK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.25 else LIGHT


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
        """Thickness of a ring: a curve of one pixel would be pale."""
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
        """int32, (K, 1, 2), x y in the image: outlines, also of holes, point by point; the longest if too many."""
        found, _ = cv2.findContours(self.patch, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=self.box[:2])
        return sorted(found, key=len, reverse=True)[:MAX_OUTLINES]

    @property
    def color(self) -> Color:
        return get_mask_color(self.mask_id)

    def is_tiny(self, style: Style) -> bool:
        x0, y0, x1, y1 = self.box
        return max(x1 - x0, y1 - y0) < style.tiny

    def compute_ring_box(self, style: Style) -> tuple[float, float, float, float]:
        """Return x0 y0 x1 y1 of a ring that leaves some pixels free around a tiny mask."""
        x0, y0, x1, y1 = self.box
        radius = np.hypot(x1 - x0, y1 - y0) / 2 + 2.5 * style.ring_width + style.rim
        x, y = (x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2
        return x - radius, y - radius, x + radius, y + radius


def paint_marks(canvas: np.ndarray, marks: Sequence[Mark], style: Style) -> None:
    """Tint and outline the masks on `canvas`, in place; the last one lies on top."""
    borders = np.zeros(canvas.shape[:2], np.uint8)
    for mark in marks:
        window = to_slices(mark.box)
        cv2.copyTo(_tint_pixels(canvas[window], mark.color), mark.patch, canvas[window])
        np.maximum(borders[window], _compute_border(mark.patch, style.line), out=borders[window])
    for mark, dashed in zip(marks, _find_repeats(marks, style), strict=True):
        if mark.is_tiny(style):
            draw_lines(
                canvas, [round_box(mark.compute_ring_box(style))], mark.color, replace(style, line=style.ring_width)
            )
        else:
            draw_outline(canvas, mark, borders, style, dashed=dashed)


def _find_repeats(marks: Sequence[Mark], style: Style) -> list[bool]:
    """Tell of each mark whether its box coincides with that of an earlier one, which its outline would hide."""
    boxes = np.array([mark.box for mark in marks]).reshape(-1, 4)
    # one row after the other: all at once would be 64 MB for 1,000 masks
    return [bool((np.abs(boxes[:i] - box) <= 2 * style.line).all(axis=1).any()) for i, box in enumerate(boxes)]


def _tint_pixels(pixels: np.ndarray, color: Color) -> np.ndarray:
    # a table for each channel took four times as long (benchmarks/NOTES.md)
    # one affine map of the colours does the blend in a single pass
    mix = np.column_stack([(1 - FILL_OPACITY) * np.eye(3), FILL_OPACITY * np.array(color)])
    return np.asarray(cv2.transform(pixels, mix))


def _compute_border(patch: np.ndarray, width: int) -> np.ndarray:
    """Return uint8, 0 or 1: the outermost pixels of the mask."""
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return patch - cv2.erode(patch, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)


def draw_outline(canvas: np.ndarray, mark: Mark, borders: np.ndarray, style: Style, *, dashed: bool) -> None:
    """Draw the contours, but not over other masks' borders unless the mask covers them: neighbours keep their side."""
    x0, y0, x1, y1 = mark.box
    margin = style.line + style.rim
    box = max(0, x0 - margin), max(0, y0 - margin), x1 + margin, y1 + margin
    window = to_slices(box)
    mask = mark.mask[window].view(np.uint8)
    layer = canvas[window].copy()
    lines = [line - box[:2] for contour in mark.contours for line in _trace_lines(contour, style, dashed)]
    # a thick line would fill a thin mask
    thin = min(x1 - x0, y1 - y0) < 8 * style.line
    draw_lines(layer, lines, mark.color, HAIRLINE_STYLE if thin else style, closed=not dashed, inside=mask)
    cv2.copyTo(layer, mask | (borders[window] == 0), canvas[window])


def _trace_lines(contour: np.ndarray, style: Style, dashed: bool) -> Iterator[np.ndarray]:
    """Yield float32, (K, 2) each: the contour without its pixel steps, whole or in dashes."""
    points = contour[:, 0].astype(np.float32)
    if len(points) > 16:
        # the mean of five neighbours takes the steps of the pixels away
        points = np.mean([np.roll(points, shift, axis=0) for shift in (-2, -1, 0, 1, 2)], axis=0)
    dash = 6 * style.line if dashed else len(points)
    for start in range(0, len(points), 2 * dash):
        yield cv2.approxPolyDP(points[start : start + dash], 0.2, closed=not dashed)[:, 0]


def draw_lines(
    canvas: np.ndarray,
    lines: Sequence[np.ndarray],
    color: Color,
    style: Style,
    *,
    closed: bool = True,
    inside: np.ndarray | None = None,
) -> None:
    """Draw lines (x y in pixels) with a rim that stands out on any background; where `inside` is 1, without it."""
    fixed_lines = [to_fixed_point(line) for line in lines]
    plain = canvas.copy() if inside is not None else canvas
    cv2.polylines(
        canvas, fixed_lines, closed, choose_ink(color), style.line + 2 * style.rim, cv2.LINE_AA, FRACTION_BITS
    )
    if inside is not None:
        cv2.copyTo(plain, inside, canvas)
    cv2.polylines(canvas, fixed_lines, closed, color, style.line, cv2.LINE_AA, FRACTION_BITS)


def round_box(box: tuple[float, float, float, float]) -> np.ndarray:
    """Return float64, (64, 2), x y: the outline of a box with round ends; a circle if it is square."""
    x0, y0, x1, y1 = box
    radius = min(x1 - x0, y1 - y0) / 2
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False) + np.pi / 64
    turn = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    half = np.array([(x1 - x0) / 2 - radius, (y1 - y0) / 2 - radius])
    return np.asarray([(x0 + x1) / 2, (y0 + y1) / 2] + np.sign(turn) * half + radius * turn)


def to_fixed_point(points: np.ndarray) -> np.ndarray:
    """Return int32: points as OpenCV takes them with FRACTION_BITS fractional bits."""
    return np.rint(points * 2.0**FRACTION_BITS).astype(np.int32)
