"""From a query's text to its syntax, by the LALR grammar in `query.lark`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError

from agent.nouns import is_plural
from agent.query_words import Retag, refer, tidy

MAX_WORDS = 60
"""Longer queries are not parsed: they hold more than one selection."""
MAX_NOUN_WORDS = 6
"""A longer run of unknown words is no noun phrase."""
MAX_LETTERS = 30
"""A longer word is no word."""


class Unreadable(ValueError):
    """The query goes beyond the grammar. The message names the first words that do not fit."""


@dataclass(frozen=True)
class Ranks:
    """What stands before a noun to choose among many: 'the second largest', 'two', 'the left'."""

    number: int | None = None
    ordinal: int | None = None
    """Counts from 1; from the end where `last`."""
    last: bool = False
    superlative: str = ""
    """A terminal of the grammar: 'LARGEST' … 'BOTTOMMOST', 'NEAREST', 'FARTHEST'."""
    side: str = ""
    """'left', 'top_right', 'middle' …, of a noun that follows."""


@dataclass(frozen=True)
class Noun:
    """A noun phrase, as said."""

    kind: str = "named"
    """'named', 'pronoun' (one, those), 'everything', 'bare' (the largest), 'among' (the largest of `among`).

    In a conversation also 'numbered' (number 3), 'them', 'it', 'rest' (the others) and 'rest_of' (the other cups).
    """
    determiner: str = ""
    ranks: Ranks = Ranks()
    words: tuple[str, ...] = ()
    """Adjectives and noun, without the pronoun."""
    non: tuple[str, ...] = ()
    """Adjectives after 'non'."""
    tail: str = ""
    """'with a hole', 'of coffee'."""
    among: "Joined | None" = None
    many: bool = False
    """Of a pronoun: it is plural."""
    numbers: tuple[int, ...] = ()
    """Of masks."""


@dataclass(frozen=True)
class At:
    place: str
    """'left', 'top_right', 'middle' …, or 'far left'."""


@dataclass(frozen=True)
class RelatedTo:
    relation: str
    """A relation of `agent.tools.geometry.terms`, or 'in'."""
    to: "Term"
    other: "Term | None" = None


@dataclass(frozen=True)
class IsA:
    """'that are red', 'is the largest', 'not a star'."""

    nouns: tuple[Noun, ...]
    """Any of them: 'that are red or blue'."""


@dataclass(frozen=True)
class Near:
    """'closest to the tree', 'second farthest from it'."""

    ranks: Ranks
    to: "Term"


@dataclass(frozen=True)
class OfThem:
    """Among what was spoken of before: 'of them'."""


@dataclass(frozen=True)
class To:
    """What an earlier 'closest' is measured to: 'the closest dog to the tree'."""

    to: "Term"


@dataclass(frozen=True)
class From:
    """Where counting starts: 'from the left'."""

    side: str
    ordinal: Ranks = Ranks()


@dataclass(frozen=True)
class Modifier:
    what: At | RelatedTo | IsA | Near | To | From | OfThem
    negated: bool = False
    verb: str = ""
    """'is' or 'are', where the modifier has a verb."""
    main: bool = False
    """The verb has no 'that' or 'which' before it: it is the main verb of a question."""
    alternative: bool = False
    """Joined by 'or' to the modifier before it."""


@dataclass(frozen=True)
class Term:
    noun: Noun | None
    """None where only modifiers are said: 'left of the square'."""
    modifiers: tuple[Modifier, ...] = ()


@dataclass(frozen=True)
class Joined:
    """Terms joined by 'and', 'or' or a comma."""

    terms: tuple[Term, ...]
    alternative: bool = False
    """Joined by 'or'."""


@dataclass(frozen=True)
class Selection:
    first: Joined
    minus: tuple[Joined, ...] = ()
    """What is left out, in turn."""


@dataclass(frozen=True)
class Question:
    selection: Selection
    counts: bool = False
    """Asks how many there are."""


def parse(query: str, *, goes_on: bool = False) -> Question:
    """The syntax of a query. Raises Unreadable where it goes beyond the grammar.

    `goes_on`: it is said in a conversation, so that 'them', 'the others' and 'number 3' mean masks.

    >>> parse("how many red circles?").selection.first.terms[0].noun.words
    ('red', 'circles')
    """
    text = refer(tidy(query)) if goes_on else tidy(query)
    if not re.search(r"[a-z]" if not goes_on else r"[a-z<]", text) or len(text.split()) > MAX_WORDS:
        raise Unreadable(text[:MAX_LETTERS])
    try:
        question: Question = _Syntax().transform(_grammar().parse(text))
        return question
    except LarkError as error:
        raise Unreadable(str(getattr(error, "token", "") or text[-MAX_LETTERS:])) from error


def head_phrase(query: str) -> str:
    """The first chunk of a query that looks like a noun phrase: what is left when it cannot be parsed. '' if none does.

    That is the first run of words that are no keyword of the grammar, up to a verb in -ing or a comparative.

    >>> head_phrase("please show me the brown dog wearing a hat")
    'brown dog'
    """
    text = " ".join(tidy(query).split()[: 4 * MAX_WORDS])
    run: list[str] = []
    for token in [*_tokens(text), Token("END", "")]:
        if token.type in ("WORD", "NUMBER") and (run or token.type == "WORD"):
            run.append(_word(token))
        elif phrase := _trimmed(run, token):
            return phrase
        else:
            run = []
    return ""


@cache
def _grammar() -> Lark:
    return Lark(
        Path(__file__).with_name("query.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        postlex=Retag(),
        maybe_placeholders=True,
    )


def _tokens(text: str) -> list[Token]:
    return list(_grammar().lex(text))


def _word(token: Token) -> str:
    return str(token).replace("_", "-")


def _trimmed(run: Sequence[str], after: Token) -> str:
    """The noun phrase in a run of words; '' if there is none."""
    words = list(run)
    while len(words) > 1 and (_is_verb(words[-1]) or (after == "than" and words[-1].endswith("er"))):
        words.pop()
    if not words or words[0] in ("i", "we", "you", "there") or any(len(word) > MAX_LETTERS for word in words):
        return ""
    return " ".join(words[-MAX_NOUN_WORDS:]) if re.search(r"[a-z]", " ".join(words)) else ""


def _is_verb(word: str) -> bool:
    return len(word) > 5 and word.endswith("ing") and word not in _NOUNS_IN_ING


_NOUNS_IN_ING = {
    "awning", "building", "ceiling", "clothing", "clearing", "covering", "crossing", "drawing", "dressing", "duckling",
    "dumpling", "earring", "evening", "filling", "flooring", "icing", "lettering", "lightning", "lining", "marking",
    "morning", "opening", "painting", "parking", "pudding", "railing", "ring", "sapling", "seasoning", "seating",
    "siding", "stocking", "string", "stuffing", "topping", "vending", "wedding", "wing", "wiring",
}  # fmt: skip


@v_args(inline=True)
class _Syntax(Transformer[Token, Any]):
    def start(self, count: Token | None, selection: Selection) -> Question:
        return Question(selection, counts=count is not None)

    def selection(self, first: Joined, *rest: Any) -> Selection:
        return Selection(first, tuple(rest[1::2]))

    def union(self, *children: Any) -> Joined:
        joins = {str(join) for join in children[1::2]}
        return Joined(children[::2], alternative="or" in joins)

    def term(self, *children: Any) -> Term:
        noun = children[0] if isinstance(children[0], Noun) else None
        modifiers: list[Modifier] = []
        for before, child in zip((None, *children), children, strict=False):
            if isinstance(child, Modifier):
                modifiers.append(replace(child, alternative=before == "or"))
            elif isinstance(child, list):
                first, second = child
                modifiers += [replace(first, alternative=before == "or"), second]
        return Term(noun, tuple(modifiers))

    def noun(self, determiner: Token | None, ranks: Ranks | None, noun: Noun) -> Noun:
        return replace(noun, determiner=str(determiner or noun.determiner), ranks=ranks or Ranks())

    def bare(self, determiner: Token | None, ranks: Ranks) -> Noun:
        return Noun("bare", str(determiner or ""), ranks)

    def among(self, determiner: Token | None, ranks: Ranks, _: Token, union: Joined) -> Noun:
        return Noun("among", str(determiner or ""), ranks, among=union)

    def ranks(self, *tokens: Token) -> Ranks:
        ranks = Ranks()
        for token in tokens:
            ranks = _with_rank(ranks, token)
        return ranks

    def superlative(self, token: Token) -> Token:
        return token

    nearness = superlative
    relation = superlative

    def pronoun(self, token: Token, *tails: str) -> Noun:
        return Noun("pronoun", many=_is_many(token), tail=" ".join(tails))

    def numbered(self, *children: Any) -> Noun:
        """The words of 'cup number 3' stay, in case that there is no such mask, as of 'player number 7'."""
        *words, token = children
        numbers = tuple(int(number) for number in re.findall(r"\d+", token))
        return replace(words[0] if words else Noun(), kind="numbered", numbers=numbers)

    def them(self, token: Token) -> Noun:
        return Noun("them", many=True)

    def it(self, token: Token) -> Noun:
        return Noun("it")

    def rest(self, token: Token, *children: Any) -> Noun:
        """'The others', 'the other one', 'the other red ones'; of 'the other cups' the noun stays a name: 'rest_of'."""
        words = next((child for child in children if isinstance(child, Noun)), Noun())
        pronoun = next((child for child in children if isinstance(child, Token)), None)
        if pronoun is None and words.words:
            return replace(words, kind="rest_of", many=is_plural(words.words[-1]))
        return replace(words, kind="rest", many=pronoun is None or _is_many(pronoun))

    def everything(self, token: Token, words: Noun | None = None) -> Noun:
        return replace(words or Noun(), kind="everything", determiner=str(token))

    def named(self, words: Noun, *rest: Any) -> Noun:
        pronoun = next((child for child in rest if isinstance(child, Token)), None)
        tail = " ".join(child for child in rest if not isinstance(child, Token))
        if pronoun is None:
            return replace(words, tail=tail)
        return replace(words, kind="pronoun", tail=tail, many=_is_many(pronoun))

    def words(self, *tokens: Token) -> Noun:
        plain = [i for i, token in enumerate(tokens) if token.type != "NON"]
        non = [i for i in plain if i > 0 and tokens[i - 1].type == "NON"]
        if len(plain) > MAX_NOUN_WORDS or any(len(token) > MAX_LETTERS for token in tokens):
            raise Unreadable("more words than a noun phrase has")
        if plain[-1] in non:
            raise Unreadable("an adjective without a noun")
        return Noun(
            words=tuple(_word(tokens[i]) for i in plain if i not in non),
            non=tuple(_word(tokens[i]) for i in non),
        )

    def tail(self, *children: Any) -> str:
        *first, noun = children
        return " ".join([*("with" if token.type == "WITH" else str(token) for token in first), *noun.words])

    def located(self, verb: Token | None, negation: Token | None, place: Token) -> Modifier:
        return Modifier(At(_place(place)), negation is not None, *_verb(verb))

    def related(self, verb: Token | None, negation: Token | None, relation: Token, to: Term) -> Modifier:
        return Modifier(RelatedTo(relation.type.lower(), to), negation is not None, *_verb(verb))

    def related_twice(
        self, verb: Token | None, negation: Token | None, one: Token, join: Token, other: Token, to: Term
    ) -> list[Modifier]:
        """'Above or below the star', 'above and left of the star'."""
        if join != "or" and (join != "and" or negation):
            raise Unreadable(f"{join} {other}")
        first = self.related(verb, negation, one, to)
        return [first, replace(self.related(verb, None, other, to), alternative=join == "or")]

    def between(
        self, verb: Token | None, negation: Token | None, _: Token, to: Term, __: Token | None, other: Term | None
    ) -> Modifier:
        return Modifier(RelatedTo("between", to, other), negation is not None, *_verb(verb))

    def is_a(self, verb: Token, negation: Token | None, noun: Noun) -> Modifier:
        return Modifier(IsA((noun,)), negation is not None, *_verb(verb))

    def is_not_a(self, negation: Token, noun: Noun) -> Modifier:
        return Modifier(IsA((noun,)), negated=True)

    def among_them(self, _: Token) -> Modifier:
        return Modifier(OfThem())

    def to(self, _: Token, to: Term) -> Modifier:
        return Modifier(To(to))

    def from_side(self, side: Token) -> Modifier:
        return Modifier(From(_place(side)))

    def near(self, verb: Token | None, ordinal: Token | None, nearness: Token, _: Token, to: Term) -> Modifier:
        return Modifier(Near(self._ranks(ordinal, nearness), to), False, *_verb(verb))

    def near_side(self, verb: Token | None, ordinal: Token | None, nearness: Token, place: Token) -> Modifier:
        nearest = _SUPERLATIVE_AT.get(_place(place)) if nearness.type == "NEAREST" else None
        if nearest is None:
            raise Unreadable(f"{nearness} {place}")
        return Modifier(IsA((Noun("bare", ranks=self._ranks(ordinal, Token(nearest, ""))),)), False, *_verb(verb))

    def ordinal_from_side(self, verb: Token | None, ordinal: Token, side: Token) -> Modifier:
        return Modifier(From(_place(side), self._ranks(ordinal)), False, *_verb(verb))

    def _ranks(self, *tokens: Token | None) -> Ranks:
        ranks = Ranks()
        for token in tokens:
            ranks = ranks if token is None else _with_rank(ranks, token)
        return ranks


_SUPERLATIVE_AT = {"left": "LEFTMOST", "right": "RIGHTMOST", "top": "TOPMOST", "bottom": "BOTTOMMOST"}
_NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NTH = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]


def _with_rank(ranks: Ranks, token: Token) -> Ranks:
    """Raises Unreadable for a second rank of one sort, and for number 0."""
    match token.type:
        case "NUMBER" if ranks.number is None and (number := _number(token)) > 0:
            return replace(ranks, number=number)
        case "ORDINAL" if token == "last" and not ranks.last:
            return replace(ranks, last=True)
        case "ORDINAL" if ranks.ordinal is None and (ordinal := _ordinal(token)) > 0:
            return replace(ranks, ordinal=ordinal)
        case "SIDE" if not ranks.side and not ranks.superlative:
            return replace(ranks, side=_place(token))
        case type_ if type_ not in ("NUMBER", "ORDINAL", "SIDE") and not ranks.superlative and not ranks.side:
            return replace(ranks, superlative=type_)
    raise Unreadable(str(token))


def _number(token: str) -> int:
    if token == "a couple of":
        return 2
    return int(token) if token.isdigit() else _NUMBERS.index(token) + 1


def _ordinal(token: str) -> int:
    return int(token[:-2]) if token[0].isdigit() else _NTH.index(token) + 1


def _is_many(pronoun: Token) -> bool:
    return pronoun in ("ones", "these", "those", "both", "several", "some", "many")


def _verb(token: Token | None) -> tuple[str, bool]:
    """'is' or 'are', '' where it does not tell one from many; and whether it is a main verb."""
    words = str(token or "").split(" ")
    verb = {"is": "is", "was": "is", "looks": "is", "seems": "is", "are": "are", "were": "are"}.get(words[-1], "")
    return verb, bool(verb) and words[0] not in ("that", "which", "who")


def _place(token: str) -> str:
    """
    >>> [_place(text) for text in ("upper right corner", "far left side", "centre", "middle left")]
    ['top_right', 'far left', 'middle', 'left']
    """
    words = token.replace(",", "").split(" ")
    sides = [plain for word in words if (plain := _PLAIN_SIDES.get(word))]
    if len(sides) == 2:
        return sides[1] if sides[0] == "middle" else "_".join(sides)
    return f"far {sides[0]}" if words[0] in ("far", "extreme", "very") else sides[0]


_PLAIN_SIDES = {
    "left": "left", "right": "right", "top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom",
    "middle": "middle", "center": "middle", "centre": "middle", "central": "middle",
}  # fmt: skip
