"""A run's folder: its manifest, and one line per finished sample, appended the moment it is done."""

import fcntl
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import IO, Self
from urllib.parse import quote

from pydantic import ValidationError

from evals.manifest import Manifest, RunError
from evals.samples import Prediction
from sam3_tool.files import write_whole

MOST_LETTERS = 150
"""Of a sample's id in a file name."""


class RunFolder:
    """Append-only, and whole after any crash. Safe to share between threads; one process at a time writes."""

    def __init__(self, path: Path) -> None:
        """An existing run, to read. Raises RunError where there is none."""
        self.path = path
        self.manifest = Manifest.load(path / "manifest.json")
        self._lock = Lock()  # protects the end of samples.jsonl
        self._mine: IO[bytes] | None = None

    @classmethod
    def start(cls, path: Path, manifest: Manifest) -> Self:
        """The run at `path`: a new one, or the one to go on with; nobody else can write into it until it is closed.

        Raises RunError if it was made otherwise, or if another process is at work in it.
        """
        mine = _claim(path)
        try:
            if not (path / "manifest.json").exists():
                manifest.save(path / "manifest.json")
            run = cls(path)
            if differing := run.manifest.differences(manifest):
                raise RunError(f"{path} holds another run ({'; '.join(differing)}); choose another folder for this one")
            run._cut_torn_line()
        except BaseException:
            mine.close()
            raise
        run._mine = mine
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._mine is not None:
            self._mine.close()

    @property
    def lines(self) -> Path:
        return self.path / "samples.jsonl"

    def trace(self, sample_id: str) -> Path:
        """The file of a sample's episode, without its picture."""
        return self.path / "traces" / f"{file_name(sample_id)}.json"

    def page(self, sample_id: str) -> Path:
        return self.path / "pages" / f"{file_name(sample_id)}.html"

    def write(self, name: str, content: bytes) -> None:
        """A file of the run, whole or not at all. Raises RunError."""
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def predictions(self) -> Mapping[str, Prediction]:
        """Every finished sample's latest prediction, by id. Raises RunError for a line that cannot be read."""
        return {prediction.id: prediction for prediction in self.attempts()}

    def attempts(self) -> list[Prediction]:
        """One per line: a sample that was tried again after a failure has several, the latest last."""
        if not self.lines.exists():
            return []
        # not str.splitlines, which also splits at U+2028 inside a query
        lines = self.lines.read_bytes().split(b"\n")[:-1]
        return [self._read(number, line) for number, line in enumerate(lines, start=1)]

    def _read(self, number: int, line: bytes) -> Prediction:
        try:
            return Prediction.model_validate_json(line)
        except ValidationError as error:
            what = error.errors(include_url=False)[0]["msg"]
            raise RunError(
                f"{self.lines}, line {number} is damaged ({what}); delete that line, and its sample runs again"
            ) from error

    def append(self, prediction: Prediction) -> None:
        """Raises RunError if it cannot be written."""
        line = prediction.model_dump_json().encode("utf-8", "replace") + b"\n"
        try:
            with self._lock, self.lines.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _cut_torn_line(self) -> None:
        """A crash can leave the last line unfinished; its sample runs again."""
        if self.lines.exists():
            with self.lines.open("rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)


def _claim(path: Path) -> IO[bytes]:
    """The lock on a run's folder, which the system takes back when the process ends, however that ends."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("ab")
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise RunError(f"another process is at work in {path}; wait until it is done, or end it") from error
    return lock


def unwritable(path: Path, error: OSError) -> RunError:
    return RunError(f"cannot write into {path}: {error.strerror or error}")


def file_name(sample_id: str) -> str:
    """A sample's id as a file name: whatever it holds, it names one file inside the folder.

    >>> file_name("val/1 a"), file_name("..")
    ('val%2F1%20a', '%2E%2E')
    """
    quoted = quote(sample_id, safe="")
    if len(quoted) > MOST_LETTERS:
        return f"{quoted[:MOST_LETTERS]}-{sha256(sample_id.encode()).hexdigest()[:16]}"
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")
