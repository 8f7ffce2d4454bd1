"""What a query asks for, as a tree: noun phrases for SAM 3, and how to choose among what it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from agent.tools.geometry.terms import Measure, Place, Relation

Order = Literal["ascending", "descending"]


@dataclass(frozen=True)
class Phrase:
    """Every instance of a noun phrase."""

    text: str
    """As SAM 3 gets it, in the singular: 'red circle'."""


@dataclass(frozen=True)
class Selected:
    """The answer that a conversation had come to after one of its turns."""

    turn: int
    """Counts from 0."""
    phrases: tuple[str, ...] = ()
    """What its masks were found by."""


@dataclass(frozen=True)
class Numbered:
    """The masks with these numbers."""

    ids: tuple[int, ...]
    phrases: tuple[str, ...] = ()
    """What they were found by, where that is known."""


@dataclass(frozen=True)
class Union:
    parts: tuple["Plan", ...]
    """At least two."""


@dataclass(frozen=True)
class Except:
    """What `of` has and `minus` has not."""

    of: "Plan"
    minus: "Plan"


@dataclass(frozen=True)
class Common:
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
class Located:
    """Those of `of` at a place in the picture."""

    of: "Plan"
    place: Place


@dataclass(frozen=True)
class Ranked:
    """`take` of `of`, sorted by a measure, from number `start` (counting from 1) on."""

    of: "Plan"
    by: Measure
    order: Order
    start: int = 1
    take: int = 1
    to: "Plan | None" = None
    """What distances are measured to."""


@dataclass(frozen=True)
class Sized:
    """Those of `of` that measure more (descending) or less (ascending) than the mean of all of them: 'the big ones'."""

    of: "Plan"
    by: Measure
    order: Order


@dataclass(frozen=True)
class One:
    """The only one of `of`; where there are several, the user is asked which one: 'it'."""

    of: "Plan"


@dataclass(frozen=True)
class Otherwise:
    """`of`, or where that brings less than is asked for, `other`."""

    of: "Plan"
    other: "Plan"


@dataclass(frozen=True)
class Counted:
    """All of `of`, and how many there are."""

    of: "Plan"


Plan = (
    Phrase
    | Selected
    | Numbered
    | Union
    | Except
    | Common
    | Related
    | Located
    | Ranked
    | Sized
    | One
    | Otherwise
    | Counted
)


def children(plan: Plan) -> list[Plan]:
    """What has to be known before the plan itself, in order."""
    match plan:
        case Phrase() | Selected() | Numbered():
            return []
        case Union(parts):
            return list(parts)
        case Except(of, second) | Common(of, second) | Otherwise(of, second):
            return [of, second]
        case Related(of, _, to, other):
            return [of, to] if other is None else [of, to, other]
        case Ranked(of, to=to):
            return [of] if to is None else [of, to]
        case Located(of) | Counted(of) | Sized(of) | One(of):
            return [of]


def rebuilt(plan: Plan, change: Callable[[Plan], Plan]) -> Plan:
    """The plan with `change` made to each of its direct parts.

    >>> rebuilt(Except(Phrase("cup"), Numbered((2,))), lambda part: Phrase("mug") if part == Phrase("cup") else part)
    Except(of=Phrase(text='mug'), minus=Numbered(ids=(2,), phrases=()))
    """
    match plan:
        case Phrase() | Selected() | Numbered():
            return plan
        case Union(parts):
            return Union(tuple(change(part) for part in parts))
        case Except(of, minus):
            return Except(change(of), change(minus))
        case Common(of, other):
            return Common(change(of), change(other))
        case Otherwise(of, other):
            return Otherwise(change(of), change(other))
        case Related(of, relation, to, between):
            return Related(change(of), relation, change(to), None if between is None else change(between))
        case Ranked(of, to=to):
            return replace(plan, of=change(of), to=None if to is None else change(to))
        case Located(of) | Counted(of) | Sized(of) | One(of):
            return replace(plan, of=change(of))


def parts(plan: Plan) -> Iterator[Plan]:
    """The plan and everything in it."""
    yield plan
    for child in children(plan):
        yield from parts(child)


def phrases(plan: Plan) -> list[str]:
    """Every noun phrase that SAM 3 is asked for in any case, once.

    >>> phrases(Related(Phrase("cup"), "on", Union((Phrase("table"), Phrase("cup")))))
    ['cup', 'table']
    """
    return list(dict.fromkeys(_phrases(plan)))


def _phrases(plan: Plan) -> Iterator[str]:
    if isinstance(plan, Phrase):
        yield plan.text
    for child in [plan.of] if isinstance(plan, Otherwise) else children(plan):
        yield from _phrases(child)


def heads(plan: Plan) -> list[Phrase]:
    """The phrases that the objects of the result come from, without those they are compared to.

    >>> heads(Related(Phrase("cup"), "on", Phrase("table")))
    [Phrase(text='cup')]
    """
    match plan:
        case Phrase():
            return [plan]
        case Selected(_, texts) | Numbered(_, texts):
            return [Phrase(text) for text in texts]
        case Union(parts):
            return list(dict.fromkeys(head for part in parts for head in heads(part)))
        case _:
            return heads(plan.of)


def origin(plan: Plan) -> Plan:
    """What the plan chooses among: the innermost set that it starts from.

    >>> origin(Located(Common(Selected(0), Phrase("cup")), "left"))
    Selected(turn=0, phrases=())
    """
    match plan:
        case Phrase() | Selected() | Numbered() | Union():
            return plan
        case _:
            return origin(plan.of)
