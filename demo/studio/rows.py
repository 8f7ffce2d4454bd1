"""What the script draws of masks and of an image, whatever they come from."""

import base64
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

from agent.report.text import format_css_color
from demo.picture.outlines import trace_outline
from demo.studio.value import StudioMask
from sam3_tool import Image
from sam3_tool.drawing.outlines import Color, get_mask_color
from sam3_tool.masks.rle import compute_areas

IMAGE_SIDE = 1600
"""Pixels of the long side of the image on the page; a larger one is reduced."""
EQUAL_CONTRAST_LUMINANCE = 0.19
"""The relative luminance (WCAG 2.2) on which dark and light letters have the same contrast."""


def build_studio_rows(masks: Sequence[StudioMask]) -> list[dict[str, Any]]:
    """Return what is drawn of each mask that has pixels, larger ones first, so that smaller ones lie on top."""
    areas = compute_areas([mask.rle for mask in masks]).tolist() if masks else []
    rows = [build_studio_row(mask, int(area)) for mask, area in zip(masks, areas, strict=True) if area]
    return sorted(rows, key=lambda row: -row["area"])


def build_studio_row(mask: StudioMask, area: int) -> dict[str, Any]:
    """Return what is drawn of a mask of so many pixels, with what the script sends back of it."""
    path, x, y = trace_outline(mask.rle)
    return {
        **mask.model_dump(mode="json"),
        "color": format_css_color(mask.id),
        "ink": choose_mask_ink(get_mask_color(mask.id)),
        "phrase": mask.label or "mask",
        "area": area,
        "selected": True,
        "path": path,
        "at": [x, y],
    }


@lru_cache(maxsize=8)
def encode_data_url(image: Image, *, quality: int) -> str:
    """Return the image as WebP inside a URL, so that there is no file that somebody else could ask for."""
    file = BytesIO()
    image.to_pil().save(file, "WEBP", quality=quality, method=2)
    return build_data_url(file.getvalue())


def build_data_url(webp: bytes) -> str:
    """Return the bytes of a WebP file inside a URL."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")


def choose_mask_ink(color: Color) -> str:
    """The CSS colour, dark or light, that has more contrast with this one."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (channel / 255 for channel in color)]
    luminance = sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#101010" if luminance > EQUAL_CONTRAST_LUMINANCE else "#ffffff"
