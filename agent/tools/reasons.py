"""Why each mask belongs to the answer, in the many forms in which planners write it down."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, WithJsonSchema

from agent.tools.base import Number, Words

ID_KEYS = ("id", "mask", "mask_id", "number")
REASON_KEYS = ("reason", "why", "explanation", "text")


class _Reason(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: Number = Field(validation_alias=AliasChoices(*ID_KEYS))
    reason: Words = Field(validation_alias=AliasChoices(*REASON_KEYS))


Reason = Annotated[
    _Reason,
    # Written out, as a schema with references is beyond some servers.
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "reason": {"type": "string"}},
            "required": ["id", "reason"],
            "additionalProperties": False,
        }
    ),
]
"""Of one mask."""


def as_reasons(value: Any, ids: Sequence[int]) -> Any:
    """As a list of objects of id and reason, where it can be read as such; anything else as it is, to be refused.

    Read: such a list or one such object, a mapping of ids to reasons, one reason for each of `ids` or for all of
    them, and each of these as JSON text.

    >>> as_reasons({"mask 3": "red"}, [3, 4])
    [{'id': '3', 'reason': 'red'}]
    >>> as_reasons(["red", "dark red"], [3, 4])
    [{'id': 3, 'reason': 'red'}, {'id': 4, 'reason': 'dark red'}]
    """
    match _parsed(value):
        case str() as reason:
            return _pairs(zip(ids, [reason] * len(ids), strict=True))
        case dict() as one if one.keys() & set(ID_KEYS):
            return [one]
        case dict() as mapping:
            return _pairs((_number(key), reason) for key, reason in mapping.items())
        case list() as reasons if reasons and all(isinstance(reason, str) for reason in reasons):
            return _pairs(zip(ids, _one_each(reasons, len(ids)), strict=True))
        case other:
            return other


def _parsed(value: Any) -> Any:
    """The list or object that a text holds as JSON; any other value as it is."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            inner = json.loads(value)
            return inner if isinstance(inner, list | dict) else value
    return value


def _one_each(reasons: list[str], number: int) -> list[str]:
    if len(reasons) == 1:
        return reasons * number
    if len(reasons) != number:
        raise ValueError(f"should be {number} reasons, one for each of `ids`, or objects of `id` and `reason`")
    return reasons


def _number(key: Any) -> Any:
    """The number in 'mask 3' or '#3'."""
    found = re.findall(r"\d+", key) if isinstance(key, str) else []
    return found[0] if len(found) == 1 else key


def _pairs(reasons: Any) -> list[dict[str, Any]]:
    return [{"id": id, "reason": reason} for id, reason in reasons if reason not in (None, "")]
