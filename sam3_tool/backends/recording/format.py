"""A folder of recorded calls: one small JSON file per question, named by its content, with the answers to it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from sam3_tool.errors import RecordError
from sam3_tool.system.files import decode_json, write_atomically

FORMAT, VERSION = "sam3-agent recorded call", 1

Question = Mapping[str, Any]
"""A question as plain JSON values. Images stand in it by their key."""


def hash_question(question: Question) -> str:
    r"""The content hash of a question, in hexadecimal; the order of its fields does not matter.

    >>> hash_question({"a": 1, "b": "\ud83d"}) == hash_question({"b": "\ud83d", "a": 1})
    True
    """
    return sha256(json.dumps(question, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Recorder:
    """Writes calls down in the order in which their answers come. Safe to share between threads.

    The same question may be asked several times, and a model that draws by chance may answer it differently: its file
    then holds every answer that this recorder got, in order; one is enough while they are all the same. What an
    earlier recorder wrote about a question is replaced.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder. Raises RecordError if that fails."""
        self._folder = folder
        self._ask_counts: Counter[str] = Counter()
        self._lock = Lock()  # protects `_ask_counts`, and one question's file between being read and being written
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _to_recording_error(folder, error) from error

    def add_answer(self, question: Question, answer: Any) -> None:
        """Add an answer, plain JSON values, to those of the question. Raises RecordError if it cannot be written."""
        path = _get_recording_path(self._folder, question)
        with self._lock:
            before = _read_answers(path) if self._ask_counts[path.name] else []
            answers = _append_answer(json.loads(json.dumps(answer)), before, times=self._ask_counts[path.name])
            if answers != before:
                self._write_answers(path, question, answers)
            self._ask_counts[path.name] += 1

    def _write_answers(self, path: Path, question: Question, answers: Sequence[Any]) -> None:
        content = {"format": FORMAT, "version": VERSION, "asked": question, "answers": answers}
        try:
            write_atomically(path, (json.dumps(content, indent=1) + "\n").encode("ascii"))
        except OSError as error:
            raise _to_recording_error(self._folder, error) from error


class RecordingReader:
    """Reads calls back. Safe to share between threads.

    The k-th time that a question is asked it gets the k-th answer, and after the last the first again: an episode is
    repeated exactly, as often as one likes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ask_counts: Counter[str] = Counter()
        self._lock = Lock()  # protects `_ask_counts`

    def read_answer(self, question: Question) -> Any:
        """Return the next answer. Raises RecordError if there is none, or if its file cannot be used."""
        path = _get_recording_path(self._folder, question)
        answers = _read_answers(path)
        with self._lock:
            turn = self._ask_counts[path.name] % len(answers)
            self._ask_counts[path.name] += 1
        return answers[turn]


class AnswerCache:
    """Answers kept under the content of their questions, for whoever asks again.

    Safe between threads and processes.

    Of several answers to one question the first is kept. What is damaged counts as not there.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder. Raises RecordError if that fails."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _to_recording_error(folder, error) from error

    def get(self, question: Question) -> Any:
        """Return the answer, or None where there is none."""
        try:
            content = decode_json(self._get_path(question).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        known = isinstance(content, dict) and content.get("version") == VERSION
        return content.get("answer") if known else None

    def put(self, question: Question, answer: Any) -> None:
        """Keep an answer: plain JSON values, not None. Raises RecordError if it cannot be written."""
        path = self._get_path(question)
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, json.dumps({"version": VERSION, "answer": answer}).encode("ascii"))
        except OSError as error:
            raise RecordError(f"cannot write into the cache {self._folder}: {error.strerror or error}") from error

    def _get_path(self, question: Question) -> Path:
        key = hash_question(question)
        return self._folder / key[:2] / f"{key}.json"


def _get_recording_path(folder: Path, question: Question) -> Path:
    return folder / f"{hash_question(question)[:32]}.json"


def _append_answer(answer: Any, answers: list[Any], *, times: int) -> list[Any]:
    """Return what a file holds after one more answer.

    `times`: how many came before, of which equal ones were kept once.
    """
    if answers == [answer]:
        return answers
    return [*(answers * times if len(answers) == 1 else answers), answer]


def _read_answers(path: Path) -> list[Any]:
    """Return the answers of a file, at least one. Raises RecordError if there are none."""
    try:
        content = decode_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RecordError(f"{path.parent} holds no recording of this call ({path.name})") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"the recorded call {path} cannot be read: it is damaged or cut off") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RecordError(f"{path} is not a recorded call: it does not say format {FORMAT!r}")
    if content.get("version") != VERSION:
        raise RecordError(f"{path} has version {content.get('version')!r} of recorded calls; expected {VERSION}")
    answers = content.get("answers")
    if not isinstance(answers, list) or not answers:
        raise RecordError(f"the recorded call {path} is damaged: it holds no answer")
    return answers


def _to_recording_error(folder: Path, error: OSError) -> RecordError:
    return RecordError(f"cannot record into {folder}: {error.strerror or error}")
