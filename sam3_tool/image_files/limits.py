"""How many pixels an image file may have: decoding is refused above that, so that a small file cannot fill memory."""

import os

from sam3_tool.errors import ImageError, ImageSizeError

DEFAULT_MAX_PIXELS = 89_478_485
"""Pillow's own limit: an RGB image of this size takes 256 MiB."""
MAX_PIXELS_VARIABLE = "SAM3_AGENT_MAX_PIXELS"
"""The environment variable that sets another limit."""


def get_max_pixels() -> int:
    """Return the limit that the environment asks for, or the default.

    Raises:
        ImageError: The environment variable holds no whole number above 0.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "").strip()
    if not text:
        return DEFAULT_MAX_PIXELS
    if not text.isdecimal() or int(text) < 1:
        raise ImageError(f"{MAX_PIXELS_VARIABLE} must be a whole number of pixels above 0, found {text!r}")
    return int(text)


def check_pixel_count(width: int, height: int, max_pixels: int) -> None:
    """Refuse an image that is too large, before it is decoded.

    Raises:
        ImageSizeError: It has more pixels than `max_pixels`. The message names no file.
    """
    if width * height > max_pixels:
        raise ImageSizeError(describe_excess(f"{width} x {height} is {width * height:,}", max_pixels))


def describe_excess(found: str, max_pixels: int) -> str:
    """Say that there are too many pixels, and how to raise the limit. `found`: how many, in words."""
    return (
        f"too large ({found} pixels, and the limit is {max_pixels:,}); make it smaller, or raise the limit with"
        f" --max-pixels or {MAX_PIXELS_VARIABLE}"
    )
