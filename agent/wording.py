"""Plans in words: what an answer is, and why there is none."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.core.english import format_ids, format_mask_count
from agent.meaning import Reading
from agent.nouns import plural
from agent.plan import (
    Common,
    Counted,
    Except,
    Located,
    Numbered,
    One,
    Otherwise,
    Phrase,
    Plan,
    Ranked,
    Related,
    Selected,
    Sized,
    Union,
    heads,
    origin,
)

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
        case Selected():
            return "those"
        case Numbered(ids):
            return f"number{'s' * (len(ids) > 1)} {format_ids(ids)}"
        case Otherwise(of):
            return described(of if sizes(of) == sizes(plan) else plan.other, sizes, named)
        case Sized(of):
            return f"{described(of, sizes, named)} {_compared(plan)}"
        case Union(parts):
            *first, last = [described(part, sizes, named) for part in parts]
            return f"{', '.join(first)} and {last}"
        case Except(of, (Related() | Located()) as minus) if minus.of == of:
            return f"{described(of, sizes, named)} not {condition(minus, sizes)}"
        case Except(Selected(), Selected()):
            return "the others"
        case Except(of, Selected()):
            return f"the other {described(of, sizes, named)}"
        case One(Selected() as of) if sizes(of) == 1:
            return "it"
        case One(of) if sizes(of) > 1:
            return "the one that you chose"
        case Except(of, minus):
            return f"{described(of, sizes, named)} other than {described(minus, sizes)}"
        case Ranked(Except(of, Selected()), "score", "descending", 1, take):
            return _more(described(of, sizes, named), min(take, sizes(plan)))
        case Ranked(Selected()):
            return _superlative(plan, sizes)
        case Ranked(of):
            return f"{_superlative(plan, sizes)} of {_some(of, sizes)}"
        case Counted(of) | One(of):
            return described(of, sizes, named)
        case Common(of) | Related(of) | Located(of):
            return f"{described(of, sizes, named)} {condition(plan, sizes)}"


def _more(what: str, number: int) -> str:
    """
    >>> _more("'cup'", 1), _more("those that are 'red cup'", 1), _more("those", 2)
    ("another 'cup'", "another one that is 'red cup'", 'two more of those')
    """
    if number == 1:
        return f"another {re.sub('^those( that are)?', lambda found: 'one that is' if found[1] else 'one', what)}"
    return f"{_number(number)} more {'of ' * what.startswith('those')}{what}"


def condition(plan: Common | Related | Located, sizes: Sizes) -> str:
    """What sets the result of a plan apart from what it chooses among.

    >>> condition(Located(Phrase("cup"), "top_left"), len)
    'in the top left quarter'
    """
    match plan:
        case Common(Selected(), other):
            return f"that are {described(other, sizes)}"
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
        case Selected() | Numbered():
            return "no mask is selected"
        case Ranked(of) | Except(of) if not sizes(of):
            return nothing(of, sizes)
        case Ranked(of, start=start):
            one = _superlative(replace(plan, start=max(start, 2), take=1), sizes).removeprefix("the ")
            return f"there are only {_some(of, sizes).removeprefix('the ')}, so there is no {one}"
        case Except(_, Selected()):
            return "there are no others"
        case Except(of, minus):
            return f"none of {_some(of, sizes)} is left without {described(minus, sizes)}"
        case Common(of) | Related(of) | Located(of):
            return f"none of {_some(of, sizes)} is {condition(plan, sizes).removeprefix('that are ')}"
        case Sized(of):
            return f"none of {_some(of, sizes)} is {_compared(plan)}"
        case Union(parts):
            return "; ".join(nothing(part, sizes) for part in parts)
        case Counted(of) | One(of):
            return nothing(of, sizes)
        case Otherwise(_, other):
            return nothing(other, sizes)


def changed(reading: Reading, ids: Sequence[int], known: Callable[[Plan], Sequence[int]]) -> str:
    """What a follow-up made of the answer so far; no full sentence yet. `known`: the masks of a part of its plan."""
    plan = reading.plan

    def sizes(part: Plan) -> int:
        return len(known(part))

    match plan:
        case Union((now, more)) if reading.change == "add":
            return _added(now, more, sorted({*ids} - {*known(now)}), sizes)
        case Except(now, less) if reading.change == "remove":
            return _removed(now, less, sizes(now) - len(ids), sizes)
        case Counted(of):
            base = _base(of, sizes)
            if isinstance(base, Selected) and of != base:
                return f"{len(ids)} of {_named(base, sizes)}: {described(of, sizes)}"
            return f"There {'is' if len(ids) == 1 else 'are'} {len(ids)} {_kind(base, len(ids))}"
        case None:
            return ""
    if reading.change == "stay":
        return f"Nothing was changed: {format_mask_count(len(ids))}"
    base = _base(plan, sizes)
    verb = "Kept" if reading.change == "keep" else "Took"
    if isinstance(plan, Selected | Numbered):
        return f"{verb} number{'s' * (len(ids) > 1)} {format_ids(ids)}"
    if not isinstance(base, Selected):
        return f"{format_mask_count(len(ids))}: {described(plan, sizes)}"
    return f"{verb} {len(ids)} of {_named(base, sizes)}: {described(plan, sizes)}"


def _added(now: Plan, more: Plan, new: Sequence[int], sizes: Sizes) -> str:
    if not new:
        why = f"{described(more, sizes)} had been there before" if sizes(more) else nothing(more, sizes)
        return f"Nothing was added to {_named(now, sizes)}: {why}"
    return f"Added {len(new)} to {_named(now, sizes)}: {described(more, sizes)}"


def _removed(now: Plan, less: Plan, number: int, sizes: Sizes) -> str:
    if not number:
        why = f"{described(less, sizes)} had not been there" if sizes(less) else nothing(less, sizes)
        return f"Nothing was left out of {_named(now, sizes)}: {why}"
    return f"Left out {number} of {_named(now, sizes)}: {described(less, sizes)}"


def _base(plan: Plan, sizes: Sizes) -> Plan:
    """What was chosen among."""
    if isinstance(plan, Otherwise):
        return _base(plan.of if sizes(plan.of) == sizes(plan) else plan.other, sizes)
    return origin(plan)


def _named(plan: Plan, sizes: Sizes) -> str:
    return the_masks([phrase.text for phrase in heads(plan)], sizes(plan))


def _kind(plan: Plan, number: int) -> str:
    [kind, *others] = [phrase.text for phrase in heads(plan)] or ["mask"]
    kind = "mask" if others else kind
    return kind if number == 1 else in_plural(kind)


def the_masks(phrases: Sequence[str], number: int) -> str:
    """
    >>> the_masks(["cup"], 3), the_masks(["red cup"], 1), the_masks(["cup", "plate"], 5)
    ('the 3 cups', 'the red cup', 'the 5 masks')
    """
    kind = phrases[0] if len(phrases) == 1 else "mask"
    return f"the {kind}" if number == 1 else f"the {number} {in_plural(kind)}"


def _some(plan: Plan, sizes: Sizes) -> str:
    """'5 'circle'', 'the 2 that are 'red circle'': how many, and of what."""
    what = described(plan, sizes)
    if isinstance(origin(plan), Selected) and what.startswith("those"):
        return f"the {sizes(plan)}{what.removeprefix('those')}"
    if what.startswith("the other"):
        return f"the {sizes(plan)} {what.removeprefix('the ')}"
    return f"{sizes(plan)} {what}"


def _compared(plan: Sized) -> str:
    """'larger than their average'."""
    more, less = {"height": ("taller", "shorter"), "width": ("wider", "narrower")}.get(plan.by, ("larger", "smaller"))
    return f"{more if plan.order == 'descending' else less} than their average"


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
