"""From what a planner wrote to a validated call of a tool, or to one sentence about what to mend."""

import json
import re
import reprlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from agent.episode import Decision
from agent.text import encodable
from agent.tools.base import Tool, ToolError

WRAPPERS = ("arguments", "parameters", "args", "params", "input")
"""Keys under which models like to send the arguments once more. No tool has a field of such a name."""
CALL_KEYS = {"name", "tool", "function", "type", "id"}
"""What may stand beside a wrapper: the rest of the call."""

# Strings are matched first, so that a comma inside one stays; one without an end is matched whole, so that no part of
# it is read twice.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]++|\\.)*+"?)|,(?=\s*[}\]])', re.DOTALL)

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def parse_call(decision: Decision, tools: Sequence[type[Tool]]) -> Tool:
    """The validated call, or a ToolError that tells the planner what to fix.

    Forgiven: other spellings of tool and field names, arguments wrapped once more, a number or a phrase instead of a
    list of one, numbers as text, null for a default, a code fence around the JSON, trailing commas in it.

    >>> from agent.tools import TOOLS
    >>> parse_call(Decision("Answer", '{"arguments": {"masks": "2"}}'), TOOLS)
    Answer(ids=[2], message='', reasons=[])
    """
    arguments = _read(decision)
    tool = _find(decision.tool.strip() or _name_inside(arguments), tools)
    try:
        return tool.model_validate(_renamed(tool, _unwrapped(arguments)))
    except ValidationError as error:
        raise ToolError(_complaint(tool, error)) from error


def _read(decision: Decision) -> Any:
    """The JSON value of the arguments; {} for none."""
    text = unfenced(decision.arguments)
    try:
        return _loads(text) if text else {}
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at character {error.pos + 1}"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError:  # Python's limit on the digits of an int
        problem = "a number in it is too long"
    raise ToolError(f"The arguments are not JSON ({problem}): {_short(text)}; call it again with one JSON object.")


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return json.loads(without_trailing_commas(text))


def without_trailing_commas(text: str) -> str:
    """JSON as models write it -> JSON.

    >>> without_trailing_commas('{"ids": [1, 2,], "message": "a,]",}')
    '{"ids": [1, 2], "message": "a,]"}'
    """
    return _TRAILING_COMMA.sub(lambda match: match[1] or "", text)


def unfenced(text: str) -> str:
    """Without the fence that stands around code.

    >>> unfenced('```json {"ids": [1]}\\n```')
    '{"ids": [1]}'
    """
    return re.sub(r"^```\w*\s*", "", text.strip()).removesuffix("```").rstrip()


def _name_inside(arguments: Any) -> str:
    """The tool's name, where a planner wrote the whole call as the arguments of nothing."""
    name = arguments.get("name", arguments.get("tool", "")) if isinstance(arguments, dict) else ""
    return name if isinstance(name, str) else ""


def _find(name: str, tools: Sequence[type[Tool]]) -> type[Tool]:
    by_spelling = {squeezed(alias): tool for tool in tools for alias in tool.aliases}
    by_spelling |= {squeezed(tool.name): tool for tool in tools}
    spelled = squeezed(name.rpartition(".")[2])  # some models say 'functions.segment'
    if spelled not in by_spelling:
        found = f"There is no tool {_short(name)}" if name else "No tool was called"
        raise ToolError(f"{found}; call exactly one of {', '.join(tool.name for tool in tools)}.")
    return by_spelling[spelled]


def squeezed(name: str) -> str:
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
    names = {squeezed(alias): field for alias, field in tool.field_aliases.items()}
    names |= {squeezed(field): field for field in tool.model_fields}
    spelled = {key: names.get(squeezed(key), encodable(key)) for key in arguments}
    pairs = [(spelled[key], value) for key, value in arguments.items() if value is not None]
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
        case "missing" if len(error["loc"]) > 1:
            return f"{where} has no `{error['loc'][-1]}`"
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
