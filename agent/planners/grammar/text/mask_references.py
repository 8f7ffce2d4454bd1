"""Plain text to plain text, in a conversation: what points at masks becomes a mark that the lexer knows."""

import re

from agent.planners.grammar.text.numerals import read_number
from agent.planners.grammar.vocabulary import NUMERALS


def mark_references(text: str) -> str:
    """Mark what points at masks of a conversation: '<3>', '<2_4>', '<them>', '<of_them>', '<it>', '<rest>'.

    `text`: as `normalize_query` gives it, which holds no angle bracket.

    >>> mark_references("the cups next to number 3, but none of them under 2 or 4")
    'the cups next to <3>, but none <of_them> under <2_4>'
    >>> mark_references("the largest of these and the others")
    'the largest <of_them> and <rest>'
    """
    for pattern, plain in _REFERRING:
        text = pattern.sub(plain, text)
    text = _NUMBERED.sub(_mark_numbers, text)
    return _BARE_NUMBERS.sub(_mark_numbers, text)


_NUMERAL = rf"(?:\d{{1,4}}|{'|'.join(NUMERALS)})"
_NUMBER_WORD = r"(?:numbers?|nr|no(?= \d)|masks?|ids?(?= \d)|(?:objects?|items?|instances?)(?= \d))"
_LIST = r"(?:, (?:and |or )?| and | or | to | through |_| )"
_NUMBERED = re.compile(
    rf"(?:\bthe )?\b{_NUMBER_WORD}(?: {_NUMBER_WORD})? ({_NUMERAL}(?:{_LIST}(?:{_NUMBER_WORD} )?{_NUMERAL})*)\b"
)
_AFTER_NO_RANK = "".join(f"(?<!{end} )" for end in ("est", "most", "first", "last", "top", "bottom", "left", "right"))
_BARE_NUMBERS = re.compile(
    r"(?<![\w<])"
    + _AFTER_NO_RANK
    + rf"(?:the )?(\d{{1,4}}(?:{_LIST}(?:{_NUMBER_WORD} )?\d{{1,4}})*)(?=$|,| and\b| or\b)"
)
"""Digits that no noun follows, and that count nothing: 'drop 2', 'left of 3 and 4', but not 'the largest 2'."""
_AFTER_THESE = (
    r"(?=$|,| (?:and|or|but|is|are|that|which|left|right|above|below|on|in|under|next|near|to|from|except)\b)"
)
_BEFORE_OF = "".join(
    f"(?<!{word} )"
    for word in ("left", "right", "top", "front", "side", "part", "inside", "middle", "center", "centre")
)
"""'Left of them' is a relation."""
_REFERRING = [
    (re.compile(pattern), plain)
    for pattern, plain in [
        # The order counts: possessives and "the rest" go before the pronouns in them.
        (r"\b(?:to|on|at) (?:its|his|her) (left|right)(?: side)?\b", r"\1 of it"),
        (r"\b(?:to|on|at) their (left|right)(?: side)?\b", r"\1 of them"),
        (r"\b(?:the )?(?:rest|remainder)(?: of (?:them|these|those|it|the (?:masks|answer|selection)))?\b", "<rest>"),
        (r"\b(?:all )?(?:of )?(?:the )?others\b|\b(?:everything|all|the ones) else\b", "<rest>"),
        (r"\bthe remaining(?: (ones))?(?=$|,)", "<rest>"),
        (rf"\b(?:other|remaining) (?!one\b)({_NUMERAL})\b(?! of\b)", r"\1 <rest>"),
        (r"\b(?:other|remaining)\b(?! than\b)", "<rest>"),
        (rf"\b(?:all|both|each|any) of (?:them\b|(?:these|those){_AFTER_THESE})", "<them>"),
        (rf"{_BEFORE_OF}\b(?:of|among|amongst|from|out of) (?:them\b|(?:these|those){_AFTER_THESE})", "<of_them>"),
        (r"(?<![<_])\b(?:them|they)(?: all)?\b|\b(?:these|those)(?=$|,| and\b| or\b)", "<them>"),
        (r"\b(?:this|that) (?:one|mask)\b(?! that\b)|\b(?:it|him|he|she)\b|\b(?:this|that)(?=$|,)", "<it>"),
        # "are any of them red" becomes "of them are red", which the grammar has
        (r"^(is|are|was|were) (?:(?:any|some|one) )?(<it>|<them>|<of_them>) ", r"\2 \1 "),
    ]
]


def _mark_numbers(match: re.Match[str]) -> str:
    """Return the mark of a list of numbers.

    >>> _mark_numbers(re.match(r"(.*)", "two to 4, 7"))
    '<2_3_4_7>'
    """
    numbers: list[int] = []
    up_to = False
    for word in re.findall(rf"{_NUMERAL}|to\b|through|_", match[1]):
        # "2 to 4" and "2-4" are runs
        if word in ("to", "through", "_"):
            up_to = True
            continue
        number = read_number(word)
        if up_to:
            numbers[-1:] = _list_span(numbers[-1], number)
        else:
            numbers.append(number)
        up_to = False
    return f"<{'_'.join(map(str, numbers))}>"


def _list_span(one: int, other: int) -> range:
    """Return both and what is between them, ascending; 101 numbers at most.

    >>> list(_list_span(2, 4)), list(_list_span(4, 2)), list(_list_span(3, 3))
    ([2, 3, 4], [2, 3, 4], [3])
    """
    first, last = sorted((one, other))
    return range(first, last + 1)[:101]
