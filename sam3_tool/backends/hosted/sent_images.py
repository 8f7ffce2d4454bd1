"""Images as they are sent: once reduced where they are large, in the format that suits them, as a data URL."""

import base64
from dataclasses import dataclass, field
from io import BytesIO

import PIL.Image

from sam3_tool.image import Image

MOST_PNG_BYTES = 2**20
"""A PNG up to here is sent, which keeps every pixel; what would be larger, a photograph as a rule, goes as JPEG."""
MOST_BYTES = 4 * 2**20
"""Of a JPEG."""
QUALITIES = (95, 85, 70, 50, 30)
"""Of JPEG, best first: the first that is small enough is sent. At 95 it is 13 % of the pixels' bytes for noise."""


@dataclass(frozen=True, eq=False)
class SentImage:
    """An image that is ready to be sent.

    >>> import numpy as np
    >>> sent = prepare_image(Image(np.zeros((200, 400, 3), np.uint8)), side=100)
    >>> sent.width, sent.height, sent.scale
    (100, 50, (0.25, 0.25))
    """

    key: str
    """Of the image."""
    own_height: int
    """Of the image in pixels."""
    own_width: int
    height: int
    """Of what is sent, in pixels."""
    width: int
    url: str = field(repr=False)
    """`data:image/…;base64,…`"""

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        return len(self.url)

    @property
    def scale(self) -> tuple[float, float]:
        """From pixels of the image to pixels of what is sent, in x and y."""
        return self.width / self.own_width, self.height / self.own_height

    @property
    def is_reduced(self) -> bool:
        """Whether what is sent has another size than the image."""
        return (self.height, self.width) != (self.own_height, self.own_width)


def prepare_image(image: Image, *, side: int) -> SentImage:
    """Make an image ready to be sent.

    Args:
        image: Of any size.
        side: The longer side of what is sent has at most so many pixels.

    Returns:
        A PNG, which keeps every pixel, or else a JPEG.
    """
    factor = min(1.0, side / max(image.height, image.width))
    width, height = (max(1, round(length * factor)) for length in (image.width, image.height))
    pixels = PIL.Image.fromarray(image.pixels)
    if (width, height) != pixels.size:
        pixels = pixels.resize((width, height), PIL.Image.Resampling.LANCZOS)
    kind, content = _write_file(pixels)
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return SentImage(image.key, image.height, image.width, height, width, url)


def _write_file(pixels: PIL.Image.Image) -> tuple[str, bytes]:
    content = _save_as(pixels, "PNG", compress_level=3)
    if len(content) <= MOST_PNG_BYTES:
        return "png", content
    for quality in QUALITIES:
        content = _save_as(pixels, "JPEG", quality=quality, subsampling=0)
        if len(content) <= MOST_BYTES:
            break
    return "jpeg", content


def _save_as(pixels: PIL.Image.Image, kind: str, **options: int) -> bytes:
    file = BytesIO()
    pixels.save(file, kind, **options)
    return file.getvalue()
