"""The plan algebra: noun phrases for SAM 3, and how to choose among what it finds."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from agent.tools.geometry.terms import Measure, Place, Relation
from agent.tools.geometry.time_words import Encounter, Motion, TrackMeasure

Order = Literal["ascending", "descending"]


@dataclass(frozen=True)
class Phrase:
    """Every instance of a noun phrase."""

    text: str
    """The phrase as SAM 3 gets it, in the singular: 'red circle'."""


@dataclass(frozen=True)
class PreviousAnswer:
    """The answer that a conversation had come to after one of its turns."""

    turn: int
    """Counts from 0."""
    phrases: tuple[str, ...] = ()
    """What its masks were found by."""


@dataclass(frozen=True)
class MaskIds:
    """The masks with these ids."""

    ids: tuple[int, ...]
    phrases: tuple[str, ...] = ()
    """What they were found by, where that is known."""


@dataclass(frozen=True)
class Union:
    """Everything that is in one of the parts."""

    parts: tuple["Plan", ...]
    """At least two."""


@dataclass(frozen=True)
class Difference:
    """What `of` has and `minus` has not."""

    of: "Plan"
    minus: "Plan"


@dataclass(frozen=True)
class Intersection:
    """What `of` has and `other` has too: 'the shapes that are circles'."""

    of: "Plan"
    other: "Plan"


@dataclass(frozen=True)
class Related:
    """Those of `of` that stand in a relation to at least one of `to`."""

    of: "Plan"
    relation: Relation
    to: "Plan"
    other: "Plan | None" = None
    """The second side of 'between'; without it, between two of `to`."""


@dataclass(frozen=True)
class Lacking:
    """Those of `of` that have none of `part` in them: 'the plates without a cup'."""

    of: "Plan"
    part: "Plan"


@dataclass(frozen=True)
class Holding:
    """Those of `of` that have so many of `part` in them: 'the boxes containing three apples'."""

    of: "Plan"
    part: "Plan"
    least: int
    most: int | None = None
    """None = any number from `least` on."""


@dataclass(frozen=True)
class Located:
    """Those of `of` at a place in the image."""

    of: "Plan"
    place: Place


@dataclass(frozen=True)
class Inscribed:
    """Those of `of` that say something: 'the bottles that say milk'."""

    of: "Plan"
    text: str
    """What has to be read on them; digits alone are a number."""


@dataclass(frozen=True)
class Ranked:
    """`take` of `of`, sorted by a measure, from number `start` (counting from 1) on."""

    of: "Plan"
    by: Measure | TrackMeasure
    order: Order
    start: int = 1
    take: int = 1
    to: "Plan | None" = None
    """What distances are measured to."""


@dataclass(frozen=True)
class Alternating:
    """Every `step`-th of `of`, sorted by a measure, from number `start` (counting from 1) on: 'every other cup'."""

    of: "Plan"
    by: Measure
    order: Order
    start: int
    step: int


@dataclass(frozen=True)
class OddOne:
    """The one of `of` whose size differs from that of all others: 'the odd one out'."""

    of: "Plan"


@dataclass(frozen=True)
class RelativeToMean:
    """Those of `of` that measure more (descending) or less (ascending) than the mean of all of them: 'the big ones'."""

    of: "Plan"
    by: Measure
    order: Order


@dataclass(frozen=True)
class InMotion:
    """Those of `of` that do something in the course of a video: 'that move left'."""

    of: "Plan"
    motion: Motion


@dataclass(frozen=True)
class Encountered:
    """Those of `of` that at some time do something with at least one of `to`: 'that pass the tree'."""

    of: "Plan"
    encounter: Encounter | Relation
    to: "Plan"


@dataclass(frozen=True)
class While:
    """Those of `of`, as long as they stand in a relation to at least one of `to`: 'while it is above the box'."""

    of: "Plan"
    relation: Relation | Encounter
    to: "Plan"


@dataclass(frozen=True)
class TimedByEvent:
    """All of `of`, before or after `to` comes or goes: 'until the cat has left'."""

    of: "Plan"
    side: Literal["before", "after"]
    event: Literal["appears", "disappears"]
    to: "Plan"


@dataclass(frozen=True)
class InSeconds:
    """All of `of`, in some seconds of the video: 'in the first two seconds'."""

    of: "Plan"
    since: float | None
    """None = from the beginning."""
    until: float | None
    """None = to the end."""
    from_end: bool = False
    """Whether `since` counts back from the end."""


@dataclass(frozen=True)
class Unique:
    """The only one of `of`; where there are several, the user is asked which one: 'it'."""

    of: "Plan"


@dataclass(frozen=True)
class Fallback:
    """`of`, or where that brings less than is asked for, `other`."""

    of: "Plan"
    other: "Plan"


@dataclass(frozen=True)
class Counted:
    """All of `of`, and how many there are."""

    of: "Plan"


Plan = (
    Phrase
    | PreviousAnswer
    | MaskIds
    | Union
    | Difference
    | Intersection
    | Related
    | Lacking
    | Holding
    | Located
    | Inscribed
    | Ranked
    | Alternating
    | OddOne
    | RelativeToMean
    | InMotion
    | Encountered
    | While
    | TimedByEvent
    | InSeconds
    | Unique
    | Fallback
    | Counted
)


CHILD_FIELDS = ("of", "minus", "to", "other", "part")
"""The fields that hold plans, beside the parts of a union."""

# walking through plans


def list_children(plan: Plan) -> list[Plan]:
    """Return what has to be known before the plan itself, in order."""
    match plan:
        case Phrase() | PreviousAnswer() | MaskIds():
            return []
        case Union(parts):
            return list(parts)
        case Difference(of, second) | Intersection(of, second) | Fallback(of, second):
            return [of, second]
        case Related(of, _, to, other):
            return [of, to] if other is None else [of, to, other]
        case Ranked(of, to=to):
            return [of] if to is None else [of, to]
        case Encountered(of, to=to) | While(of, to=to) | TimedByEvent(of, to=to):
            return [of, to]
        case Lacking(of, part) | Holding(of, part):
            return [of, part]
        case Alternating(of) | OddOne(of):
            return [of]
        case Located(of) | Inscribed(of) | Counted(of) | RelativeToMean(of) | InMotion(of) | InSeconds(of) | Unique(of):
            return [of]


def map_children(plan: Plan, change: Callable[[Plan], Plan]) -> Plan:
    """Return the plan with `change` made to each of its direct parts.

    >>> map_children(Difference(Phrase("cup"), Phrase("mug")), lambda part: Counted(part))
    Difference(of=Counted(of=Phrase(text='cup')), minus=Counted(of=Phrase(text='mug')))
    """
    if isinstance(plan, Union):
        return Union(tuple(change(part) for part in plan.parts))
    children = {field.name: getattr(plan, field.name) for field in fields(plan) if field.name in CHILD_FIELDS}
    changed: dict[str, Any] = {name: change(child) for name, child in children.items() if child is not None}
    return replace(plan, **changed)


def walk_parts(plan: Plan) -> Iterator[Plan]:
    """Yield the plan and everything in it."""
    yield plan
    for child in list_children(plan):
        yield from walk_parts(child)


def list_phrases(plan: Plan) -> list[str]:
    """Return every noun phrase that SAM 3 is asked for in any case, once.

    >>> list_phrases(Related(Phrase("cup"), "on", Union((Phrase("table"), Phrase("cup")))))
    ['cup', 'table']
    """
    return list(dict.fromkeys(_walk_phrases(plan)))


def _walk_phrases(plan: Plan) -> Iterator[str]:
    if isinstance(plan, Phrase):
        yield plan.text
    # The second way of a Fallback is taken in few cases, so its phrases are not asked for in advance.
    for child in [plan.of] if isinstance(plan, Fallback) else list_children(plan):
        yield from _walk_phrases(child)


def target_phrases(plan: Plan) -> list[Phrase]:
    """Return the phrases that the objects of the result come from, without those they are compared to.

    >>> target_phrases(Related(Phrase("cup"), "on", Phrase("table")))
    [Phrase(text='cup')]
    """
    match plan:
        case Phrase():
            return [plan]
        case PreviousAnswer(_, texts) | MaskIds(_, texts):
            return [Phrase(text) for text in texts]
        case Union(parts):
            return list(dict.fromkeys(phrase for part in parts for phrase in target_phrases(part)))
        case _:
            return target_phrases(plan.of)


def source_set(plan: Plan) -> Plan:
    """Return what the plan chooses among: the innermost set that it starts from.

    >>> source_set(Located(Intersection(PreviousAnswer(0), Phrase("cup")), "left"))
    PreviousAnswer(turn=0, phrases=())
    """
    match plan:
        case Phrase() | PreviousAnswer() | MaskIds() | Union():
            return plan
        case _:
            return source_set(plan.of)


def selects_known_masks(plan: Plan) -> bool:
    """Whether it chooses among masks that are known, so that no phrase alone can name it."""
    # what a plan does to a set does not change whether its masks are known
    match source_set(plan):
        case PreviousAnswer() | MaskIds():
            return True
        case Union(parts):
            return any(selects_known_masks(part) for part in parts)
    return False


def is_compared_to(plan: Plan, answer: Plan) -> bool:
    """Whether something is compared to an answer, so that it can be no part of it: 'the one next to it'."""
    return any(isinstance(part, Related) and part.to in (answer, Unique(answer)) for part in walk_parts(plan))


def has_mask_ids(plan: Plan) -> bool:
    """Whether masks are named by their ids anywhere in the plan."""
    return any(isinstance(part, MaskIds) for part in walk_parts(plan))


def unite_plans(plans: Iterable[Plan]) -> Plan:
    """Return the union of the different ones among them; the plan itself where there is only one."""
    parts = tuple(dict.fromkeys(plans))
    return parts[0] if len(parts) == 1 else Union(parts)
