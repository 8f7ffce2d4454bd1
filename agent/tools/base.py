"""What a tool is, and how a planner's text becomes a call of one."""

import json
import re
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from agent.episode import Decision, Episode, Observation
from agent.planner import Planner
from sam3_tool import Sam3

WRAPPERS = ("arguments", "parameters", "args", "params", "input")
"""Keys under which models like to send the arguments once more. No tool has a field of such a name."""
CALL_KEYS = {"name", "tool", "function", "type", "id"}
"""What may stand beside a wrapper: the rest of the call."""


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


class ToolError(Exception):
    """A mistake the planner can correct. The message is one sentence, shown to the planner as the observation."""


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

    def as_decision(self, thought: str = "") -> Decision:
        """The call as a planner would write it; arguments that have their default value are left out."""
        return Decision(self.name, self.model_dump_json(exclude_defaults=True), thought)

    @classmethod
    def schema_for_planner(cls) -> dict[str, Any]:
        """The tool in OpenAI function-calling form."""
        parameters = _without_titles(cls.model_json_schema())
        description = parameters.pop("description")
        return {
            "type": "function",
            "function": {"name": cls.name, "description": description, "parameters": parameters},
        }


def parse_call(decision: Decision, tools: Sequence[type[Tool]]) -> Tool:
    """The validated call, or a ToolError that tells the planner what to fix.

    Forgiven: other spellings of tool and field names, arguments wrapped once more, a number or a phrase instead of a
    list of one, numbers as text, null for a default, a code fence around the JSON, trailing commas in it.

    >>> from agent.tools import TOOLS
    >>> parse_call(Decision("Answer", '{"arguments": {"masks": "2"}}'), TOOLS)
    Answer(ids=[2], message='')
    """
    arguments = _read(decision)
    tool = _find(decision.tool.strip() or _name_inside(arguments), tools)
    try:
        return tool.model_validate(_renamed(tool, _unwrapped(arguments)))
    except ValidationError as error:
        raise ToolError(_complaint(tool, error)) from error


def _a_number(value: object) -> object:
    if isinstance(value, bool):  # which pydantic would read as 0 or 1
        raise ValueError("should be a number")
    return value


def _numbers(value: object) -> object:
    """A list of one for 3, and the numbers of '3', '1, 2 and 5', '[1, 2]'; anything else as it is, to be refused."""
    if isinstance(value, str) and re.fullmatch(r"\s*\[?\s*#?\d+((\s*,\s*|\s+)(and\s+)?#?\d+)*\s*\]?\s*", value):
        return re.findall(r"\d+", value)
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


def _phrases(value: object) -> object:
    """A list of one for a phrase; the list for a list written as text."""
    if not isinstance(value, str):
        return value
    with suppress(ValueError, RecursionError):
        inner = json.loads(value)
        return inner if isinstance(inner, list) else [value]
    return [value]


def _word(value: object) -> object:
    return re.sub(r"[\s_-]+", "_", value.strip().lower()) if isinstance(value, str) else value


Number = Annotated[int, BeforeValidator(_a_number)]
Ids = Annotated[list[Number], BeforeValidator(_numbers)]
"""Mask numbers. Whether there are such masks, only the episode knows."""
Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Phrases = Annotated[list[Phrase], BeforeValidator(_phrases)]
forgiving_word = BeforeValidator(_word)
"""For a Literal of snake_case words: 'Left of' is 'left_of'."""


def _read(decision: Decision) -> Any:
    """The JSON value of the arguments; {} for none."""
    text = re.sub(r"^```\w*\s*|\s*```$", "", decision.arguments.strip())
    try:
        return _loads(text) if text else {}
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at character {error.pos + 1}"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError:  # Python's limit on the digits of an int
        problem = "a number in it is too long"
    raise ToolError(
        f"The arguments of `{decision.tool}` are not JSON ({problem}): {_short(text)}; call it again with one JSON object."
    )


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # Strings are matched first, so that a comma inside one stays.
        return json.loads(re.sub(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', lambda match: match[1] or "", text))


def _name_inside(arguments: Any) -> str:
    """The tool's name, where a planner wrote the whole call as the arguments of nothing."""
    name = arguments.get("name", arguments.get("tool", "")) if isinstance(arguments, dict) else ""
    return name if isinstance(name, str) else ""


def _find(name: str, tools: Sequence[type[Tool]]) -> type[Tool]:
    by_spelling = {_squeezed(alias): tool for tool in tools for alias in tool.aliases}
    by_spelling |= {_squeezed(tool.name): tool for tool in tools}
    if _squeezed(name) not in by_spelling:
        found = f"There is no tool {_short(name)}" if name else "No tool was called"
        raise ToolError(f"{found}; call exactly one of {', '.join(tool.name for tool in tools)}.")
    return by_spelling[_squeezed(name)]


def _squeezed(name: str) -> str:
    """Letters and digits alone: 'SegmentPhrase' and 'segment phrase' are 'segment_phrase'."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _unwrapped(arguments: Any) -> Any:
    """The arguments themselves, however often a planner wrapped them up; whatever else they are, to be refused."""
    while True:
        match arguments:
            case None | "":
                return {}
            case str():
                try:
                    arguments = _loads(arguments)
                except (ValueError, RecursionError):
                    return arguments
            case dict() if wrapper := _wrapper(arguments):
                arguments = arguments[wrapper]
            case _:
                return arguments


def _wrapper(arguments: dict[str, Any]) -> str | None:
    wrapper = next((key for key in WRAPPERS if key in arguments), None)
    return wrapper if set(arguments) - CALL_KEYS == {wrapper} else None


def _renamed(tool: type[Tool], arguments: Any) -> dict[str, Any]:
    """The arguments with every field under its own name, and without nulls."""
    if not isinstance(arguments, dict):
        what = f"are {_short(arguments)}, but should be one JSON object with {_fields(tool)}"
        raise ToolError(f"The arguments of `{tool.name}` {what}; call it again with that.")
    names = {_squeezed(alias): field for alias, field in tool.field_aliases.items()}
    names |= {_squeezed(field): field for field in tool.model_fields}
    pairs = [(str(names.get(_squeezed(key), key)), value) for key, value in arguments.items() if value is not None]
    twice = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    if twice:
        raise ToolError(f"The call of `{tool.name}` gives `{twice[0]}` more than once; call it again with one.")
    return dict(pairs)


def _complaint(tool: type[Tool], error: ValidationError) -> str:
    problems = [_problem(tool, dict(one)) for one in error.errors(include_url=False)]
    more = f", and {len(problems) - 3} more like this" if len(problems) > 3 else ""
    return f"In the call of `{tool.name}`, {', and '.join(problems[:3])}{more}; correct this and call it again."


def _problem(tool: type[Tool], error: dict[str, Any]) -> str:
    field = str(error["loc"][0])
    where = f"`{field}`" + "".join(f" at place {index + 1}" for index in error["loc"][1:2] if isinstance(index, int))
    match error["type"]:
        case "missing":
            return f"{where} is missing, which is {_described(tool, field)}"
        case "extra_forbidden":
            return f"{_short(field)} is not one of its fields, which are {_fields(tool)}"
        case _:
            expected = re.sub(r"^(Value error, |\w+ (?=should))", "", error["msg"])
            return f"{where} is {_short(error['input'])}, but it {expected}"


def _described(tool: type[Tool], field: str) -> str:
    description = tool.model_fields[field].description or "required"
    return description[0].lower() + description[1:].rstrip(".")


def _fields(tool: type[Tool]) -> str:
    return ", ".join(f"`{field}`" for field in tool.model_fields) or "no fields at all"


def _short(value: object) -> str:
    """On one line whatever it holds, and never long or deep."""
    return _SHORT.repr(value)


def _without_titles(schema: Any) -> Any:
    """Without the titles pydantic makes up from the field names: they say nothing and cost tokens."""
    if isinstance(schema, dict):
        return {
            key: _without_titles(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [_without_titles(one) for one in schema] if isinstance(schema, list) else schema
