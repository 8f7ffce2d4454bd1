"""Label Studio tasks: brushes, polygons and rectangles of annotations, or else of predictions."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from agent.imports.base import MAX_FILE_MASKS, ImportedImage, ImportedMask, check_score, draw_polygons
from sam3_tool.masks.checks import check_size
from sam3_tool.masks.rle import RleMask, encode_mask

MAX_BRUSH_BYTES = 1 << 22
"""Bytes of one packed brush."""
_LABEL_FIELDS = ("brushlabels", "polygonlabels", "rectanglelabels", "labels")


def is_label_studio(content: Any) -> bool:
    """Tell whether a JSON file may hold tasks of Label Studio."""
    return isinstance(content, list) and all(isinstance(task, dict) and "data" in task for task in content)


def read_label_studio(content: Sequence[Mapping[str, Any]]) -> list[ImportedImage]:
    """Return the images of the tasks with their masks. Raises ValueError for what cannot be understood."""
    images = [_read_task(task, number) for number, task in enumerate(content, start=1)]
    if sum(len(image.masks) for image in images) > MAX_FILE_MASKS:
        raise ValueError(f"it has more than {MAX_FILE_MASKS:,} masks")
    return images


def _read_task(task: Mapping[str, Any], number: int) -> ImportedImage:
    data = task["data"]
    if not isinstance(data, dict):
        raise ValueError(f"the data of task {number} is no table")
    regions = [*_list_regions(task)]
    try:
        masks = tuple(mask for region in regions if (mask := _read_region(region)) is not None)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"task {number} has a region that is no mask ({error})") from error
    return ImportedImage(_find_name(data), masks)


def _find_name(data: Mapping[str, Any]) -> str:
    """The image's file name: what we call it, else the end of its address, without what Label Studio puts before it."""
    if isinstance(data.get("file_name"), str):
        return str(data["file_name"])
    address = next((value for key in ("image", "img", "url") if isinstance(value := data.get(key), str)), "")
    if address.startswith("data:"):
        return ""
    parts = urlsplit(address)
    last = unquote(PurePosixPath(parts.query.removeprefix("d=") or parts.path).name)
    head, dash, tail = last.partition("-")
    is_prefixed = dash and len(head) == 8 and all(letter in "0123456789abcdef" for letter in head)
    return tail if is_prefixed else last


def _list_regions(task: Mapping[str, Any]) -> Iterator[Any]:
    """The regions of the first annotation that was not cancelled, or of the first prediction."""
    done = [
        annotation
        for annotation in task.get("annotations") or ()
        if isinstance(annotation, dict) and not annotation.get("was_cancelled")
    ]
    predicted = [prediction for prediction in task.get("predictions") or () if isinstance(prediction, dict)]
    for annotation in (done or predicted)[:1]:
        yield from annotation.get("result") or ()


def _read_region(region: Mapping[str, Any]) -> ImportedMask | None:
    """The mask of a region; None for one of another kind, e.g. text."""
    value = region.get("value")
    if not isinstance(value, dict):
        return None
    label = next((str(value[field][0]) for field in _LABEL_FIELDS if value.get(field)), "")
    score = check_score(region.get("score"))
    if value.get("format") == "rle":
        size = check_size(region["original_height"], region["original_width"])
        packed = value["rle"]
        if not isinstance(packed, list) or len(packed) > MAX_BRUSH_BYTES:
            raise ValueError("a brush is a list of bytes")
        return ImportedMask(label, partial(_draw_brush, bytes(packed), size), score)
    corners = _list_corners(value)
    return None if corners is None else ImportedMask(label, partial(_draw_percent, corners), score)


def _list_corners(value: Mapping[str, Any]) -> list[float] | None:
    """x y of each corner, in percent; None for what is neither a polygon nor a rectangle."""
    if "points" in value:
        return [float(part) for point in value["points"] for part in point]
    if not {"x", "y", "width", "height"} <= value.keys():
        return None
    x, y, width, height = (float(value[name]) for name in ("x", "y", "width", "height"))
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def _draw_percent(corners: Sequence[float], height: int, width: int) -> RleMask:
    pixels = [value / 100 * (height if place % 2 else width) for place, value in enumerate(corners)]
    return draw_polygons([pixels], height, width)


def _draw_brush(packed: bytes, size: tuple[int, int], height: int, width: int) -> RleMask:
    if size != (height, width):
        raise ValueError(f"a mask is {size[1]} x {size[0]} pixels, and its image is {width} x {height}")
    return encode_mask(decode_brush(packed, height, width))


def decode_brush(packed: bytes, height: int, width: int) -> np.ndarray:
    """Return bool, (H, W): a brush as Label Studio keeps it, in the layout of @thi.ng/rle-pack.

    32 bits say how many values there are, 5 how long a value is, 4 times 4 how long the lengths of runs may be. Then
    come runs: a bit that says whether one value is repeated, two that choose among those lengths, the length less one,
    and the value, or the values one by one. Raises ValueError for anything else.
    """
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    reader = _BitReader("".join(map(str, bits.tolist())))
    count, word = reader.read_number(32), reader.read_number(5) + 1
    if count != 4 * height * width or word != 8:
        raise ValueError(f"a brush of {count:,} bytes does not make up an image of {width} x {height} pixels")
    lengths = [reader.read_number(4) + 1 for _ in range(4)]
    values, done = np.zeros(count, np.uint8), 0
    while done < count:
        is_repeated = reader.read_number(1)
        length = reader.read_number(lengths[reader.read_number(2)]) + 1
        if done + length > count:
            raise ValueError("a brush has runs beyond its end")
        values[done : done + length] = (
            reader.read_number(8) if is_repeated else [reader.read_number(8) for _ in range(length)]
        )
        done += length
    return np.asarray(values.reshape(height, width, 4)[..., 3] > 0)


class _BitReader:
    """Reads numbers off a text of zeros and ones."""

    def __init__(self, bits: str) -> None:
        self._bits, self._place = bits, 0

    def read_number(self, length: int) -> int:
        """Read so many bits, highest first. Raises ValueError at the end."""
        part = self._bits[self._place : self._place + length]
        if len(part) < length:
            raise ValueError("a brush ends too early")
        self._place += length
        return int(part, 2)
