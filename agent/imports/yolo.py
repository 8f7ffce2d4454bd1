"""YOLO labels: a text file for each image, with polygons or boxes in fractions of its size, and numbers of classes."""

from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath

from agent.imports.base import MAX_FILE_MASKS, ImportedImage, ImportedMask, draw_polygons
from sam3_tool.masks.rle import RleMask


def read_labels(text: str, name: str, names: Mapping[int, str]) -> ImportedImage:
    """Return the masks of an image.

    Args:
        text: The content of the file of labels.
        name: The name of that file, which is the image's but for the ending.
        names: Class number -> name; a class that it lacks is called by its number.

    Returns:
        The image, whose ending is not known.

    Raises:
        ValueError: A line is no label.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_FILE_MASKS:
        raise ValueError(f"{len(lines):,} lines, expected up to {MAX_FILE_MASKS:,}")
    masks = tuple(_read_line(line, number, names) for number, line in enumerate(lines, start=1))
    return ImportedImage(str(PurePosixPath(name).with_suffix("")), masks)


def _read_line(line: list[str], number: int, names: Mapping[int, str]) -> ImportedMask:
    """A line: the class, then x y w h of a box around its centre, or x y of three or more corners."""
    try:
        if not line[0].isdecimal() or len(line[0]) > 9:
            raise ValueError
        values = [float(value) for value in line[1:]]
    except ValueError:
        raise ValueError(f"line {number} is no label: a class number, then fractions of the image's size") from None
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise ValueError(f"line {number} has {len(values)} coordinates, expected 4 of a box or 6 and more of a polygon")
    return ImportedMask(names.get(int(line[0]), line[0]), partial(_draw_fractions, _to_corners(values)))


def _to_corners(values: list[float]) -> list[float]:
    if len(values) != 4:
        return values
    x, y, width, height = values
    x0, y0, x1, y1 = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def _draw_fractions(corners: list[float], height: int, width: int) -> RleMask:
    pixels = [value * (height if place % 2 else width) for place, value in enumerate(corners)]
    return draw_polygons([pixels], height, width)


def read_names(text: str) -> dict[int, str]:
    r"""Return the classes of a `data.yaml`, whose `names` are a list or a table; none where there are no `names`.

    Raises ValueError for what is no YAML.

    >>> read_names('names: {0: "red cup", 1: plate}'), read_names("names:\n- cup")
    ({0: 'red cup', 1: 'plate'}, {0: 'cup'})
    """
    import yaml

    try:
        held = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("the description of the classes is no YAML") from error
    names = held.get("names") if isinstance(held, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return {}
    return {number: str(name) for number, name in names.items() if isinstance(number, int)}
