"""Video files of frames that were drawn."""

import io
from typing import Any

import PIL.Image


def write_film(frames: Any, milliseconds: int = 500) -> bytes:
    """Return an animation that holds every pixel of these frames, which no extra is needed to read."""
    first, *others = map(PIL.Image.fromarray, frames)
    content = io.BytesIO()
    first.save(content, "WEBP", save_all=True, append_images=others, lossless=True, duration=milliseconds)
    return content.getvalue()
