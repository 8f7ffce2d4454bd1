"""TIFF files of any kind of samples: which page is the image, and what its numbers mean."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from sam3_tool.errors import ImageError, ImageSizeError
from sam3_tool.image_files.brightness import SampleMeaning
from sam3_tool.image_files.limits import check_pixel_count, describe_excess

if TYPE_CHECKING:
    from tifffile import TiffPage

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How a TIFF file begins: in either byte order, small or big."""

_SUBFILE_TYPE, _OLD_SUBFILE_TYPE = 254, 255
_REDUCED, _MASK = 0b001, 0b100
"""Bits of NewSubfileType."""
_OLD_REDUCED = 2
_BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT = 258, 262, 284, 339
_SEPARATE = 2
"""Of PlanarConfiguration: one band after the other."""
_LEAST, _MOST, _GDAL_NODATA, _ORIENTATION, _SUB_FILES = 340, 341, 42113, 274, 330
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_COLOUR_FILTERS = (32803, 34892)
"""Photometric interpretations of raw camera files (DNG)."""
_SHOWN = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
_MAX_BYTES_PER_PIXEL = 64
"""Of a page as it is decoded: 16 bands of 32 bits."""
_MAX_PAGES = 10_000
_ALPHA = (1, 2)
"""Values of ExtraSamples."""


@dataclass(frozen=True, eq=False)
class TiffSamples:
    """A page as its file holds it."""

    values: np.ndarray
    """(H, W) or (H, W, 3): red, green and blue."""
    alpha: np.ndarray | None
    """(H, W), of the type of `values`; None where everything is opaque."""
    meaning: SampleMeaning
    orientation: int
    """As EXIF counts."""
    notes: tuple[str, ...]


def seek_main_page(image: TiffImageFile) -> tuple[str, ...]:
    """Go to the first page that is an image of full size, and say which one it is where there are several.

    Raises:
        ValueError: Only a part of the file that Pillow does not reach is of full size.
    """
    count = getattr(image, "n_frames", 1)
    kinds = []
    for index in range(count):
        image.seek(index)
        kinds.append((_get_number(image.tag_v2, _SUBFILE_TYPE), _get_number(image.tag_v2, _OLD_SUBFILE_TYPE)))
    main = find_main_page(kinds)
    if main is None:
        image.seek(0)
        if _SUB_FILES in image.tag_v2:
            raise ValueError("each of its pages is a reduced copy")
        main = 0
    if image.tell() != main:
        image.seek(main)
    return describe_pages(main, count)


def find_main_page(kinds: Iterable[tuple[int, int]]) -> int | None:
    """Return the first page of full size; None where there is none. `kinds`: NewSubfileType and SubfileType of each."""
    return next(
        (index for index, (new, old) in enumerate(kinds) if not new & (_REDUCED | _MASK) and old != _OLD_REDUCED), None
    )


def describe_pages(main: int, count: int) -> tuple[str, ...]:
    """Say which of several pages is read."""
    if count == 1:
        return ()
    why = ", the first one of full size" if main else ""
    return (f"The file has {count} pages; page {main + 1} is read{why}.",)


def has_wide_samples(image: TiffImageFile) -> bool:
    """Whether samples of this page have more than 8 bits or a sign, so that their meaning counts."""
    bits = image.tag_v2.get(_BITS, (1,))
    formats = image.tag_v2.get(_SAMPLE_FORMAT, (1,))
    shown = _get_number(image.tag_v2, _PHOTOMETRIC, _BLACK_IS_ZERO) in _SHOWN
    return shown and (max(_to_tuple(bits)) > 8 or any(value != 1 for value in _to_tuple(formats)))


def is_read_by_pillow(image: TiffImageFile) -> bool:
    """Whether Pillow decodes wide samples of this page rightly, if only to 8 bits: colours that lie side by side."""
    return image.mode in ("RGB", "RGBA") and _get_number(image.tag_v2, _PLANES, 1) != _SEPARATE


def _to_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) and value else (value,) if not isinstance(value, tuple) else (1,)


def _get_number(tags: Any, tag: int, default: int = 0) -> int:
    value = tags.get(tag, default)
    first = value[0] if isinstance(value, tuple) and value else value
    return int(first) if isinstance(first, int | float) else default


def read_samples(origin: Path | bytes, max_pixels: int) -> TiffSamples:
    """Read the main page of a TIFF file as its file holds it.

    Args:
        origin: The file, or its content.
        max_pixels: What has more is refused.

    Raises:
        ImageError: The page is of a kind that cannot be shown, or too large. The message names no file.
        ValueError: The file is damaged; so do other errors say.
    """
    from tifffile import TiffFile  # only files that Pillow cannot read well need it

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else it prints what is odd about tags
    content, size = (BytesIO(origin), len(origin)) if isinstance(origin, bytes) else (origin, origin.stat().st_size)
    with TiffFile(content) as tiff:
        page, notes = _find_main_page(tiff)
        _check_page(page, size, max_pixels)
        values = _decode_page(page)
        colours, alpha, band_notes = _split_bands(page, values)
        return TiffSamples(colours, alpha, _read_meaning(page), _read_tag(page, _ORIENTATION, 1), (*notes, *band_notes))


def _find_main_page(tiff: Any) -> tuple["TiffPage", tuple[str, ...]]:
    """Find the first page of full size, inside others (as DNG has it) if there is none beside them."""
    pages = _list_pages(tiff)
    main = find_main_page(_read_kind(page) for page in pages)
    if main is not None:
        return pages[main], describe_pages(main, len(pages))
    inner = [part.aspage() for page in pages for part in page.pages or ()]
    within = find_main_page(_read_kind(page) for page in inner)
    if within is None:
        return pages[0], describe_pages(0, len(pages))
    return inner[within], ("The file begins with a reduced copy; the image of full size inside it is read.",)


def _list_pages(tiff: Any) -> list["TiffPage"]:
    """Return the pages until one comes again, for in a damaged file a page may be followed by itself."""
    pages: dict[int, TiffPage] = {}
    for found in tiff.pages:
        page = found.aspage()
        if page.offset in pages or len(pages) >= _MAX_PAGES:
            break
        pages[page.offset] = page
    if not pages:
        raise ValueError("it has no page")
    return [*pages.values()]


def _read_kind(page: "TiffPage") -> tuple[int, int]:
    return _read_tag(page, _SUBFILE_TYPE, 0), _read_tag(page, _OLD_SUBFILE_TYPE, 0)


def _read_tag(page: "TiffPage", tag: int, default: int) -> int:
    return int(page.tags.valueof(tag, default))


def _check_page(page: "TiffPage", file_size: int, max_pixels: int) -> None:
    """Refuse what cannot be shown, and what is larger than it may be, before anything is decoded."""
    check_pixel_count(page.imagewidth, page.imagelength, max_pixels)
    check_pixel_count(max(page.tilewidth, 1), max(page.tilelength, 1), max(max_pixels, 1))
    what = _describe_samples(page)
    if page.dtype is None or page.imagedepth != 1:
        raise ImageError(f"a TIFF of {what}, which cannot be shown; save it with 8 or 16 bits in each band")
    photometric = int(page.photometric)
    if photometric in _COLOUR_FILTERS:
        raise ImageError("a raw camera file, which cannot be read here; develop it first, e.g. to TIFF or JPEG")
    if photometric not in _SHOWN or page.dtype.kind not in "uifb":
        raise ImageError(f"a TIFF of {what}, which cannot be shown; save it as grey or RGB with 8 or 16 bits")
    if page.nbytes > _MAX_BYTES_PER_PIXEL * max_pixels:
        raise ImageSizeError(describe_excess(f"{page.nbytes:,} bytes of {what} instead of", max_pixels))
    ends = [offset + size for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if max(ends, default=0) > file_size:
        raise ValueError("the file ends before its pixels do")


def _describe_samples(page: "TiffPage") -> str:
    """E.g. '3 bands of 32-bit floats'."""
    formats = {1: "integers", 2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex floats"}
    kind = formats.get(int(page.sampleformat or 1), "values of an unknown kind")
    bands = f"{page.samplesperpixel} bands" if page.samplesperpixel != 1 else "1 band"
    return f"{bands} of {page.bitspersample}-bit {kind} ({getattr(page.photometric, 'name', page.photometric)})"


def _decode_page(page: "TiffPage") -> np.ndarray:
    """(H, W, bands)."""
    try:
        values = page.asarray(maxworkers=1)
    except Exception as error:  # tifffile and its codecs raise errors of a dozen types
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"a TIFF of {_describe_samples(page)} with compression {getattr(page.compression, 'name', '?')}, which"
            f" cannot be read ({reason}); save it without compression, or as PNG"
        ) from error
    size = page.imagelength, page.imagewidth
    planar = page.planarconfig == _SEPARATE and page.samplesperpixel > 1
    bands = values.reshape(page.samplesperpixel, *size).transpose(1, 2, 0) if planar else values.reshape(*size, -1)
    if bands.dtype == np.bool_:
        return bands.astype(np.uint8) * 255
    return _fill_byte(bands, page.bitspersample) if bands.dtype == np.uint8 else bands


def _fill_byte(bands: np.ndarray, bits: int) -> np.ndarray:
    """Scale samples of fewer than 8 bits, which nothing stretches afterwards: their white is 255."""
    return bands if bits >= 8 else np.rint(bands * (255 / (2**bits - 1))).astype(np.uint8)


def _split_bands(page: "TiffPage", bands: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Return grey (H, W) or colours (H, W, 3), what is opaque, and a note where bands are left out."""
    count = bands.shape[2]
    extra = tuple(int(value) for value in page.extrasamples)
    has_alpha = count in (2, 4) and len(extra) == 1 and extra[0] in _ALPHA
    shown = count - has_alpha
    values = bands[..., :3] if shown >= 3 else bands[..., 0]
    left_out = shown - (3 if shown >= 3 else 1)
    notes: tuple[str, ...] = ()
    if left_out:
        which = "bands 1, 2 and 3 are shown as red, green and blue" if shown >= 3 else "band 1 is shown as grey"
        notes = (f"The file has {shown} bands; {which}.",)
    elif shown == 3 and int(page.photometric) != _RGB:
        notes = ("The file does not say what its 3 bands are; they are shown as red, green and blue.",)
    return values, bands[..., -1] if has_alpha else None, notes


def _read_meaning(page: "TiffPage") -> SampleMeaning:
    return SampleMeaning(
        is_inverted=int(page.photometric) == _WHITE_IS_ZERO,
        no_data=_parse_number(page.tags.valueof(_GDAL_NODATA)),
        declared=_read_declared_range(page),
    )


def _read_declared_range(page: "TiffPage") -> tuple[float, float] | None:
    least, most = (_parse_number(page.tags.valueof(tag)) for tag in (_LEAST, _MOST))
    if least is not None and most is not None and least < most:
        return least, most
    is_packed = page.dtype is not None and page.dtype.kind == "u" and page.bitspersample < 8 * page.dtype.itemsize
    return (0.0, 2.0**page.bitspersample - 1) if is_packed else None


def _parse_number(value: Any) -> float | None:
    """Return the number that a tag holds, the first of several, also as text; None for anything else."""
    first = value[0] if isinstance(value, tuple | list) and value else value
    try:
        return float(str(first).strip(" \0")) if first is not None else None
    except ValueError:
        return None
