"""Lists of phrases that the engine never asks about: those it ships, and a user's own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from agent.planners.grammar.nouns import to_singular
from engine.errors import EngineError
from sam3_tool.system.files import decode_text

MAX_BYTES = 4 * 2**20
"""Of a user's list."""
_PERSONS = "PERSON"
_WORD = re.compile(r"[^\W_]+")
_HEADS = "# heads"


@dataclass(frozen=True)
class BlockList:
    """Phrases that are never asked about, with the reason of each.

    >>> BlockList({("muslim",): "religion"}).find_reason("young muslim woman")
    "'muslim' is on the block list: religion"
    >>> BlockList({("black", "man"): "race"}).find_reason("man in black")
    ''
    """

    reasons: dict[tuple[str, ...], str]
    """Words in the singular -> why."""

    def find_reason(self, phrase: str) -> str:
        """Return why a phrase is blocked, as a part of a sentence; '' where it is not.

        Args:
            phrase: Any phrase; whole words of it are compared, in the singular.
        """
        words, said = _split_words(phrase), _WORD.findall(phrase.casefold())
        for start in range(len(words)):
            for end in range(start + 1, len(words) + 1):
                if reason := self.reasons.get(words[start:end]):
                    return f"{' '.join(said[start:end])!r} is on the block list: {reason}"
        return ""

    def extend(self, other: "BlockList") -> "BlockList":
        """Return a list of both; of two reasons, that of `other` counts."""
        return BlockList(self.reasons | other.reasons)


@dataclass(frozen=True)
class GroundableWords:
    """Words that name nothing with an outline.

    >>> GroundableWords(frozenset({"middle"}), frozenset({"mood"})).is_groundable("christmas mood")
    False
    """

    phrases: frozenset[str]
    """Not groundable where they are the whole phrase."""
    heads: frozenset[str]
    """Not groundable where a phrase ends in one."""

    def is_groundable(self, phrase: str) -> bool:
        """Whether a phrase may have an outline.

        Args:
            phrase: In the singular.
        """
        words = _split_words(phrase)
        return " ".join(words) not in self.phrases and not (words and words[-1] in self.heads)

    def extend(self, other: "GroundableWords") -> "GroundableWords":
        """Return a list of both."""
        return GroundableWords(self.phrases | other.phrases, self.heads | other.heads)


@cache
def load_block_list() -> BlockList:
    """Load the list that the engine ships.

    >>> load_block_list().find_reason("white men"), load_block_list().find_reason("white horse")
    ("'white men' is on the block list: race", '')
    """
    return parse_block_list(_read_shipped("blocked.txt"), "blocked.txt")


@cache
def load_groundable_words() -> GroundableWords:
    """Load the list that the engine ships.

    >>> load_groundable_words().is_groundable("middle"), load_groundable_words().is_groundable("cup")
    (False, True)
    """
    return parse_groundable_words(_read_shipped("not_groundable.txt"))


def read_block_list(path: Path) -> BlockList:
    """Read a user's block list.

    Raises:
        EngineError: The file cannot be read, or a line of it is no entry.
    """
    return parse_block_list(read_text_file(path, MAX_BYTES), path.name)


def read_groundable_words(path: Path) -> GroundableWords:
    """Read a user's list of words that name nothing with an outline. Raises EngineError."""
    return parse_groundable_words(read_text_file(path, MAX_BYTES))


def parse_block_list(text: str, name: str) -> BlockList:
    r"""Parse a block list.

    Args:
        text: One entry a line: words, `;`, the reason. What follows `#` at the start of a line is a remark.
        name: Of the file, for errors.

    Raises:
        EngineError: A line has no words.

    >>> parse_block_list("PERSON = man, woman\nold PERSON; age", "mine.txt").find_reason("old women")
    "'old women' is on the block list: age"
    """
    persons: tuple[str, ...] = ()
    reasons: dict[tuple[str, ...], str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.split("=")[0].strip() == _PERSONS:
            persons = tuple(to_singular(word.strip()) for word in line.partition("=")[2].split(","))
            continue
        entry, _, reason = line.partition(";")
        if not _split_words(entry):
            raise EngineError(f"line {number} of {name} has no words before ';'; write an entry as 'words; reason'")
        for words in _expand_persons(entry.split(), persons):
            reasons[words] = reason.strip() or "no reason is given"
    return BlockList(reasons)


def parse_groundable_words(text: str) -> GroundableWords:
    r"""Parse a list of words that name nothing with an outline: whole phrases, and after '# heads' last words.

    >>> parse_groundable_words("middle\n# heads\nmood").heads
    frozenset({'mood'})
    """
    phrases, _, heads = text.partition(_HEADS)
    return GroundableWords(frozenset(_list_lines(phrases)), frozenset(_list_lines(heads)))


def read_text_file(path: Path, max_bytes: int) -> str:
    """Read a user's text file of any Unicode encoding, with a byte-order mark or without.

    Raises:
        EngineError: It is missing, too large, no file, or in another encoding.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise EngineError(f"{path} has {size:,} bytes; at most {max_bytes:,} are read; give a smaller file")
        return decode_text(path.read_bytes())
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror or error}; give a text file") from error
    except UnicodeDecodeError as error:
        raise EngineError(f"{path} is not in UTF-8; save it so") from error


def _expand_persons(words: list[str], persons: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if _PERSONS not in words:
        yield _split_words(" ".join(words))
    for person in dict.fromkeys(persons) if _PERSONS in words else ():
        yield _split_words(" ".join(person if word == _PERSONS else word for word in words))


def _list_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield " ".join(_split_words(line))


def _split_words(phrase: str) -> tuple[str, ...]:
    return tuple(to_singular(word) for word in _WORD.findall(phrase.casefold()))


def _read_shipped(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
