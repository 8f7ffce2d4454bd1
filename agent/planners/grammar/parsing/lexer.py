"""Text to tokens: words of the grammar in `query.lark`, then labels that depend on neighbours."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lark import Lark, Token
from lark.exceptions import LarkError

from agent.planners.grammar.nouns import tell_number
from agent.planners.grammar.parsing.syntax import QuerySyntaxError
from agent.planners.grammar.text.constructions import mark_constructions
from agent.planners.grammar.text.mask_references import mark_references
from agent.planners.grammar.text.plain_text import normalize_query
from agent.planners.grammar.text.rewording import reword_query
from agent.planners.grammar.vocabulary import ADJECTIVES, COLOURS, NOUNS_TOO, PREDICATES, PRINTED

MAX_WORDS = 60
"""Longer queries are not parsed: they hold more than one selection."""
MAX_LETTERS = 30
"""A longer word is no word."""


def tokenize(query: str, *, in_conversation: bool = False) -> list[Token]:
    """Return the tokens of a query, labelled by what they do in it.

    Args:
        query: Any text.
        in_conversation: Whether 'them', 'the others' and 'number 3' mean masks.

    Raises:
        QuerySyntaxError: The query has no letters, or more than `MAX_WORDS` words.

    >>> [token.type for token in tokenize("the red cup on the left")]
    ['DET', 'WORD', 'WORD', 'PLACE']
    """
    # Marks hold angle brackets, which plain text has none of, so that they cannot be typed in.
    text = reword_query(normalize_query(query))
    text = mark_constructions(text, in_conversation=in_conversation)
    text = mark_references(text) if in_conversation else text
    if not re.search(r"[a-z]" if not in_conversation else r"[a-z<]", text) or len(text.split()) > MAX_WORDS:
        raise QuerySyntaxError(text[:MAX_LETTERS])
    # The words are counted before lark sees them: its regular expressions take long on hostile input.
    try:
        return _lex(text)
    except LarkError as error:
        raise QuerySyntaxError(text[-MAX_LETTERS:]) from error


def tokenize_beginning(query: str) -> list[Token]:
    """Return the tokens of a query of any length, up to four times as many words as are parsed."""
    text = re.sub(r"\b(\w+)(?: \1\b)+", r"\1", normalize_query(query))
    return _lex(" ".join(text.split()[: 4 * MAX_WORDS]))


def _lex(text: str) -> list[Token]:
    # Lark's own `lex` builds a lexer for each text, which takes as long as all the rest.
    start = load_grammar().parse_interactive(text)
    return list(start.lexer_thread.lexer.lex(start.lexer_thread.state, start.parser_state))


@cache
def load_grammar() -> Lark:
    return Lark(
        Path(__file__).with_name("query.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        postlex=TokenRelabeler(),
        maybe_placeholders=True,
    )


# tokens to labelled tokens

_RELATIONS = {
    "LEFT_OF", "RIGHT_OF", "ABOVE", "BELOW", "INSIDE", "IN", "ON", "UNDER",
    "TOUCHING", "OVERLAPPING", "NEXT_TO", "LARGER", "SMALLER", "SAME_SIZE", "NEIGHBOUR", "WITHOUT", "HOLDING",
}  # fmt: skip
_MODIFIERS = _RELATIONS | {"INSCRIPTION", "BETWEEN", "PLACE", "FROM_SIDE", "NEAREST", "FARTHEST", "TO"}
_SUPERLATIVES = {
    "LARGEST", "SMALLEST", "TALLEST", "SHORTEST", "WIDEST", "NARROWEST",
    "LEFTMOST", "RIGHTMOST", "TOPMOST", "BOTTOMMOST", "ODDEST",
}  # fmt: skip
_RANKS = _SUPERLATIVES | {"NEAREST", "FARTHEST", "NUMBER", "ORDINAL", "SIDE", "EVERY_NTH"}
_REFERENCES = {"MASK", "THEM", "IT", "REST", "EACH_OTHER"}
_NOMINALS = _RANKS | {"WORD", "PRONOUN", "EVERYTHING", "NON"} | _REFERENCES
_TOUCHED = {"WORD", "PRONOUN", "IS", "NOT", "THAT", "THEM"}
"""What may stand before 'touch' alone."""
_BEFORE_NOUN = {"", "REQUEST", "COUNT", "DET", "NUMBER"}
_SIZE_WORDS = {"big", "small", "large", "little", "tiny", "huge", "tall", "short", "long", "round"}


_KINDS_OF_PRESENT = {"birthday", "christmas", "xmas", "wedding", "wrapped", "anniversary"}


_Tokens = list[Token]


class TokenRelabeler:
    """Labels the tokens whose part in the query depends on their neighbours.

    It goes from the last token to the first: `before` ends with the previous token, `after` ends with the next one.
    Each method returns what takes the place of its token, and may take neighbours away.
    """

    always_accept = (
        *("REQUEST", "ONE", "SIDE", "THAT", "AT", "COMMA", "DIRECTLY", "BEYOND"),
        *("NAME", "ONLY", "PRESENT", "EXCLUDING", "EDITING", "UNCLEAR"),
    )

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        # From the end, because more depends on what follows than on what went before.
        before, after = list(stream), list[Token]()
        while before:
            token = before.pop()
            relabel = getattr(self, f"relabel_{token.type.lower()}", self.keep_token)
            after.extend(relabel(token, before, after))
        return reversed(after)

    def keep_token(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        return [token]

    def relabel_name(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        return [_relabel("WORD", token)]

    def relabel_number(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'Dogs 1 and 3' have numbers that nobody gave them; 'player 7' is called so."""
        named = _find_label(before) == "WORD" and token.isdigit()
        several = _find_label(after) in ("AND", "CONJ") and _find_label(after[:-1]) in ("NUMBER", "BEYOND")
        after_many = _find_label(before) == "WORD" and tell_number(str(before[-1])) == "many"
        if named and (several or (after_many and _find_label(after) != "WORD")):
            return [_relabel("BEYOND", token)]
        if after_many and _ends_counted(before):  # "2 dogs 3 cats"
            return [token, _relabel("AND", token)]
        return [token] if named else [_relabel(_label_number(token, _read_words(after)), token)]

    def relabel_with(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'How many legs has the dog' is not about legs that have something."""
        inverted = token == "has" and _find_label(before) == "WORD" and tell_number(str(before[-1])) == "many"
        return [_relabel("BEYOND", token)] if inverted else [token]

    def relabel_unclear(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if token == "can" and len(_read_words(after)) != 1 and after[0].type == "WORD":  # "can dogs fly"
            after[0] = _relabel("BEYOND", after[0])
        return [_relabel("BEYOND", token)]

    def relabel_only(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'The only dog', 'dogs only'; in 'bus only lane' it is a word of the noun; 'but only' leaves nothing out."""
        if _find_label(before) == "EXCEPT":
            return [_relabel("BEYOND", token)]
        return [_relabel("WORD", token)] if _find_label(before) == _find_label(after) == "WORD" else []

    def relabel_present(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'The dogs present' are those that can be seen, but 'the present' is a thing."""
        is_thing = _find_label(before) != "WORD" or {str(before[-1])} & (ADJECTIVES | _KINDS_OF_PRESENT)
        return [_relabel("WORD", token)] if is_thing and _find_label(before) != "IS" else []

    def relabel_request(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'Do dogs bite' ends with a verb, and 'is the dog brown' with what the dog is."""
        *asked, verb = re.findall(r"\w+", token)
        run = _read_words(after[:-1] if _find_label(after) == "DET" else after)
        last = len(after) - len(run) - (_find_label(after) == "DET")
        ends = last == 0 or (_find_label(after[:last]) == "AND" and last > 1 and after[last - 2] in ADJECTIVES)
        if len(run) < 2 or not ends:
            said_last = len(after) > 1 and after[0] in ADJECTIVES - NOUNS_TOO and tell_number(after[1]) == "one"
            if verb in ("is", "are") and said_last and not ends:
                after[0] = _relabel("BEYOND", after[0])  # "is the cup on the table red"
            return []
        if verb in ("do", "does", "did"):
            after[last] = _relabel("BEYOND", after[last])
        elif verb in ("is", "are", "was", "were") and not {*asked} & {"where", "who", "what", "which", "there", "here"}:
            is_said = run[-1] in (ADJECTIVES - NOUNS_TOO) | PREDICATES or tell_number(run[-2]) == "many"
            if is_said:
                after.insert(last + 1, _relabel("IS", Token("IS", verb)))
            elif len(after) > len(run):
                after[last] = _relabel("BEYOND", after[last])
        return []

    def relabel_directly(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        # "Sitting on the sofa" is on it; in "the standing lamp" it is a word of the noun.
        if _find_label(after) in _MODIFIERS or (not after and token in ("located", "situated", "positioned", "placed")):
            return []
        return [_relabel("WORD", token)]

    def relabel_at(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        return [_relabel("NEXT_TO", token)]

    def relabel_that(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        # "that left of …" says no more than "left of …"; before a noun, "that" is an article
        if _find_label(after) in _MODIFIERS | {"NOT"}:
            return []
        return [_relabel("DET", token)] if token == "that" and _find_label(after) in _NOMINALS else [token]

    def relabel_det(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        # "both are red" speaks of two that have been named
        stands_alone = _find_label(after) not in _NOMINALS and token in (
            "these",
            "those",
            "both",
            "several",
            "some",
            "many",
        )
        # "both ways arrow": an arrow is not both
        run = _read_words(after)
        if token in ("both", "several", "many") and _label_number(token, run) != "NUMBER":
            return [_relabel("BEYOND", token)]
        return [_relabel("PRONOUN", token)] if stands_alone else [token]

    def relabel_one(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        # "one dog" counts, "the red one" stands for a noun
        if token == "ones":
            return [_relabel("PRONOUN", token)]
        if _find_label(after) == "OF_THEM" and _find_label(before) in ("", "REQUEST"):
            return [_relabel("NUMBER", token)]
        return [_relabel("NUMBER" if _find_label(after) in _NOMINALS | {"OF"} else "PRONOUN", token)]

    def relabel_side(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        # "right above" is just above; "the top 3 largest" are the 3 largest
        if token == "right" and _find_label(after) in _RELATIONS | {"BETWEEN"}:
            return []
        if token == "top" and _find_label(after) == "NUMBER" and _find_label(after[:-1]) in _SUPERLATIVES:
            return []
        if (
            token in ("left", "right")
            and _find_label(after) == "CONJ"
            and _find_label(after[:-1]) in ("LEFT_OF", "RIGHT_OF")
        ):
            self.make_place(token, before, after)  # "to the left or right of"
            return [_relabel(f"{token.upper()}_OF", token)]
        if _find_label(after) in _NOMINALS or _is_before_side(after):
            return [token]
        # "the jar top" is a part of it, but "pizza bottom" is short for the pizza at the bottom
        if token in ("top", "bottom", "center", "centre") and (_ends_noun_phrase(before) or _lacks_noun(before)):
            return [_relabel("WORD", token)]
        return self.make_place(token, before, after)

    def make_place(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """A side that no noun follows is a place, with the preposition and the article before it."""
        on_top = token == "top" and _find_label(before) == "ON" and before[-1] == "on"
        if _find_label(before) == "DET":
            before.pop()
        preposition = before.pop() if _find_label(before) in ("ON", "IN", "AT", "TO", "NEXT_TO") else ""
        if preposition == "to" and _find_label(before) == "SIDE":  # "from left to right"
            return []
        if on_top:
            return [Token.new_borrow_pos("PLACE", "on top", token)]
        return [_relabel("FROM_SIDE" if "from" in preposition else "PLACE", token)]

    def relabel_comma(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        # A comma joins nouns, unless another word beside it does already.
        joins = {"AND", "EXCEPT", "CONJ", "COMMA"}
        if (
            not before
            or not after
            or _find_label(before) in joins
            or _find_label(after) in joins | _MODIFIERS | {"IS", "NOT"}
        ):
            return [_relabel("CONJ", token)] if _lists_relations(before, after) else []
        if before[-1] in _SIZE_WORDS or _joins_colours(before, after):  # "the big, red ball"
            return []
        if _find_label(after) == "NON" and _find_label(before[:-1]) == "NON" and before[-1] in ADJECTIVES:
            return []  # "non-red, non-blue circles"
        # "a red, striped ball" is one, "red, blue circles" are two kinds
        run = _read_words(after)
        adjectives = {str(before[-1]), *run[:1]}
        if len(run) > 1 and adjectives <= ADJECTIVES and not adjectives <= COLOURS:
            return []
        return [_relabel("AND", token)]

    def relabel_not(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if _find_label(after) in _MODIFIERS:
            return [token]
        # "is neither" can be read; "neither of them" goes beyond the grammar
        if token not in ("not", "neither") and _find_label(after) == "WORD":
            return [_relabel("BEYOND", token)]  # "that do not bark": no verb can be looked for
        all_of = _find_label(after) == "DET" and after[-1].split(" ")[0] in ("all", "every", "each", "both")
        if token != "neither" and all_of:
            return [_relabel("BEYOND", token)]  # how many "not all" are is not said
        if token == "not" and _find_label(before) == "WORD" and _names_one(_read_words(after)):
            return [_relabel("BEYOND", token)]  # "cup not mug": a mug is nothing that a cup can be like
        if token == "neither":
            return [_relabel("NOT" if _find_label(before) == "IS" else "BEYOND", token)]
        if _find_label(before) in ("AND", "COMMA"):
            return [_relabel("EXCEPT", token)]
        # "not a dog" leaves something out, "not red" before a noun is an adjective
        first = _find_label(before) in ("", "REQUEST", "COUNT", "DET")
        if not first or _find_label(after) != "WORD":
            return [token]
        return [_relabel("NON" if after[-1] in ADJECTIVES else "BEYOND", token)]

    def relabel_and(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        # of "and, except …" the second word counts
        if not before or _find_label(after) in ("", "AND", "EXCEPT"):
            return []
        between_numbers = _find_label(before) in ("NUMBER", "ONE") and _find_label(after) == "NUMBER"
        if token == "or" and between_numbers and _find_label(before[:-1]) != "WORD":
            return [_relabel("BEYOND", token)]  # "two or three dogs"
        if token == "and" and _joins_colours(before, after):
            return [_relabel("WORD", token)]
        # "two red and white flags" may be two or four
        if _find_label(before[:-1]) == "NUMBER" and {str(before[-1]), *_read_words(after)[:1]} <= COLOURS:
            return [_relabel("BEYOND", token)]
        if token == "nor":  # what is "neither a dog nor a cat" is not a dog, and is not a cat
            return [_relabel("NOT", token), _relabel("IS", token), _relabel("CONJ", token)]
        return [_relabel("CONJ", token)] if _begins_modifier(after) else [token]

    def relabel_except(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        # "but not red" goes on with the same noun, "but not the stars" leaves others out
        if not _begins_modifier(after):
            return [token]
        return [_relabel("CONJ", token)] if token == "but" else [_relabel("NOT", token), _relabel("CONJ", token)]

    def relabel_is(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        if not before or _find_label(after) in ("", "IS"):
            return []
        # "is the largest" is as good as "is largest"
        if _find_label(after) == "DET" and _find_label(after[:-1]) in _RANKS:
            after.pop()
        return [token]

    def relabel_nearest(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        # "nearest the tree" lacks its "to"; tokens are given last one first
        return [_relabel("TO", token), token] if _find_label(after) == "DET" else [token]

    relabel_farthest = relabel_nearest

    def relabel_leftmost(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """After a noun, as in 'the star farthest to the left', it is what 'that is' would begin."""
        after_noun = _find_label(before) in ("WORD", "PRONOUN") and _find_label(after) not in _NOMINALS | {"OF"}
        return [token, _relabel("IS", token)] if after_noun else [token]

    def relabel_touching(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'Circles that touch' and 'touching circles' touch each other; 'touching the circle' is said of others."""
        if _find_label(after) in ("", "AND", "CONJ", "EXCEPT") and _find_label(before) in _TOUCHED:
            return [_relabel("EACH_OTHER", token), token]
        run = _read_words(after)
        ones = _find_label(after[: len(after) - len(run)]) == "PRONOUN"
        of_many = (ones or (run and tell_number(run[-1]) == "many")) and not _ends_in_preposition(token)
        return [_relabel("MUTUAL", token)] if of_many and _find_label(before) in _BEFORE_NOUN else [token]

    relabel_overlapping = relabel_touching

    def relabel_without(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'Without the largest', 'without the red ones' leave some out; 'without a lid' says what is not on them."""
        definite = _find_label(after) == "DET" and str(after[-1]) in ("the", "these", "those", "that", "this")
        noun = after[:-1] if definite else after
        run = _read_words(noun)
        ones = _find_label(noun[: len(noun) - len(run)]) == "PRONOUN"
        ranked = definite and _find_label(noun) in _RANKS | {"NON"}
        of_everything = _find_label(before) == "EVERYTHING"
        return [_relabel("EXCEPT" if ranked or ones or of_everything else "WITHOUT", token)]

    relabel_rightmost = relabel_topmost = relabel_bottommost = relabel_leftmost


def _find_label(tokens: _Tokens) -> str:
    """Return the label of the neighbour; '' where there is none."""
    return tokens[-1].type if tokens else ""


def _relabel(label: str, token: Token) -> Token:
    return Token.new_borrow_pos(label, str(token), token)


def _is_before_side(after: _Tokens) -> bool:
    """Whether 'and (the) right …' follows, as in 'the left and the right circle'."""
    rest = after[:-1] if _find_label(after) == "AND" else []
    if _find_label(rest) == "WORD" and re.match("(left|right|upper|lower) ", rest[-1]):  # "the left and right ears"
        return True
    return _find_label(rest[:-1] if _find_label(rest) == "DET" else rest) == "SIDE"


def _begins_modifier(after: _Tokens) -> bool:
    if _find_label(after) in ("NEAREST", "FARTHEST"):
        return _find_label(after[:-1]) in ("TO", "PLACE")
    return _find_label(after) in (_MODIFIERS - {"TO"}) | {"IS", "NOT"}


def _lists_relations(before: _Tokens, after: _Tokens) -> bool:
    """Whether a comma joins two relations of one noun: 'left of the tree, below the star'."""
    if _find_label(after) not in _RELATIONS - {"WITHOUT", "HOLDING"} or _find_label(before) != "WORD":
        return False
    labels = [token.type for token in before]
    start = max((i for i, label in enumerate(labels) if label in ("AND", "EXCEPT", "COMMA")), default=-1)
    said = {*labels[start + 1 :]}
    return bool(said & _RELATIONS) and not said & {"IS", "THAT", "WITH"}


def _ends_in_preposition(token: Token) -> bool:
    return token.endswith((" with", " by", " on", " to", "against"))


def _read_words(after: _Tokens) -> list[str]:
    """Return the words of the noun phrase that follows, in the order of the query."""
    words: list[str] = []
    for token in reversed(after):
        if token.type != "WORD":
            break
        words.append(str(token))
    return words


def _ends_noun_phrase(before: _Tokens) -> bool:
    """Whether the words just before are a noun with an article."""
    start = next((i for i in reversed(range(len(before))) if before[i].type != "WORD"), -1)
    return 0 <= start < len(before) - 1 and before[start].type == "DET"


def _names_one(run: list[str]) -> bool:
    """Whether a run is a noun, as far as its ending tells."""
    describes = len(run) != 1 or run[0] in ADJECTIVES | PREDICATES or re.search(r"(ing|ed|en|y|ful|less|able)$", run[0])
    return not describes and tell_number(run[0]) == "one"


def _lacks_noun(before: _Tokens) -> bool:
    """Whether the word just before only describes what follows: 'spinning top', 'red top', but not 'pizza top'."""
    word = str(before[-1]) if _find_label(before) == "WORD" and _find_label(before[:-1]) != "WORD" else ""
    return word in ADJECTIVES - NOUNS_TOO or (len(word) > 5 and word.endswith("ing"))


def _ends_counted(before: _Tokens) -> bool:
    """Whether the words just before are counted."""
    start = next((i for i in reversed(range(len(before))) if before[i].type != "WORD"), -1)
    return start >= 0 and before[start].type == "NUMBER"


def _label_number(token: Token, run: list[str]) -> str:
    """Return what a number before a run of words is: NUMBER, a WORD of a name, or BEYOND where that is not clear.

    Two of a kind are plural, so that 'five guys logo' is a name, and 'ten pin bowling' is not clear.
    """
    one_of_many = len(run) > 1 and tell_number(run[-1]) == "one" and str(token) not in ("1", "one")
    described = {*run[:-1]} <= ADJECTIVES or run[-1:] == ["ones"]
    predicate = run[-1:] != [] and (run[-1] in (ADJECTIVES - NOUNS_TOO) | PREDICATES or run[-1].endswith("ing"))
    if not one_of_many or described or (predicate and tell_number(run[-2]) == "many"):
        return "NUMBER"
    return "WORD" if tell_number(run[0]) == "many" and run[-1] in PRINTED else "BEYOND"


def _joins_colours(before: _Tokens, after: _Tokens) -> bool:
    """Whether two colours are those of one thing: 'the red and white flag', but not 'red and white flags'."""
    run = _read_words(after)
    colours = {str(before[-1]), *run[:1]} if before else set()
    return len(colours) == 2 and len(run) > 1 and colours <= COLOURS and tell_number(run[-1]) == "one"
