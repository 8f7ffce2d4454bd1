"""Which words of a query its plan makes nothing of, so that no reading is called complete that passes words over."""

import re
from collections.abc import Iterator, Sequence

from lark import Token

from agent.planners.grammar.nouns import to_singular
from agent.planners.grammar.plan import (
    Counted,
    Difference,
    Located,
    Phrase,
    Plan,
    Ranked,
    Related,
    RelativeToMean,
    list_phrases,
    walk_parts,
)
from agent.planners.grammar.vocabulary import FOREIGN_ARTICLES, FOREIGN_JOINS

_PLACES = ("PLACE", "SIDE", "FROM_SIDE")
_RANKS = (
    *("NUMBER", "ORDINAL", "LARGEST", "SMALLEST", "TALLEST", "SHORTEST", "WIDEST", "NARROWEST"),
    *("LEFTMOST", "RIGHTMOST", "TOPMOST", "BOTTOMMOST", "NEAREST", "FARTHEST"),
)
_DENIALS = ("EXCEPT", "NOT", "NON")
_RELATIONS = (
    *("LEFT_OF", "RIGHT_OF", "ABOVE", "BELOW", "INSIDE", "IN", "ON", "UNDER", "TOUCHING", "OVERLAPPING"),
    *("NEXT_TO", "BETWEEN", "LARGER", "SMALLER"),
)
_CHECKED = {"WORD", "COUNT", *_PLACES, *_RANKS, *_DENIALS, *_RELATIONS}
"""Labels of words that say something; articles, verbs and requests do not."""


def find_unused_words(tokens: Sequence[Token], plan: Plan) -> list[str]:
    """Return the words that neither a phrase of the plan holds nor a part of it stands for, in the query's order.

    Args:
        tokens: As `tokenize` gives them.
        plan: What was made of them.

    >>> from agent.planners.grammar.lexer import tokenize
    >>> from agent.planners.grammar.plan import Phrase
    >>> find_unused_words(tokenize("two red cups on the table"), Phrase("red cup"))
    ['two', 'on', 'table']
    """
    phrases = list_phrases(plan)
    in_phrases = {word for phrase in phrases for word in (*phrase.split(" "), *re.split("[ -]", phrase))}
    labels = {label for part in walk_parts(plan) for label in _list_labels(part)}
    unused: list[str] = []
    for token in tokens:
        if token.type in _CHECKED and token.type not in labels:
            unused += [word for word in token.replace("_", "-").split(" ") if not _is_in(word, in_phrases)]
    return list(dict.fromkeys([*unused, *_find_foreign_words(tokens, plan)]))


def _find_foreign_words(tokens: Sequence[Token], plan: Plan) -> list[str]:
    """Return what joins words of another language, which the grammar makes a part of a name, or of nothing at all."""
    words = [str(token) for token in tokens if token.type == "WORD"]
    articles = [word for word in words if word in FOREIGN_ARTICLES]
    joins = [word for word in words if word in FOREIGN_JOINS]
    return joins or ([] if isinstance(plan, Phrase) else articles) if articles else []


def _is_in(word: str, in_phrases: set[str]) -> bool:
    return word in in_phrases or to_singular(word) in in_phrases or word == "and"


def _list_labels(part: Plan) -> Iterator[str]:
    """Yield the labels of words that a part of a plan may stand for."""
    match part:
        case Related(relation=relation):
            yield relation.upper()
            yield from ("IN",) if relation == "inside" else ()
        case Located():
            yield from _PLACES
        case Ranked() | RelativeToMean():
            yield from (*_RANKS, *_PLACES)
        case Difference():
            yield from _DENIALS
        case Counted():
            yield "COUNT"
