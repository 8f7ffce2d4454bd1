"""Reasons why masks belong to the answer, in the many forms in which planners write them down."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, WithJsonSchema

from agent.tools.base import FreeText, SmallInt

ID_KEYS = ("id", "mask", "mask_id", "number")
REASON_KEYS = ("reason", "why", "explanation", "text")


class _Reason(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: SmallInt = Field(validation_alias=AliasChoices(*ID_KEYS))
    reason: FreeText = Field(validation_alias=AliasChoices(*REASON_KEYS))


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


def parse_reasons(value: Any, ids: Sequence[int]) -> Any:
    """Read a list of objects of id and reason; anything else stays as it is, to be refused.

    Read: such a list or one such object, a mapping of ids to reasons, one reason for each of `ids` or for all of
    them, and each of these as JSON text.

    >>> parse_reasons({"mask 3": "red"}, [3, 4])
    [{'id': '3', 'reason': 'red'}]
    >>> parse_reasons(["red", "dark red"], [3, 4])
    [{'id': 3, 'reason': 'red'}, {'id': 4, 'reason': 'dark red'}]
    """
    match _parse_json(value):
        case str() as reason:
            return _build_reason_objects(zip(ids, [reason] * len(ids), strict=True))
        case dict() as mask_reason if mask_reason.keys() & set(ID_KEYS):
            return [mask_reason]
        case dict() as mapping:
            return _build_reason_objects((_extract_id(key), reason) for key, reason in mapping.items())
        case list() as reasons if reasons and all(isinstance(reason, str) for reason in reasons):
            return _build_reason_objects(zip(ids, _spread_reasons(reasons, len(ids)), strict=True))
        case other:
            return other


def _parse_json(value: Any) -> Any:
    """The list or object that a text holds as JSON; any other value as it is."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            inner = json.loads(value)
            return inner if isinstance(inner, list | dict) else value
    return value


def _spread_reasons(reasons: list[str], count: int) -> list[str]:
    if len(reasons) == 1:
        return reasons * count
    if len(reasons) != count:
        raise ValueError(f"should be {count} reasons, one for each of `ids`, or objects of `id` and `reason`")
    return reasons


def _extract_id(key: Any) -> Any:
    """The number in 'mask 3' or '#3'."""
    found = re.findall(r"\d+", key) if isinstance(key, str) else []
    return found[0] if len(found) == 1 else key


def _build_reason_objects(reasons: Any) -> list[dict[str, Any]]:
    return [{"id": id, "reason": reason} for id, reason in reasons if reason not in (None, "")]
