"""A reliability diagram as SVG: the share of right masks over their probability."""

from collections.abc import Sequence

from evals.studies.calibration.fitting import Reliability

SIDE, MARGIN = 240, 46
"""Pixels of a panel, and of the room around it."""
COLOR, SOFT = "#2563eb", "#808080"


def draw_diagram(rows: Sequence[Reliability]) -> str:
    """Draw one panel for each row, next to each other.

    Args:
        rows: What was measured.

    Returns:
        The SVG file. A dot's area grows with the masks of its bin, and the diagonal is where both are equal.
    """
    width, height = len(rows) * (SIDE + MARGIN) + MARGIN, SIDE + 2 * MARGIN
    panels = "\n".join(_draw_panel(row, MARGIN + place * (SIDE + MARGIN)) for place, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' font-family="sans-serif" font-size="12" fill="{SOFT}" role="img">\n<title>Share of right masks over their'
        f" probability</title>\n{panels}\n</svg>\n"
    )


def _draw_panel(row: Reliability, left: int) -> str:
    top = MARGIN
    dots = [
        (left + bin.probability * SIDE, top + (1 - bin.right) * SIDE, 2.5 + 10 * (bin.count / row.masks) ** 0.5)
        for bin in row.bins
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots)
    ticks = "".join(
        f'<text x="{left + share * SIDE:.0f}" y="{top + SIDE + 16}" text-anchor="middle">{share:g}</text>'
        f'<text x="{left - 6}" y="{top + (1 - share) * SIDE + 4:.0f}" text-anchor="end">{share:g}</text>'
        for share in (0, 0.5, 1)
    )
    return "\n".join(
        [
            f'<rect x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" fill="none" stroke="{SOFT}"/>',
            f'<line x1="{left}" y1="{top + SIDE}" x2="{left + SIDE}" y2="{top}" stroke="{SOFT}"'
            ' stroke-dasharray="4 4"/>',
            f'<polyline points="{path}" fill="none" stroke="{COLOR}"/>',
            *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="{COLOR}" fill-opacity="0.7"/>' for x, y, r in dots),
            f'<text x="{left + SIDE / 2:.0f}" y="{top - 12}" text-anchor="middle">{row.name}: error'
            f" {row.error:.3f}</text>",
            f'<text x="{left + SIDE / 2:.0f}" y="{top + SIDE + 34}" text-anchor="middle">probability</text>',
            ticks,
        ]
    )
