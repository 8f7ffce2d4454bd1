"""Rows of parquet files, read a row group at a time: the only module that knows pyarrow, which is not required."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from evals.datasets.formats.files import DataSource
from evals.errors import DatasetError

MAX_CACHED_GROUPS = 4
"""Row groups of one column that are kept, the last ones used."""


@dataclass(frozen=True, eq=False)
class Table:
    """All parquet files of a folder, in the order of their names, as one table. Safe to share between threads."""

    files: Sequence[Path]
    source: DataSource
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)
    _cache: dict[tuple[int, str], Any] = field(default_factory=dict, init=False, repr=False)
    """Guarded by `_lock`; the last used last."""

    @classmethod
    def open_folder(cls, folder: Path, source: DataSource, pattern: str = "**/*.parquet") -> "Table":
        """Raises DatasetError if pyarrow or the files are missing."""
        files = sorted(folder.glob(pattern)) if folder.is_dir() else [folder] if folder.suffix == ".parquet" else []
        if not files:
            raise source.build_missing_error(
                f"{folder} holds no {pattern.rsplit('/', 1)[-1]}", "the data set's parquet files"
            )
        table = cls(files, source)
        table._groups  # noqa: B018  # says at once what cannot be read
        return table

    def read_columns(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Every row's values of some columns, all of which must exist; for small columns."""
        self._check_columns(names)
        return [
            row for file, number in self._groups for row in file.read_row_group(number, columns=list(names)).to_pylist()
        ]

    def __len__(self) -> int:
        return sum(file.metadata.row_group(number).num_rows for file, number in self._groups)

    def find_present(self, column: str) -> list[bool]:
        """Find the rows that have a value: one bool per row."""
        self._check_columns([column])
        return [
            bool(there)
            for file, number in self._groups
            for there in file.read_row_group(number, columns=[column]).column(0).is_valid().to_pylist()
        ]

    def read_cell(self, row: int, column: str) -> Any:
        """One value, as Python has it."""
        group, place = self._locate_row(row)
        return self._read_column(group, column)[place].as_py()

    def read_array(self, row: int, column: str) -> np.ndarray:
        """A list of lists, as an array."""
        group, place = self._locate_row(row)
        rows = self._read_column(group, column)[place].values
        try:
            found = np.stack([np.asarray(line.values) for line in rows]) if len(rows) else np.zeros((0, 0), bool)
            if found.dtype.kind not in "biu":
                raise ValueError(f"its values are of type {found.dtype}")
            return found
        except (ValueError, TypeError, AttributeError) as error:
            raise self.source.build_broken_error(
                self.files[0],
                f"has in row {row} a `{column}` that is no list of equally long lists of true and false ({error})",
            ) from error

    @property
    def names(self) -> Sequence[str]:
        return list(self._groups[0][0].schema_arrow.names)

    def _check_columns(self, names: Sequence[str]) -> None:
        if absent := [name for name in names if name not in self.names]:
            raise self.source.build_broken_error(
                self.files[0], f"has the columns {', '.join(self.names)}, not {', '.join(absent)}"
            )

    @cached_property
    def _groups(self) -> list[tuple[Any, int]]:
        parquet = _import_parquet(self.source)
        try:
            files = [parquet.ParquetFile(path) for path in self.files]
        except (OSError, ValueError) as error:
            raise self.source.build_broken_error(
                self.files[0].parent, f"holds parquet files that cannot be read ({error})"
            ) from error
        return [(file, number) for file in files for number in range(file.num_row_groups)]

    @cached_property
    def _starts(self) -> np.ndarray:
        """int64: the first row of every row group."""
        sizes = [file.metadata.row_group(number).num_rows for file, number in self._groups]
        return np.concatenate([[0], np.cumsum(sizes)])[: len(sizes)].astype(np.int64)

    def _locate_row(self, row: int) -> tuple[int, int]:
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        return group, row - int(self._starts[group])

    def _read_column(self, group: int, column: str) -> Any:
        with self._lock:
            key = (group, column)
            if key not in self._cache:
                file, number = self._groups[group]
                self._cache[key] = self._read_group(file, number, column)
            self._cache[key] = self._cache.pop(key)
            while len(self._cache) > MAX_CACHED_GROUPS:
                self._cache.pop(next(iter(self._cache)))
            return self._cache[key]

    def _read_group(self, file: Any, number: int, column: str) -> Any:
        try:
            return file.read_row_group(number, columns=[column]).column(0)
        except (OSError, ValueError) as error:  # damaged behind a footer that is whole
            raise self.source.build_broken_error(
                self.files[0].parent, f"holds parquet files whose `{column}` cannot be read ({error})"
            ) from error


def has_parquet() -> bool:
    """Tell whether pyarrow is installed."""
    return find_spec("pyarrow") is not None


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table of one row group. It needs pyarrow. Raises OSError."""
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


def _import_parquet(source: DataSource) -> Any:
    try:
        from pyarrow import parquet  # not required: only these files need it
    except ImportError as error:
        raise DatasetError(
            f"{source.name}: parquet files need pyarrow, which is not installed; install it with:"
            " uv sync --inexact --extra parquet"
        ) from error
    return parquet
