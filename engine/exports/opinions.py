"""What each person made of a pair alone: SA-Co's Gold sets have the labels of three, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.exports.selection import PairUse, decide_final_use
from engine.pairs import LogRecord, Withdrawal
from engine.states import PairHistory, StatePolicy, compute_state
from sam3_tool.masks.rle import RleMask

ANNOTATORS = 3
"""As many opinions make a Gold set."""


@dataclass(frozen=True)
class Opinion:
    """The final masks of a pair by one person.

    >>> Opinion.from_json(Opinion((), (), True, True).to_json()).is_exhaustive
    True
    """

    masks: tuple[RleMask, ...]
    groups: tuple[bool, ...]
    is_exhaustive: bool
    is_pixel_exhaustive: bool

    @property
    def use(self) -> PairUse:
        """What its masks cover."""
        return PairUse("", self.is_exhaustive, self.is_pixel_exhaustive)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return {**vars(self), "masks": [mask.to_coco() for mask in self.masks]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Opinion":
        """Convert back."""
        masks = tuple(RleMask.from_coco(mask) for mask in value["masks"])
        return cls(masks, tuple(value["groups"]), value["is_exhaustive"], value["is_pixel_exhaustive"])


def list_opinions(history: PairHistory) -> tuple[Opinion, ...]:
    """List the opinions of the first three people who finished a pair alone.

    Args:
        history: The pair's.

    Returns:
        Three, in the order in which these people first spoke; () where fewer did it all.
    """
    people = list(dict.fromkeys(by for record in history.records if (by := _get_person(record))))
    if len(people) < ANNOTATORS:
        return ()
    found: list[Opinion] = []
    for person in people:
        records = _select_records(history.records, person)
        state = compute_state(history.state.pair, history.proposal, records, StatePolicy())
        if (use := decide_final_use(state)).is_used:
            found.append(Opinion(state.masks, state.groups, use.is_exhaustive, use.is_pixel_exhaustive))
    return tuple(found[:ANNOTATORS]) if len(found) >= ANNOTATORS else ()


def _get_person(record: LogRecord) -> str:
    by = "" if isinstance(record.entry, Withdrawal) else getattr(record.entry, "by", "")
    return by if by.startswith("human:") else ""


def _select_records(records: Sequence[LogRecord], person: str) -> list[LogRecord]:
    """Select what a person said, and what happened to it."""
    return [record for record in records if isinstance(record.entry, Withdrawal) or _get_person(record) in ("", person)]
