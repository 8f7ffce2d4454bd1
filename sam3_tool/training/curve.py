"""The training log as an image: `python -m sam3_tool.training.curve LOG.jsonl CURVE.svg`."""

import json
import math
import sys
from pathlib import Path

LOSS_COLOURS = {
    **{"patch": "#888888", "presence": "#d62728", "class": "#1f77b4", "giou": "#2ca02c", "dice": "#9467bd"},
    **{"patches": "#8c564b", "quality": "#ff7f0e"},
}
"""Loss -> colour of its line."""
WIDTH, HEIGHT, LEFT, BOTTOM = 900, 420, 60, 40
LEAST, MOST = 0.05, 10.0
"""Range of the losses on the logarithmic axis."""


def draw_curve(rows: list[dict[str, float]]) -> str:
    """Draw an SVG of the losses over the steps, one line each; a line begins where its loss does."""
    last = rows[-1]["step"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    ]
    for loss in (0.1, 1, 10):
        y = _to_y(loss)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - 20}" stroke="#ddd"/><text x="20" y="{y + 4:.1f}">{loss}</text>'
        )
    for step in range(0, int(last) + 1, 500):
        parts.append(f'<text x="{_to_x(step, last):.1f}" y="{HEIGHT - 15}" text-anchor="middle">{step}</text>')
    logged = [(name, colour) for name, colour in LOSS_COLOURS.items() if any(name in row for row in rows)]
    for index, (name, colour) in enumerate(logged):
        points = " ".join(f"{_to_x(row['step'], last):.1f},{_to_y(row[name]):.1f}" for row in rows if name in row)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{WIDTH - 110}" y="{40 + 18 * index}" fill="{colour}">{name}</text>')
    return "".join(parts) + "</svg>\n"


def _to_x(step: float, last: float) -> float:
    return LEFT + (WIDTH - LEFT - 20) * step / last


def _to_y(loss: float) -> float:
    share = math.log(min(max(loss, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return 20 + (HEIGHT - BOTTOM - 20) * (1 - share)


if __name__ == "__main__":
    log, target = map(Path, sys.argv[1:])
    target.write_text(draw_curve([json.loads(line) for line in log.read_text().splitlines()]), encoding="utf-8")
