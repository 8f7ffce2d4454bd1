"""Masks as images: numbers at pixels, black and white, cut out."""

from io import BytesIO

import numpy as np
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from agent.exports.answer import ExportAnswer, to_json_bytes
from agent.exports.archive import build_archive
from agent.exports.base import Exporter
from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.masks.boxes import mask_to_box
from sam3_tool.masks.rle import decode_masks

MAX_COLORS = 255
"""Of a palette, beside the background."""
MANIFEST = "masks.json"
"""The file of an archive that says which mask each image is."""


def encode_indexed(answer: ExportAnswer) -> bytes:
    """A PNG whose pixels are numbers: that of the mask, 0 for the background. Its palette has each mask's colour.

    Where masks overlap, the one with the higher score has the pixel, so that the other lacks it here; the other
    formats hold overlaps. A palette ends at 255: with a higher number among the masks, it is a grey image of 16
    bits. The text chunk `masks` says in JSON what each number is.
    """
    id_map = np.zeros(answer.image.pixels.shape[:2], np.uint16)
    for candidate, mask in answer.iterate_from_below():
        id_map[mask] = candidate.id
    metadata = PngInfo()
    metadata.add_itxt(
        "masks", to_json_bytes([answer.describe_mask(candidate) for candidate in answer.candidates]).decode()
    )
    return _encode_png(_apply_palette(id_map) if id_map.max() <= MAX_COLORS else PIL.Image.fromarray(id_map), metadata)


def _apply_palette(id_map: np.ndarray) -> PIL.Image.Image:
    image = PIL.Image.fromarray(id_map.astype(np.uint8), "L")
    image.putpalette([0, 0, 0, *(part for mask_id in range(1, MAX_COLORS + 1) for part in get_mask_color(mask_id))])
    return image


def encode_black_and_white(answer: ExportAnswer) -> bytes:
    """A ZIP of grey images, one per mask, in the image's size: 255 where the mask is, else 0."""
    files = {
        _build_file_name(candidate.id): _encode_png(PIL.Image.fromarray(mask.astype(np.uint8) * 255))
        for candidate, mask in answer.iterate_masks()
    }
    return build_archive({MANIFEST: _encode_manifest(answer), **files})


def encode_cut_outs(answer: ExportAnswer) -> bytes:
    """A ZIP of RGBA images: what each mask covers, cropped to it, and `all.png`, uncropped, what any of them does.

    Pixels outside the masks are transparent, and black, so that nothing of the image is left in them.
    """
    pixels = answer.image.pixels
    anywhere = np.asarray(
        decode_masks([candidate.rle for candidate in answer.candidates], *pixels.shape[:2]).any(axis=0)
    )
    files = {"all.png": _encode_png(_make_transparent(pixels, anywhere))}
    for candidate, mask in answer.iterate_masks():
        x0, y0, x1, y1 = mask_to_box(mask)
        files[_build_file_name(candidate.id)] = _encode_png(_make_transparent(pixels[y0:y1, x0:x1], mask[y0:y1, x0:x1]))
    return build_archive({MANIFEST: _encode_manifest(answer), **files})


def _make_transparent(pixels: np.ndarray, mask: np.ndarray) -> PIL.Image.Image:
    """RGBA; `mask`: bool, of the size of `pixels`."""
    return PIL.Image.fromarray(np.dstack([pixels, np.full_like(pixels[..., :1], 255)]) * mask[..., None])


def _build_file_name(mask_id: int) -> str:
    """By number alone: a phrase may hold what no file name does."""
    return f"mask_{mask_id:03}.png"


def _encode_manifest(answer: ExportAnswer) -> bytes:
    """With the box of each mask, which is where a crop of it lies."""
    rows = [
        {"file": _build_file_name(candidate.id), **answer.describe_mask(candidate), "box": mask_to_box(mask)}
        for candidate, mask in answer.iterate_masks()
    ]
    size = {"width": answer.image.width, "height": answer.image.height}
    return to_json_bytes({"image": answer.name, **size, "masks": rows})


def _encode_png(image: PIL.Image.Image, metadata: PngInfo | None = None) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", pnginfo=metadata)
    return file.getvalue()


INDEXED = Exporter(".indexed.png", "PNG, one image with a number at each pixel", encode_indexed)
BLACK_AND_WHITE = Exporter(".masks.zip", "PNG, one image per mask (zip)", encode_black_and_white)
CUT_OUTS = Exporter(".cutout.zip", "Cut-outs on a transparent ground (zip)", encode_cut_outs)
