"""JSON schemas that a server can hold a model to: everything required, everything bounded.

Grammars made from schemas (xgrammar and its like) and strict tools of the OpenAI API know a part of JSON Schema only,
and a model that is held to a loose schema writes loose things: endless strings, control characters, 1e495.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.models import Schema

MAX_TEXT = 400
"""Letters of a string at most, whatever its schema says."""
RUN = 100
"""Letters that a pattern repeats at once: xgrammar 0.2.8 cannot compile more than 128."""
MAX_ITEMS = 100
MAX_NUMBER = 100_000
"""Numbers without bounds of their own are 0 to this: mask numbers and pixels, no tool takes a negative one."""

_LETTER = r'[^"\\\x00-\x1f]'
_NOT_BLANK = r'[^"\\\x00-\x20]'
_THOUGHT = {"type": "string", "description": "Why, in a sentence or two."}
_BOUNDS: tuple[tuple[str, str, int], ...] = (
    ("minimum", "exclusiveMinimum", 0),
    ("maximum", "exclusiveMaximum", MAX_NUMBER),
)


def strict_tool(tool: Schema) -> dict[str, Any]:
    """A tool in OpenAI function-calling form, marked strict: its optional fields are required and may be null."""
    function = tool["function"]
    parameters = constrained(function["parameters"])
    return {"type": "function", "function": {**function, "strict": True, "parameters": parameters}}


def reply_schema(tools: Sequence[Schema]) -> dict[str, Any]:
    """Of a reply that is one call: {"thought": text, "tool": name, "arguments": the fields of that tool}."""
    branches = [_call_schema(tool["function"]) for tool in tools]
    return branches[0] if len(branches) == 1 else {"anyOf": branches}


def constrained(schema: Schema) -> dict[str, Any]:
    """The schema with references resolved, objects closed and complete, and strings, lists and numbers bounded.

    Whatever fits it fits `schema` too, but for nulls in place of fields that `schema` does not require.

    >>> constrained({"type": "integer", "minimum": 1, "default": 1, "title": "Start"})
    {'type': 'integer', 'minimum': 1, 'maximum': 100000}
    """
    return _constrained(schema, schema.get("$defs", {}))


def _call_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        "thought": _THOUGHT,
        "tool": {"type": "string", "enum": [function["name"]]},
        "arguments": function["parameters"],
    }
    definitions = function["parameters"].get("$defs", {})
    return _constrained({"type": "object", "properties": properties, "required": [*properties]}, definitions)


def _constrained(schema: Schema, definitions: Mapping[str, Any]) -> dict[str, Any]:
    about = {"description": schema["description"]} if "description" in schema else {}
    if "$ref" in schema:
        return _constrained(definitions[schema["$ref"].rpartition("/")[2]], definitions) | about
    if "const" in schema or "enum" in schema:
        return {"type": schema.get("type", "string"), "enum": schema.get("enum") or [schema["const"]]} | about
    if branches := schema.get("anyOf", schema.get("oneOf", schema.get("allOf"))):
        kept = [_constrained(one, definitions) for one in branches if not _is_mapping(one)]
        return (kept[0] if len(kept) == 1 else {"anyOf": kept}) | about
    return _of_type(schema, definitions) | about


def _is_mapping(schema: Schema) -> bool:
    """An object with fields of any name, which no strict schema can say."""
    return schema.get("type") == "object" and not schema.get("properties")


def _of_type(schema: Schema, definitions: Mapping[str, Any]) -> dict[str, Any]:
    match schema.get("type", "string"):
        case "object":
            return _object(schema, definitions)
        case "array":
            return _array(schema, definitions)
        case "string":
            return {"type": "string", "pattern": _pattern(schema)}
        case "integer" | "number" as kind:
            return {"type": kind} | _bounds(schema)
        case kind:
            return {"type": kind}


def _object(schema: Schema, definitions: Mapping[str, Any]) -> dict[str, Any]:
    properties = {name: _constrained(one, definitions) for name, one in schema.get("properties", {}).items()}
    optional = properties.keys() - set(schema.get("required", ()))
    properties |= {name: _nullable(properties[name]) for name in properties if name in optional}
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    branches = schema.get("anyOf") or [{key: value for key, value in schema.items() if key != "description"}]
    about = {"description": schema["description"]} if "description" in schema else {}
    return {"anyOf": branches if {"type": "null"} in branches else [*branches, {"type": "null"}]} | about


def _array(schema: Schema, definitions: Mapping[str, Any]) -> dict[str, Any]:
    members = schema.get("prefixItems", ())
    items = _constrained(members[0] if members else schema.get("items", {}), definitions)
    least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _pattern(schema: Schema) -> str:
    """No quote, backslash or control character, so that a grammar writes valid JSON; some text where some is due.

    Whole runs come first, so that there is one way only to match a text: engines that go back do not go back far.
    """
    first = _NOT_BLANK if schema.get("minLength", 0) else ""
    most = min(schema.get("maxLength", MAX_TEXT), MAX_TEXT) - bool(first)
    runs = max(0, (most - RUN + 1) // RUN)
    more = f"({_LETTER}{{{RUN}}}){{0,{runs}}}" if runs else ""
    return f"^{first}{more}{_LETTER}{{0,{min(most, RUN - 1)}}}$"


def _bounds(schema: Schema) -> dict[str, Any]:
    given = {key: schema[key] for closed, opened, _ in _BOUNDS for key in (closed, opened) if key in schema}
    return given | {closed: limit for closed, opened, limit in _BOUNDS if not {closed, opened} & given.keys()}
