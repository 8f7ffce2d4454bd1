"""Which words a small checkpoint was taught."""

import re
from collections.abc import Iterable
from pathlib import Path

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.backends.transformers.files.checkpoint import format_one_line
from sam3_tool.errors import CheckpointError
from sam3_tool.system.files import decode_json

_FILE = "vocabulary.json"
_LETTERS = re.compile(r"[^\W\d_]+")
_POSSESSIVE = re.compile(r"(?<=\w)['\N{RIGHT SINGLE QUOTATION MARK}]s\b")
_SMALL_WORDS = frozenset({"a", "an", "the", "of", "and", "or", "with", "in", "on"})
_IRREGULAR = {
    "children": "child", "feet": "foot", "geese": "goose", "mice": "mouse", "people": "person", "teeth": "tooth",
}  # fmt: skip
_PLURAL_ENDINGS = (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man"))


class Vocabulary:
    """The words of a checkpoint whose vocabulary is closed.

    >>> Vocabulary(["dog", "grapes", "coffee cup"]).find_unknown_words("Two dogs, a grape and three giraffes")
    ['Two', 'three', 'giraffes']
    >>> Vocabulary(["dog"]).find_unknown_words("dog's bowl")
    ['bowl']
    """

    def __init__(self, words: Iterable[str]) -> None:
        spelled = (word for entry in words for word in _split_words(entry))
        self._known_forms = frozenset(form for word in spelled for form in _list_forms(word))

    @classmethod
    def from_folder(cls, folder: Path) -> "Vocabulary | None":
        """Read `vocabulary.json` ({"words": [...]}) of a checkpoint. None means that there is none: any word may do.

        Raises `CheckpointError` if the file is damaged.
        """
        file = folder / _FILE
        try:
            return cls(decode_json(file.read_bytes())["words"]) if file.is_file() else None
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise CheckpointError(
                f'{file} cannot be read: {format_one_line(error)}; expected {{"words": [...]}}. {WORKS_NOW}'
            ) from error

    def find_unknown_words(self, phrase: str) -> list[str]:
        """Return the words of the phrase, as written, that are not known in singular or plural.

        Small words do not count.
        """
        return [word for word in _split_words(phrase) if _list_forms(word).isdisjoint(self._known_forms | _SMALL_WORDS)]


def _split_words(text: str) -> list[str]:
    return _LETTERS.findall(_POSSESSIVE.sub("", text))


def _list_forms(word: str) -> frozenset[str]:
    """Return the word in lower case, and every singular it may be the plural of: too many rather than too few."""
    lower = word.casefold()
    singulars = {lower.removesuffix(end) + new for end, new in _PLURAL_ENDINGS if lower.endswith(end)}
    return frozenset({lower, _IRREGULAR.get(lower, lower), *singulars})
