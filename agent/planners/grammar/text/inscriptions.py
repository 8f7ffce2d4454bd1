"""Query to query: what has to be read in the picture, as in 'that says milk', becomes a mark that the lexer knows.

It is taken out before anything else is done with a query, since the text may hold any word, and quotes tell where it
ends. Without quotes it ends before a comma, and before what goes on with the noun: 'milk | left of the cup'.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.planners.grammar.text.inscription_patterns import (
    AND_SAYS,
    ANOTHER_QUOTED,
    AROUND,
    BEGINS_NO_NAME,
    BEGINS_NO_TEXT,
    HINT,
    JOINED,
    ON_IT,
    PERHAPS_GOES_ON,
    QUESTION,
    QUOTED,
    TRIGGERS,
    UNQUOTED,
    WITH_NUMBER,
    WRITTEN_ON,
    Trigger,
)
from agent.planners.grammar.vocabulary import ADJECTIVES

MARK = "\ua000"
"""The letter that a mark begins with: of a script that no English query is written in."""
MAX_TEXT = 200
"""Letters of a text to look for."""
MAX_TEXTS = 8
"""Of a query."""
MAX_LETTERS = 2000
"""A longer query is not parsed, so that no text is looked for in it."""


@dataclass(frozen=True)
class InscriptionMark:
    """What a mark stands for."""

    text: str
    negated: bool = False
    guessed: bool = False
    """Whether it had no quotes and could have been meant to end elsewhere."""

    def to_word(self) -> str:
        """Write it as a word of letters, which the rest of the grammar leaves as it is.

        >>> InscriptionMark("ok").to_word() == MARK + "agpgl"
        True
        """
        flags = self.negated + 2 * self.guessed
        return f"{MARK}{_LETTERS[flags]}{''.join(_LETTERS[int(digit, 16)] for digit in self.text.encode().hex())}"

    @classmethod
    def from_word(cls, word: str) -> "InscriptionMark":
        """Read a mark. Raises ValueError for what `to_word` never wrote.

        >>> InscriptionMark.from_word(InscriptionMark("No. 12", negated=True).to_word())
        InscriptionMark(text='No. 12', negated=True, guessed=False)
        """
        flags, *digits = [_LETTERS.index(letter) for letter in word.removeprefix(MARK)]
        text = bytes.fromhex("".join(f"{digit:x}" for digit in digits)).decode()
        return cls(text, bool(flags & 1), bool(flags & 2))


_LETTERS = "abcdefghijklmnop"


def mark_inscriptions(query: str) -> str:
    """Mark what has to be read.

    Args:
        query: Any text.

    Returns:
        The query with a mark for each text; as it is where nothing has to be read.

    >>> marked = mark_inscriptions("the bottle that says 'Oat Milk' left of the cup")
    >>> [InscriptionMark.from_word(word).text for word in marked.split() if word.startswith(MARK)]
    ['Oat Milk']
    >>> mark_inscriptions("the woman that reads a book")
    'the woman that reads a book'
    """
    done, rest = "", query
    for _ in range(MAX_TEXTS):
        if len(query) > MAX_LETTERS or not HINT.search(rest):
            break
        found = [*_find_around(done, rest), *_find_triggers(done, rest), *_find_verbs(done, rest)]
        if not found:
            break
        start, end, marks = min(found, key=lambda each: each[0])  # of what begins at one place, the first
        done, rest = f"{done}{rest[:start].rstrip(' ,')} {marks} ", rest[end:].lstrip()
    return (done + rest).strip() if done else query


_Found = tuple[int, int, str]
"""Where it begins and ends, and the marks in its place."""


def _find_around(done: str, rest: str) -> Iterator[_Found]:
    """Find the first text for each pattern of what stands around it."""
    for pattern in AROUND:
        for said in pattern.finditer(rest):
            text = _unquote(said["text"])
            if text is None and pattern is WRITTEN_ON and BEGINS_NO_NAME.match(said["text"]):
                continue  # "with a name written on it"
            if pattern is WITH_NUMBER and not _names_thing((done + rest[: said.start()]).split()):
                continue  # "replace the cup with the number 3"
            mark = InscriptionMark(said["text"].rstrip(".,:") if text is None else text, _is_negated(said))
            yield said.start(), said.end(), mark.to_word()
            break


def _find_triggers(done: str, rest: str) -> Iterator[_Found]:
    """Find the first text after each kind of words that one stands after."""
    for trigger in TRIGGERS:
        for said in trigger.pattern.finditer(rest):
            before, has_verb = (done + rest[: said.start()]).split(), _VERB.match(said[0])
            if trigger.follows_noun and not has_verb and not _ends_with_noun(before):
                continue
            if (read := _read_marks(rest, said, trigger)) is not None:
                yield said.start(), *read
                break


def _find_verbs(done: str, rest: str) -> Iterator[_Found]:
    """Find a text after a verb without 'that': '... and says milk', 'which bottle says milk'."""
    for said in AND_SAYS.pattern.finditer(rest):
        if (read := _read_marks(rest, said, AND_SAYS)) is not None:
            yield said.start(), read[0], f"{said['join']} {read[1]}"
            break
    question = None if done else QUESTION.pattern.match(rest)
    if question is not None and (read := _read_marks(rest, question, QUESTION)) is not None:
        yield question.start("verb"), *read


def _read_marks(rest: str, said: re.Match[str], trigger: Trigger) -> tuple[int, str] | None:
    """Return where the texts after a trigger end, and their marks; None where no text stands there."""
    end, negated = said.end(), _is_negated(said)
    if quoted := QUOTED.match(rest, end):
        marks, end = _read_quoted(rest, quoted, negated)
    elif trigger.quoted_only or BEGINS_NO_TEXT.match(rest, end) or (trigger.names and BEGINS_NO_NAME.match(rest, end)):
        return None
    elif plain := UNQUOTED.match(rest, end):
        text, end = plain[0].rstrip(".:"), plain.end()
        if not text or len(text) > MAX_TEXT or text.startswith(MARK):
            return None
        guessed = bool(JOINED.search(text) or (PERHAPS_GOES_ON.match(rest, end) and not ON_IT.match(rest, end)))
        marks = InscriptionMark(text, negated, guessed).to_word()
    else:
        return None
    on_it = ON_IT.match(rest, end)
    return (on_it.end() if on_it else end), marks


def _read_quoted(rest: str, quoted: re.Match[str], negated: bool) -> tuple[str, int]:
    """Return the marks of a quoted text and of those that are joined to it, and where they end."""
    marks, end = InscriptionMark(_unquote(quoted[0]) or "", negated).to_word(), quoted.end()
    while (joined := ANOTHER_QUOTED.match(rest, end)) and (another := QUOTED.match(rest, joined.end())):
        join = "or" if "or" in joined[1].casefold() else "and"
        marks += f" {join} {InscriptionMark(_unquote(another[0]) or '', negated).to_word()}"
        end = another.end()
    return marks, end


def _unquote(text: str) -> str | None:
    """Return what stands in quotes, shortened; None where there are none."""
    return " ".join(text[1:-1].split())[:MAX_TEXT] if QUOTED.fullmatch(text) else None


def _is_negated(said: re.Match[str]) -> bool:
    groups = said.groupdict()
    return bool(groups.get("not")) or (groups.get("with") or "").casefold() == "without"


def _names_thing(before: list[str]) -> bool:
    """Whether the words before a number end with a noun, and do not put something in the place of another."""
    return _ends_with_noun(before) and before[0].casefold() not in _EXCHANGES


def _ends_with_noun(before: list[str]) -> bool:
    """Whether a noun may stand last: 'the jar labelled …', but not 'the labelled jar'."""
    last = before[-1].casefold() if before else ""
    return bool(last) and last not in ADJECTIVES | _BEFORE_NOUN and not last.endswith("ly") and last[0] != MARK


_VERB = re.compile(r"that|which|is\b|are\b", re.IGNORECASE)
_EXCHANGES = {"replace", "swap", "exchange", "substitute", "change"}
_BEFORE_NOUN = {
    "the", "a", "an", "all", "every", "each", "both", "some", "any", "my", "your", "these", "those", "this", "that",
    "find", "show", "me", "segment", "of", "and", "or", "two", "three", "four", "five", "well", "not", "most", "many",
}  # fmt: skip
