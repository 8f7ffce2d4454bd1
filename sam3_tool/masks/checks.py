"""Checks of what a file says about a mask: native code, which trusts what it gets, sees nothing else."""

import reprlib
from numbers import Real
from typing import Any

import numpy as np

MAX_PIXELS = 1 << 27
"""Of a mask. No image that can be opened has as many, and a decoded mask takes a byte for each."""
MAX_COORDINATE = 1e6
"""In pixels, either way. COCO's rasteriser turns coordinates into 32-bit integers and keeps five points a pixel."""
MAX_OUTLINE = 4e6
"""Pixels along one polygon, as its sides are drawn: the rasteriser takes about 120 bytes for each."""


def check_size(height: Any, width: Any) -> tuple[int, int]:
    """Return a mask's size as whole numbers.

    Args:
        height: What a file says, in pixels.
        width: The same of the width.

    Returns:
        (height, width).

    Raises:
        ValueError: They are not whole numbers from 1, or a mask of this size has more than MAX_PIXELS.

    >>> check_size(480, 640.0)
    (480, 640)
    """
    if not all(_is_whole_number(side) and side >= 1 for side in (height, width)):
        raise ValueError(
            f"a height and a width must be whole numbers of pixels, 1 or more, found {shorten_value(height)} and"
            f" {shorten_value(width)}"
        )
    if int(height) * int(width) > MAX_PIXELS:
        raise ValueError(
            f"a mask of {shorten_value(int(width))} x {shorten_value(int(height))} pixels is too large, expected"
            f" {MAX_PIXELS:,} pixels at most"
        )
    return int(height), int(width)


def check_polygon(polygon: Any) -> list[float]:
    """Return a polygon that can be drawn.

    Args:
        polygon: What a file says: x0, y0, x1, y1, … in pixels. It may reach out of the image.

    Returns:
        The same numbers, 6 or more of them.

    Raises:
        ValueError: They are no numbers, too few, too large, or too far apart.

    >>> check_polygon([0, 0, 4, 0, 4, 4])
    [0, 0, 4, 0, 4, 4]
    """
    values = check_coordinates(polygon)
    if len(values) < 6:
        raise ValueError(f"a polygon has three points or more, each an x and a y, found {shorten_value(values)}")
    return values


def check_coordinates(coordinates: Any) -> list[float]:
    """Return the coordinates of one or more points.

    Args:
        coordinates: What a file says: x0, y0, x1, y1, … in pixels.

    Returns:
        The same numbers.

    Raises:
        ValueError: They are no numbers, no pairs, too large, or too far apart.

    >>> check_coordinates((0.5, -3))
    [0.5, -3]
    """
    values = coordinates.tolist() if isinstance(coordinates, np.ndarray) else coordinates
    if not isinstance(values, list | tuple):
        raise ValueError(f"a polygon is a list of numbers x0, y0, x1, y1, …, found {shorten_value(values)}")
    for value in values:
        if not is_number(value):
            raise ValueError(f"a polygon is a list of numbers x0, y0, x1, y1, …, found {shorten_value(value)} in it")
        if not -MAX_COORDINATE <= value <= MAX_COORDINATE:  # NaN is not
            raise ValueError(
                f"the coordinates of a polygon are pixels between {-MAX_COORDINATE:,.0f} and {MAX_COORDINATE:,.0f},"
                f" found {shorten_value(value)}"
            )
    if not values or len(values) % 2:
        raise ValueError(
            f"a polygon has an x and a y for each point, found {len(values)} numbers: {shorten_value(values)}"
        )
    _check_outline(np.array(values, np.float64).reshape(-1, 2))
    return list(values)


def check_counts(counts: Any, height: int, width: int) -> list[int]:
    """Return the lengths of runs that fill a mask.

    Args:
        counts: What a file says: lengths in pixels, of zeros first.
        height: Of the mask, checked already.
        width: The same.

    Raises:
        ValueError: They are no whole numbers, negative, or their sum is another.

    >>> check_counts([2, 4], 2, 3)
    [2, 4]
    """
    for count in counts:
        if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 0:
            raise ValueError(f"runs are whole numbers of pixels, 0 or more, found {shorten_value(count)}")
    if sum(map(int, counts)) != height * width:
        raise ValueError(
            f"the runs do not make up a mask of {width} x {height} pixels: their sum is"
            f" {shorten_value(sum(map(int, counts)))}, not {height * width}"
        )
    return [int(count) for count in counts]


def is_number(value: Any) -> bool:
    """Tell whether a value from a file is a number; true and false are none.

    >>> is_number(1.5), is_number(True), is_number("1")
    (True, False, False)
    """
    # the first test is the second one of all that JSON has, and ten times as fast
    return type(value) in (float, int) or (isinstance(value, Real) and not isinstance(value, bool | np.bool_))


def shorten_value(value: Any) -> str:
    """Return the value as a message shows it: one short line, however long the value is.

    >>> shorten_value([0] * 1000)
    '[0, 0, 0, 0, 0, 0, ...]'
    """
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits has no text
        return f"a {type(value).__name__} too long to show"


def _is_whole_number(value: Any) -> bool:
    if not is_number(value) or (isinstance(value, float) and not value.is_integer()):
        return False
    return isinstance(value, int | float | np.integer)


def _check_outline(points: np.ndarray) -> None:
    """`points`: float64, (P, 2), x y."""
    length = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum()
    if length > MAX_OUTLINE:
        raise ValueError(f"the sides of a polygon are {length:,.0f} pixels long, expected {MAX_OUTLINE:,.0f} at most")
