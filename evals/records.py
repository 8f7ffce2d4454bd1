"""A run's folder: its manifest, and one line per finished sample, appended the moment it is done."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from threading import Lock
from urllib.parse import quote

from pydantic import ValidationError

from evals.manifest import Manifest, RunError
from evals.samples import Prediction

MOST_LETTERS = 150
"""Of a sample's id in a file name."""


class RunFolder:
    """Append-only, and whole after any crash. Safe to share between threads; one process at a time writes."""

    def __init__(self, path: Path) -> None:
        """An existing run, to read. Raises RunError where there is none."""
        self.path = path
        self.manifest = Manifest.load(path / "manifest.json")
        self._lock = Lock()  # protects the end of samples.jsonl

    @classmethod
    def start(cls, path: Path, manifest: Manifest) -> "RunFolder":
        """The run at `path`: a new one, or the one to go on with. Raises RunError if that was made otherwise."""
        if not (path / "manifest.json").exists():
            try:
                path.mkdir(parents=True, exist_ok=True)
                manifest.save(path / "manifest.json")
            except OSError as error:
                raise RunError(f"cannot write into {path}: {error.strerror or error}") from error
        run = cls(path)
        if differing := run.manifest.differences(manifest):
            raise RunError(f"{path} holds another run ({'; '.join(differing)}); choose another folder for this one")
        run._cut_torn_line()
        return run

    @property
    def lines(self) -> Path:
        return self.path / "samples.jsonl"

    def predictions(self) -> Mapping[str, Prediction]:
        """Every finished sample's prediction, by id. Raises RunError for a line that cannot be read."""
        if not self.lines.exists():
            return {}
        found = {}
        # not str.splitlines, which also splits at U+2028 inside a query
        for number, line in enumerate(self.lines.read_bytes().split(b"\n")[:-1], start=1):
            prediction = self._read(number, line)
            found[prediction.id] = prediction
        return found

    def _read(self, number: int, line: bytes) -> Prediction:
        try:
            return Prediction.model_validate_json(line)
        except ValidationError as error:
            what = error.errors(include_url=False)[0]["msg"]
            raise RunError(
                f"{self.lines}, line {number} is damaged ({what}); delete that line, and its sample runs again"
            ) from error

    def append(self, prediction: Prediction) -> None:
        line = prediction.model_dump_json().encode("utf-8", "replace") + b"\n"
        with self._lock, self.lines.open("ab") as file:
            file.write(line)

    def _cut_torn_line(self) -> None:
        """A crash can leave the last line unfinished; its sample runs again."""
        if self.lines.exists():
            with self.lines.open("rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)


def file_name(sample_id: str) -> str:
    """A sample's id as a file name: whatever it holds, it names one file inside the folder.

    >>> file_name("val/1 a"), file_name("..")
    ('val%2F1%20a', '%2E%2E')
    """
    quoted = quote(sample_id, safe="")
    if len(quoted) > MOST_LETTERS:
        return f"{quoted[:MOST_LETTERS]}-{sha256(sample_id.encode()).hexdigest()[:16]}"
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")
