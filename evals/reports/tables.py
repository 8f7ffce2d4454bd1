"""Tables in plain text: rich measures and aligns the columns."""

from collections.abc import Collection, Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

UNLIMITED_WIDTH = 1_000_000
"""Characters in a line. No cell is wrapped or cut, so that a pipe or a file gets all of it."""


def format_columns(
    rows: Sequence[Sequence[str]], *, head: Sequence[str] = (), right_aligned: Collection[int] = ()
) -> str:
    """Align cells in columns, two spaces apart. `right_aligned`: indices of columns of numbers.

    >>> print(format_columns([["left", "0.5"], ["right of", "12.5"]], head=["kind", "gIoU"], right_aligned=[1]))
    kind      gIoU
    left       0.5
    right of  12.5
    """
    width = max(len(row) for row in (head, *rows))
    table = Table(box=None, show_header=bool(head), pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for index in range(width):
        table.add_column(
            Text(head[index]) if head else "", justify="right" if index in right_aligned else "left", no_wrap=True
        )
    for row in rows:
        table.add_row(*map(Text, row))
    output = StringIO()
    Console(file=output, width=UNLIMITED_WIDTH, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())
