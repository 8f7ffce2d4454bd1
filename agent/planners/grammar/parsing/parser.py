"""Tokens to syntax, by the LALR grammar in `query.lark`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from lark import Token, Transformer, v_args
from lark.exceptions import LarkError

from agent.planners.grammar.nouns import is_plural, tell_number
from agent.planners.grammar.parsing.lexer import MAX_LETTERS, load_grammar
from agent.planners.grammar.parsing.syntax import (
    UNRANKED,
    AnswerMembership,
    Content,
    Coordination,
    CountingStart,
    Description,
    DistanceTarget,
    Inscription,
    Lack,
    Location,
    Modifier,
    Noun,
    Proximity,
    QuerySyntaxError,
    Ranking,
    Relationship,
    Selection,
    Term,
)
from agent.planners.grammar.text.inscriptions import InscriptionMark
from agent.planners.grammar.text.numerals import read_number, read_ordinal
from agent.planners.grammar.vocabulary import (
    ADJECTIVES,
    ANYTHING,
    OUTERMOST_BY_SIDE,
    SIDES,
    THINGS_TOO,
)

MAX_NOUN_WORDS = 6
"""A longer run of unknown words is no noun phrase."""


def parse(tokens: Sequence[Token]) -> Selection:
    """Parse the tokens of a query.

    Args:
        tokens: As `tokenize` gives them.

    Returns:
        The syntax as it is said: nothing is filled in or moved yet.

    Raises:
        QuerySyntaxError: The query goes beyond the grammar.

    >>> from agent.planners.grammar.parsing.lexer import tokenize
    >>> parse(tokenize("how many red circles?")).first.terms[0].noun.words
    ('red', 'circles')
    """
    # Tokens are fed one by one, since lark itself would make them again from the text.
    parser = load_grammar().parse_interactive("")
    try:
        for token in tokens:
            parser.feed_token(token)
        selection: Selection = _get_builder().transform(parser.feed_token(Token("$END", "")))
        return selection
    except LarkError as error:
        raise QuerySyntaxError(str(getattr(error, "token", "") or " ".join(tokens))) from error


def find_head_phrase(tokens: Sequence[Token]) -> str:
    """Return the first chunk of a query that looks like a noun phrase: what is left when it cannot be parsed.

    That is the first run of words that are no keyword of the grammar, up to a verb in -ing or a comparative. What is
    left out by the query, adjectives alone, and the image itself are passed over, and so is what only says what to do
    with the noun after it: 'crop the dog'. It is '' where there is none.

    >>> from agent.planners.grammar.parsing.lexer import tokenize_beginning
    >>> find_head_phrase(tokenize_beginning("please show me the brown dog wearing a hat"))
    'brown dog'
    """
    if tokens and tokens[0].type == "EXCLUDING":
        return ""
    denied = ""
    left_out = False
    for before, run, after in _split_runs(tokens):
        left_out |= any((token.type == "EXCEPT" and token != "without") or token == "neither" for token in before)
        adjectives_too = not any(token.type in ("NON", "NOT") for token in before[-3:])
        if before and before[-1] in _SPEAKERS:  # 'where should we eat'
            del run[0]
        named = len(run) == 1 and any(token.type == "DET" and token != "that" for token in before[-1:])
        following = _END if named else after  # 'the dog that chased the cat': no verb is called 'the dog'
        phrase = "" if left_out else _trim_phrase(run, following, adjectives_too=adjectives_too)
        # "no cats, only dogs": what there should be none of comes last
        said = [token for token in before if token.type != "DET"]
        if phrase and said and said[-1] in ("no", "not", "without", "lacking", "missing"):
            denied = denied or phrase
        elif phrase:
            return phrase
    of_all = any(token.type == "EVERYTHING" for token in tokens)
    return ANYTHING if of_all and (left_out or denied) else denied


_END = Token("END", "")


def _split_runs(tokens: Sequence[Token]) -> Iterator[tuple[list[Token], list[str], Token]]:
    """Yield the runs of words that are no keyword, each with the keywords before it and the one after it."""
    before: list[Token] = []
    run: list[str] = []
    for token in [*tokens, _END]:
        if token.type == "WORD" or (token.type == "NUMBER" and run):
            run.append(_to_word(token))
            continue
        if run:
            yield before, run, token
            before, run = [], []
        before.append(token)


def _trim_phrase(run: Sequence[str], following: Token, *, adjectives_too: bool = True) -> str:
    """Return the noun phrase in a run of words; '' if there is none. Of what is denied, adjectives are no part."""
    words = list(run)
    if (speaker := next((i for i, word in enumerate(words) if word in _SPEAKERS), None)) is not None:
        words = words[:speaker] or words[speaker + 2 :]  # 'the thing I need', 'I sit'
    while words and (words[0] in _NO_NOUNS or (words[0] in ADJECTIVES and not adjectives_too)):
        del words[0]
    # "crop the dog", "a man eats the soup": a noun phrase does not end before an article
    if words and following.type in ("DET", "EVERYTHING"):
        words.pop()
    # "a man riding", "circles redder than": the last word is no noun
    while len(words) > 1 and (_ends_no_noun(words) or (following == "than" and words[-1].endswith("er"))):
        words.pop()
    if not words or any(len(word) > MAX_LETTERS for word in words) or _names_nothing(words):
        return ""
    return " ".join(words[-MAX_NOUN_WORDS:]) if re.search(r"[a-z]", " ".join(words)) else ""


def _names_nothing(words: Sequence[str]) -> bool:
    """Whether a run of words is a pronoun, adjectives alone, or the image itself."""
    return set(words) <= ADJECTIVES - THINGS_TOO or (len(words) == 1 and words[0] in _IMAGE_ITSELF)


_SPEAKERS = {"i", "we", "you"}
_NO_NOUNS = {
    "there", "much", "very", "really", "quite", "absolute", "absolutely", "extremely", "super", "so", "such",
    "now", "then", "well", "out", "off", "up", "down", "away", "me", "us", "also", "am", "be", "been", "being",
    "go", "to", "wonder", "wondering", "think", "hope", "trying", "try", "would", "like", "exactly",
    "before", "after", "during", "what", "how", "why", "when", "where", "who", "whether", "let", "yes", "no",
}  # fmt: skip
_IMAGE_ITSELF = {"picture", "image", "photo", "photograph", "scene", "screenshot", "everything", "anyone", "someone"}


def _ends_no_noun(words: Sequence[str]) -> bool:
    """Whether the last word is a verb in -ing, a particle, or an adjective after its noun: 'paint the dog red'."""
    after_noun = words[-1] in ADJECTIVES - THINGS_TOO and words[-2] not in ADJECTIVES
    return _is_verb(words[-1]) or words[-1] in _NO_NOUNS or after_noun


def _is_verb(word: str) -> bool:
    return len(word) > 5 and word.endswith("ing") and word not in _NOUNS_IN_ING


_NOUNS_IN_ING = {
    "awning", "building", "ceiling", "clothing", "clearing", "covering", "crossing", "drawing", "dressing", "duckling",
    "dumpling", "earring", "evening", "filling", "flooring", "icing", "lettering", "lightning", "lining", "marking",
    "morning", "opening", "painting", "parking", "pudding", "railing", "ring", "sapling", "seasoning", "seating",
    "siding", "stocking", "string", "stuffing", "topping", "vending", "wedding", "wing", "wiring",
}  # fmt: skip


@v_args(inline=True)
class _SyntaxBuilder(Transformer[Token, Any]):
    """Builds the syntax bottom-up. Each method has the name that `query.lark` gives to its rule."""

    def __init__(self) -> None:
        super().__init__()
        # lark wraps a method anew at each look-up, which takes a tenth of the time of a query
        for name in vars(type(self)):
            if name.startswith(("build_", "join_", "keep_")):
                setattr(self, name, getattr(self, name))

    def build_query(self, count: Token | None, selection: Selection) -> Selection:
        return replace(selection, counts=count is not None)

    def build_selection(self, first: Coordination, *rest: Any) -> Selection:
        return Selection(first, tuple(rest[1::2]))

    def join_terms(self, *children: Any) -> Coordination:
        joins = {str(join) for join in children[1::2]}
        return Coordination(children[::2], alternative="or" in joins)

    def build_term(self, *children: Any) -> Term:
        noun = children[0] if isinstance(children[0], Noun) else None
        # Two relations to one thing come as a list; an "or" before it joins the first of them.
        modifiers: list[Modifier] = []
        for previous, child in zip((None, *children), children, strict=False):
            if isinstance(child, Modifier):
                modifiers.append(replace(child, alternative=previous == "or"))
            elif isinstance(child, list):
                first, second = child
                modifiers += [replace(first, alternative=previous == "or"), second]
        return Term(noun, tuple(modifiers))

    def build_noun(self, determiner: Token | None, ranking: Ranking | None, noun: Noun) -> Noun:
        if ranking is not None and any(map(_is_owner, noun.words[:-1])):
            raise QuerySyntaxError("of the owner, or of what it has?")  # "the tallest building's roof"
        return replace(noun, determiner=str(determiner or noun.determiner), ranking=ranking or UNRANKED)

    def build_mutual_noun(self, determiner: Token | None, ranking: Ranking | None, mutual: Token, noun: Noun) -> Noun:
        """Build 'the two touching cups'."""
        relation = "touching" if mutual.startswith("touch") else "overlapping"
        return replace(self.build_noun(determiner, ranking, noun), mutual=relation)

    def build_mutual(self, token: Token) -> Noun:
        return Noun("mutual", many=True)

    def build_bare_noun(self, determiner: Token | None, ranking: Ranking) -> Noun:
        return Noun("bare", str(determiner or ""), ranking)

    def build_noun_among(self, determiner: Token | None, ranking: Ranking, _: Token, among: Coordination) -> Noun:
        return Noun("among", str(determiner or ""), ranking, among=among)

    def build_ranking(self, *tokens: Token | None) -> Ranking:
        ranking = UNRANKED
        for token in tokens:
            ranking = ranking if token is None else _add_rank(ranking, token)
        return ranking

    def keep_token(self, token: Token) -> Token:
        return token

    def build_pronoun(self, token: Token, *tails: str) -> Noun:
        return Noun("pronoun", many=_is_plural_pronoun(token), tail=" ".join(tails))

    def build_numbered(self, *children: Any) -> Noun:
        """Keep the words of 'cup number 3', in case that there is no such mask, as of 'player number 7'."""
        *words, token = children
        mask_ids = tuple(int(number) for number in re.findall(r"\d+", token))
        return replace(words[0] if words else Noun(), kind="numbered", mask_ids=mask_ids)

    def build_them(self, token: Token) -> Noun:
        return Noun("them", many=True)

    def build_it(self, token: Token) -> Noun:
        return Noun("it")

    def build_rest(self, token: Token, *children: Any) -> Noun:
        """Build 'the others', 'the other one', 'the other red ones'; in 'the other cups' the noun stays a name."""
        words = next((child for child in children if isinstance(child, Noun)), Noun())
        pronoun = next((child for child in children if isinstance(child, Token)), None)
        if pronoun is None and words.words:
            return replace(words, kind="rest_of", many=is_plural(words.words[-1]))
        return replace(words, kind="rest", many=pronoun is None or _is_plural_pronoun(pronoun))

    def build_everything(self, token: Token, words: Noun | None = None) -> Noun:
        return replace(words or Noun(), kind="everything", determiner=str(token))

    def build_named(self, words: Noun, *rest: Any) -> Noun:
        pronoun = next((child for child in rest if isinstance(child, Token)), None)
        tail = " ".join(child for child in rest if not isinstance(child, Token))
        if pronoun is None:
            return replace(words, tail=tail)
        return replace(words, kind="pronoun", tail=tail, many=_is_plural_pronoun(pronoun))

    def build_words(self, *tokens: Token) -> Noun:
        # "non" belongs to the word after it
        spoken = [i for i, token in enumerate(tokens) if token.type != "NON"]
        non = [i for i in spoken if i > 0 and tokens[i - 1].type == "NON"]
        if len(spoken) > MAX_NOUN_WORDS or any(len(token) > MAX_LETTERS for token in tokens):
            raise QuerySyntaxError("more words than a noun phrase has")
        if spoken[-1] in non:
            raise QuerySyntaxError("an adjective without a noun")
        words = [word for i in spoken if i not in non for word in _to_word(tokens[i]).split(" ")]
        return Noun(
            words=tuple(_put_adjectives_first(words)),
            non=tuple(_to_word(tokens[i]) for i in non),
        )

    def build_tail(self, *children: Any) -> str:
        *first, noun = children
        return " ".join([*("with" if token.type == "WITH" else str(token) for token in first), *noun.words])

    def build_location(self, verb: Token | None, negation: Token | None, place: Token) -> Modifier:
        is_part = re.search(r"half|corner|part|area|region|section|quadrant|quarter|portion", place) is not None
        location = Location(_to_place(place), is_part, place.startswith("on "))
        return Modifier(location, negation is not None, *_read_verb(verb))

    def build_relationship(self, verb: Token | None, negation: Token | None, relation: Token, to: Term) -> Modifier:
        kind = relation.strip("<>") if relation.type == "NEIGHBOUR" else relation.type.lower()
        return Modifier(Relationship(kind, to), negation is not None, *_read_verb(verb))

    def build_two_relationships(
        self, verb: Token | None, negation: Token | None, relation: Token, join: Token, other: Token, to: Term
    ) -> list[Modifier]:
        """Build 'above or below the star', 'above and left of the star'."""
        # "not above and left of" could deny one of both, or both
        if join != "or" and (join != "and" or negation):
            raise QuerySyntaxError(f"{join} {other}")
        first = self.build_relationship(verb, negation, relation, to)
        return [first, replace(self.build_relationship(verb, None, other, to), alternative=join == "or")]

    def build_between(
        self, verb: Token | None, negation: Token | None, _: Token, to: Term, __: Token | None, other: Term | None
    ) -> Modifier:
        return Modifier(Relationship("between", to, other), negation is not None, *_read_verb(verb))

    def build_inscription(self, verb: Token | None, negation: Token | None, word: Token) -> Modifier:
        try:
            mark = InscriptionMark.from_word(word)
        except ValueError as error:  # no mark, but a word of the query
            raise QuerySyntaxError(word) from error
        inscription = Inscription(mark.text, guessed=mark.guessed)
        return Modifier(inscription, (negation is not None) != mark.negated, *_read_verb(verb))

    def build_lack(self, verb: Token | None, negation: Token | None, _: Token, noun: Noun) -> Modifier:
        named = noun.kind == "named" and noun.ranking == UNRANKED
        if not named or _is_verb(noun.words[-1]):  # "without 2", "without smiling"
            raise QuerySyntaxError("without what can be looked for")
        return Modifier(Lack(noun), negation is not None, *_read_verb(verb))

    def build_content(self, verb: Token | None, negation: Token | None, mark: Token, noun: Noun) -> Modifier:
        if noun.kind != "named" or noun.ranking != UNRANKED:
            raise QuerySyntaxError("so many of what can be looked for")
        least, most = mark.strip("<>").split("_")[1:]
        content = Content(replace(noun, determiner=""), int(least), int(most) if most else None)
        return Modifier(content, negation is not None, *_read_verb(verb))

    def build_description(self, verb: Token, negation: Token | None, noun: Noun) -> Modifier:
        return Modifier(Description((noun,)), negation is not None, *_read_verb(verb))

    def build_negated_description(self, negation: Token, noun: Noun) -> Modifier:
        return Modifier(Description((noun,)), negated=True)

    def build_answer_membership(self, _: Token) -> Modifier:
        return Modifier(AnswerMembership())

    def build_distance_target(self, _: Token, to: Term) -> Modifier:
        return Modifier(DistanceTarget(to))

    def build_counting_start(self, side: Token) -> Modifier:
        return Modifier(CountingStart(_to_place(side)))

    def build_proximity(
        self, verb: Token | None, ordinal: Token | None, nearness: Token, _: Token, to: Term
    ) -> Modifier:
        return Modifier(Proximity(self.build_ranking(ordinal, nearness), to), False, *_read_verb(verb))

    def build_proximity_to_side(
        self, verb: Token | None, ordinal: Token | None, nearness: Token, place: Token
    ) -> Modifier:
        # "closest to the left edge" is leftmost; an image has no object for its middle or its corners
        superlative = OUTERMOST_BY_SIDE.get(_to_place(place)) if nearness.type == "NEAREST" else None
        if superlative is None:
            raise QuerySyntaxError(f"{nearness} {place}")
        noun = Noun("bare", ranking=self.build_ranking(ordinal, Token(superlative, "")))
        return Modifier(Description((noun,)), False, *_read_verb(verb))

    def build_ordinal_from_side(self, verb: Token | None, ordinal: Token, side: Token) -> Modifier:
        return Modifier(CountingStart(_to_place(side), self.build_ranking(ordinal)), False, *_read_verb(verb))


@cache
def _get_builder() -> _SyntaxBuilder:
    """The one builder, which holds no state."""
    return _SyntaxBuilder()


def _is_owner(word: str) -> bool:
    """Whether it tells whose something is, and not of what kind: 'men's shirts'."""
    return word.endswith(("'s", "s'")) and word not in ("men's", "women's", "children's", "kids'", "ladies'")


_NO_SUPERLATIVES = ("NUMBER", "ORDINAL", "SIDE", "EVERY_NTH")
"""The other labels of words that rank."""


def _add_rank(ranking: Ranking, token: Token) -> Ranking:
    """Return the ranking with one more word. Raises QuerySyntaxError for a second one of its sort, and for number 0."""
    match token.type:
        case "NUMBER" if ranking.number is None and (number := read_number(token)) > 0:
            return replace(ranking, number=number)
        case "ORDINAL" if token == "last" and not ranking.last:
            return replace(ranking, last=True)
        case "ORDINAL" if ranking.ordinal is None and (ordinal := read_ordinal(token)) > 0:
            return replace(ranking, ordinal=ordinal)
        case "EVERY_NTH" if ranking == UNRANKED:
            start, step = re.findall(r"\d+", token)
            return replace(ranking, every=(int(start), int(step)))
        case "SIDE" if not ranking.side and not ranking.superlative:
            return replace(ranking, side=_to_place(token))
        case label if label not in _NO_SUPERLATIVES and not ranking.superlative and not ranking.side:
            return replace(ranking, superlative=label)
    raise QuerySyntaxError(str(token))


def _to_word(token: Token) -> str:
    return str(token).replace("_", "-")


def _put_adjectives_first(words: list[str]) -> list[str]:
    """Return 'red cars' for 'cars red'.

    >>> _put_adjectives_first(["cars", "red"]), _put_adjectives_first(["navy", "blue"])
    (['red', 'cars'], ['navy', 'blue'])
    """
    first = next((i for i in range(1, len(words)) if {*words[i:]} <= ADJECTIVES - THINGS_TOO), 0)
    return [*words[first:], *words[:first]] if first and tell_number(words[first - 1]) == "many" else words


def _is_plural_pronoun(pronoun: Token) -> bool:
    return pronoun in ("ones", "these", "those", "both", "several", "some", "many")


def _read_verb(token: Token | None) -> tuple[str, bool]:
    """Return 'is' or 'are', '' where the verb does not tell one from many; and whether it is a main verb."""
    words = str(token or "").split(" ")
    verb = {"is": "is", "was": "is", "looks": "is", "seems": "is", "are": "are", "were": "are"}.get(words[-1], "")
    return verb, bool(verb) and words[0] not in ("that", "which", "who")


def _to_place(token: str) -> str:
    """Return the place that words for sides name.

    >>> [_to_place(text) for text in ("upper right corner", "far left side", "centre", "middle left")]
    ['top_right', 'far left', 'middle', 'left']
    """
    words = token.replace(",", "").split(" ")
    sides = [side for word in words if (side := SIDES.get(word))]
    # the plan has no place between a side and the middle
    if len(sides) == 2:
        return sides[1] if sides[0] == "middle" else "_".join(sides)
    return f"far {sides[0]}" if words[0] in ("far", "extreme", "very") else sides[0]
