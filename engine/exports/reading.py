"""Whether programs that open an image plainly see the pixels that were labelled."""

from pathlib import Path

import numpy as np
import PIL.Image

from engine.images import EngineImage
from sam3_tool.image import Image

ORIENTATION = 0x0112
"""EXIF's tag."""


def opens_plainly(image: EngineImage) -> bool:
    """Return whether Pillow's `open(path).convert("RGB")` gives the pixels that were labelled.

    Photographs that lie on their side, and images of other kinds than 8-bit grey or RGB, may look otherwise there.

    Args:
        image: Its file must be readable.
    """
    with PIL.Image.open(image.path) as file:
        if file.mode in ("L", "RGB") and file.getexif().get(ORIENTATION, 1) == 1:
            return file.size == (image.width, image.height)
        pixels = np.asarray(file.convert("RGB"))
    return Image(pixels).key == image.key


def save_upright_copy(image: EngineImage, folder: Path) -> Path:
    """Save the pixels that were labelled as a PNG file, and return its path. Raises ImageError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image.key}.png"
    PIL.Image.fromarray(image.open_pixels().pixels).save(path)
    return path
