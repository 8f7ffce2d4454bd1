"""Masks of one's own as images: the target is what is neither black nor transparent."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from evals.datasets.formats.files import read_upright_size
from evals.errors import DatasetError

LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")
"""Formats that may change values: in them the target is what is brighter than half."""
HALF = 128
UNREADABLE = (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError)
"""What Pillow raises for a file that is no image, or a damaged or huge one."""
_READ_AS_IT_IS = ("1", "L", "I", "I;16", "I;16L", "I;16B", "F")


def make_mask_reader(path: Path, image_path: Path) -> Callable[[], np.ndarray]:
    """A function that reads a mask, uint8 (H, W) out of 0 and 1, in the size of its image; it raises DatasetError."""

    def read_mask() -> np.ndarray:
        height, width = read_upright_size(image_path)
        try:
            with PIL.Image.open(path) as image:
                if (pages := getattr(image, "n_frames", 1)) > 1:
                    raise DatasetError(f"own data: the mask {path} has {pages} pages; expected one")
                upright = PIL.ImageOps.exif_transpose(image) if _is_turned(image) else image
                if upright.size != (width, height):
                    size = f"{upright.width} x {upright.height}"
                    raise DatasetError(f"own data: the mask {path} is {size} pixels, its image is {width} x {height}")
                return _find_target(upright, path, is_lossy=image.format in LOSSY_FORMATS)
        except UNREADABLE as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(f"own data: the mask {path} cannot be read as an image ({error})") from error

    return read_mask


def _is_turned(image: PIL.Image.Image) -> bool:
    return bool(image.getexif().get(PIL.ExifTags.Base.Orientation, 1) != 1)


def _find_target(image: PIL.Image.Image, path: Path, *, is_lossy: bool) -> np.ndarray:
    """uint8, (H, W)."""
    values, alpha = _split_alpha(image)
    brightest = values if values.ndim == 2 else values.max(axis=2)
    coloured = np.nan_to_num(brightest, posinf=1, neginf=1) != 0 if brightest.dtype.kind == "f" else brightest != 0
    if is_lossy:
        coloured = _find_bright(brightest, path)
    visible = alpha > 0
    if not visible.all() and not (coloured & visible).any() and visible.any():
        raise DatasetError(
            f"own data: the mask {path} is black wherever it is not transparent, so that it says nothing; expected the"
            " target in white, and black or nothing elsewhere"
        )
    return np.asarray(coloured & visible, np.uint8)


def _split_alpha(image: PIL.Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """The values, (H, W) or (H, W, 3), and the opacity, (H, W). In a palette the colours count, not the numbers."""
    if image.has_transparency_data:
        pixels = np.asarray(image.convert("RGBA"))
        return pixels[..., :3], pixels[..., 3]
    values = np.asarray(image if image.mode in _READ_AS_IT_IS else image.convert("RGB"))
    return values, np.ones(values.shape[:2], np.uint8)


def _find_bright(brightest: np.ndarray, path: Path) -> np.ndarray:
    """bool, (H, W)."""
    if 0 < brightest.max() < HALF and brightest.max() < 16:
        raise DatasetError(
            f"own data: the mask {path} is of a kind that changes values, and its brightest is {brightest.max()} of"
            " 255; expected a PNG, or a target in white"
        )
    return np.asarray(brightest >= HALF)
