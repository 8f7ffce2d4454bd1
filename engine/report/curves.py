"""Curves as lines of an SVG: points of data in, coordinates of a drawing out."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 220
"""Of the drawing, without its labels."""
MAX_POINTS = 400
"""Of one curve; a page of a large project stays small."""


@dataclass(frozen=True)
class Curve:
    """A line of a chart."""

    name: str
    points: str
    """As `polyline` takes them."""
    last: str
    """Its last value, in words."""


@dataclass(frozen=True)
class Chart:
    """Curves over one range, with what stands at its corners."""

    title: str
    curves: tuple[Curve, ...]
    left: str
    right: str
    """What the horizontal axis begins and ends with."""
    top: str
    """What the vertical axis ends with; it begins with `bottom`."""
    bottom: str = "0"


def draw_line(points: Sequence[tuple[float, float]], x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    """Return points as `polyline` takes them, the last one always among them.

    Args:
        points: x and y of each, in the order of x.
        x_range: What lies at the left and at the right edge.
        y_range: What lies at the bottom and at the top.

    >>> draw_line([(0, 0), (5, 1)], (0, 5), (0, 1))
    '0.0,220.0 600.0,0.0'
    """
    step = max(1, len(points) // MAX_POINTS)
    chosen = [*points[:-1:step], *points[-1:]]
    return " ".join(f"{_scale(x, x_range) * WIDTH:.1f},{(1 - _scale(y, y_range)) * HEIGHT:.1f}" for x, y in chosen)


def _scale(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return (value - low) / (high - low) if high > low else 0.0
