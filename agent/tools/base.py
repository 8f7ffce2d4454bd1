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


_ID_LIST_PATTERN = re.compile(r"(\[\s*)?#?\d+((\s*,\s*|\s+)(and\s+)?#?\d+)*(\s*\])?")


def _split_ids(value: object) -> object:
    """A list of one for 3, and the numbers of '3', '1, 2 and 5', '[1, 2]'; anything else as it is, to be refused."""
    if isinstance(value, str) and _ID_LIST_PATTERN.fullmatch(value.strip()):
        return re.findall(r"\d+", value)
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


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
