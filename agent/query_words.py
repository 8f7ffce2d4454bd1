"""From a query's text to words that its grammar can tell apart: plain text, then tokens retagged by neighbours."""

import re
import unicodedata
from collections.abc import Iterator

from lark import Token


def tidy(query: str) -> str:
    """Lower case, plain spacing and punctuation, contractions written out, 'in the picture' left out.

    >>> tidy("Show me the left-most cup, that isn't RED, in this picture!")
    'show me the left most cup, that is not red'
    """
    text = unicodedata.normalize("NFKC", query).casefold().replace("\u2019", "'")
    for pattern, plain in _TIDYING:
        text = pattern.sub(plain, text)
    return text.strip(" ,")


_SIDES = r"(?:left|right|top|bottom|upper|lower|cent(?:er|re)|middle)"
_ORDINALS = r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:st|nd|rd|th))"
_PICTURES = r"(?:picture|image|photo|photograph|scene|screenshot|canvas|view|frame)"
_TIDYING = [
    (re.compile(pattern), plain)
    for pattern, plain in [
        (r"\b(is|are|was|were|do|does|did|can|could)n'?t\b", r"\1 not"),
        (r"\b(that|what)s\b", r"\1 is"),
        (r"\bcan not\b", "cannot"),
        (r"\b(what|where|that|who|which|there|it|here)'s\b", r"\1 is"),
        (r"\bi'd\b", "i would"),
        (r"\b(?:i|you|we)'(?:m|re|ve|ll)\b", "i am"),
        (r"&", " and "),
        (r"(?<=\d)\.(?=\d)", "_"),
        (r"[.;:?!()\[\]{}/\u2013\u2014]|--+", " , "),
        (rf"\b({_SIDES})-(?=(?:left|right|most|hand|side)\b)", r"\1 "),
        (rf"\b({_ORDINALS})-(?=\w+(?:est|most)\b)", r"\1 "),
        (r"\boutside(?: of)? (?=(?:the|a|an|all|any|every|each|both|this|that)\b)", "not inside "),
        (r"\bin the (?:middle|cent(?:er|re)) of (?=(?:the )?two\b)", "between "),
        (r"\bout of (?=(?:the|all)\b)", "of "),
        (r"\bnon-|\bun(?=(?:striped|dotted|spotted|patterned|colou?red)\b)", "non "),
        (r"(?<=\w)-(?=\w)", "_"),
        (r"[^\w',]", " "),
        (r"(?<!\w)'|'(?!\w)", " "),
        (rf"\b(?:in|of|on|from|within|across) (?:the|this|that|my|your) (?:whole |entire |given )?{_PICTURES}\b", " "),
        (r"\s+", " "),
        (r"(?: ?,)+ ?", ", "),
    ]
]


def refer(text: str) -> str:
    """With what points at masks of a conversation marked: '<3>', '<2_4>', '<them>', '<of_them>', '<it>', '<rest>'.

    `text`: as `tidy` gives it, which holds no angle bracket.

    >>> refer("the cups next to number 3, but none of them under 2 or 4"), refer("the largest of these and the others")
    ('the cups next to <3>, but none <of_them> under <2_4>', 'the largest <of_them> and <rest>')
    """
    for pattern, plain in _REFERRING:
        text = pattern.sub(plain, text)
    text = _NUMBERED.sub(_numbers_marked, text)
    return _BARE_NUMBERS.sub(_numbers_marked, text)


_COUNTING = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NUMERAL = rf"(?:\d{{1,4}}|{'|'.join(_COUNTING)})"
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
        (r"^(is|are|was|were) (?:(?:any|some|one) )?(<it>|<them>|<of_them>) ", r"\2 \1 "),
    ]
]


def _numbers_marked(match: re.Match[str]) -> str:
    """
    >>> _numbers_marked(re.match(r"(.*)", "two to 4, 7"))
    '<2_3_4_7>'
    """
    numbers: list[int] = []
    up_to = False
    for word in re.findall(rf"{_NUMERAL}|to\b|through|_", match[1]):
        if word in ("to", "through", "_"):
            up_to = True
            continue
        number = _COUNTING.index(word) + 1 if word in _COUNTING else int(word)
        if up_to:
            numbers[-1:] = _range(numbers[-1], number)
        else:
            numbers.append(number)
        up_to = False
    return f"<{'_'.join(map(str, numbers))}>"


def _range(one: int, other: int) -> range:
    """Both and what is between them, ascending; 101 numbers at most.

    >>> list(_range(2, 4)), list(_range(4, 2)), list(_range(3, 3))
    ([2, 3, 4], [2, 3, 4], [3])
    """
    first, last = sorted((one, other))
    return range(first, last + 1)[:101]


_RELATIONS = {
    "LEFT_OF", "RIGHT_OF", "ABOVE", "BELOW", "INSIDE", "IN", "ON", "UNDER",
    "TOUCHING", "OVERLAPPING", "NEXT_TO", "LARGER", "SMALLER",
}  # fmt: skip
_MODIFIERS = _RELATIONS | {"BETWEEN", "PLACE", "FROM_SIDE", "NEAREST", "FARTHEST", "TO"}
SUPERLATIVES = {
    "LARGEST", "SMALLEST", "TALLEST", "SHORTEST", "WIDEST", "NARROWEST",
    "LEFTMOST", "RIGHTMOST", "TOPMOST", "BOTTOMMOST",
}  # fmt: skip
_RANKS = SUPERLATIVES | {"NEAREST", "FARTHEST", "NUMBER", "ORDINAL", "SIDE"}
_REFERENCES = {"MASK", "THEM", "IT", "REST"}
_NOMINALS = _RANKS | {"WORD", "PRONOUN", "EVERYTHING", "NON"} | _REFERENCES
_SIZE_WORDS = {"big", "small", "large", "little", "tiny", "huge", "tall", "short", "long", "round"}


_Tokens = list[Token]


class Retag:
    """Tells what a token is where that depends on its neighbours.

    Goes from the last token to the first: `before` ends with the previous token, `after` ends with the next one.
    """

    always_accept = ("REQUEST", "ONE", "SIDE", "THAT", "AT", "COMMA", "DIRECTLY", "BEYOND")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        before, after = list(stream), list[Token]()
        while before:
            token = before.pop()
            after.extend(getattr(self, token.type, self.any_other)(token, before, after))
        return reversed(after)

    def any_other(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        return [token]

    def REQUEST(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        return []

    def DIRECTLY(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if _type(after) in _MODIFIERS or (not after and token in ("located", "situated", "positioned", "placed")):
            return []
        return [_as("WORD", token)]

    def AT(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        return [_as("NEXT_TO", token)]

    def THAT(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if _type(after) in _MODIFIERS | {"NOT"}:
            return []
        return [_as("DET", token)] if token == "that" and _type(after) in _NOMINALS else [token]

    def DET(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        stands_alone = _type(after) not in _NOMINALS and token in ("these", "those", "both", "several", "some", "many")
        return [_as("PRONOUN", token)] if stands_alone else [token]

    def ONE(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if token == "ones":
            return [_as("PRONOUN", token)]
        if _type(after) == "OF_THEM" and _type(before) in ("", "REQUEST"):
            return [_as("NUMBER", token)]
        return [_as("NUMBER" if _type(after) in _NOMINALS | {"OF"} else "PRONOUN", token)]

    def SIDE(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if token == "right" and _type(after) in _RELATIONS | {"BETWEEN"}:
            return []
        if token == "top" and _type(after) == "NUMBER" and _type(after[:-1]) in SUPERLATIVES:
            return []
        if token in ("left", "right") and _type(after) == "CONJ" and _type(after[:-1]) in ("LEFT_OF", "RIGHT_OF"):
            self.here(token, before, after)  # "to the left or right of"
            return [_as(f"{token.upper()}_OF", token)]
        if _type(after) in _NOMINALS or _another_side(after):
            return [token]
        return self.here(token, before, after)

    def here(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """A side that no noun follows is a place, with the preposition and the article before it."""
        if _type(before) == "DET":
            before.pop()
        preposition = before.pop() if _type(before) in ("ON", "IN", "AT", "TO", "NEXT_TO") else ""
        if preposition == "to" and _type(before) == "SIDE":  # "from left to right"
            return []
        return [_as("FROM_SIDE" if "from" in preposition else "PLACE", token)]

    def COMMA(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        joins = {"AND", "EXCEPT", "CONJ", "COMMA"}
        if not before or not after or _type(before) in joins or _type(after) in joins | _MODIFIERS | {"IS", "NOT"}:
            return []
        if before[-1] in _SIZE_WORDS:  # "the big, red ball"
            return []
        return [_as("AND", token)]

    def NOT(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if _type(after) in _MODIFIERS:
            return [token]
        if token == "neither":
            return [_as("NOT" if _type(before) == "IS" else "BEYOND", token)]
        if _type(before) in ("AND", "COMMA"):
            return [_as("EXCEPT", token)]
        first = _type(before) in ("", "REQUEST", "COUNT", "DET")
        return [_as("NON", token)] if first and _type(after) == "WORD" else [token]

    def AND(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if not before or _type(after) in ("", "AND", "EXCEPT"):
            return []
        if token == "nor":  # what is "neither a dog nor a cat" is not a dog, and is not a cat
            return [_as("NOT", token), _as("IS", token), _as("CONJ", token)]
        return [_as("CONJ", token)] if _starts_modifier(after) else [token]

    def EXCEPT(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if not _starts_modifier(after):
            return [token]
        return [_as("CONJ", token)] if token == "but" else [_as("NOT", token), _as("CONJ", token)]

    def IS(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if not before or _type(after) in ("", "IS"):
            return []
        if _type(after) == "DET" and _type(after[:-1]) in _RANKS:
            after.pop()
        return [token]

    def NEAREST(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        return [_as("TO", token), token] if _type(after) == "DET" else [token]

    FARTHEST = NEAREST

    def LEFTMOST(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """After a noun, as in 'the star farthest to the left', it is what 'that is' would begin."""
        after_noun = _type(before) in ("WORD", "PRONOUN") and _type(after) not in _NOMINALS | {"OF"}
        return [token, _as("IS", token)] if after_noun else [token]

    RIGHTMOST = TOPMOST = BOTTOMMOST = LEFTMOST


def _type(tokens: _Tokens) -> str:
    return tokens[-1].type if tokens else ""


def _as(type_: str, token: Token) -> Token:
    return Token.new_borrow_pos(type_, str(token), token)


def _another_side(after: _Tokens) -> bool:
    """Whether 'and (the) right …' follows, as in 'the left and the right circle'."""
    rest = after[:-1] if _type(after) == "AND" else []
    return _type(rest[:-1] if _type(rest) == "DET" else rest) == "SIDE"


def _starts_modifier(after: _Tokens) -> bool:
    if _type(after) in ("NEAREST", "FARTHEST"):
        return _type(after[:-1]) in ("TO", "PLACE")
    return _type(after) in (_MODIFIERS - {"TO"}) | {"IS", "NOT"}
