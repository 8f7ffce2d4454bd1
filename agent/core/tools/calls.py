"""Read what a planner wrote: a validated call of a tool, or one sentence about what to mend."""

import json
import re
import reprlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from agent.core.episode import Decision
from agent.core.errors import ToolError
from agent.core.text.lenient_json import (
    CALL_KEYS,
    WRAPPER_KEYS,
    load_mended_json,
    normalize_identifier,
    strip_code_fence,
    strip_namespace,
)
from agent.core.text.sanitizing import make_encodable
from agent.core.tools.tool import Tool

CalledTool = TypeVar("CalledTool", bound=Tool)

_SHORT_REPR = reprlib.Repr()
_SHORT_REPR.maxstring = _SHORT_REPR.maxother = 80


@dataclass(frozen=True)
class ValidCall:
    """A call that a tool can make.

    Example:
        >>> from agent import WORKSPACE
        >>> WORKSPACE.read_call(Decision("answer", '{"ids": [2]}'))
        ValidCall(tool=Answer(ids=[2], message='', reasons=[]))
    """

    tool: Tool


@dataclass(frozen=True)
class InvalidCall:
    """A decision that is no call of any tool.

    Example:
        >>> from agent import WORKSPACE
        >>> WORKSPACE.read_call(Decision("anwser", "{}")).message.partition(";")[0]
        "There is no tool 'anwser'"
    """

    message: str
    """What is wrong with it, in one sentence for the planner."""


ToolCall = ValidCall | InvalidCall


def parse_call(decision: Decision, tools: Sequence[type[Tool]]) -> Tool:
    """The validated call, or a ToolError that tells the planner what to fix.

    Forgiven: other spellings of tool and field names, arguments wrapped once more, a number or a phrase instead of a
    list of one, numbers as text, null for a default, a code fence around the JSON, trailing commas in it.

    >>> from agent.tools import WORKSPACE
    >>> parse_call(Decision("Answer", '{"arguments": {"masks": "2"}}'), WORKSPACE.tools)
    Answer(ids=[2], message='', reasons=[])
    """
    arguments = {} if _is_call_without_arguments(decision, tools) else _read_arguments(decision)
    tool = _find_tool(decision.tool.strip() or _find_name_inside(arguments), tools)
    return build_call(tool, _unwrap_arguments(arguments))


def build_call(tool: type[CalledTool], arguments: Any) -> CalledTool:
    """The call with these arguments, which a reader of JSON gave, as forgiving as `parse_call`. Raises ToolError.

    >>> from agent.tools.combine import Count
    >>> build_call(Count, {"Ids": "1 and 2"})
    Count(ids=[1, 2])
    """
    try:
        return tool.model_validate(_normalize_fields(tool, arguments))
    except ValidationError as error:
        raise ToolError(_describe_invalid_call(tool, error)) from error


def _is_call_without_arguments(decision: Decision, tools: Sequence[type[Tool]]) -> bool:
    """Whether the tool has no fields and ignores whatever else is written."""
    with suppress(ToolError):
        tool = _find_tool(decision.tool.strip(), tools)
        return tool.ignores_unknown_arguments and not tool.model_fields
    return False


def _read_arguments(decision: Decision) -> Any:
    """The JSON value of the arguments; {} for none."""
    text = strip_code_fence(decision.arguments)
    try:
        return load_mended_json(text) if text else {}
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at character {error.pos + 1}"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError:  # Python's limit on the digits of an int
        problem = "a number in it is too long"
    raise ToolError(
        f"The arguments are not JSON ({problem}): {_shorten_value(text)}; call it again with one JSON object."
    )


def _find_name_inside(arguments: Any) -> str:
    """The tool's name, where a planner wrote the whole call as the arguments of nothing."""
    name = arguments.get("name", arguments.get("tool", "")) if isinstance(arguments, dict) else ""
    return name if isinstance(name, str) else ""


def _find_tool(name: str, tools: Sequence[type[Tool]]) -> type[Tool]:
    by_spelling = {normalize_identifier(alias): tool for tool in tools for alias in tool.aliases}
    by_spelling |= {normalize_identifier(tool.name): tool for tool in tools}
    spelled = normalize_identifier(strip_namespace(name))  # some models say 'functions.segment'
    if spelled not in by_spelling:
        found = f"There is no tool {_shorten_value(name)}" if name else "No tool was called"
        raise ToolError(f"{found}; call exactly one of {', '.join(tool.name for tool in tools)}.")
    return by_spelling[spelled]


def _unwrap_arguments(arguments: Any) -> Any:
    """The arguments themselves, however often a planner wrapped them up; whatever else they are, to be refused."""
    while True:
        match arguments:
            case None | "":
                return {}
            case str():
                try:
                    arguments = load_mended_json(arguments)
                except (ValueError, RecursionError):
                    return arguments
            case dict() if wrapper := _find_wrapper(arguments):
                arguments = arguments[wrapper]
            case _:
                return arguments


def _find_wrapper(arguments: dict[str, Any]) -> str | None:
    wrapper = next((key for key in WRAPPER_KEYS if key in arguments), None)
    return wrapper if set(arguments) - CALL_KEYS == {wrapper} else None


def _normalize_fields(tool: type[Tool], arguments: Any) -> dict[str, Any]:
    """The arguments with every field under its own name, and without nulls."""
    if not isinstance(arguments, dict):
        problem = f"are {_shorten_value(arguments)}, but should be one JSON object with {_list_fields(tool)}"
        raise ToolError(f"The arguments of `{tool.name}` {problem}; call it again with that.")
    names = {normalize_identifier(alias): field for alias, field in tool.field_aliases.items()}
    names |= {normalize_identifier(field): field for field in tool.model_fields}
    spelled = {key: names.get(normalize_identifier(key), make_encodable(key)) for key in arguments}
    pairs = [(spelled[key], value) for key, value in arguments.items() if value is not None]
    twice = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    if twice:
        raise ToolError(f"The call of `{tool.name}` gives `{twice[0]}` more than once; call it again with one.")
    return _drop_unknown_arguments(tool, dict(pairs))


_ASIDES = {
    *("thought", "thoughts", "thinking", "reasoning", "explanation", "rationale", "justification", "comment"),
    "confidence",
}
"""What models write beside arguments, for themselves. What was written stays in the episode."""


def _drop_unknown_arguments(tool: type[Tool], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields without asides; of a tool that ignores all else, without that, too.

    Where a field is missing, what was written may be a slip of its name.
    """
    asides = {name for name in fields if name not in tool.model_fields and normalize_identifier(name) in _ASIDES}
    fields = {name: value for name, value in fields.items() if name not in asides}
    required = {name for name, field in tool.model_fields.items() if field.is_required()}
    if not tool.ignores_unknown_arguments or not required <= fields.keys():
        return fields
    return {name: value for name, value in fields.items() if name in tool.model_fields}


def _describe_invalid_call(tool: type[Tool], error: ValidationError) -> str:
    problems = [_describe_problem(tool, dict(detail)) for detail in error.errors(include_url=False)]
    more = f", and {len(problems) - 3} more like this" if len(problems) > 3 else ""
    return f"In the call of `{tool.name}`, {', and '.join(problems[:3])}{more}; correct this and call it again."


def _describe_problem(tool: type[Tool], error: dict[str, Any]) -> str:
    field = str(error["loc"][0])
    where = f"`{field}`" + "".join(f" at place {index + 1}" for index in error["loc"][1:2] if isinstance(index, int))
    match error["type"]:
        case "missing" if len(error["loc"]) > 1:
            return f"{where} has no `{error['loc'][-1]}`"
        case "missing":
            return f"{where} is missing, which is {_describe_field(tool, field)}"
        case "extra_forbidden":
            return f"{_shorten_value(field)} is not one of its fields, which are {_list_fields(tool)}"
        case _:
            expected = re.sub(r"^(Value error, |\w+ (?=should))", "", error["msg"])
            return f"{where} is {_shorten_value(error['input'])}, but it {expected}"


def _describe_field(tool: type[Tool], field: str) -> str:
    description = tool.model_fields[field].description or "required"
    return description[0].lower() + description[1:].rstrip(".")


def _list_fields(tool: type[Tool]) -> str:
    return ", ".join(f"`{field}`" for field in tool.model_fields) or "no fields at all"


def _shorten_value(value: object) -> str:
    """On one line whatever it holds, and never long or deep."""
    return _SHORT_REPR.repr(value)
