"""Plots of tables: how each cost grows with what the first column counts."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.harness.tables import Table

UNITS = ("ms", "MiB")


def plot_table(table: Table, folder: Path) -> None:
    """Write NAME.svg: a panel for the columns of milliseconds, one for those of MiB, a line per column.

    Axes are logarithmic, with a line for what grows in proportion, or linear for a table over the seconds of a run. A
    table whose first column is not numbers has no plot.
    """
    sizes = [row[0] for row in table.rows if isinstance(row[0], int | float)]
    panels = {unit: found for unit in UNITS if (found := _select_columns(table, unit))}
    if not panels or not 1 < len(sizes) == len(table.rows):
        return
    figure = Figure(figsize=(6 * len(panels), 4), layout="constrained")
    for place, (unit, columns) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for name, cells in columns.items():
            axes.plot(sizes, cells, marker="o", label=name)
        axes.set(xlabel=table.columns[0], ylabel=unit)
        if table.columns[0].endswith(", s"):
            axes.set_ylim(bottom=0)
        else:
            _update_to_log_axes(axes, sizes, list(columns.values()))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(table.title)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{table.name}.svg", metadata={"Date": None})


def _select_columns(table: Table, unit: str) -> dict[str, list[float]]:
    """Name -> cells of each column in this unit that is above 0 somewhere; NaN for an empty cell."""
    chosen = [(index, name) for index, name in enumerate(table.columns) if index and name.endswith(f", {unit}")]
    found = {name.removesuffix(f", {unit}"): [_to_positive(row[index]) for row in table.rows] for index, name in chosen}
    return {name: cells for name, cells in found.items() if any(cell > 0 for cell in cells)}


def _to_positive(cell: object) -> float:
    return float(cell) if isinstance(cell, int | float) and cell > 0 else float("nan")


def _update_to_log_axes(axes: Axes, sizes: Sequence[float], columns: Sequence[Sequence[float]]) -> None:
    """Make the axes logarithmic, and add a line in proportion to the size that ends where the dearest column ends."""
    shown = [cell for cells in columns for cell in cells if cell > 0]
    bottom, top = min(shown) / 2, max(shown) * 2
    last = max((cells[-1] for cells in columns if cells[-1] > 0), default=top)
    axes.plot(sizes, [last * size / sizes[-1] for size in sizes], ":", color="grey", label="in proportion")
    axes.set(xscale="log", yscale="log", ylim=(bottom, top))
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes], minor=False)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < 1000 * bottom else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
