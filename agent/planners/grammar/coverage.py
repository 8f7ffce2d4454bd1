"""Which words of a query its plan makes nothing of, so that no reading is called complete that passes words over."""

import re
from collections.abc import Iterable, Iterator, Sequence

from lark import Token

from agent.planners.grammar.nouns import to_singular
from agent.planners.grammar.plan import (
    Alternating,
    Counted,
    Difference,
    Inscribed,
    Located,
    MaskIds,
    OddOne,
    Phrase,
    Plan,
    PreviousAnswer,
    Ranked,
    Related,
    RelativeToMean,
    walk_parts,
)
from agent.planners.grammar.text.inscriptions import InscriptionMark
from agent.planners.grammar.text.numerals import read_number, read_ordinal
from agent.planners.grammar.vocabulary import FOREIGN_ARTICLES, FOREIGN_JOINS, FOREIGN_WORDS, SIZES, SUPERLATIVES

_PLACES = ("PLACE", "SIDE", "FROM_SIDE")
_RANKS = ("NUMBER", "ORDINAL", *SUPERLATIVES)
_DENIALS = ("EXCEPT", "NOT", "NON")
_RELATIONS = (
    *("LEFT_OF", "RIGHT_OF", "ABOVE", "BELOW", "INSIDE", "IN", "ON", "UNDER", "TOUCHING", "OVERLAPPING"),
    *("NEXT_TO", "BETWEEN", "LARGER", "SMALLER"),
)
_SUPERLATIVES_BY_MEASURE: dict[str, list[str]] = {
    measure: [label for label, (by, _) in SUPERLATIVES.items() if by == measure] for measure, _ in SUPERLATIVES.values()
}
_SIZES_BY_MEASURE: dict[str, list[str]] = {
    measure: [word for word, (by, _) in SIZES.items() if by == measure] for measure, _ in SIZES.values()
}
_CHECKED = {"WORD", "COUNT", "INSCRIPTION", *_PLACES, *_RANKS, *_DENIALS, *_RELATIONS}
"""Labels of words that say something; articles, verbs and requests do not."""


def find_unused_words(tokens: Sequence[Token], plan: Plan, *, known: Iterable[Plan] = ()) -> list[str]:
    """Return the words that neither a phrase of the plan holds nor a part of it stands for, in the query's order.

    Args:
        tokens: As `tokenize` gives them.
        plan: What was made of them.
        known: What was spoken of before; what its phrases hold need not be asked for again.

    >>> from agent.planners.grammar.parsing.lexer import tokenize
    >>> from agent.planners.grammar.plan import Phrase
    >>> find_unused_words(tokenize("two red cups on the table"), Phrase("red cup"))
    ['two', 'on', 'table']
    """
    phrases = [phrase for asked in (plan, *known) for part in walk_parts(asked) for phrase in _list_texts(part)]
    in_phrases = {word for phrase in phrases for word in (*phrase.split(" "), *re.split("[ -]", phrase))}
    stood_for = {said for part in walk_parts(plan) for said in _list_said(part)}
    # "Which of the two is larger" asks for one of them.
    compares = any(token.type in SUPERLATIVES and token.endswith("er") for token in tokens)
    unused: list[str] = []
    for token in tokens:
        if token.type in _CHECKED - ({"NUMBER"} if compares else set()) and _name_what_is_said(token) not in stood_for:
            unused += [word for word in token.replace("_", "-").split(" ") if not _is_in(word, in_phrases)]
    return list(dict.fromkeys([*unused, *_find_foreign_words(tokens, plan)]))


def _list_texts(part: Plan) -> Sequence[str]:
    match part:
        case Phrase(text):
            return (text,)
        case PreviousAnswer(_, texts) | MaskIds(_, texts):
            return texts
    return ()


def _name_what_is_said(token: Token) -> str:
    """Return the label of a token, with the number where it says one."""
    match token.type:
        case "NUMBER":
            return f"NUMBER {read_number(token)}"
        case "ORDINAL" if token != "last":
            return f"ORDINAL {read_ordinal(token)}"
        case "WORD":
            return str(token)
        case "INSCRIPTION":
            return f"INSCRIPTION {InscriptionMark.from_word(token).text}"
    return token.type


def _list_said(part: Plan) -> Iterator[str]:
    """Yield what words may say that a part of a plan stands for."""
    match part:
        case Related(relation="nearest" | "farthest" as relation):
            yield from (relation.upper(), "ORDINAL 1", "NUMBER 1")
        case Related(relation=relation):
            yield relation.upper()
            yield from ("IN",) if relation == "inside" else ()
        case Located():
            yield from _PLACES
        case Inscribed(_, text):
            yield f"INSCRIPTION {text}"
        case Alternating(_, by):
            yield from (*_SUPERLATIVES_BY_MEASURE.get(by, ()), *_PLACES)
        case Ranked(_, by, _, start, take):
            # "The last one" sorts the other way, and "the 3 from the left" are ranked by x.
            yield from (f"NUMBER {take}", "NUMBER 1", f"ORDINAL {start}", "ORDINAL 1", "ORDINAL")
            yield from _SUPERLATIVES_BY_MEASURE.get(by, ())
            yield from (*_PLACES, "NEAREST") if by in ("x", "y") else ()  # nearest to an edge
            yield from _SIZES_BY_MEASURE.get(by, ())
        case RelativeToMean(_, by):
            yield from (*_SUPERLATIVES_BY_MEASURE[by], *_SIZES_BY_MEASURE[by])
        case Difference():
            yield from _DENIALS
        case Counted() | OddOne():
            yield "COUNT" if isinstance(part, Counted) else "NUMBER 1"


def _find_foreign_words(tokens: Sequence[Token], plan: Plan) -> list[str]:
    """Return what tells that a query is of another language, which the grammar makes a part of a name, or of nothing.

    A name may begin with an article alone: 'la croix can'.
    """
    words = [word for token in tokens if token.type == "WORD" for word in token.split(" ")]
    articles = [word for word in words if word in FOREIGN_ARTICLES]
    certain = [word for word in words if word in FOREIGN_WORDS or not word.isascii()]
    joins = [word for word in words[1:] if word in FOREIGN_JOINS]
    alone = [word for word in certain if word in FOREIGN_WORDS]
    if len(words) > 1 and (alone or (articles and (certain or joins))):
        return [word for word in words if word in {*certain, *joins}]
    return [] if isinstance(plan, Phrase) else articles


def _is_in(word: str, in_phrases: set[str]) -> bool:
    return word in in_phrases or to_singular(word) in in_phrases or word == "and"
