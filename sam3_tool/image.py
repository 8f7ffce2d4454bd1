"""The one image type: upright RGB pixels with a content key."""

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from threading import Lock

import numpy as np
import PIL.Image
from PIL import ExifTags, UnidentifiedImageError

from sam3_tool.errors import ImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""What `Image.open` reads, in Pillow's names."""

_EXPECTED = "expected an image file (PNG, JPEG, WebP, BMP, TIFF or GIF)"

# What Pillow's readers raise on damaged files: they do not agree on one type.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)

_EXIF_TRANSPOSES = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright."""

# `catch_warnings` swaps the filters of the whole process, so one thread at a time.
_filters_lock = Lock()


@dataclass(frozen=True, eq=False)
class Image:
    """An image as every part of the project sees it: upright, RGB, and never changed.

    Args:
        pixels: uint8, (height, width, 3), RGB, at least one pixel.

    Raises:
        ValueError: The array has another type or shape.

    >>> image = Image(np.zeros((480, 640, 3), np.uint8))
    >>> image.height, image.width
    (480, 640)
    """

    pixels: np.ndarray
    """uint8, (height, width, 3), RGB, EXIF orientation already applied; read-only."""

    def __post_init__(self) -> None:
        found = self.pixels
        if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3 or found.size == 0:
            raise ValueError(f"`pixels` must be uint8 (H, W, 3) with H, W > 0, got {found.dtype} {found.shape}")
        pixels = np.ascontiguousarray(found).view()
        pixels.flags.writeable = False
        object.__setattr__(self, "pixels", pixels)

    @classmethod
    def open(cls, path: str | Path) -> "Image":
        """Read an image file, upright and as RGB.

        What is transparent becomes white. Grey values of 16 bits are scaled to 8, not cut off. An animation gives its
        first frame.

        Args:
            path: A PNG, JPEG, WebP, BMP, TIFF or GIF file.

        Returns:
            The image, with its EXIF orientation applied.

        Raises:
            ImageError: The file is missing, damaged, too large, or of another kind.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "white.png"
        >>> PIL.Image.new("RGB", (4, 3), "white").save(path)
        >>> Image.open(path).pixels.shape
        (3, 4, 3)
        """
        try:
            _check_file(Path(path))
            with _open_file(path) as image:
                return cls(_load_upright_rgb(image))
        except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
            raise _image_error(path, f"too large ({_format_one_line(error)})") from error
        except UnidentifiedImageError as error:
            raise _image_error(path, "not an image, or of a kind that is not supported") from error
        except _DAMAGE as error:
            raise _image_error(path, _describe_damage(error)) from error

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


def _check_file(path: Path) -> None:
    """Raise OSError for what Pillow would not explain plainly. Only regular files pass: a pipe would block."""
    if path.is_dir():
        raise IsADirectoryError("a folder")
    if path.exists() and not path.is_file():
        raise OSError("not a regular file")
    if path.stat().st_size == 0:
        raise OSError("the file is empty")


@contextmanager
def _suppress_pillow_warnings() -> Iterator[None]:
    """Silence Pillow's warnings about metadata, and raise on decompression bombs."""
    with _filters_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Pillow warns at a size where a decoded image takes 256 MB, and refuses at twice that.
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        yield


def _open_file(path: str | Path) -> PIL.Image.Image:
    with _suppress_pillow_warnings():
        image = PIL.Image.open(os.fspath(path), formats=FORMATS)
    if 0 in image.size:
        raise OSError(f"it has no pixels ({image.width} x {image.height})")
    return image


def _load_upright_rgb(image: PIL.Image.Image) -> np.ndarray:
    """Return uint8, (H, W, 3)."""
    image.load()  # TIFF files turn themselves upright now, and forget their orientation
    turn = _EXIF_TRANSPOSES.get(_read_orientation(image))
    upright = image if turn is None else image.transpose(turn)
    if upright.mode.startswith(("I", "F")):
        upright = PIL.Image.fromarray(_to_8_bits(np.asarray(upright)))
    if upright.has_transparency_data:
        upright = PIL.Image.alpha_composite(PIL.Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
    return np.asarray(upright.convert("RGB"))


def _read_orientation(image: PIL.Image.Image) -> int:
    """Return the EXIF orientation, or 1 (upright) where none can be read: a whole image may have damaged metadata."""
    with _suppress_pillow_warnings():
        try:
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
        except _DAMAGE:
            return 1


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Scale grey values of a wider type to uint8 of the same shape.

    In 16 bits 65535 is white. 32-bit integers and floats have no agreed white: it is the first of 1 (floats only), 255
    and 65535 that no value exceeds, else the largest value.
    """
    # what is not finite is black
    grey = np.nan_to_num(values, posinf=0.0, neginf=0.0).astype(np.float64)
    whites = {"u": (65535.0,), "i": (255.0, 65535.0), "f": (1.0, 255.0, 65535.0)}[values.dtype.kind]
    brightest = float(grey.max())
    white = next((white for white in whites if brightest <= white), brightest)
    return np.asarray(np.rint(grey.clip(0.0) * (255.0 / white)), dtype=np.uint8)


def _image_error(path: str | Path, reason: str) -> ImageError:
    name = str(path)
    return ImageError(f"{name if name.isprintable() else repr(name)}: {reason}; {_EXPECTED}")


def _describe_damage(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case PermissionError():
            return "no permission to read it"
        case _:
            return f"cannot be read as an image ({_format_one_line(error)})"


def _format_one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
