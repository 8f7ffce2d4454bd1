"""The form in which a conversation keeps how a turn was understood: nested JSON objects, one for each plan.

The "op" of an object says which kind of plan it is; the other fields are the plan's, without those at their defaults.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

from agent.planners.grammar.interpretation import Change, Interpretation
from agent.planners.grammar.plan import (
    CHILD_FIELDS,
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
    walk_parts,
)
from agent.tools.geometry.terms import MEASURES, PLACES, RELATIONS
from agent.tools.geometry.time_words import ENCOUNTERS, MOTIONS, TRACK_MEASURES

MOST_NESTED = 100
"""Levels of a saved plan: JSON libraries take some 200. 'The same' after hundreds of turns is read again instead."""


def interpretation_to_json(interpretation: Interpretation) -> dict[str, Any] | None:
    """Return a JSON object, without what has its default; None for a plan nested too deeply to be saved.

    >>> interpretation_to_json(Interpretation(Phrase("cup"), change="keep"))
    {'plan': {'op': 'phrase', 'text': 'cup'}, 'change': 'keep'}
    """
    try:
        plan, subject = (
            None if plan is None else plan_to_json(plan) for plan in (interpretation.plan, interpretation.subject)
        )
        chosen = [plan_to_json(plan) for plan in interpretation.chosen]
    except RecursionError:
        return None
    optional = {
        "complete": interpretation.complete,
        "notes": [*interpretation.notes],
        "change": interpretation.change,
        "subject": subject,
        "chosen": chosen,
        "question": interpretation.question,
        "options": [*interpretation.options],
    }
    saved = {"plan": plan, **{name: value for name, value in optional.items() if value != _DEFAULTS[name]}}
    return None if _is_nested_too_deeply(saved) else saved


_DEFAULTS: dict[str, Any] = {
    "complete": True,
    "notes": [],
    "change": "new",
    "subject": None,
    "chosen": [],
    "question": "",
    "options": [],
}


def interpretation_from_json(saved: Any, *, turn: int) -> Interpretation:
    """Return the interpretation that was saved.

    Args:
        saved: What `interpretation_to_json` gave.
        turn: The turn it is of, counting from 0; it can only speak of earlier ones.

    Raises:
        ValueError: It is anything else.
    """
    try:
        held = _DEFAULTS | saved
        interpretation = Interpretation(
            plan=_read_plan(held["plan"]),
            complete=bool(held["complete"]),
            notes=tuple(map(str, held["notes"])),
            change=held["change"],
            subject=_read_plan(held["subject"]),
            chosen=tuple(plan_from_json(plan) for plan in held["chosen"]),
            question=str(held["question"]),
            options=tuple(map(str, held["options"])),
        )
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no saved plan: {error}") from error
    plans = [plan for plan in (interpretation.plan, interpretation.subject, *interpretation.chosen) if plan]
    parts = (part for plan in plans for part in walk_parts(plan))
    known = all(part.turn < turn for part in parts if isinstance(part, PreviousAnswer))
    begins = turn > 0 or interpretation.change == "new"
    if not known or not begins or interpretation.change not in get_args(Change):
        raise ValueError("no saved plan: it speaks of what was not said before it")
    return interpretation


def _read_plan(saved: Any) -> Plan | None:
    return None if saved is None else plan_from_json(saved)


def _is_nested_too_deeply(saved: dict[str, Any]) -> bool:
    """Whether a JSON object has more levels than `MOST_NESTED`."""
    level: list[Any] = [saved]
    for _ in range(MOST_NESTED):
        inner = [value for held in level for value in (held.values() if isinstance(held, dict) else held)]
        level = [value for value in inner if isinstance(value, dict | list)]
    return bool(level)


OPERATIONS: dict[str, type[Plan]] = {
    "phrase": Phrase,
    "previous_answer": PreviousAnswer,
    "mask_ids": MaskIds,
    "union": Union,
    "difference": Difference,
    "intersection": Intersection,
    "relate": Related,
    "locate": Located,
    "read": Inscribed,
    "rank": Ranked,
    "alternate": Alternating,
    "odd_one": OddOne,
    "lack": Lacking,
    "hold": Holding,
    "compare_to_mean": RelativeToMean,
    "filter_by_motion": InMotion,
    "encounter": Encountered,
    "while": While,
    "time_by_event": TimedByEvent,
    "in_seconds": InSeconds,
    "unique": Unique,
    "fallback": Fallback,
    "count": Counted,
}
_NAMES = {kind: name for name, kind in OPERATIONS.items()}


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as a JSON object; fields that have their default are left out.

    >>> plan_to_json(Located(Phrase("cup"), "left"))
    {'op': 'locate', 'of': {'op': 'phrase', 'text': 'cup'}, 'place': 'left'}
    """
    values = {field.name: getattr(plan, field.name) for field in fields(plan)}
    said = {field.name: values[field.name] for field in fields(plan) if values[field.name] != field.default}
    return {"op": _NAMES[type(plan)], **{name: _value_to_json(value) for name, value in said.items()}}


def _value_to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_value_to_json(item) for item in value]
    return value if value is None or isinstance(value, str | int | float) else plan_to_json(value)


def plan_from_json(saved: Any) -> Plan:
    """Return the plan that was saved.

    Args:
        saved: What `plan_to_json` wrote.

    Raises:
        ValueError: It is anything else.

    >>> plan_from_json({"op": "count", "of": {"op": "phrase", "text": "cup"}})
    Counted(of=Phrase(text='cup'))
    """
    try:
        plan = OPERATIONS[saved["op"]](**{name: _read_field(name, saved[name]) for name in saved if name != "op"})
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no saved plan: {error}") from error
    if isinstance(plan, Ranked) and (plan.by == "distance") != (plan.to is not None):
        raise ValueError("no saved plan: a distance is measured to something, and nothing else is")
    return plan


def _read_field(name: str, value: Any) -> Any:
    """Return the value of a field, whose name tells what it has to be."""
    if name in CHILD_FIELDS:
        return plan_from_json(value)
    if name == "parts" and len(value) > 1:
        return tuple(plan_from_json(part) for part in value)
    if name not in _CHECKS or not _CHECKS[name](value):
        raise ValueError(f"no saved plan: {name} is {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "phrases": lambda value: _is_list_of(str, value),
    "ids": lambda value: _is_list_of(int, value),
    "turn": lambda value: isinstance(value, int) and value >= 0,
    "start": lambda value: isinstance(value, int) and value >= 1,
    "take": lambda value: isinstance(value, int) and value >= 1,
    "step": lambda value: isinstance(value, int) and value >= 1,
    "least": lambda value: isinstance(value, int) and value >= 0,
    "most": lambda value: value is None or (isinstance(value, int) and value >= 0),
    "relation": lambda value: value in (*RELATIONS, *ENCOUNTERS),
    "encounter": lambda value: value in (*RELATIONS, *ENCOUNTERS),
    "motion": lambda value: value in MOTIONS,
    "side": lambda value: value in ("before", "after"),
    "event": lambda value: value in ("appears", "disappears"),
    "place": lambda value: value in PLACES,
    "by": lambda value: value in (*MEASURES, *TRACK_MEASURES),
    "order": lambda value: value in ("ascending", "descending"),
    "since": lambda value: value is None or (isinstance(value, int | float) and 0 <= value < 1e9),
    "until": lambda value: value is None or (isinstance(value, int | float) and 0 <= value < 1e9),
    "from_end": lambda value: isinstance(value, bool),
}
"""What a field of a saved plan has to be, so that a damaged file is told from a plan."""
