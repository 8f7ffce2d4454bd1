"""Masks as pictures: numbers at pixels, black and white, cut out."""

from io import BytesIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from agent.exports.answer import Answer, as_json
from agent.exports.archive import archive
from sam3_tool.boxes import tight
from sam3_tool.draw import color_of
from sam3_tool.rle import decode_all

MOST_COLORS = 255
"""Of a palette, beside the background."""
MANIFEST = "masks.json"
"""The file of an archive that says which mask each picture is."""


def indexed(answer: Answer) -> bytes:
    """A PNG whose pixels are numbers: that of the mask, 0 for the background. Its palette has each mask's colour.

    Where masks overlap, the one with the higher score has the pixel, so that the other lacks it here; the other
    formats hold overlaps. A palette ends at 255: with a higher number among the masks, it is a grey picture of 16
    bits. The text chunk `masks` says in JSON what each number is.
    """
    numbers = np.zeros(answer.picture.pixels.shape[:2], np.uint16)
    for one, mask in answer.from_below():
        numbers[mask] = one.id
    told = PngInfo()
    told.add_itxt("masks", as_json([answer.facts(one) for one in answer.candidates]).decode())
    return _png(_with_palette(numbers) if numbers.max() <= MOST_COLORS else Image.fromarray(numbers), told)


def _with_palette(numbers: np.ndarray) -> Image.Image:
    image = Image.fromarray(numbers.astype(np.uint8), "L")
    image.putpalette([0, 0, 0, *(part for number in range(1, MOST_COLORS + 1) for part in color_of(number))])
    return image


def black_and_white(answer: Answer) -> bytes:
    """A ZIP of grey pictures, one per mask, in the picture's size: 255 where the mask is, else 0."""
    pictures = {_file(one.id): _png(Image.fromarray(mask.astype(np.uint8) * 255)) for one, mask in answer.masks()}
    return archive({MANIFEST: _manifest(answer), **pictures})


def cut_out(answer: Answer) -> bytes:
    """A ZIP of RGBA pictures: what each mask covers, cropped to it, and `all.png`, uncropped, what any of them does.

    Pixels outside the masks are transparent, and black, so that nothing of the picture is left in them.
    """
    pixels = answer.picture.pixels
    anywhere = np.asarray(decode_all([one.rle for one in answer.candidates], *pixels.shape[:2]).any(axis=0))
    pictures = {"all.png": _png(_on_nothing(pixels, anywhere))}
    for one, mask in answer.masks():
        x0, y0, x1, y1 = tight(mask)
        pictures[_file(one.id)] = _png(_on_nothing(pixels[y0:y1, x0:x1], mask[y0:y1, x0:x1]))
    return archive({MANIFEST: _manifest(answer), **pictures})


def _on_nothing(pixels: np.ndarray, mask: np.ndarray) -> Image.Image:
    """RGBA; `mask`: bool, of the size of `pixels`."""
    return Image.fromarray(np.dstack([pixels, np.full_like(pixels[..., :1], 255)]) * mask[..., None])


def _file(number: int) -> str:
    """By number alone: a phrase may hold what no file name does."""
    return f"mask_{number:03}.png"


def _manifest(answer: Answer) -> bytes:
    """With the box of each mask, which is where a crop of it lies."""
    rows = [{"file": _file(one.id), **answer.facts(one), "box": tight(mask)} for one, mask in answer.masks()]
    size = {"width": answer.picture.width, "height": answer.picture.height}
    return as_json({"image": answer.name, **size, "masks": rows})


def _png(image: Image.Image, told: PngInfo | None = None) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", pnginfo=told)
    return file.getvalue()
