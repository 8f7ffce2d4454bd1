"""Plans in words: what an answer is, and why there is none."""

from collections.abc import Callable
from dataclasses import replace

from agent.nouns import plural
from agent.plan import Common, Counted, Except, Located, Phrase, Plan, Ranked, Related, Union

NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
ORDINALS = ["", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
RELATIONS = {
    "next_to": "next to",
    "nearest": "nearest to",
    "farthest": "farthest from",
    "overlapping": "overlapping with",
    "larger": "larger than",
    "smaller": "smaller than",
}
"""Where the words are not the name without underscores."""
PLACES = {"middle": "in the middle"} | {half: f"in the {half} half" for half in ("left", "right", "top", "bottom")}
SUPERLATIVES = {
    ("size", "descending"): "largest",
    ("size", "ascending"): "smallest",
    ("x", "ascending"): "leftmost",
    ("x", "descending"): "rightmost",
    ("y", "ascending"): "topmost",
    ("y", "descending"): "bottommost",
    ("width", "descending"): "widest",
    ("width", "ascending"): "narrowest",
    ("height", "descending"): "tallest",
    ("height", "ascending"): "shortest",
    ("score", "descending"): "most certain",
    ("score", "ascending"): "least certain",
    ("distance", "ascending"): "nearest",
    ("distance", "descending"): "farthest",
}

SIDES = {"leftmost": "left", "rightmost": "right", "topmost": "top", "bottommost": "bottom"}

Sizes = Callable[[Plan], int]
"""How many objects a part of the plan found."""


def described(plan: Plan, sizes: Sizes, named: Callable[[str], str] = repr) -> str:
    """What the masks of a plan are. `named` says a phrase of the objects themselves; others are quoted.

    >>> circles = Phrase("circle")
    >>> described(Ranked(circles, "size", "descending", take=2), lambda plan: 5)
    "the two largest of 5 'circle'"
    >>> described(Except(circles, Related(circles, "on", Phrase("table"))), lambda plan: 5)
    "'circle' not on 'table'"
    """
    match plan:
        case Phrase(text):
            return named(text)
        case Union(parts):
            *first, last = [described(part, sizes, named) for part in parts]
            return f"{', '.join(first)} and {last}"
        case Except(of, (Related() | Located()) as minus) if minus.of == of:
            return f"{described(of, sizes, named)} not {condition(minus, sizes)}"
        case Except(of, minus):
            return f"{described(of, sizes, named)} other than {described(minus, sizes)}"
        case Ranked(of):
            return f"{_superlative(plan, sizes)} of {sizes(of)} {described(of, sizes)}"
        case Counted(of):
            return described(of, sizes, named)
        case Common(of) | Related(of) | Located(of):
            return f"{described(of, sizes, named)} {condition(plan, sizes)}"


def condition(plan: Common | Related | Located, sizes: Sizes) -> str:
    """What sets the result of a plan apart from what it chooses among.

    >>> condition(Located(Phrase("cup"), "top_left"), len)
    'in the top left quarter'
    """
    match plan:
        case Common(_, other):
            return f"that are {described(other, sizes)} too"
        case Located(_, place):
            return PLACES.get(place) or f"in the {place.replace('_', ' ')} quarter"
        case Related(_, "between", to, None):
            return f"between two of {described(to, sizes)}"
        case Related(_, relation, to, other):
            more = "" if other is None else f" and {described(other, sizes)}"
            return f"{RELATIONS.get(relation) or relation.replace('_', ' ')} {described(to, sizes)}{more}"


def counted(plan: Plan, number: int, sizes: Sizes) -> str:
    """
    >>> counted(Phrase("red star"), 3, len)
    'There are 3 red stars.'
    >>> counted(Located(Phrase("star"), "left"), 0, len)
    'There are no stars in the left half.'
    """
    what = described(plan, sizes, str if number == 1 else in_plural)
    return f"There {'is' if number == 1 else 'are'} {number or 'no'} {what}."


def in_plural(phrase: str) -> str:
    """
    >>> in_plural("cup of coffee"), in_plural("red box")
    ('cups of coffee', 'red boxes')
    """
    words = phrase.split()
    head = next((i for i, word in enumerate(words) if word in ("of", "with", "in") and i > 0), len(words)) - 1
    return " ".join([*words[:head], plural(words[head]), *words[head + 1 :]])


def nothing(plan: Plan, sizes: Sizes) -> str:
    """Why a plan has no result although everything it needs was found; no full sentence yet.

    >>> nothing(Ranked(Phrase("dog"), "x", "ascending", start=3), lambda plan: 2)
    "there are only 2 'dog', so there is no third from the left"
    """
    match plan:
        case Phrase(text):
            return f"nothing in the picture was found for {text!r}"
        case Ranked(of, start=start):
            one = _superlative(replace(plan, start=max(start, 2), take=1), sizes).removeprefix("the ")
            return f"there are only {sizes(of)} {described(of, sizes)}, so there is no {one}"
        case Except(of, minus):
            return f"none of {sizes(of)} {described(of, sizes)} is left without {described(minus, sizes)}"
        case Common(of) | Related(of) | Located(of):
            return f"none of {sizes(of)} {described(of, sizes)} is {condition(plan, sizes)}"
        case Union(parts):
            return "; ".join(nothing(part, sizes) for part in parts)
        case Counted(of):
            return nothing(of, sizes)


def _superlative(plan: Ranked, sizes: Sizes) -> str:
    """'the largest', 'the second to third leftmost', 'the two nearest to 'ring''."""
    word = SUPERLATIVES[plan.by, plan.order]
    take = max(1, min(plan.take, sizes(plan.of) - plan.start + 1))
    if plan.start > 1 and take == 1 and word in SIDES:
        return f"the {_ordinal(plan.start)} from the {SIDES[word]}"
    first = "" if plan.start == 1 else f"{_ordinal(plan.start)} "
    if take > 1:
        first = f"{first}to {_ordinal(plan.start + take - 1)} " if first else f"{_number(take)} "
    to = "" if plan.to is None else f" {'to' if word == 'nearest' else 'from'} {described(plan.to, sizes)}"
    return f"the {first}{word}{to}"


def _number(number: int) -> str:
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


def _ordinal(number: int) -> str:
    """
    >>> [_ordinal(number) for number in (2, 11, 22, 113)]
    ['second', '11th', '22nd', '113th']
    """
    if number < len(ORDINALS):
        return ORDINALS[number]
    teens = 10 < number % 100 < 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
