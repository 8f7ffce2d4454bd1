"""`results.jsonl`: one line of JSON for each of many images and videos that were asked about."""

from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict

from agent.records.base import Text
from agent.report.result import Result

ROWS_FILE = "results.jsonl"


class Row(BaseModel):
    """What came of one image or video among many."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    source: Text
    """Its path or URL, as it was named or found."""
    folder: str | None = None
    """The folder of its files, beside results.jsonl; null where there is no answer."""
    error: Text | None = None
    """Why there is no answer; null where there is one."""
    result: Result | None = None
    """The answer, as in result.json."""

    def to_json(self) -> str:
        """Return one line of JSON, without the line break at its end."""
        has_warnings = self.result is not None and self.result.warnings
        return self.model_dump_json(exclude=None if has_warnings else {"result": {"warnings"}})


class RowWriter:
    """Write the rows of a folder, each as soon as it is there, so that a run that is killed keeps those before it.

    Args:
        folder: It is made where it is missing. An earlier run's rows in it are replaced.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / ROWS_FILE).open("w", encoding="utf-8")

    def append(self, row: Row) -> None:
        """Write a row. Raises OSError."""
        self._file.write(row.to_json() + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
