"""A run's folder: its manifest, and one line per finished sample, appended the moment it is done."""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Self
from urllib.parse import quote

from filelock import FileLock, Timeout
from pydantic import ValidationError

from evals.errors import RunError
from evals.runs.manifest import Manifest
from evals.samples import Prediction
from sam3_tool.masks.rle import check_runs
from sam3_tool.system.files import decode_text, write_atomically

MAX_NAME_LENGTH = 150
"""Characters of a sample's id in a file name."""


class RunFolder:
    """Append-only, and whole after any crash. Safe to share between threads; one process at a time writes."""

    def __init__(self, path: Path) -> None:
        """An existing run, to read. Raises RunError where there is none."""
        self.path = path
        self.manifest = Manifest.load(path / "manifest.json")
        self._lock = Lock()  # protects the end of samples.jsonl
        self._process_lock: FileLock | None = None

    @classmethod
    def start(cls, path: Path, manifest: Manifest) -> Self:
        """The run at `path`: a new one, or the one to go on with; nobody else can write into it until it is closed.

        Raises RunError if it was made otherwise, or if another process is at work in it.
        """
        process_lock = _lock_folder(path)
        try:
            if not (path / "manifest.json").exists():
                manifest.save(path / "manifest.json")
            run = cls(path)
            if differing := run.manifest.find_differences(manifest):
                raise RunError(f"{path} holds another run ({'; '.join(differing)}); choose another folder for this one")
            run._cut_torn_line()
        except BaseException:
            process_lock.release()
            raise
        run._process_lock = process_lock
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process_lock is not None:
            self._process_lock.release()

    @property
    def samples_path(self) -> Path:
        return self.path / "samples.jsonl"

    def get_trace_path(self, sample_id: str) -> Path:
        """The file of a sample's episode, without its image."""
        return self.path / "traces" / f"{encode_file_name(sample_id)}.json"

    def get_page_path(self, sample_id: str) -> Path:
        return self.path / "pages" / f"{encode_file_name(sample_id)}.html"

    def write_file(self, name: str, content: bytes) -> None:
        """A file of the run, whole or not at all. Raises RunError."""
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as error:
            raise build_write_error(self.path, error) from error

    def load_predictions(self) -> Mapping[str, Prediction]:
        """Every finished sample's latest prediction, by id. Raises RunError for a line that cannot be read."""
        return {prediction.id: prediction for prediction in self.load_attempts()}

    def load_attempts(self) -> list[Prediction]:
        """One per line: a sample that was tried again after a failure has several, the latest last."""
        if not self.samples_path.exists():
            return []
        # not str.splitlines, which also splits at U+2028 inside a query
        lines = _read_as_utf8(self.samples_path).split(b"\n")[:-1]
        return [self._parse_line(number, line) for number, line in enumerate(lines, start=1)]

    def _parse_line(self, number: int, line: bytes) -> Prediction:
        try:
            prediction = Prediction.model_validate_json(line)
            for mask in prediction.masks:
                check_runs(mask)
            prediction.load_masklets()
            return prediction
        except ValueError as error:
            what = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
            raise RunError(
                f"{self.samples_path}, line {number} is damaged ({what}); delete that line, and its sample runs again"
            ) from error

    def append(self, prediction: Prediction) -> None:
        """Raises RunError if it cannot be written."""
        line = prediction.model_dump_json().encode("utf-8", "replace") + b"\n"
        try:
            with self._lock, self.samples_path.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise build_write_error(self.path, error) from error

    def _cut_torn_line(self) -> None:
        """A crash can leave the last line unfinished; its sample runs again."""
        if self.samples_path.exists():
            if (content := _read_as_utf8(self.samples_path)) != self.samples_path.read_bytes():
                self.write_file(self.samples_path.name, content)
            with self.samples_path.open("rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)


def _read_as_utf8(path: Path) -> bytes:
    """A file's content; in UTF-8, without a byte-order mark, if an editor saved it otherwise."""
    content = path.read_bytes()
    if not content.startswith((BOM_UTF8, BOM_UTF16_LE, BOM_UTF16_BE)):
        return content
    return decode_text(content, "replace").encode("utf-8", "replace")


def _lock_folder(path: Path) -> FileLock:
    """Lock a run's folder. The system takes the lock back when the process ends, however that ends."""
    lock = FileLock(path / ".lock", timeout=0, thread_local=False)  # whichever thread closes the run may release it
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunError(f"another process is at work in {path}; wait until it is done, or end it") from error
    except OSError as error:
        raise build_write_error(path, error) from error
    return lock


def build_write_error(path: Path, error: OSError) -> RunError:
    return RunError(f"cannot write into {path}: {error.strerror or error}")


def encode_file_name(sample_id: str) -> str:
    """A sample's id as a file name: whatever it holds, it names one file inside the folder.

    >>> encode_file_name("val/1 a"), encode_file_name("..")
    ('val%2F1%20a', '%2E%2E')
    """
    quoted = quote(sample_id, safe="")
    if len(quoted) > MAX_NAME_LENGTH:
        return f"{quoted[:MAX_NAME_LENGTH]}-{sha256(sample_id.encode()).hexdigest()[:16]}"
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")
