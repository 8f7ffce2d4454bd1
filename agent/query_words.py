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
_NOMINALS = _RANKS | {"WORD", "PRONOUN", "EVERYTHING", "NON"}
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
