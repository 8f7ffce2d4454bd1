"""Images in a column of parquet files: their bytes, the path of each, or both, as data sets on the Hub have them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from pyarrow import ArrowInvalid, parquet

from annotate.errors import SourceError
from annotate.sources.base import Entry, Item, Listing
from annotate.sources.lists import read_image
from sam3_tool.errors import ImageError
from sam3_tool.image import Image
from sam3_tool.system.paths import is_there

ROWS_AT_A_TIME = 16
"""Rows whose images are in memory together."""


@dataclass
class RowCursor:
    """Rows of one row group, read in order: to go back begins anew, and what lies between is read and dropped."""

    group: tuple[int, int]
    batches: Iterator[Any]
    start: int = 0
    """The row group's row that `rows` begins with."""
    rows: list[Any] = field(default_factory=list)
    """Of the last two batches, for threads ask for neighbours in any order."""

    def read_cell(self, row: int) -> Any:
        """Return the value of a row that has not been passed yet."""
        while row >= self.start + len(self.rows):
            passed = max(0, len(self.rows) - ROWS_AT_A_TIME)
            self.start += passed
            self.rows = [*self.rows[passed:], *next(self.batches).column(0).to_pylist()]
        return self.rows[row - self.start]


@dataclass
class ParquetReader:
    """Reads cells of a column. The numbers of an item: its file, its row group, its row in that group."""

    paths: tuple[Path, ...]
    column: str
    max_pixels: int | None = None
    _cursor: RowCursor | None = field(default=None, init=False, repr=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self.paths, "column": self.column, "max_pixels": self.max_pixels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def open_image(self, item: Item) -> Image:
        """Read an image. Raises ImageError or OSError."""
        found = self._read_cell(item)
        if isinstance(found, Path):
            return Image.open(found, max_pixels=self.max_pixels)
        return read_image(found, item.name, self.max_pixels)

    def is_there(self) -> bool:
        """Whether the files are there."""
        return all(map(is_there, self.paths))

    def read_bytes(self, item: Item) -> bytes:
        """Read the image's file as it is. Raises ImageError or OSError."""
        found = self._read_cell(item)
        return found.read_bytes() if isinstance(found, Path) else found

    def _read_cell(self, item: Item) -> bytes | Path:
        """The content of the image's file, or where that lies."""
        number, group, row = item.numbers
        try:
            with self._lock:
                value = self._find_cursor(number, group, row).read_cell(row)
        except (ArrowInvalid, StopIteration) as error:
            raise ImageError(f"{item.name}: its row cannot be read ({error})") from error
        content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, value)
        if isinstance(content, bytes):
            return content
        if not isinstance(path, str) or not path:
            raise ImageError(f"{item.name}: the column {self.column!r} is empty there; expected an image")
        return self.paths[number].parent / path

    def _find_cursor(self, number: int, group: int, row: int) -> RowCursor:
        cursor = self._cursor
        if cursor is None or cursor.group != (number, group) or row < cursor.start:
            # opened for each group, so that no more than one is held
            batches = parquet.ParquetFile(self.paths[number]).iter_batches(
                batch_size=ROWS_AT_A_TIME, row_groups=[group], columns=[self.column], use_threads=False
            )
            cursor = self._cursor = RowCursor((number, group), batches)
        return cursor


def list_parquet(paths: Sequence[Path], *, column: str, limit: int | None, max_pixels: int | None) -> Listing:
    """List the rows of parquet files. Raises SourceError for what is none, and for a column that there is not."""
    reader = ParquetReader(tuple(path.absolute() for path in paths), column, max_pixels)
    sizes = b",".join(b"%d" % path.stat().st_size for path in paths)  # the rows' own names say nothing of the images
    return Listing(reader, _find_rows(paths, column), limit=limit, salt=sizes)


def _find_rows(paths: Sequence[Path], column: str) -> Iterator[Entry]:
    for number, path in enumerate(paths):
        try:
            found = parquet.ParquetFile(path)
        except (ArrowInvalid, OSError) as error:
            raise SourceError(f"{path} cannot be read as a parquet file ({error})") from error
        names = found.schema_arrow.names
        if column not in names:
            raise SourceError(
                f"{path} has no column {column!r}; say with --column which of {', '.join(names)} holds the images"
            )
        name, row = path.name.encode("utf-8", "surrogateescape"), 0
        for group in range(found.num_row_groups):
            for inner in range(found.metadata.row_group(group).num_rows):
                yield b"%s#%d" % (name, row), (number, group, inner)
                row += 1
