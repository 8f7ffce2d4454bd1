"""What every benchmark gives: tables of numbers, printed, and written as Markdown and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Numbers in rows. The first column says what a row is about; None is shown as nothing."""

    name: str
    """Of its file, e.g. 'sam3-phrases'."""
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    about: Mapping[str, Cell]
    """The device, the settings, what was measured with: needed to read the numbers."""

    def to_markdown(self) -> str:
        """
        >>> print(Table("t", "Growth", ("masks", "ms"), [(1, 0.5), (1000, 231.25)], {"device": "a laptop"}).to_markdown())
        Growth (device: a laptop)
        <BLANKLINE>
        | masks | ms |
        | ---: | ---: |
        | 1 | 0.5 |
        | 1000 | 231 |
        """
        about = ", ".join(f"{key}: {_format_cell(value)}" for key, value in self.about.items())
        lines = [_format_row(self.columns), _format_row(["---:"] * len(self.columns)), *map(_format_row, self.rows)]
        return "\n".join([f"{self.title} ({about})", "", *lines])

    def write(self, folder: Path) -> None:
        """NAME.json and NAME.md into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1)
        (folder / f"{self.name}.json").write_text(f"{text}\n", encoding="utf-8")
        (folder / f"{self.name}.md").write_text(f"{self.to_markdown()}\n", encoding="utf-8")


def _format_row(cells: Sequence[Cell]) -> str:
    return f"| {' | '.join(map(_format_cell, cells))} |"


def _format_cell(cell: Cell) -> str:
    """Three digits that count, or all of a whole number."""
    match cell:
        case None:
            return ""
        case float():
            return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
        case _:
            return str(cell)
