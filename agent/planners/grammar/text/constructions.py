"""Plain text to plain text: constructions of several words that say one thing become marks that the lexer knows."""

import re

from agent.planners.grammar.text.numerals import read_number
from agent.planners.grammar.vocabulary import NUMERALS, ORDINALS


def mark_constructions(text: str, *, in_conversation: bool = False) -> str:
    """Mark 'each other', 'the same size as', 'every other', 'the odd one out' and neighbours.

    Args:
        text: As `normalize_query` gives it, which holds no angle bracket.
        in_conversation: Whether 'every other cup' may be all that were not spoken of; it then stays as it is.

    Returns:
        The text with marks in angle brackets, which cannot be typed in.

    >>> mark_constructions("the circles touching each other"), mark_constructions("every third star")
    ('the circles touching <each_other>', '<every_3_3> star')
    >>> mark_constructions("show me the ripe banana's left neighbour")
    'show me the object <left_of_neighbour> the ripe banana'
    >>> mark_constructions("boxes containing three apples"), mark_constructions("a cup with at least 2 spoons in it")
    ('boxes <holding_3_3> apples', 'a cup <holding_2_> spoons')
    """
    for pattern, mark in _CONSTRUCTIONS:
        text = pattern.sub(mark, text)
    text = _WITH_IN_IT.sub(_mark_holding, _CONTAINING.sub(_mark_holding, text))
    text = _NEIGHBOUR_OF.sub(_mark_neighbour, _OWNED_NEIGHBOUR.sub(_mark_neighbour, text))
    return text if in_conversation else _EVERY_NTH.sub(_mark_every, text)


_SIDES = {"left": "left_of", "right": "right_of", "upper": "above", "top": "above", "lower": "below", "bottom": "below"}
_SIDE = r"(?:left|right|upper|top|lower|bottom)"
_DETERMINER = r"(?:the|this|that|my|your|our|a|an)"
_OWNER = rf"(?:{_DETERMINER} (?:(?!{_DETERMINER}\b)\w+ ){{0,4}}?)?\w+"
_KIND = r"(?P<adjectives>(?:(?:nearest|closest|next|direct|immediate) )?)"
_NEIGHBOUR = r"neighbou?r(?P<many>s?)\b(?!')"
_OWNED_NEIGHBOUR = re.compile(
    rf"\b(?P<owner>{_OWNER})(?:'s|(?<=s)') {_KIND}(?:(?P<side>{_SIDE})(?: hand)? )?{_NEIGHBOUR}"
    rf"(?: (?:on|to|at) (?:the|its) (?P<place>left|right)(?: hand)?(?: side)?\b(?! of\b))?"
)
_NEIGHBOUR_OF = re.compile(
    rf"\b(?:{_DETERMINER} )?{_KIND}(?:(?P<side>{_SIDE})(?: hand)? )?{_NEIGHBOUR}"
    rf"(?: (?:on|to|at) the (?P<place>left|right)(?: hand)?(?: side)?)? of (?P<owner>)"
)
_EVERY_NTH = re.compile(
    r"\b(?<!than )(?:every|each) (?:single )?"
    rf"(?:(?P<other>other|2nd|second)|(?P<nth>{'|'.join(ORDINALS[2:])}|\d{{1,2}}th|3rd))\b"
    r"(?= (?!than\b|hand\b|floor\b|place\b|aid\b)\w)"
)
_AMOUNT = (
    r"(?P<amount>exactly|precisely|just|only|at least|no (?:fewer|less) than|at most|up to|(?:no|not) more than"
    r"|more than|over|fewer than|less than) "
)
_NUMBER = rf"(?P<number>{'|'.join(NUMERALS)}|\d{{1,3}}) "
_CONTAINING = re.compile(rf"\b(?:(?:that|which) )?contain(?:s|ing)? (?:{_AMOUNT})?{_NUMBER}(?P<things>)(?=[a-z])")
_WITH_IN_IT = re.compile(
    rf"\b(?:(?:(?:that|which) )?(?:has|have)|with|having) (?:{_AMOUNT})?{_NUMBER}(?P<things>[a-z]\w*(?: \w+){{0,3}}?)"
    r" (?:inside of|inside|within|in) (?:it|them)\b"
)
"""What is counted in each of several things. Without 'in it', what something 'has' may be a part of its name."""
_CONSTRUCTIONS = [
    (re.compile(pattern), mark)
    for pattern, mark in [
        (r"\b(?:each other|one another)\b(?!'s)", "<each_other>"),
        (
            r"\b(?:of |with |in |having )?(?:exactly |just )?(?:the )?same size (?:as|like)\b"
            r"|\b(?:equal|identical) in size (?:to|with)\b|\b(?:of equal size to|equally (?:big|large) as)\b",
            "<same_size>",
        ),
        (r"\bodd (one|\w+) (?:out\b(?: (?:of|among|amongst|in)(?= ))?|of(?= (?:the|all)\b))", r"<odd> \1 of"),
        (
            r"\b(\w+) (?:that|which) (?:is|looks) different"
            r"(?: from (?:all )?(?:of )?the (?:others|rest|other \w+))?(?=$|,)",
            r"<odd> \1",
        ),
        (r"(<odd> \w+) of(?! (?:the|these|those|all|them)\b)", r"\1"),
        (
            r"(?<=[^s\W]) (?:immediately|directly|just) (?:to the )?(left|right) of(?= (?:the|a|an|that|this|my)\b)",
            r" <\1_of_neighbour>",
        ),
        # what something has none of
        (r"\b(?:with|having|(?:(?:that|which|who) )?(?:has|have|had)) neither ([\w ]+?) nor\b", r"without \1 or"),
        (
            r"\b(?:with|having|(?:that|which|who) (?:has|have|had)|(?:has|have|had)) (?:no|not any|zero)(?= \w)"
            r"|(?<=\w )(?:that |which |who )?(?:do|does|did) not (?:have|contain)(?: any)?(?= \w)"
            r"|\b(?:lacking|missing)(?= (?:a|an|any|the) \w)|\bfree of\b",
            "without",
        ),
        (r"\bwithout any (?=(?:\w+ ){0,2}ones\b)", "except the "),
        (r"\bwithout (?:any|a single)\b", "without a"),
    ]
]  # fmt: skip


def _mark_neighbour(found: re.Match[str]) -> str:
    """Return what the neighbours of something are: the nearest object on that side, or all that lie next to it."""
    side = found["side"] or found["place"]
    if side:
        return found[0] if found["many"] else f"the object <{_SIDES[side]}_neighbour> {found['owner']}"
    if found["many"]:
        return f"the objects next to {found['owner']}"
    return f"the object closest to {found['owner']}"


def _mark_holding(found: re.Match[str]) -> str:
    """Return the mark of how many are meant: a number alone says exactly so many."""
    number = read_number(found["number"])
    match (found["amount"] or "").split(" "):
        case ["at", "least"] | ["no", "fewer" | "less", _]:
            least, most = number, ""
        case ["more", _] | ["over"]:
            least, most = number + 1, ""
        case ["at", "most"] | ["up", "to"] | ["no" | "not", "more", _]:
            least, most = 0, str(number)
        case ["fewer" | "less", _]:
            least, most = 0, str(max(0, number - 1))
        case _:
            least, most = number, str(number)
    return f"<holding_{least}_{most}> {found['things']}"


def _mark_every(found: re.Match[str]) -> str:
    """Return the mark of the first place that is meant, and of the step from one to the next."""
    if found["other"]:
        return "<every_1_2>" if found["other"] == "other" else "<every_2_2>"
    word = found["nth"]
    step = ORDINALS.index(word) + 1 if word in ORDINALS else int(re.sub(r"\D", "", word))
    return f"<every_{step}_{step}>" if step > 1 else found[0]
