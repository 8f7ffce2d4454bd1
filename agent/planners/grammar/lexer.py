"""Text to tokens: plain text, then words of the grammar in `query.lark`, then labels that depend on neighbours."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lark import Lark, Token
from lark.exceptions import LarkError

from agent.planners.grammar.list_notation import join_list_items
from agent.planners.grammar.nouns import tell_number
from agent.planners.grammar.numerals import write_digits
from agent.planners.grammar.syntax import QuerySyntaxError
from agent.planners.grammar.vocabulary import ADJECTIVES, COLOURS, NUMERALS, THINGS_TOO, TYPOS

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
    text = normalize_query(query)
    text = mark_references(text) if in_conversation else text
    if not re.search(r"[a-z]" if not in_conversation else r"[a-z<]", text) or len(text.split()) > MAX_WORDS:
        raise QuerySyntaxError(text[:MAX_LETTERS])
    # The words are counted before lark sees them: its regular expressions take long on hostile input.
    try:
        return list(load_grammar().lex(text))
    except LarkError as error:
        raise QuerySyntaxError(text[-MAX_LETTERS:]) from error


def tokenize_beginning(query: str) -> list[Token]:
    """Return the tokens of a query of any length, up to four times as many words as are parsed."""
    text = re.sub(r"\b(\w+)(?: \1\b)+", r"\1", normalize_query(query))
    return list(load_grammar().lex(" ".join(text.split()[: 4 * MAX_WORDS])))


@cache
def load_grammar() -> Lark:
    return Lark(
        Path(__file__).with_name("query.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        postlex=TokenRelabeler(),
        maybe_placeholders=True,
    )


# text to plain text


def normalize_query(query: str) -> str:
    """Return lower case, plain spacing and punctuation, contractions written out, 'in the picture' left out.

    Lists have commas, and large numbers have digits. What is plain already stays as it is.

    >>> normalize_query("Show me the left-most cup, that isn't RED, in this picture!")
    'show me the left most cup, that is not red'
    """
    text = unicodedata.normalize("NFKC", re.sub("[\u2460-\u2473]", " , ", query)).casefold().replace("\u2019", "'")
    text = _TYPOS.sub(lambda typo: TYPOS[typo[0]], join_list_items(write_digits(text)))
    for pattern, plain in _REPLACEMENTS:
        text = pattern.sub(plain, text)
    return text.strip(" ,")


_SIDES = r"(?:left|right|top|bottom|upper|lower|cent(?:er|re)|middle)"
_ORDINALS = r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:st|nd|rd|th))"
_PLURAL = r"(?:(?:the|all) )?(?:\w+ )?\w{3,}s"
_NAMED_AGAIN = "a|an|the|i e|e g"
_SAID_OF_IT = (
    r"(?:left|right|top|bottom|middle|far|inside|outside|on|in|at|by|near|next|above|below|under|behind|between|with"
    r"|without|that|which|who|not|but|and|or|except|excluding|excl|please|all|if|from|to|of|largest|smallest|leftmost"
    r"|rightmost|the (?:left|right|top|bottom|largest|smallest|biggest|one|ones))\b"
)
"""How what is said in parentheses begins, where it goes on with the noun before it."""
_IMAGES = r"(?:picture|image|photo|photograph|scene|screenshot|canvas|view|frame)"
_ADJECTIVE = rf"(?:{'|'.join(sorted(ADJECTIVES - THINGS_TOO))})"
_OUTERMOST = r"(?:\w+est|\w+most)"
_TYPOS = re.compile(rf"\b(?:{'|'.join(TYPOS)})\b")
_REPLACEMENTS = [
    (re.compile(pattern), plain)
    for pattern, plain in [
        # addresses and files name nothing to look for
        (r"\b(?:https?|ftp|file)://\S+|\b[a-z]:\\\S+|\S+\.(?:png|jpe?g|webp|gif|bmp|tiff?)\b", " namely "),
        (r"\$(\d+)", r"\1 dollar"),
        (r"\u20ac(\d+)", r"\1 euro"),
        (r"\u00a3(\d+)", r"\1 pound"),
        # abbreviations
        (r"\bw/o(?:ut)?\b", "without"),
        (r"\b(?:e\.? ?g|i\.? ?e|incl)\b\.? ?(?=[a-z])", " , namely "),
        (r"\bone and only\b", "only"),
        (r"\bw/(?=\s|\w)", "with "),
        (r"\bexcl\b\.?", "excluding"),
        (r"\b(st|mr|mrs|ms|dr|jr|sr|prof|vs|approx|mt)\.(?= )", r"\1"),
        (r"\bvs\b", "versus"),
        (r"%|\bper cent\b", " percent "),
        (r"(?<=\d)\+(?= ?[a-z])", " or more "),
        (r"(?<=[a-z])[(\[](e?s)[)\]]", r"\1"),
        # contractions
        (r"\b(is|are|was|were|do|does|did|can|could)n'?t\b", r"\1 not"),
        (r"\b(that|what)s\b", r"\1 is"),
        (r"\bcan not\b", "cannot"),
        (r"\b(what|where|that|who|which|there|it|here)'s\b", r"\1 is"),
        (r"\bi'd\b", "i would"),
        (r"\b(?:i|you|we)'(?:m|re|ve|ll)\b", "i am"),
        # amounts that are no number
        (r"(?<=\d)\s*/\s*(?=\d)", " percent "),
        (r"(?<![\w-])(\d+) ?- ?(\d+)(?= (?!and\b|or\b|to\b)[a-z])", r"\1 up to \2"),
        (r"\bno\.? ?(?=\d)", "number "),
        (r"\ba couple (?=\w+s\b)(?!sits|stands|kisses|walks|hugs|dances|is|was|has)", "a couple of "),
        (r"\bnothing but\b|\bnot only (?=.* but also\b)", "only "),
        (r"\bbut also\b", "and "),
        (r"\b(?:some|any|every)(?:one|body)\b", "every person"),
        # what stands in parentheses: adjectives describe what is before it, other nouns do something unclear
        (rf"(?<=\w)(?<! in)(?<! of) ?[(\[]((?:the )?{_ADJECTIVE}(?: ones?)?)[)\]]", r" that seem \1 "),
        (rf"(?<=\w) ?[(\[](?=(?:(?:{_NAMED_AGAIN}) )?[a-z ]+[)\]])(?!{_SAID_OF_IT})", " , namely "),
        (rf"^({_PLURAL}): (?=[a-z])", r"\1, namely "),
        # a sign between nouns: "circles - red" leaves out the red ones, "dog - cat" could be a list
        (rf"(?<=[a-z]) [-\u2013\u2212] (?={_ADJECTIVE}(?: ones?)?(?:$|,))", " except "),
        (r"(?<=[a-z]) [-\u2212] (?=\S)", " versus "),
        (r"(?<!\S)-(?=\d)", " minus "),
        # quotes in pairs, so that an apostrophe that is left is a possessive
        (r"(?<!\w)'([^']+)'(?!\w)", r" \1 "),
        # punctuation: what ends a clause is a comma, and a decimal point stays one word
        (r"&", " and "),
        (r"(?<=\d)\.(?=\d)", "_"),
        (r"[.;:?!()\[\]{}/\u2013\u2014]|--+", " , "),
        # hyphens: "left-most" is two words, "t-shirt" is one
        (rf"\b({_SIDES})-(?=(?:left|right|most|hand|side)\b)", r"\1 "),
        (rf"\b({_ORDINALS})-(?=\w+(?:est|most)\b)", r"\1 "),
        # what has a plainer way to say it
        (r"\boutside(?: of)? (?=(?:the|a|an|all|any|every|each|both|this|that)\b)", "not inside "),
        (r"\bin the (?:middle|cent(?:er|re)) of (?=(?:the )?two\b)", "between "),
        (r"\bout of (?=(?:the|all)\b)", "of "),
        (r"\bnon-|\bun(?=(?:striped|dotted|spotted|patterned|colou?red)\b)", "non "),
        (rf"\b(neither) ({_ADJECTIVE}) nor ({_ADJECTIVE}) (\w+)", r"\4 that are neither \2 nor \3"),
        (rf"\b({_ADJECTIVE}) in (?:colou?r|shape|size)\b", r"\1"),
        # what adds nothing to a superlative
        (rf"\b(?:(?:very|absolutely|absolute|overall|single)|by far(?: the)?) (?={_OUTERMOST}\b)", ""),
        (r"\b(?:second|next|one)[- ](?:to|but)[- ](?:the[- ])?last\b|\b(?:last but one|penultimate)\b", "last second"),
        (rf"\b({_ORDINALS})[- ](?:to|from)[- ](?:the[- ])?last\b", r"last \1"),
        (r"\b(and|but|or),? (?:please )?(?:leave out|exclude|omit|skip|ignore)\b", "except"),
        # what is left of hyphens, signs and quotes
        (r"(?<=\w)-(?=\w)", "_"),
        (r"[^\w',]", " "),
        (r"(?<!\w)'|(?<!s)'(?!\w)|'(?! \w)(?!\w)", " "),
        # everything asked for is in the image, so that it need not be said
        (rf"\b(?:in|of|on|from|within|across) (?:the|this|that|my|your) (?:whole |entire |given )?{_IMAGES}\b", " "),
        (r"\s+", " "),
        (r"(?: ?,)+ ?", ", "),
    ]
]


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
        number = NUMERALS.index(word) + 1 if word in NUMERALS else int(word)
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


# tokens to labelled tokens

_RELATIONS = {
    "LEFT_OF", "RIGHT_OF", "ABOVE", "BELOW", "INSIDE", "IN", "ON", "UNDER",
    "TOUCHING", "OVERLAPPING", "NEXT_TO", "LARGER", "SMALLER",
}  # fmt: skip
_MODIFIERS = _RELATIONS | {"BETWEEN", "PLACE", "FROM_SIDE", "NEAREST", "FARTHEST", "TO"}
_SUPERLATIVES = {
    "LARGEST", "SMALLEST", "TALLEST", "SHORTEST", "WIDEST", "NARROWEST",
    "LEFTMOST", "RIGHTMOST", "TOPMOST", "BOTTOMMOST",
}  # fmt: skip
_RANKS = _SUPERLATIVES | {"NEAREST", "FARTHEST", "NUMBER", "ORDINAL", "SIDE"}
_REFERENCES = {"MASK", "THEM", "IT", "REST"}
_NOMINALS = _RANKS | {"WORD", "PRONOUN", "EVERYTHING", "NON"} | _REFERENCES
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
        plural = named and tell_number(str(before[-1])) == "many" and _find_label(after) != "WORD"
        return [_relabel("BEYOND", token)] if plural or (named and several) else [token]

    def relabel_with(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'How many legs has the dog' is not about legs that have something."""
        inverted = token == "has" and _find_label(before) == "WORD" and tell_number(str(before[-1])) == "many"
        return [_relabel("BEYOND", token)] if inverted else [token]

    def relabel_unclear(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        return [_relabel("BEYOND", token)]

    def relabel_only(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'The only dog', 'dogs only'; in 'bus only lane' it is a word of the noun."""
        return [_relabel("WORD", token)] if _find_label(before) == _find_label(after) == "WORD" else []

    def relabel_present(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """'The dogs present' are those that can be seen, but 'the present' is a thing."""
        is_thing = _find_label(before) != "WORD" or {str(before[-1])} & (ADJECTIVES | _KINDS_OF_PRESENT)
        return [_relabel("WORD", token)] if is_thing and _find_label(before) != "IS" else []

    def relabel_request(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
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
        if token in ("top", "bottom", "center", "centre") and _ends_noun_phrase(before):
            return [_relabel("WORD", token)]
        return self.make_place(token, before, after)

    def make_place(self, token: Token, before: _Tokens, after: _Tokens) -> _Tokens:
        """A side that no noun follows is a place, with the preposition and the article before it."""
        if _find_label(before) == "DET":
            before.pop()
        preposition = before.pop() if _find_label(before) in ("ON", "IN", "AT", "TO", "NEXT_TO") else ""
        if preposition == "to" and _find_label(before) == "SIDE":  # "from left to right"
            return []
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
            return []
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


def _joins_colours(before: _Tokens, after: _Tokens) -> bool:
    """Whether two colours are those of one thing: 'the red and white flag', but not 'red and white flags'."""
    run = _read_words(after)
    colours = {str(before[-1]), *run[:1]} if before else set()
    return len(colours) == 2 and len(run) > 1 and colours <= COLOURS and tell_number(run[-1]) == "one"
