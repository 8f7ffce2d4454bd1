"""What a query asks for, as a tree: noun phrases for SAM 3, and how to choose among what it finds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agent.tools.relations import Measure, Place, Relation

Order = Literal["ascending", "descending"]


@dataclass(frozen=True)
class Phrase:
    """Every instance of a noun phrase."""

    text: str
    """As SAM 3 gets it, in the singular: 'red circle'."""


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
class Counted:
    """All of `of`, and how many there are."""

    of: "Plan"


Plan = Phrase | Union | Except | Common | Related | Located | Ranked | Counted


def children(plan: Plan) -> list[Plan]:
    """What has to be known before the plan itself, in order."""
    match plan:
        case Phrase():
            return []
        case Union(parts):
            return list(parts)
        case Except(of, second) | Common(of, second):
            return [of, second]
        case Related(of, _, to, other):
            return [of, to] if other is None else [of, to, other]
        case Ranked(of, to=to):
            return [of] if to is None else [of, to]
        case Located(of) | Counted(of):
            return [of]


def phrases(plan: Plan) -> list[str]:
    """Every noun phrase that SAM 3 is asked for, once.

    >>> phrases(Related(Phrase("cup"), "on", Union((Phrase("table"), Phrase("cup")))))
    ['cup', 'table']
    """
    return list(dict.fromkeys(_phrases(plan)))


def _phrases(plan: Plan) -> Iterator[str]:
    if isinstance(plan, Phrase):
        yield plan.text
    for child in children(plan):
        yield from _phrases(child)


def heads(plan: Plan) -> list[Phrase]:
    """The phrases that the objects of the result come from, without those they are compared to.

    >>> heads(Related(Phrase("cup"), "on", Phrase("table")))
    [Phrase(text='cup')]
    """
    match plan:
        case Phrase():
            return [plan]
        case Union(parts):
            return list(dict.fromkeys(head for part in parts for head in heads(part)))
        case _:
            return heads(plan.of)
