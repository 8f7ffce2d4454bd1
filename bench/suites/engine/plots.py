"""Draw how many errors are found and how good labels are by what people look at, and what is right without them."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.harness.tables import Table

LABEL_WAYS = ("riskiest first", "corrected", "refitted", "random")
"""Orders whose labels are drawn; the bounds are about errors."""


def plot_table(table: Table, folder: Path) -> None:
    """Write the images of a table; tables without any are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for beginning, ending, draw in DRAWINGS:
        if table.name.startswith(beginning):
            figure = Figure(figsize=(6, 4), layout="constrained")
            axes = figure.add_subplot()
            draw(axes, table)
            axes.grid(alpha=0.3)
            axes.legend()
            figure.savefig(folder / f"{table.name}{ending}.svg", metadata={"Date": None})


def draw_errors(axes: Axes, table: Table) -> None:
    """Draw a line for each order of review, with the interval of its errors found."""
    lines: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for way, share, found, low, high, *_ in table.rows:
        lines[str(way)].append((float(share or 0), float(found or 0), float(low or 0), float(high or 0)))
    for way, points in lines.items():
        shares, found_shares, lows, highs = zip(*points, strict=True)
        is_bound = way not in LABEL_WAYS
        axes.plot(shares, found_shares, label=way, linestyle="--" if is_bound else "-", marker="" if is_bound else "o")
        if not is_bound:
            axes.fill_between(shares, lows, highs, alpha=0.15)
    axes.set(xlabel="pairs that people look at, %", ylabel="errors found, %", ylim=(0, 102))


def draw_labels(axes: Axes, table: Table) -> None:
    """Draw the cgF1 of all labels for each order of review, and where reviewers let errors pass."""
    columns = [*table.columns]
    names = ("reviewed, %", "cgF1 of labels", "cgF1 where reviewers slip")
    share, score, slips = (columns.index(name) for name in names)
    for way in LABEL_WAYS:
        rows = [row for row in table.rows if row[0] == way]
        shares = [float(row[share] or 0) for row in rows]
        [line] = axes.plot(shares, [float(row[score] or 0) for row in rows], marker="o", label=way)
        axes.plot(shares, [float(row[slips] or 0) for row in rows], linestyle=":", color=line.get_color())
    axes.plot([], [], linestyle=":", color="grey", label="where reviewers slip")
    axes.set(xlabel="pairs that people look at, %", ylabel="cgF1 of labels", ylim=(60, 101))


def draw_precision(axes: Axes, table: Table) -> None:
    """Draw how many of the surest pairs are right, with the lowest sample as the edge of a band."""
    shares = [float(row[0] or 0) for row in table.rows]
    for name, column in (("pairs without masks", 5), ("all pairs", 1), ("pairs with masks", 3)):
        means, lowest = ([float(row[place] or 0) for row in table.rows] for place in (column, column + 1))
        axes.plot(shares, means, marker="o", label=name)
        axes.fill_between(shares, lowest, means, alpha=0.15)
    axes.axhline(97, color="grey", linewidth=1)
    axes.set(xlabel="share of these pairs that needs no person, %", ylabel="right, % (band: the lowest sample)")


DRAWINGS: tuple[tuple[str, str, Callable[[Axes, Table], None]], ...] = (
    ("engine-order", "", draw_errors),
    ("engine-order", "-labels", draw_labels),
    ("engine-precision", "", draw_precision),
)
"""Beginning of a table's name, what its image's name adds, and how that is drawn."""
