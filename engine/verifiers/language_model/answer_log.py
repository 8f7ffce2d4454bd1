"""Answers of a language model, one a line in a file: what was asked under which letters, and what it chose.

The file is the record of the run, what a run that goes on need not ask again, and what `recorded:FILE` replays.
"""

import logging
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Literal

from pydantic import ValidationError

from engine.errors import EngineError
from engine.pairs import EngineValue, Score
from sam3_tool.masks.rle import RleMask

log = logging.getLogger(__name__)


class SavedAnswer(EngineValue):
    """One answer of a model.

    >>> SavedAnswer(item="36d6", stage="mv", phrase="cup", turn=0, order=("reject", "accept"), letter="B",
    ...             choice="accept", by="model:openai:m@5d", seconds=0.5, at=0.0).odds is None
    True
    """

    item: str
    """What was asked about: `make_item_key`."""
    image: str = ""
    """Its key, by which `engine forget` finds the line."""
    stage: Literal["mv", "ev"]
    phrase: str
    turn: int
    """Of several answers about one thing, which: each has the choices under other letters."""
    turns: int = 1
    """How many there are of them in all, where no odds are told."""
    order: tuple[str, ...]
    """The choices under A, B, C …"""
    letter: str
    choice: str
    odds: dict[str, Score] | None = None
    """Choice -> probability, where the server tells it."""
    by: str
    """"model:NAME@HASH": the model, and the hash of the question's texts."""
    seconds: float
    tokens: int = 0
    """Of the question and the reply."""
    at: float
    """Seconds since 1970."""


def make_item_key(stage: str, image: str, phrase: str, masks: Sequence[RleMask]) -> str:
    """Return the key of what is judged: 32 hexadecimal digits of image, phrase and masks.

    >>> make_item_key("mv", "5d", "cup", [])[:8]
    '91dbf687'
    """
    parts = [stage, image, phrase, *(f"{mask.size}{mask.counts}" for mask in masks)]
    return blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()


class AnswerLog:
    """A file of answers. Threads may share it; one process writes.

    Args:
        path: The file, which is made with the first answer.

    Raises:
        EngineError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._answers: dict[tuple[str, str, int], SavedAnswer] = {}
        for answer in read_answers(path) if path.exists() else ():
            self._keep(answer)

    def __len__(self) -> int:
        return len(self._answers)

    def find_answer(self, by: str, item: str, turn: int) -> SavedAnswer | None:
        """Return the answer of a model about something; None where it has not been asked.

        Args:
            by: The model and the hash of its texts; "" takes anybody's latest answer.
            item: What was asked about.
            turn: Which of several answers.
        """
        return self._answers.get((by, item, turn))

    def append(self, answers: Sequence[SavedAnswer]) -> None:
        """Write answers, each once.

        Raises:
            EngineError: They cannot be written.
        """
        with self._lock:
            lines = "".join(f"{answer.model_dump_json(exclude_defaults=True)}\n" for answer in answers)
            try:
                _append_text(self.path, lines)
            except OSError as error:
                raise EngineError(
                    f"cannot write {self.path}: {error.strerror or error}; the answers before are kept, make room and"
                    " run again"
                ) from error
            for answer in answers:
                self._keep(answer)

    def _keep(self, answer: SavedAnswer) -> None:
        self._answers[answer.by, answer.item, answer.turn] = answer
        self._answers["", answer.item, answer.turn] = answer


def read_answers(path: Path) -> Iterator[SavedAnswer]:
    """Yield the answers of a file. A last line that was not finished is passed over.

    Raises:
        EngineError: The file cannot be read, or another line of it is no answer.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror or error}; give a file of answers") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield SavedAnswer.model_validate_json(line)
        except ValidationError as error:
            if number == len(lines):
                log.warning("the last line of %s was not finished, so it does not count", path)
                return
            raise EngineError(f"line {number} of {path} is no answer of a model; take it out") from error


def _append_text(path: Path, text: str) -> None:
    """Append whole lines; an unfinished last line, which a kill left, is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if end := file.seek(0, 2):
            file.seek(end - 1)
            if file.read(1) != b"\n":
                content = path.read_bytes()
                file.truncate(content.rfind(b"\n") + 1)
        file.write(text.encode("utf-8", "replace"))
        file.flush()
