"""The result of a benchmark: a table of numbers, printed as text, and written as Markdown and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Numbers in rows. The first column says what a row is about; None is an empty cell."""

    name: str
    """Of its files, e.g. 'sam3-phrases'."""
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    about: Mapping[str, Cell]
    """The conditions that a reader of the numbers needs: the device, the settings."""

    def to_markdown(self) -> str:
        """Return the title with the conditions, and the rows as a table in Markdown.

        >>> table = Table("t", "Growth", ("masks", "ms"), [(1, 0.5), (1000, 231.25)], {"device": "a laptop"})
        >>> print(table.to_markdown())
        Growth (device: a laptop)
        <BLANKLINE>
        | masks | ms |
        | ---: | ---: |
        | 1 | 0.5 |
        | 1000 | 231 |
        """
        lines = [_format_row(self.columns), _format_row(["---:"] * len(self.columns)), *map(_format_row, self.rows)]
        return "\n".join([self.headline, "", *lines])

    def to_text(self) -> str:
        """Return the title with the conditions, and the rows in aligned columns.

        >>> print(Table("t", "Growth", ("masks", "ms"), [(1, 0.5), (1000, 231.25)], {}).to_text())
        Growth
        <BLANKLINE>
        masks   ms
        1      0.5
        1000   231
        """
        # not at the top: what `bench start` has in memory counts for the processes that it starts
        from evals.reports.tables import format_columns

        rows = [[_format_cell(cell) for cell in row] for row in self.rows]
        columns = format_columns(rows, head=self.columns, right_aligned=range(1, len(self.columns)))
        return f"{self.headline}\n\n{columns}"

    @property
    def headline(self) -> str:
        """The title, with the conditions in brackets."""
        about = ", ".join(f"{key}: {_format_cell(value)}" for key, value in self.about.items())
        return f"{self.title} ({about})" if about else self.title

    def write(self, folder: Path) -> None:
        """Write NAME.json and NAME.md into the folder, which is made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1)
        (folder / f"{self.name}.json").write_text(f"{text}\n", encoding="utf-8")
        (folder / f"{self.name}.md").write_text(f"{self.to_markdown()}\n", encoding="utf-8")


def _format_row(cells: Sequence[Cell]) -> str:
    return f"| {' | '.join(map(_format_cell, cells))} |"


def _format_cell(cell: Cell) -> str:
    """Three significant digits, or all digits of a whole number."""
    match cell:
        case None:
            return ""
        case float():
            return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
        case _:
            return str(cell)
