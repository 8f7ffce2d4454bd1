"""Plans in English: what an answer is, and why there is none."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from agent.core.text.english import format_ids, format_mask_count
from agent.planners.grammar.interpretation import Interpretation
from agent.planners.grammar.nouns import to_plural
from agent.planners.grammar.plan import (
    Alternating,
    Counted,
    Difference,
    Encountered,
    Fallback,
    Holding,
    InMotion,
    Inscribed,
    InSeconds,
    Intersection,
    Lacking,
    Located,
    MaskIds,
    OddOne,
    Phrase,
    Plan,
    PreviousAnswer,
    Ranked,
    Related,
    RelativeToMean,
    TimedByEvent,
    Union,
    Unique,
    While,
    source_set,
    target_phrases,
)
from agent.planners.grammar.vocabulary import NUMERALS, ORDINALS
from sam3_tool.video.time_stamps import format_time

REMEDY = "a planner with a multimodal language model (MLLM) can read such queries"
EXPECTED = (
    "No noun phrase was found in the query; name what to look for in English, e.g. 'the two largest circles',"
    " 'cups left of the plate' or 'how many dogs are there?'."
)
NOT_UNDERSTOOD = "That was not understood; name what to look for, or say e.g. 'only the red ones', 'also the plates'."
NOTHING_CHANGED = "Nothing was changed: no mask is selected."

RELATION_WORDS = {
    "next_to": "next to",
    "nearest": "nearest to",
    "farthest": "farthest from",
    "overlapping": "overlapping with",
    "larger": "larger than",
    "smaller": "smaller than",
}
"""Where the words are not the name without underscores."""
PLACE_WORDS = {"middle": "in the middle"} | {half: f"in the {half} half" for half in ("left", "right", "top", "bottom")}
SUPERLATIVE_WORDS = {
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
    ("speed", "descending"): "fastest",
    ("speed", "ascending"): "slowest",
    ("duration", "descending"): "longest seen",
    ("duration", "ascending"): "shortest seen",
    ("first_seen", "ascending"): "earliest",
    ("first_seen", "descending"): "latest",
    ("last_seen", "ascending"): "earliest",
    ("last_seen", "descending"): "latest",
}
SIDE_WORDS = {"leftmost": "left", "rightmost": "right", "topmost": "top", "bottommost": "bottom"}

Ids = tuple[int, ...]
CountOf = Callable[[Plan], int]
"""How many objects a part of the plan found."""
NameOf = Callable[[str], str]
"""How a phrase is said: quoted, or as a noun of the sentence."""


@dataclass
class PlanResults:
    """The masks of each part of a plan, as far as they are known."""

    answers: Sequence[Ids] = ()
    """After each turn of the conversation."""
    found: dict[Plan, Ids] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What came up on the way: full sentences for the user."""

    def ids_of(self, plan: Plan) -> Ids:
        return self.answers[plan.turn] if isinstance(plan, PreviousAnswer) else self.found.get(plan, ())

    def count_of(self, plan: Plan) -> int:
        return len(self.ids_of(plan))


# what masks are


def describe_plan(plan: Plan, count_of: CountOf, name_of: NameOf = repr) -> str:
    """Return what the masks of a plan are.

    Args:
        plan: The plan, worked out.
        count_of: How many objects each of its parts found.
        name_of: How a phrase of the objects themselves is said; others are quoted.

    >>> circles = Phrase("circle")
    >>> describe_plan(Ranked(circles, "size", "descending", take=2), lambda plan: 5)
    "the two largest of 5 'circle'"
    >>> describe_plan(Difference(circles, Related(circles, "on", Phrase("table"))), lambda plan: 5)
    "'circle' not on 'table'"
    """
    match plan:
        case Phrase(text):
            return name_of(text)
        case PreviousAnswer() | MaskIds():
            return _describe_known(plan)
        case Union(parts):
            named = [part for part in parts if count_of(part)] or parts  # what is not there is told of by itself
            *first, last = [describe_plan(part, count_of, name_of) for part in named]
            return f"{', '.join(first)} and {last}" if first else last
        case Difference():
            return _describe_difference(plan, count_of, name_of)
        case Ranked():
            return _describe_ranked(plan, count_of, name_of)
        case Alternating():
            return f"{_describe_step(plan.step)} of {_describe_amount(plan.of, count_of)}"
        case OddOne():
            return f"the odd one out of {_describe_amount(plan.of, count_of)}"
        case Unique():
            return _describe_unique(plan, count_of, name_of)
        case Counted() | Fallback():
            return describe_plan(_choose_way(plan, count_of), count_of, name_of)
        case _:
            return f"{describe_plan(plan.of, count_of, name_of)} {describe_condition(plan, count_of)}"


def _describe_known(plan: PreviousAnswer | MaskIds) -> str:
    return "those" if isinstance(plan, PreviousAnswer) else f"number{'s' * (len(plan.ids) > 1)} {format_ids(plan.ids)}"


def _describe_difference(plan: Difference, count_of: CountOf, name_of: NameOf) -> str:
    match plan:
        case Difference(Difference(Difference(of, to), Related(_, "larger")), Related(_, "smaller")):
            return f"{describe_plan(of, count_of, name_of)} of the same size as {describe_plan(to, count_of)}"
        case Difference(of, Inscribed(minus, text)) if minus == of:
            return f"{describe_plan(of, count_of, name_of)} without the text {text!r}"
        case Difference(of, Lacking(minus, part)) if minus == of:
            return f"{describe_plan(of, count_of, name_of)} with {describe_plan(part, count_of)} in it"
        case Difference(of, (Related() | Located()) as minus) if minus.of == of:
            return f"{describe_plan(of, count_of, name_of)} not {describe_condition(minus, count_of)}"
        case Difference(PreviousAnswer(), PreviousAnswer()):
            return "the others"
        case Difference(of, PreviousAnswer()):
            return f"the other {describe_plan(of, count_of, name_of)}"
    return f"{describe_plan(plan.of, count_of, name_of)} other than {describe_plan(plan.minus, count_of)}"


def _describe_unique(plan: Unique, count_of: CountOf, name_of: NameOf) -> str:
    if count_of(plan.of) > 1:
        return "the one that you chose"
    known = isinstance(plan.of, PreviousAnswer) and count_of(plan.of) == 1
    return "it" if known else describe_plan(plan.of, count_of, name_of)


def _describe_ranked(plan: Ranked, count_of: CountOf, name_of: NameOf) -> str:
    match plan:
        case Ranked(Difference(of, PreviousAnswer()), "score", "descending", 1, take):
            return _describe_more(describe_plan(of, count_of, name_of), min(take, count_of(plan)))
        case Ranked(PreviousAnswer()):
            return _describe_superlative(plan, count_of)
    return f"{_describe_superlative(plan, count_of)} of {_describe_amount(plan.of, count_of)}"


def _choose_way(plan: Counted | Fallback, count_of: CountOf) -> Plan:
    """Return the one of two ways that brought the result; what is counted has one."""
    if isinstance(plan, Counted):
        return plan.of
    return plan.of if count_of(plan.of) == count_of(plan) else plan.other


def _describe_more(what: str, number: int) -> str:
    """Return what was added.

    >>> _describe_more("'cup'", 1), _describe_more("those that are 'red cup'", 1), _describe_more("those", 2)
    ("another 'cup'", "another one that is 'red cup'", 'two more of those')
    """
    if number == 1:
        return f"another {re.sub('^those( that are)?', lambda found: 'one that is' if found[1] else 'one', what)}"
    return f"{_say_number(number)} more {'of ' * what.startswith('those')}{what}"


Condition = (
    Intersection
    | Related
    | Lacking
    | Holding
    | Located
    | Inscribed
    | RelativeToMean
    | InMotion
    | Encountered
    | While
    | TimedByEvent
    | InSeconds
)
"""What chooses among a set without sorting it."""


def describe_condition(plan: Condition, count_of: CountOf) -> str:
    """Return what sets the result of a plan apart from what it chooses among.

    >>> describe_condition(Located(Phrase("cup"), "top_left"), len)
    'in the top left quarter'
    """
    match plan:
        case Intersection(of, other):
            return f"that are {describe_plan(other, count_of)}{'' if isinstance(of, PreviousAnswer) else ' too'}"
        case Located(_, place):
            return PLACE_WORDS.get(place) or f"in the {place.replace('_', ' ')} quarter"
        case Lacking(_, part):
            return f"with no {describe_plan(part, count_of)} in it"
        case Holding(_, part, least, most):
            return f"with {_say_range(least, most)} {describe_plan(part, count_of)} in it"
        case Related(of, relation, to) if of == to:
            return f"{RELATION_WORDS.get(relation) or relation.replace('_', ' ')} each other"
        case Related(_, "between", to, None):
            return f"between two of {describe_plan(to, count_of)}"
        case Related(_, relation, to, other):
            more = "" if other is None else f" and {describe_plan(other, count_of)}"
            return f"{RELATION_WORDS.get(relation) or relation.replace('_', ' ')} {describe_plan(to, count_of)}{more}"
        case RelativeToMean():
            return _describe_mean(plan)
        case Inscribed(_, text):
            return f"with the text {text!r}"
        case _:
            return _describe_in_time(plan, count_of)


def _say_range(least: int, most: int | None) -> str:
    """Return how many are meant.

    >>> _say_range(3, 3), _say_range(2, None), _say_range(0, 4), _say_range(1, 4)
    ('exactly 3', 'at least 2', 'at most 4', '1 to 4')
    """
    if least == most:
        return f"exactly {least}"
    if most is None:
        return f"at least {least}"
    return f"at most {most}" if not least else f"{least} to {most}"


def _describe_in_time(plan: InMotion | Encountered | While | TimedByEvent | InSeconds, count_of: CountOf) -> str:
    match plan:
        case InMotion(_, motion):
            return f"where it {'is still' if motion == 'still' else motion.replace('_', ' ')}"
        case Encountered(_, encounter, to):
            return f"{encounter.replace('_', ' ')} {describe_plan(to, count_of)} at some time"
        case While(_, relation, to):
            return f"while {RELATION_WORDS.get(relation) or relation.replace('_', ' ')} {describe_plan(to, count_of)}"
        case TimedByEvent(_, side, event, to):
            return f"{side} {describe_plan(to, count_of)} {event}"
        case InSeconds():
            return _describe_seconds(plan)


def _describe_seconds(plan: InSeconds) -> str:
    """Return 'between 0:02 and 0:04'."""
    since, until = (None if seconds is None else format_time(seconds) for seconds in (plan.since, plan.until))
    if plan.from_end:
        return f"in the last {plan.since:g} seconds"
    if since is None:
        return f"until {until}"
    return f"from {since} on" if until is None else f"between {since} and {until}"


def describe_count(plan: Plan, number: int, count_of: CountOf) -> str:
    """Return a sentence that says how many there are.

    >>> describe_count(Phrase("red star"), 3, len)
    'There are 3 red stars.'
    >>> describe_count(Located(Phrase("star"), "left"), 0, len)
    'There are no stars in the left half.'
    """
    what = describe_plan(plan, count_of, str if number == 1 else to_plural_phrase)
    return f"There {'is' if number == 1 else 'are'} {number or 'no'} {what}."


def to_plural_phrase(phrase: str) -> str:
    """Return the plural of a phrase's head noun, with the rest of the phrase.

    >>> to_plural_phrase("cup of coffee"), to_plural_phrase("red box")
    ('cups of coffee', 'red boxes')
    """
    words = phrase.split()
    # the noun is the last word before a preposition
    head = next((i for i, word in enumerate(words) if word in ("of", "with", "in") and i > 0), len(words)) - 1
    return " ".join([*words[:head], to_plural(words[head]), *words[head + 1 :]])


# why there are none


def describe_empty(plan: Plan, count_of: CountOf) -> str:
    """Return why a plan has no result although everything it needs was found; no full sentence yet.

    >>> describe_empty(Ranked(Phrase("dog"), "x", "ascending", start=3), lambda plan: 2)
    "there are only 2 'dog', so there is no third from the left"
    """
    match plan:
        case Phrase(text):
            return f"nothing in the picture was found for {text!r}"
        case PreviousAnswer() | MaskIds():
            return "no mask is selected"
        case Union(parts):
            return "; ".join(describe_empty(part, count_of) for part in parts)
        case Counted(of) | Unique(of) | Fallback(other=of):
            return describe_empty(of, count_of)
        case OddOne() | Ranked() | Difference() | Alternating():
            return _describe_nothing_left(plan, count_of)
        case Inscribed(of, text) if count_of(of):
            return f"none of {_describe_amount(of, count_of)} has the text {text!r}"
        case Inscribed(of):
            return describe_empty(of, count_of)
        case _:
            condition = describe_condition(plan, count_of).removeprefix("that are ")
            return f"none of {_describe_amount(plan.of, count_of)} is {condition}"


def _describe_nothing_left(plan: Ranked | Difference | Alternating | OddOne, count_of: CountOf) -> str:
    if not count_of(plan.of):
        return describe_empty(plan.of, count_of)
    among = _describe_amount(plan.of, count_of)
    # "no second largest" says how many were looked for; "no largest" would be wrong where there is one
    if isinstance(plan, Ranked):
        missing = _describe_superlative(replace(plan, start=max(plan.start, 2), take=1), count_of)
        return f"there are only {among.removeprefix('the ')}, so there is no {missing.removeprefix('the ')}"
    if isinstance(plan, OddOne):
        return f"none of {among} differs from all others in size"
    if isinstance(plan, Alternating):
        return f"there are only {among.removeprefix('the ')}, so there is no {_say_ordinal(plan.start)}"
    if isinstance(plan.minus, PreviousAnswer):
        return "there are no others"
    return _describe_all_left_out(plan, among, count_of)


def _describe_all_left_out(plan: Difference, among: str, count_of: CountOf) -> str:
    """Return why nothing is left of a set.

    >>> cups = Phrase("cup")
    >>> _describe_all_left_out(Difference(cups, Lacking(cups, Phrase("spoon"))), "4 'cup'", len)
    "none of 4 'cup' has 'spoon' in it"
    >>> _describe_all_left_out(Difference(cups, Related(cups, "on", Phrase("table"))), "4 'cup'", len)
    "all of 4 'cup' are on 'table'"
    """
    match plan:
        case Difference(of, Lacking(minus, part)) if minus == of:
            return f"none of {among} has {describe_plan(part, count_of)} in it"
        case Difference(of, (Related() | Located()) as minus) if minus.of == of:
            return f"all of {among} are {describe_condition(minus, count_of)}"
    return f"none of {among} is left without {describe_plan(plan.minus, count_of)}"


# what became of an answer


def describe_change(interpretation: Interpretation, ids: Sequence[int], ids_of: Callable[[Plan], Sequence[int]]) -> str:
    """Return what a follow-up made of the answer so far; no full sentence yet.

    Args:
        interpretation: How the follow-up was understood.
        ids: The masks of the new answer.
        ids_of: The masks of each part of its plan.
    """
    plan = interpretation.plan

    def count_of(part: Plan) -> int:
        return len(ids_of(part))

    match plan:
        case Union((now, more)) if interpretation.change == "add":
            return _describe_added(now, more, sorted({*ids} - {*ids_of(now)}), count_of)
        case Difference(now, less) if interpretation.change == "remove":
            return _describe_removed(now, less, count_of(now) - len(ids), count_of)
        case Counted(of):
            return _describe_recount(of, len(ids), count_of)
        case None:
            return ""
    if interpretation.change == "stay":
        return f"Nothing was changed: {format_mask_count(len(ids))}"
    return _describe_choice(plan, ids, count_of, "Kept" if interpretation.change == "keep" else "Took")


def _describe_recount(of: Plan, number: int, count_of: CountOf) -> str:
    base = _find_base(of, count_of)
    if isinstance(base, PreviousAnswer) and of != base:
        return f"{number} of {_name_answer(base, count_of)}: {describe_plan(of, count_of)}"
    return f"There {'is' if number == 1 else 'are'} {number} {_name_kind(base, number)}"


def _describe_choice(plan: Plan, ids: Sequence[int], count_of: CountOf, verb: str) -> str:
    base = _find_base(plan, count_of)
    if isinstance(plan, PreviousAnswer | MaskIds):
        return f"{verb} number{'s' * (len(ids) > 1)} {format_ids(ids)}"
    if not isinstance(base, PreviousAnswer):
        return f"{format_mask_count(len(ids))}: {describe_plan(plan, count_of)}"
    return f"{verb} {len(ids)} of {_name_answer(base, count_of)}: {describe_plan(plan, count_of)}"


def _describe_added(now: Plan, more: Plan, new: Sequence[int], count_of: CountOf) -> str:
    if not new:
        had = f"{describe_plan(more, count_of)} had been there before"
        why = had if count_of(more) else describe_empty(more, count_of)
        return f"Nothing was added to {_name_answer(now, count_of)}: {why}"
    return f"Added {len(new)} to {_name_answer(now, count_of)}: {describe_plan(more, count_of)}"


def _describe_removed(now: Plan, less: Plan, number: int, count_of: CountOf) -> str:
    if not number:
        had_not = f"{describe_plan(less, count_of)} had not been there"
        why = had_not if count_of(less) else describe_empty(less, count_of)
        return f"Nothing was left out of {_name_answer(now, count_of)}: {why}"
    return f"Left out {number} of {_name_answer(now, count_of)}: {describe_plan(less, count_of)}"


def _find_base(plan: Plan, count_of: CountOf) -> Plan:
    """Return what was chosen among."""
    return _find_base(_choose_way(plan, count_of), count_of) if isinstance(plan, Fallback) else source_set(plan)


def _name_answer(plan: Plan, count_of: CountOf) -> str:
    return name_masks([phrase.text for phrase in target_phrases(plan)], count_of(plan))


def _name_kind(plan: Plan, number: int) -> str:
    [kind, *others] = [phrase.text for phrase in target_phrases(plan)] or ["mask"]
    kind = "mask" if others else kind
    return kind if number == 1 else to_plural_phrase(kind)


def name_masks(phrases: Sequence[str], number: int) -> str:
    """Return how an answer is spoken of.

    >>> name_masks(["cup"], 3), name_masks(["red cup"], 1), name_masks(["cup", "plate"], 5)
    ('the 3 cups', 'the red cup', 'the 5 masks')
    """
    kind = phrases[0] if len(phrases) == 1 else "mask"
    return f"the {kind}" if number == 1 else f"the {number} {to_plural_phrase(kind)}"


# what the user is told at the end


def describe_answer(interpretation: Interpretation, ids: Ids, results: PlanResults) -> str:
    """Return one sentence for what the answer is, and what was assumed.

    >>> describe_answer(Interpretation(Phrase("cup")), (1, 2), PlanResults())
    "2 masks: 'cup'."
    """
    plan = cast(Plan, interpretation.plan)
    if interpretation.change != "new":
        said = describe_change(interpretation, ids, results.ids_of)
    elif isinstance(plan, Counted):
        said = describe_count(plan.of, len(ids), results.count_of)[:-1]
    else:
        said = f"{format_mask_count(len(ids))}: {describe_plan(plan, results.count_of)}"
    more = plan.parts[1] if isinstance(plan, Union) and interpretation.change == "add" else plan
    told = (*describe_missing_parts(more, results.count_of), *describe_shortfall(plan, len(ids)))
    notes = (*interpretation.notes, *results.notes, *told)
    return _finish_message(said, replace(interpretation, notes=notes))


def describe_failure(interpretation: Interpretation, reason: str, results: PlanResults) -> str:
    """Return one sentence for why there is no answer, and what was assumed."""
    if interpretation.change == "remove":
        reason = "that would leave nothing"
    if isinstance(interpretation.plan, Counted):
        reason = f"{describe_count(interpretation.plan.of, 0, results.count_of)[:-1]}: {reason}"
    return _finish_message(reason, replace(interpretation, notes=(*interpretation.notes, *results.notes)))


def describe_missing_plan(interpretation: Interpretation, *, in_conversation: bool) -> str:
    """Return why a query without a plan has no answer."""
    if interpretation.notes:
        return " ".join(interpretation.notes)
    if interpretation.change == "stay":
        return NOTHING_CHANGED
    return NOT_UNDERSTOOD if in_conversation else EXPECTED


def describe_missing_parts(plan: Plan, count_of: CountOf) -> list[str]:
    """Return a note for each of several things that were asked for together, and of which there is none.

    >>> both = Union((Phrase("cup"), Phrase("dog")))
    >>> describe_missing_parts(both, lambda plan: plan == Phrase("cup"))
    ["Nothing was found for 'dog'."]
    """
    asked = _choose_way(plan, count_of) if isinstance(plan, Counted | Fallback) else plan
    if not isinstance(asked, Union) or not any(map(count_of, asked.parts)):
        return []
    missing = [describe_empty(part, count_of) for part in asked.parts if not count_of(part)]
    return [f"{why[0].upper()}{why[1:]}.".replace(" in the picture was", " was") for why in missing]


def describe_shortfall(plan: Plan, found: int) -> list[str]:
    """Return a note where fewer were found than the query asks for."""
    ranked = plan.of if isinstance(plan, Counted | Fallback) else plan
    if not isinstance(ranked, Ranked) or found >= ranked.take:
        return []
    return [f"The query asks for {ranked.take}; there {'is' if found == 1 else 'are'} only {found}."]


def _finish_message(said: str, interpretation: Interpretation) -> str:
    rest = "" if interpretation.complete else f"; the rest of the query was not understood, and {REMEDY}"
    return " ".join([f"{said[0].upper()}{said[1:]}{rest}.", *interpretation.notes])


# amounts and superlatives


def _describe_amount(plan: Plan, count_of: CountOf) -> str:
    """Return how many, and of what: '5 'circle'', 'the 2 that are 'red circle''."""
    what = describe_plan(plan, count_of)
    if what.startswith("those") and isinstance(source_set(plan), PreviousAnswer):
        return f"the {count_of(plan)}{what.removeprefix('those')}"
    if what.startswith("the other"):
        return f"the {count_of(plan)} {what.removeprefix('the ')}"
    return what if isinstance(plan, Ranked) else f"{count_of(plan)} {what}"  # "the two largest" says how many


def _describe_mean(plan: RelativeToMean) -> str:
    """Return 'larger than their average'."""
    more, less = {"height": ("taller", "shorter"), "width": ("wider", "narrower")}.get(plan.by, ("larger", "smaller"))
    return f"{more if plan.order == 'descending' else less} than their average"


def _describe_superlative(plan: Ranked, count_of: CountOf) -> str:
    """Return 'the largest', 'the second to third leftmost', 'the two nearest to 'ring''."""
    word = SUPERLATIVE_WORDS[plan.by, plan.order]
    # Fewer may be there than were asked for, and the sentence is about those that are.
    take = max(1, min(plan.take, count_of(plan.of) - plan.start + 1))
    if plan.start > 1 and take == 1 and word in SIDE_WORDS:
        return f"the {_say_ordinal(plan.start)} from the {SIDE_WORDS[word]}"
    # "the largest", "the second largest", "the second to third largest", "the two largest"
    first = "" if plan.start == 1 else f"{_say_ordinal(plan.start)} "
    if take > 1:
        first = f"{first}to {_say_ordinal(plan.start + take - 1)} " if first else f"{_say_number(take)} "
    to = "" if plan.to is None else f" {'to' if word == 'nearest' else 'from'} {describe_plan(plan.to, count_of)}"
    return f"the {first}{word}{to}"


def _describe_step(step: int) -> str:
    return "every other" if step == 2 else f"every {_say_ordinal(step)}"


def _say_number(number: int) -> str:
    return ("no", *NUMERALS)[number] if number <= len(NUMERALS) else str(number)


def _say_ordinal(number: int) -> str:
    """Return the word up to ten, digits beyond.

    >>> [_say_ordinal(number) for number in (2, 11, 22, 113)]
    ['second', '11th', '22nd', '113th']
    """
    if 1 <= number <= 10:
        return ORDINALS[number - 1]
    # eleven to thirteen end in th, whatever their last digit
    teens = 10 < number % 100 < 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
