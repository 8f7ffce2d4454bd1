"""An image file of any supported format, read: upright RGB pixels, and notes on what had to be decided."""

import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock

import numpy as np
import PIL.Image
from PIL import ExifTags, ImageChops, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from sam3_tool.errors import ImageError, ImageSizeError
from sam3_tool.image_files import jpeg2000, tiff
from sam3_tool.image_files.brightness import SampleMeaning, to_8_bits
from sam3_tool.image_files.file_kinds import HEAD_BYTES, describe_file_kind
from sam3_tool.image_files.limits import check_pixel_count, describe_excess
from sam3_tool.image_files.metadata import JPEG_END, JPEG_START, PNG_SIGNATURE, strip_metadata

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "ICO")
"""What can be read, in Pillow's names."""
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".j2k"),
    *(".pbm", ".pgm", ".pnm", ".ppm", ".ico"),
)
"""How the names of such files end, in small letters."""
_PLAIN_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "AVIF", "PPM")
"""Those whose header alone tells the size of the image that is read."""
EXPECTED = "expected an image file (PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF, JPEG 2000, PNM or ICO)"

# What Pillow's readers raise on damaged files: they do not agree on one type.
_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
)
# Where a program turns warnings into errors, Pillow's about metadata are some too.
DAMAGE = (*_ERRORS, UserWarning)
BOMBS = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)
"""What Pillow raises inside `guard_pillow` on too many pixels."""

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
_FIRST_SIDEWAYS = 5
"""EXIF orientations from this one on swap width and height."""
_DARK = 64
"""Colours of 16 bits whose upper 8 bits all lie below it fill less than a quarter of their range."""
_MAX_REPAIRED_BYTES = 2**30
"""Larger files are not read into memory to be repaired."""

# `catch_warnings` swaps the filters of the whole process, so one thread at a time. So is Pillow's limit.
_pillow_lock = Lock()


@dataclass(frozen=True, eq=False)
class FileContent:
    """What an image file holds."""

    pixels: np.ndarray
    """uint8, (H, W, 3), RGB, upright."""
    notes: tuple[str, ...]
    """A sentence for each thing that the file left open, or that is not read."""

    def add_note(self, note: str) -> "FileContent":
        """Return it with one more note."""
        return FileContent(self.pixels, (*self.notes, note))


Origin = Path | bytes
"""A file, or the content of one."""
Source = Path | BytesIO
"""What Pillow reads: a file, or the content of one, maybe after a repair."""


def read_image_file(origin: Origin, max_pixels: int) -> FileContent:
    """Read an image file.

    A whole image is read whatever is wrong with its metadata.

    Args:
        origin: A file in one of `FORMATS`, or the content of one.
        max_pixels: What has more is refused before it is decoded.

    Raises:
        ImageError: The file is missing, damaged, too large, or of another kind.
    """
    try:
        _check_file(origin)
        return _read_source(BytesIO(origin) if isinstance(origin, bytes) else origin, origin, max_pixels)
    except ImageError as error:
        raise type(error)(f"{_format_name(origin)}: {error}") from error
    except DAMAGE as error:
        if (content := _read_repaired(origin, max_pixels)) is not None:
            return content
        raise ImageError(f"{_format_name(origin)}: {_describe_damage(origin, error)}; {EXPECTED}") from error


def read_image_size(path: Path, max_pixels: int) -> tuple[int, int]:
    """Return width and height of an image, upright: from its header where that is enough.

    Args:
        path: A file in one of `FORMATS`.
        max_pixels: What has more is refused.

    Raises:
        ImageError: The file is missing, damaged, too large, or of another kind.
    """
    try:
        _check_file(path)
        with guard_pillow(max_pixels):
            image = PIL.Image.open(os.fspath(path), formats=_PLAIN_FORMATS)
        with image:
            width, height = image.size
            if 0 < width * height <= max_pixels:
                return (height, width) if _read_orientation(image) >= _FIRST_SIDEWAYS else (width, height)
    except (*BOMBS, *DAMAGE):
        pass  # it is read as a whole, which says what is wrong
    height, width = read_image_file(path, max_pixels).pixels.shape[:2]
    return width, height


def is_stored_upright(content: bytes) -> bool:
    """Whether an image file holds its pixels as they are shown, and no EXIF orientation that turns them.

    Args:
        content: Of the file.

    Returns:
        True also where that cannot be told.

    >>> is_stored_upright(b"no image")
    True
    """
    try:
        with guard_pillow(2**62):
            image = PIL.Image.open(BytesIO(content), formats=FORMATS)
        with image:
            return _read_orientation(image) not in _EXIF_TRANSPOSES
    except (*BOMBS, *DAMAGE):
        return True


def _check_file(origin: Origin) -> None:
    """Raise OSError for what Pillow would not explain plainly. Only regular files pass: a pipe would block."""
    if isinstance(origin, Path):
        if origin.is_dir():
            raise IsADirectoryError("a folder")
        if origin.exists() and not origin.is_file():
            raise OSError("not a regular file")
    if _count_bytes(origin) == 0:
        raise OSError("the file is empty")


def _count_bytes(origin: Origin) -> int:
    return len(origin) if isinstance(origin, bytes) else origin.stat().st_size


def _read_bytes(origin: Origin) -> bytes:
    return origin if isinstance(origin, bytes) else origin.read_bytes()


def _read_source(source: Source, origin: Origin, max_pixels: int) -> FileContent:
    """Read a file as Pillow does, or as `tiff` does where Pillow would lose what samples mean."""
    try:
        with guard_pillow(max_pixels):
            image = PIL.Image.open(source if isinstance(source, BytesIO) else os.fspath(source), formats=FORMATS)
        with image:
            return _read_opened(image, origin, max_pixels)
    except BOMBS as error:
        raise ImageSizeError(describe_bomb(error, max_pixels)) from error


def describe_bomb(error: Exception, max_pixels: int) -> str:
    """Say in our words what one of `BOMBS` says in Pillow's."""
    found = re.search(r"\d+", str(error))
    return describe_excess(f"{int(found[0]):,}" if found else "too many", max_pixels)


@contextmanager
def guard_pillow(max_pixels: int) -> Iterator[None]:
    """Silence Pillow's warnings about metadata, and let it raise on images of more than `max_pixels`."""
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        others_limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = others_limit


def _read_opened(image: PIL.Image.Image, origin: Origin, max_pixels: int) -> FileContent:
    if 0 in image.size:
        raise OSError(f"it has no pixels ({image.width} x {image.height})")
    notes: tuple[str, ...] = ()
    if isinstance(image, TiffImageFile):
        with guard_pillow(max_pixels):
            notes = tiff.seek_main_page(image)
        check_pixel_count(image.width, image.height, max_pixels)
        if tiff.has_wide_samples(image) and not tiff.is_read_by_pillow(image):
            return _read_tiff(origin, max_pixels)
    elif image.format == "MPO":
        _seek_largest_frame(image, max_pixels)
    pixels, brightness_notes = _read_pixels(image, origin, max_pixels)
    return FileContent(pixels, (*notes, *_describe_other_images(image), *brightness_notes))


def _seek_largest_frame(image: PIL.Image.Image, max_pixels: int) -> None:
    """Go to the largest image of several in a JPEG file, the first one of equals: previews are smaller."""
    sizes = []
    for index in range(getattr(image, "n_frames", 1)):
        try:
            image.seek(index)
        except DAMAGE:  # what a camera adds to an image may be damaged
            break
        sizes.append(image.width * image.height)
    image.seek(sizes.index(max(sizes)))
    check_pixel_count(image.width, image.height, max_pixels)


def _describe_other_images(image: PIL.Image.Image) -> tuple[str, ...]:
    """Say which image of several in a file is read. Smaller ones beside a photo are previews, and nobody's concern."""
    match image.format:
        case "TIFF":
            return ()
        case "ICO":
            count, largest = len(image.info.get("sizes", ())), f"{image.width} x {image.height}"
            return (f"The file has {count} sizes; the largest, {largest}, is read.",) if count > 1 else ()
        case "MPO":
            return _describe_equal_frames(image)
    try:
        count = getattr(image, "n_frames", 1)
    except DAMAGE:
        count = 1
    return (f"The file is an animation of {count} frames; the first one is read.",) if count > 1 else ()


def _describe_equal_frames(image: PIL.Image.Image) -> tuple[str, ...]:
    """Say that a JPEG file has several images of the same size, as stereo cameras write them."""
    read, size, equal = image.tell(), image.size, 0
    for index in range(getattr(image, "n_frames", 1)):
        try:
            image.seek(index)
        except DAMAGE:
            break
        equal += image.size == size
    if read:
        return (f"The file has a smaller image first; number {read + 1}, the largest, is read.",)
    return (f"The file has {equal} images of this size; the first one is read.",) if equal > 1 else ()


def _read_pixels(image: PIL.Image.Image, origin: Origin, max_pixels: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return uint8, (H, W, 3), and notes on its brightness."""
    if image.format == "JPEG2000" and image.mode in ("LA", "RGB", "RGBA"):
        bands = jpeg2000.read_wide_bands(_read_bytes(origin))
        if bands is not None:
            content = _convert_bands(bands, _EXIF_TRANSPOSES.get(_read_orientation(image)))
            return content.pixels, content.notes
    is_wide_colour = _has_wide_colour(image)
    image.load()  # TIFF files turn themselves upright now, and forget their orientation
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        image = _copy_info(ImageChops.invert(image), image)  # Pillow takes every one for Adobe's, which are inverted
    turn = _EXIF_TRANSPOSES.get(_read_orientation(image))
    upright = image if turn is None else image.transpose(turn)
    if upright.mode.startswith(("I", "F")):
        pixels, notes = to_8_bits(_to_samples(upright, image.format))
        return convert_to_rgb(PIL.Image.fromarray(pixels)), notes
    if is_wide_colour and _is_dark(upright):
        wide = _read_wide_colour(image, origin, max_pixels, turn)
        if wide is not None:
            return wide.pixels, wide.notes
    return convert_to_rgb(upright), ()


def _is_dark(image: PIL.Image.Image) -> bool:
    return int(np.asarray(image.convert("RGB")).max()) < _DARK


def _copy_info(changed: PIL.Image.Image, image: PIL.Image.Image) -> PIL.Image.Image:
    """Return the changed pixels with the metadata of the image, which tells which side is up."""
    changed.info = image.info
    return changed


def _to_samples(image: PIL.Image.Image, format: str | None) -> np.ndarray:
    """Return what a grey image of Pillow holds, in this machine's byte order."""
    samples = np.asarray(image)
    if format == "PPM" and image.mode == "I":
        return samples.astype(np.uint16)  # Pillow scales such files to 16 bits
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def convert_to_rgb(image: PIL.Image.Image) -> np.ndarray:
    """Return uint8, (H, W, 3), on white where the image is transparent."""
    if image.has_transparency_data:
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    if image.mode == "LAB":
        from PIL import ImageCms  # loads a library of its own

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    return np.asarray(image.convert("RGB"))


def _read_orientation(image: PIL.Image.Image) -> int:
    """Return the EXIF orientation, or 1 (upright) where none can be read: a whole image may have damaged metadata."""
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
        except DAMAGE:
            return 1


# --- more than 8 bits


def _has_wide_colour(image: PIL.Image.Image) -> bool:
    """Whether Pillow will cut colours of 16 bits down to their upper 8. To be asked before it decodes."""
    if isinstance(image, TiffImageFile):
        return tiff.has_wide_samples(image)
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    if image.format == "PPM":
        return image.mode == "RGB" and isinstance(arguments, tuple) and arguments[-1] > 255
    return image.format == "PNG" and arguments in ("RGB;16B", "RGBA;16B", "LA;16B")


def _read_wide_colour(
    image: PIL.Image.Image, origin: Origin, max_pixels: int, turn: PIL.Image.Transpose | None
) -> FileContent | None:
    """Read dark colours of 16 bits with all bits, for most likely fewer are in use; None where that cannot be done."""
    if isinstance(image, TiffImageFile):
        try:
            return _read_tiff(origin, max_pixels)
        except DAMAGE:
            return None
    import cv2  # only few files need it

    content = _read_bytes(origin)
    bands = cv2.imdecode(np.frombuffer(strip_metadata(content) or content, np.uint8), cv2.IMREAD_UNCHANGED)
    if bands is None or bands.ndim != 3 or bands.dtype != np.uint16:
        return None
    in_order = [2, 1, 0, 3][: bands.shape[2]]  # OpenCV's first band is blue
    return _convert_bands(bands[..., in_order], turn)


def _convert_bands(bands: np.ndarray, turn: PIL.Image.Transpose | None) -> FileContent:
    """Convert (H, W, bands): grey or colours, and what is opaque where there are two or four."""
    count = bands.shape[2]
    alpha = bands[..., -1] if count in (2, 4) else None
    return _convert_samples(bands[..., :3] if count > 2 else bands[..., 0], alpha, SampleMeaning(), turn)


def _read_tiff(origin: Origin, max_pixels: int) -> FileContent:
    held = tiff.read_samples(origin, max_pixels)
    converted = _convert_samples(held.values, held.alpha, held.meaning, _EXIF_TRANSPOSES.get(held.orientation))
    return FileContent(converted.pixels, (*held.notes, *converted.notes))


def _convert_samples(
    values: np.ndarray, alpha: np.ndarray | None, meaning: SampleMeaning, turn: PIL.Image.Transpose | None
) -> FileContent:
    """Convert grey (H, W) or colours (H, W, 3) to 8 bits, on white where `alpha` (H, W) is low, and turn them."""
    pixels, notes = to_8_bits(values, meaning, name="colour" if values.ndim == 3 else "grey")
    image = PIL.Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    if alpha is not None:
        opaque = 1.0 if alpha.dtype.kind == "f" else float(np.iinfo(alpha.dtype).max)
        share = np.nan_to_num(alpha.astype(np.float32)).clip(0, opaque) * (255 / opaque)
        image.putalpha(PIL.Image.fromarray(np.rint(share).astype(np.uint8)))
    return FileContent(convert_to_rgb(image if turn is None else image.transpose(turn)), notes)


# --- files that Pillow refuses


def _read_repaired(origin: Origin, max_pixels: int) -> FileContent | None:
    """Read a file whose pixels are whole though Pillow refuses it; None for any other.

    Raises:
        ImageError: It is known what the file is, and that it cannot be read.
    """
    head = _read_head(origin)
    if head.startswith(tiff.MAGIC):
        return _read_refused_tiff(origin, max_pixels)
    if not head.startswith((PNG_SIGNATURE, JPEG_START, b"RIFF")) or _count_bytes(origin) > _MAX_REPAIRED_BYTES:
        return None
    content = _read_bytes(origin)
    stripped = strip_metadata(content)
    if stripped is None:
        return None
    try:
        read = _read_source(BytesIO(stripped), origin, max_pixels)
    except ImageError as error:
        raise type(error)(f"{_format_name(origin)}: {error}") from error
    except DAMAGE:
        return _read_unfinished_jpeg(stripped, origin, max_pixels) if head.startswith(JPEG_START) else None
    is_cut = head.startswith(PNG_SIGNATURE) and b"IEND" not in content
    return read.add_note("The file is cut off after its last pixel; the image is complete.") if is_cut else read


def _read_head(origin: Origin) -> bytes:
    """Return the first bytes of a file; nothing of what is none, or cannot be read."""
    if isinstance(origin, bytes):
        return origin[:HEAD_BYTES]
    try:
        if not origin.is_file():
            return b""
        with origin.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _read_refused_tiff(origin: Origin, max_pixels: int) -> FileContent | None:
    try:
        return _read_tiff(origin, max_pixels)
    except ImageError as error:
        raise type(error)(f"{_format_name(origin)}: {error}") from error
    except Exception:  # tifffile raises errors of many types on damaged files
        return None


def _read_unfinished_jpeg(content: bytes, origin: Origin, max_pixels: int) -> FileContent | None:
    """Read a JPEG file that lacks its end; None where pixels are missing too.

    None is missing if the same image is decoded whatever follows.
    """
    body = content.rstrip(b"\xff")
    try:
        first, second = (
            _read_source(BytesIO(body + padding + JPEG_END), origin, max_pixels)
            for padding in (b"", b"\x55\xaa\x33" * 1000)
        )
    except DAMAGE:
        return None
    if not np.array_equal(first.pixels, second.pixels):
        return None
    return first.add_note("The file is cut off after its last pixel; the image is complete.")


def _format_name(origin: Origin) -> str:
    name = "image" if isinstance(origin, bytes) else str(origin)
    return name if name.isprintable() else repr(name)


def _describe_damage(origin: Origin, error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case PermissionError():
            return "no permission to read it"
    kind = describe_file_kind(_read_head(origin))
    if isinstance(error, UnidentifiedImageError):
        return kind or "not an image, or of a kind that is not supported"
    return f"cannot be read as an image ({' '.join(str(error).split()) or type(error).__name__})"
