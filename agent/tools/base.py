"""What a tool is, and the kinds of arguments it takes."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from agent.core.episode import Decision, Episode, Observation
from agent.core.planner import Planner
from agent.core.text import make_encodable
from sam3_tool import Sam3


class Tool(BaseModel):
    """Something a planner can call: the docstring is its description, the fields are its arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names it is called by; case, spaces and underscores never matter."""
    field_aliases: ClassVar[Mapping[str, str]] = {}
    """Other name of a field -> the field."""

    def run(self, episode: Episode, sam3: Sam3, planner: Planner) -> Observation:
        """Does it. Raises ToolError for a mistake of the planner's, before anything was computed."""
        raise NotImplementedError

    def to_decision(self, thought: str = "") -> Decision:
        """The call as a planner would write it; arguments that have their default value are left out."""
        return Decision(self.name, self.model_dump_json(exclude_defaults=True), thought)

    @classmethod
    def to_planner_schema(cls) -> dict[str, Any]:
        """The tool in OpenAI function-calling form."""
        parameters = _strip_titles(cls.model_json_schema())
        description = " ".join(parameters.pop("description").split())
        return {
            "type": "function",
            "function": {"name": cls.name, "description": description, "parameters": parameters},
        }


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):  # which pydantic would read as 0 or 1
        raise ValueError("should be a number")
    return value


def _refuse_huge(value: int) -> int:
    """No picture has that many masks, and the sentence that refuses the number should stay short."""
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


def _strip_titles(schema: Any) -> Any:
    """Without the titles pydantic makes up from the field names: they say nothing and cost tokens."""
    if isinstance(schema, dict):
        return {
            key: _strip_titles(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [_strip_titles(item) for item in schema] if isinstance(schema, list) else schema
