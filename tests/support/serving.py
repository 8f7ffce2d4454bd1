"""A server's tenants, and image files for it."""

from io import BytesIO
from typing import Any

import PIL.Image

ANNA, BEN = "anna-has-a-long-token", "ben-has-another-token"
HEIGHT, WIDTH = 48, 64
"""Of the images that are uploaded, and of the masks that are scripted."""


def write_image(
    size: tuple[int, int] = (WIDTH, HEIGHT), colour: str = "white", kind: str = "PNG", **options: Any
) -> bytes:
    """Return an image file of one colour."""
    content = BytesIO()
    PIL.Image.new("RGB", size, colour).save(content, kind, **options)
    return content.getvalue()


def as_tenant(token: str) -> dict[str, str]:
    """Return the headers of somebody with this token."""
    return {"authorization": f"Bearer {token}"}
