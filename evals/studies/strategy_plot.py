"""Draw curves of gIoU against tokens as SVG: a panel for each profile, a line for each way of planning."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

PANEL_WIDTH, PANEL_HEIGHT, MARGIN = 380, 300, 52
"""Pixels; the margin lies around each panel."""
LEGEND_ROW = 18
COLORS = (
    *("#222222", "#8c564b", "#7f7f7f", "#1f77b4", "#ff7f0e", "#2ca02c"),
    *("#9467bd", "#17becf", "#d62728", "#e377c2", "#bcbd22", "#000080"),
)
MOST_TOKENS = 10_000
GIOUS = (40.0, 90.0)
"""Lowest and highest of the axis, in percent."""


def draw_curves(profiles: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw the curves.

    Args:
        profiles: Profile -> way of planning -> its summary, with "curve", "giou" and "tokens".

    Returns:
        An SVG document. A line is a way under limits of tokens, a large dot the way without one, a bar its interval.
    """
    ways = list(dict.fromkeys(way for rows in profiles.values() for way in rows))
    width = len(profiles) * (PANEL_WIDTH + MARGIN) + MARGIN
    height = PANEL_HEIGHT + 2 * MARGIN + LEGEND_ROW * ((len(ways) + 1) // 2)
    parts = [
        part
        for place, (name, rows) in enumerate(profiles.items())
        for part in _draw_panel(MARGIN + place * (PANEL_WIDTH + MARGIN), name, rows, ways)
    ]
    parts += _draw_legend(ways)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        f' font-size="12">\n<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _draw_panel(left: int, name: str, rows: Mapping[str, Any], ways: Sequence[str]) -> Iterator[str]:
    bottom = MARGIN + PANEL_HEIGHT
    yield f'<rect x="{left}" y="{MARGIN}" width="{PANEL_WIDTH}" height="{PANEL_HEIGHT}" fill="none" stroke="#999"/>'
    yield f'<text x="{left}" y="{MARGIN - 10}" font-weight="bold">{escape(name)}, simulated: gIoU in percent</text>'
    for tokens in range(0, MOST_TOKENS + 1, 2000):
        yield f'<text x="{_place_x(left, tokens):.1f}" y="{bottom + 16}" text-anchor="middle">{tokens:,}</text>'
    for giou in range(int(GIOUS[0]), int(GIOUS[1]) + 1, 10):
        y = _place_y(giou)
        yield f'<line x1="{left}" x2="{left + PANEL_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
        yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{giou}</text>'
    yield f'<text x="{left + PANEL_WIDTH}" y="{bottom + 32}" text-anchor="end">tokens of prompts and images</text>'
    for way, row in rows.items():
        yield from _draw_way(left, row, COLORS[ways.index(way) % len(COLORS)])


def _draw_way(left: int, row: Mapping[str, Any], color: str) -> Iterator[str]:
    points = [(point["tokens"], point["giou"][0]) for point in row["curve"] if point["giou"][0] >= GIOUS[0]]
    line = " ".join(f"{_place_x(left, tokens):.1f},{_place_y(giou):.1f}" for tokens, giou in points)
    yield f'<polyline points="{line}" fill="none" stroke="{color}" stroke-opacity="0.5"/>'
    value, low, high = row["giou"]
    x = _place_x(left, row["tokens"])
    yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_place_y(low):.1f}" y2="{_place_y(high):.1f}" stroke="{color}"/>'
    yield f'<circle cx="{x:.1f}" cy="{_place_y(value):.1f}" r="4" fill="{color}"/>'


def _draw_legend(ways: Sequence[str]) -> Iterator[str]:
    top = MARGIN + PANEL_HEIGHT + 48
    for place, way in enumerate(ways):
        x, y = MARGIN + place % 2 * 480, top + place // 2 * LEGEND_ROW
        yield f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{COLORS[place % len(COLORS)]}"/>'
        yield f'<text x="{x + 12}" y="{y}">{escape(way)}</text>'


def _place_x(left: int, tokens: float) -> float:
    return left + PANEL_WIDTH * min(tokens, MOST_TOKENS) / MOST_TOKENS


def _place_y(giou: float) -> float:
    low, high = GIOUS
    return MARGIN + PANEL_HEIGHT * (1 - (min(max(giou, low), high) - low) / (high - low))
