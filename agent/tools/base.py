"""The kinds of arguments that tools take."""

import json
import re
from contextlib import suppress
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from agent.core.text.sanitizing import make_encodable
from agent.core.tools.tool import Tool

__all__ = [
    "ANY_SPELLING",
    "MAX_PHRASE",
    "Boxes",
    "FreeText",
    "Ids",
    "NonEmptyText",
    "Phrase",
    "Phrases",
    "SmallInt",
    "Tool",
]


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):  # which pydantic would read as 0 or 1
        raise ValueError("should be a number")
    return value


def _refuse_huge(value: int) -> int:
    """No image has that many masks, and the sentence that refuses the number should stay short."""
    if abs(value) >= 10**9:
        raise ValueError("should be a small number")
    return value


_NAMED_ID = r"(?:(?:masks?|numbers?|ids?|objects?|no\.?|nr\.?)\s*)?#?\d{1,9}"
_ID_OR_RANGE = rf"{_NAMED_ID}(?:\s*(?:-|\u2013|to)\s*#?\d{{1,9}})?"
_ID_LIST_PATTERN = re.compile(
    rf"(\[\s*)?{_ID_OR_RANGE}((\s*[,;]\s*(and\s+)?|\s+(and\s+|&\s+)?){_ID_OR_RANGE})*(\s*\])?", re.IGNORECASE
)
_ID_KEYS = ("id", "mask", "mask_id", "number")
MAX_RANGE = 1000
"""Masks that a range may stand for."""


def _split_ids(value: object) -> object:
    """A list of one for 3, and the numbers of '3', '1, 2 and 5', '[1, 2]', '2 to 4', ['mask 1'], [{'id': 1}].

    Anything else stays as it is, to be refused.
    """
    match value:
        case str() if _ID_LIST_PATTERN.fullmatch(value.strip()):
            return [number for found in _FIND_IDS.findall(value) for number in _spread_range(*found)]
        case str():
            raise ValueError("should be a list of mask numbers, such as [1, 2]")
        case list():
            return [part for item in value for part in _split_item(item)]
        case bool():
            return value
        case int() | float():
            return [value]
    return value


_FIND_IDS = re.compile(r"(\d{1,9})(?:\s*(?:-|\u2013|to)\s*#?(\d{1,9}))?", re.IGNORECASE)


def _spread_range(first: str, last: str) -> list[int]:
    start, end = int(first), int(last or first)
    low, high = sorted((start, end))
    return [*range(low, high + 1)] if high - low < MAX_RANGE else [start, end]


def _split_item(item: object) -> list[object]:
    """The numbers of one item of a list: of a text, of a list of its own, of an object with one number."""
    if isinstance(item, str) and _ID_LIST_PATTERN.fullmatch(item.strip()):
        return [number for found in _FIND_IDS.findall(item) for number in _spread_range(*found)]
    if isinstance(item, list) and all(isinstance(number, int) for number in item):
        return [*item]
    if isinstance(item, dict):
        named = [item[key] for key in _ID_KEYS if key in item]
        return named if len(named) == 1 else [item]
    return [item]


def _wrap_single_box(value: object) -> object:
    """A list of one for a box; anything else as it is."""
    alone = isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(edge, int | float) for edge in value)
    return [value] if alone else value


def _parse_phrases(value: object) -> object:
    """A list of one for a phrase; the list for a list written as text."""
    if not isinstance(value, str):
        return value
    with suppress(ValueError, RecursionError):
        inner = json.loads(value)
        return inner if isinstance(inner, list) else [value]
    return [value]


def _to_snake_case(value: object) -> object:
    return re.sub(r"[\s_-]+", "_", value.strip().lower()) if isinstance(value, str) else value


SmallInt = Annotated[int, BeforeValidator(_refuse_bool), AfterValidator(_refuse_huge)]
Ids = Annotated[list[SmallInt], BeforeValidator(_split_ids)]
"""Mask numbers. Whether there are such masks, only the episode knows."""
Boxes = Annotated[list[Annotated[list[float], Field(min_length=4, max_length=4)]], BeforeValidator(_wrap_single_box)]
"""x0 y0 x1 y1 each; one may stand alone."""
FreeText = Annotated[str, BeforeValidator(make_encodable)]
"""For people: any text."""
NonEmptyText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), BeforeValidator(make_encodable)]
"""For people: some text."""
MAX_PHRASE = 200
"""Letters."""
Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PHRASE)]
Phrases = Annotated[list[Phrase], BeforeValidator(_parse_phrases)]
ANY_SPELLING = BeforeValidator(_to_snake_case)
"""For a Literal of snake_case words: 'Left of' is 'left_of'."""
