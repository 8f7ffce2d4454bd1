"""What a language model is shown when it verifies: one mask from far and near, or all accepted masks as boxes."""

from collections.abc import Sequence

import cv2
import numpy as np

from sam3_tool.drawing.outlines import Style, draw_lines, get_mask_color
from sam3_tool.drawing.overlay import draw_zoom_pair, shrink_pixels
from sam3_tool.image import Image
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import RleMask, compute_boxes, decode_mask

SIDE = 1024
"""Pixels of the long side of what is shown, by default."""
RED, FUCHSIA = 1, 5
"""Numbers of masks that have these colours."""
RED_SHARE = 0.25
"""Share of reddish pixels from which on a red outline would be lost."""
PADDING = 3
"""Pixels between a thing and its box."""


def draw_mask_view(image: Image, rle: RleMask, *, side: int = SIDE) -> Image:
    """Draw a mask twice: a box around it in its surroundings, and the mask from near, tinted and outlined.

    Args:
        image: The whole image.
        rle: The mask, of the image's size.
        side: Pixels of the long side, at most.

    Returns:
        Both views in one image. They are red, or fuchsia where the thing is red itself.
    """
    mask = decode_mask(rle)
    box = masks_to_boxes(mask[None])[0].tolist() if mask.any() else (0, 0, image.width, image.height)
    pair = draw_zoom_pair(image, mask, box, mask_id=choose_mask_color(image, mask))
    return reduce_view(np.asarray(pair), side)


def draw_coverage_view(image: Image, rles: Sequence[RleMask], *, side: int = SIDE) -> Image:
    """Draw a box around each accepted mask.

    Args:
        image: The whole image.
        rles: The accepted masks, of the image's size; none leaves the image as it is.
        side: Pixels of the long side, at most.
    """
    view = reduce_view(image.pixels, side)
    if not rles:
        return view
    canvas = view.pixels.copy()
    color = get_mask_color(choose_mask_color(image, np.any([decode_mask(rle) for rle in rles], axis=0)))
    scale = np.array([view.width / image.width, view.height / image.height] * 2)
    boxes = compute_boxes(rles) * scale + (-PADDING, -PADDING, PADDING, PADDING)
    corners = [np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) for x0, y0, x1, y1 in boxes]
    draw_lines(canvas, corners, color, Style.from_size(view.height, view.width))
    return Image(canvas)


def choose_mask_color(image: Image, mask: np.ndarray) -> int:
    """Choose the number whose colour is seen on a thing: red, or fuchsia where much of the thing is red.

    Args:
        image: The image.
        mask: bool, (height, width).

    >>> red = Image(np.full((4, 4, 3), (230, 20, 30), np.uint8))
    >>> choose_mask_color(red, np.ones((4, 4), bool)), choose_mask_color(red, np.zeros((4, 4), bool))
    (5, 1)
    """
    pixels = image.pixels[mask]
    if not len(pixels):
        return RED
    hue, saturation, value = cv2.cvtColor(pixels[None, :, :3], cv2.COLOR_RGB2HSV)[0].T
    reddish = ((hue < 12) | (hue > 168)) & (saturation > 90) & (value > 60)  # OpenCV's hues run from 0 to 180
    return FUCHSIA if reddish.mean() > RED_SHARE else RED


def reduce_view(pixels: np.ndarray, side: int) -> Image:
    """Return pixels, uint8 (H, W, 3), as an image with at most `side` on its long side."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return Image(np.ascontiguousarray(pixels))
    return Image(shrink_pixels(pixels, (max(1, round(width * scale)), max(1, round(height * scale)))))
