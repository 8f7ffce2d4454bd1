"""The gains of all kinds of labels, with their intervals, as an image."""

from pathlib import Path

from matplotlib.figure import Figure

from bench.harness.tables import Table

COLOURS = ("#2ca02c", "#d62728", "#1f77b4")


def plot_gains(table: Table, folder: Path) -> None:
    """Write NAME.svg, with a point for the gain of each kind of labels, and its 95 % interval as a line.

    Args:
        table: `measure_loop`'s second one.
        folder: Where it goes.
    """
    figure = Figure(figsize=(7, 2.4), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(table.rows[1:]):
        gain, low, high = (float(str(cell)) for cell in row[4:7])
        axes.plot([low, high], [-place, -place], color=COLOURS[place], linewidth=3)
        axes.plot(gain, -place, "o", color=COLOURS[place], markersize=9)
        axes.annotate(f"{gain:+.1f}", (gain, -place), (0, 9), textcoords="offset points", ha="center")
    axes.axvline(0, color="grey", linewidth=1)
    axes.set_yticks([0, -1, -2], [str(row[0]) for row in table.rows[1:]])
    axes.set(xlabel="cgF1 gained on 200 held-out scenes of the other style", ylim=(-2.5, 0.7))
    axes.grid(axis="x", alpha=0.3)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{table.name}.svg", metadata={"Date": None})
