"""Draw how many errors are found by the share of pairs that people look at."""

from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

from bench.harness.tables import Table


def plot_orders(table: Table, folder: Path) -> None:
    """Write NAME.svg: a line for each order of review, with the interval of its errors found."""
    lines: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for way, share, found, low, high, *_ in table.rows:
        lines[str(way)].append((float(share or 0), float(found or 0), float(low or 0), float(high or 0)))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for way, points in lines.items():
        shares, found_shares, lows, highs = zip(*points, strict=True)
        axes.plot(shares, found_shares, marker="o", label=way)
        axes.fill_between(shares, lows, highs, alpha=0.15)
    axes.set(xlabel="pairs that people look at, %", ylabel="errors found, %", ylim=(0, 102))
    axes.grid(alpha=0.3)
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{table.name}.svg", metadata={"Date": None})
