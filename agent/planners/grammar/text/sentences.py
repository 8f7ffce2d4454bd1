"""Text to sentences: what a later sentence does with what the first one asks for."""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Sentence:
    """One sentence of a query."""

    text: str
    """What it names: 'the red ones'."""
    change: Literal["new", "add", "remove", "keep"] = "new"
    """What becomes of what the sentences before it ask for."""


def split_sentences(query: str) -> list[Sentence]:
    """Return the sentences of a query, if each one after the first speaks of what was asked for before it.

    Args:
        query: Any text. A list, as 'dog. cat.', is one sentence.

    >>> split_sentences("The cups. Not the red ones. Also the plate.")[1:]
    [Sentence(text='the red ones', change='remove'), Sentence(text='the plate', change='add')]
    >>> split_sentences("Stars, please. They should be red.")[1:]
    [Sentence(text='the ones that are red', change='keep')]
    >>> len(split_sentences("dog. cat."))
    1
    """
    first, *others = [text for text in _END.split(query.strip()) if re.search(r"\w", text)] or [query]
    others = [text for text in others if not _IDLE.fullmatch(text.strip(" .!?").casefold())]
    if len(others) == 1 and _DENIED.match(first.casefold()) and not _read_change(others[0].casefold()):
        return [Sentence(others[0])]  # "Not the circles. The stars."
    if not re.search(r"[^\W\d_]{2}", first):  # "1. the striped ones"
        return [Sentence(query)]
    changes = [_read_change(text.strip(" .!?;").casefold().replace("\u2019", "'")) for text in others]
    following = [change for change in changes if change is not None]
    return [Sentence(first), *following] if len(following) == len(others) else [Sentence(query)]


def _read_change(text: str) -> Sentence | None:
    """Return what a sentence does with what was said before it; None where it stands for itself."""
    if found := _THEN.match(text):
        return _read_change(text[found.end() :]) or Sentence(text[found.end() :], "add")
    if found := _WHICH.match(text):
        return Sentence(f"the ones that {found['verb']} {text[found.end() :].strip()}", "keep")
    for pattern, change in _OPENINGS:
        if found := pattern.match(text):
            rest = text[found.end() :].strip(" ,")
            rest = _TOO.sub("", rest) if change == "add" else rest
            return Sentence(rest, change) if rest else None
    if found := _SAID_OF_THEM.match(text):
        verb = "are not" if found["no"] or found["not"] else "are"
        return Sentence(f"the ones that {verb} {text[found.end() :].strip()}", "keep")
    if _ONES.match(_LAST_ONLY.sub("", text)):
        return Sentence(_LAST_ONLY.sub("", text), "keep")
    return None


_END = re.compile(
    r"(?<=[\w)\"'])\s*[.!?;]+\s+(?=\w)|\s*\n+\s*(?=(?:[Nn]ot|[Oo]nly|[Bb]ut|[Aa]lso)\b)"
    r"|(?<=\w),? (?=but (?:only|just) |and (?:only|just) (?:the|those|these)\b)"
)
_IDLE = re.compile(
    r"(?:where (?:is|are) (?:it|they|that|those)(?: located)?|(?:please )?(?:find|show me|select|mark) (?:it|them|that)"
    r"|(?:i want |i mean )?(?:all|each|every(?: single)? one) of (?:it|them))(?:,? please)?"
)
"""A sentence that asks for what was named before it, and says no more."""
_DENIED = re.compile(r"(?:no,? )?not (?:the|those|these|any)\b|(?:i )?(?:do not|don't|dont) (?:want|need|mean)\b")
_THEN = re.compile(r"(?:and )?(?:then|next|after that|afterwards|finally),? (?=\w)(?!to\b)")
_WHICH = re.compile(r"which(?: ones?| of (?:them|these|those))? (?P<verb>is|are)(?: the(?= \w+(?:est|most)\b))? (?=\w)")
_VERB = r"(?:take|show|select|want|count|need|mark|segment|include)"
_REMOVING = re.compile(
    r"(?:(?:but|and),? )?(?:please,? )?(?:not|without|except(?:ing)?(?: for)?|excluding|minus|leave out|skip"
    rf"|ignore|exclude|omit|(?:i )?(?:do not|don't|dont) {_VERB})\b(?! only\b)"
)
_KEEPING = re.compile(r"(?:(?:but|and),? )?(?:please,? )?(?:only|just)\b")
_ADDING = re.compile(
    r"(?:oh,? )?(?:and also|also|plus|additionally|as well as|and)\b(?! (?:how|what|where|who|which|then)\b)"
)
_OPENINGS: list[tuple[re.Pattern[str], Literal["add", "remove", "keep"]]] = [
    (_REMOVING, "remove"),
    (_KEEPING, "keep"),
    (_ADDING, "add"),
]
_TOO = re.compile(r",? (?:too|as well)$")
_SAID_OF_THEM = re.compile(
    r"(?:they|it|those|these) (?:all )?"
    r"(?:(?:should|must|(?:have|has|needs?) to|ought to)(?P<no> not)? be|(?:are|is)(?P<not> not)?)\b"
)
_LAST_ONLY = re.compile(r",? (?:only|alone|please)$")
_ONES = re.compile(
    r"(?:i (?:mean|meant|want|need) )?(?:the|those|these|all(?: the)?|any)(?: [\w-]+){0,4} ones?\b"
    r"|those (?:on|in|at|near|left|right|above|below|that|which)\b"
)
"""A sentence about what was named before: 'the two red ones', 'those on the left'."""
