"""The one image type: upright RGB pixels with a content key."""

import struct
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
import PIL.Image

from sam3_tool.image_files.limits import get_max_pixels
from sam3_tool.image_files.reading import read_image_file


@dataclass(frozen=True, eq=False)
class Image:
    """An image as every part of the project sees it: upright, RGB, and never changed.

    Args:
        pixels: uint8, (height, width, 3), RGB, at least one pixel.
        notes: What had to be decided when it was read from a file.

    Raises:
        ValueError: The array has another type or shape.

    >>> image = Image(np.zeros((480, 640, 3), np.uint8))
    >>> image.height, image.width
    (480, 640)
    """

    pixels: np.ndarray
    """uint8, (height, width, 3), RGB, EXIF orientation already applied; read-only."""
    notes: tuple[str, ...] = ()
    """A sentence for each thing that the file left open, or that is not read, e.g. the other pages of a TIFF file."""

    def __post_init__(self) -> None:
        found = self.pixels
        if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3 or found.size == 0:
            raise ValueError(f"`pixels` must be uint8 (H, W, 3) with H, W > 0, got {found.dtype} {found.shape}")
        pixels = np.ascontiguousarray(found).view()
        pixels.flags.writeable = False
        object.__setattr__(self, "pixels", pixels)

    @classmethod
    def open(cls, path: str | Path, *, max_pixels: int | None = None) -> "Image":
        """Read an image file, upright and as RGB.

        What is transparent becomes white. Values of more than 8 bits are scaled, not cut off; where the file does not
        say which of them is white, `notes` says what was taken. So it does where a file has several pages or frames.

        Args:
            path: A PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF, JPEG 2000, PNM or ICO file.
            max_pixels: Refuse larger images. Default: `SAM3_AGENT_MAX_PIXELS` in the environment, or 89,478,485.

        Returns:
            The image, with its EXIF orientation applied.

        Raises:
            ImageError: The file is missing, damaged, too large, or of another kind.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "white.png"
        >>> PIL.Image.new("RGB", (4, 3), "white").save(path)
        >>> image = Image.open(path)
        >>> image.pixels.shape, image.notes
        ((3, 4, 3), ())
        """
        content = read_image_file(Path(path), get_max_pixels() if max_pixels is None else max_pixels)
        return cls(content.pixels, content.notes)

    @classmethod
    def read(cls, content: bytes, *, max_pixels: int | None = None) -> "Image":
        """Read the content of an image file, as `open` reads the file itself.

        Args:
            content: All bytes of the file.
            max_pixels: Refuse larger images, before they are decoded. Default: as for `open`.

        Returns:
            The image, with its EXIF orientation applied.

        Raises:
            ImageError: The content is damaged, too large, or of another kind.

        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> PIL.Image.new("RGB", (4, 3), "white").save(file, "PNG")
        >>> Image.read(file.getvalue()).pixels.shape
        (3, 4, 3)
        """
        found = read_image_file(bytes(content), get_max_pixels() if max_pixels is None else max_pixels)
        return cls(found.pixels, found.notes)

    def crop(self, x0: int, y0: int, x1: int, y1: int) -> "Image":
        """Cut a part out, as an image of its own.

        Args:
            x0: First column.
            y0: First row.
            x1: The column after the last one.
            y1: The row after the last one.

        Returns:
            The pixels x0 <= x < x1, y0 <= y < y1.

        Raises:
            ValueError: The part is empty, or reaches beyond the image.

        >>> Image(np.zeros((480, 640, 3), np.uint8)).crop(0, 0, 10, 20).pixels.shape
        (20, 10, 3)
        """
        if not (0 <= x0 < x1 <= self.width and 0 <= y0 < y1 <= self.height):
            raise ValueError(f"no crop {(x0, y0, x1, y1)}: the image is {self.width} x {self.height} (x0 y0 x1 y1)")
        return Image(self.pixels[y0:y1, x0:x1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits, which index caches. Equal images have equal keys, whatever file they came from."""
        size = struct.pack("<2q", self.height, self.width)  # a 2 x 3 and a 3 x 2 image may hold the same bytes
        return blake2b(self.pixels.data, digest_size=16, key=size).hexdigest()

    def to_pil(self) -> PIL.Image.Image:
        """Convert to an image of Pillow.

        Returns:
            A copy in mode RGB.

        >>> Image(np.zeros((480, 640, 3), np.uint8)).to_pil().size
        (640, 480)
        """
        return PIL.Image.fromarray(self.pixels)
