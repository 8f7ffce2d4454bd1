"""Whether words that were read are the text that is looked for.

A text is a sequence of words. It is found where whole words that follow each other are the same: 'oat milk' is found in
'fresh OAT MILK 1 l', and 'milk' is not found in 'milkshake'. Spaces that were missed do not matter: 'NOPARKING' is 'no
parking'. There are four rules, from the strictest to the most lenient:

- exact: every letter, digit and accent, and its case; punctuation is left out.
- ignore_case: the same, whatever the case.
- number: for a text of digits, in every mode: equal numbers. '12' is found in 'No. 12', '12' and '012', and not in
  '112', '1.2' or '12a'.
- fuzzy: at most one letter in five is wrong, missing or too many. A digit that looks like a letter (0 and o, 1 and l or
  i, 5 and s, 8 and b) is no mistake. So a text of less than five letters has to be right but for such digits.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.tools.reading.lines import TextWord

Match = Literal["exact", "ignore_case", "fuzzy"]
"""How alike two texts must be, from the strictest to the most lenient."""
LETTERS_FOR_A_MISTAKE = 5
LOOKALIKES = frozenset({"0o", "o0", "1l", "l1", "1i", "i1", "5s", "s5", "8b", "b8"})

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""A character of a script without spaces, or a run of letters and digits."""
_NUMBER = re.compile(
    r"(?<![^\W_])(?<!\d[.,:])(?:(?:number|no|nr|num|n)(?=[\W\d]))?[\W_]*?(\d+(?:[.,:]\d+)*)(?![.,:]?[^\W_])",
    re.IGNORECASE,
)
"""A number that is no part of a longer word or number."""
_ONLY_NUMBER = re.compile(r"(?:(?:number|no|nr|num|n)\b)?[\W_]*(\d+(?:[.,:]\d+)*)[\W_]*", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")


@dataclass(frozen=True)
class FoundText:
    """Words that are the text that was looked for."""

    text: str
    """As it was read."""
    score: float
    """In [0, 1]: that of the least certain word."""
    mistakes: int = 0
    """Letters that are wrong, missing or too many."""


def find_text(wanted: str, words: Sequence[TextWord], *, match: Match = "fuzzy") -> FoundText | None:
    """Find a text among words.

    Args:
        wanted: What is looked for; digits alone are a number.
        words: What was read, in reading order.
        match: The most lenient rule that is allowed.

    Returns:
        The words that fit best, the first of equals; None where none fit, or where `wanted` has no letter or digit.

    >>> corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    >>> words = [TextWord(text, 0.9, corners) for text in ("Fresh", "OAT", "MI1K,", "No.", "112")]
    >>> find_text("oat milk", words)
    FoundText(text='OAT MI1K,', score=0.9, mistakes=0)
    >>> find_text("oat milk", words, match="ignore_case"), find_text("12", words)
    (None, None)
    """
    if number := _read_number(wanted):
        return _find_number(number, words)
    target = "".join(split_tokens(wanted))
    found = [run for run in _list_runs(words, len(split_tokens(wanted)) + 1, len(target)) if target]
    for run in found:
        same = run.joined == target if match == "exact" else run.joined.casefold() == target.casefold()
        if same:
            return run.to_found(0)
    if match != "fuzzy":
        return None
    allowed = len(target) // LETTERS_FOR_A_MISTAKE
    counted = [(count_mistakes(target.casefold(), run.joined.casefold(), allowed), run) for run in found]
    mistakes, best = min(counted, key=lambda pair: pair[0], default=(allowed + 1, None))
    return best.to_found(mistakes) if best is not None and mistakes <= allowed else None


def split_tokens(text: str) -> list[str]:
    """Split a text into words of letters and digits, without punctuation.

    >>> split_tokens("Don't-walk, \u725b\u5976 2")
    ['Don', 't', 'walk', '牛', '奶', '2']
    """
    return _TOKEN.findall(unicodedata.normalize("NFKC", text))


def count_mistakes(wanted: str, read: str, most: int) -> int:
    """Count the letters to change, add or leave out (Levenshtein's distance); `most` + 1 stands for any more.

    Args:
        wanted: Some text.
        read: Another one.
        most: The highest number of interest.

    >>> [count_mistakes(*pair, 1) for pair in [("milk", "mi1k"), ("chocolate", "chocolat"), ("tea", "coffee")]]
    [0, 1, 2]
    """
    if abs(len(wanted) - len(read)) > most:
        return most + 1
    row = list(range(len(read) + 1))
    for i, letter in enumerate(wanted, start=1):
        previous, row = row, [i]
        for j, other in enumerate(read, start=1):
            differs = letter != other and letter + other not in LOOKALIKES
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + differs))
    return min(row[-1], most + 1)


@dataclass(frozen=True)
class _Run:
    """Words that follow each other."""

    words: Sequence[TextWord]
    joined: str

    def to_found(self, mistakes: int) -> FoundText:
        return FoundText(" ".join(word.text for word in self.words), min(word.score for word in self.words), mistakes)


def _list_runs(words: Sequence[TextWord], longest: int, letters: int) -> Iterator[_Run]:
    """Yield the runs of up to `longest` words that have about as many letters as the text that is looked for."""
    tokens = ["".join(split_tokens(word.text)) for word in words]
    slack = letters // LETTERS_FOR_A_MISTAKE
    for start in range(len(words)):
        joined = ""
        for end in range(start, min(start + longest, len(words))):
            joined += tokens[end]
            if len(joined) > letters + slack:
                break
            if tokens[start] and tokens[end] and len(joined) >= letters - slack:
                yield _Run(words[start : end + 1], joined)


def _read_number(text: str) -> str:
    """Return the number that a text is: 'no. 12' and '012' are '12'; '' for any other text."""
    found = _ONLY_NUMBER.fullmatch(unicodedata.normalize("NFKC", text).strip())
    return _normalize_number(found[1]) if found else ""


def _normalize_number(digits: str) -> str:
    plain = digits.replace(",", "") if _THOUSANDS.fullmatch(digits) else digits
    return plain.lstrip("0") or "0"


def _find_number(number: str, words: Sequence[TextWord]) -> FoundText | None:
    for word in words:
        said = unicodedata.normalize("NFKC", word.text)
        if any(_normalize_number(found[1]) == number for found in _NUMBER.finditer(said)):
            return FoundText(word.text, word.score)
    return None
