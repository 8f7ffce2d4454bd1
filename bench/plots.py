"""Pictures of tables: how each cost grows with what the first column counts."""

from pathlib import Path

from matplotlib.figure import Figure

from bench.tables import Table


def plot(table: Table, folder: Path) -> None:
    """NAME.svg with a line per column of milliseconds, on logarithmic axes; nothing for a table that counts nothing."""
    sizes = [row[0] for row in table.rows if isinstance(row[0], int | float)]
    costs = [index for index, name in enumerate(table.columns) if index and name.endswith(", ms")]
    if not costs or not 1 < len(sizes) == len(table.rows):
        return
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for index in costs:
        name = table.columns[index].removesuffix(", ms")
        axes.loglog(sizes, [row[index] for row in table.rows], marker="o", label=name)
    axes.set(title=table.title, xlabel=table.columns[0], ylabel="ms")
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{table.name}.svg", metadata={"Date": None})
