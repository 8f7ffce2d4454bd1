"""JSON schemas that a server can hold a model to: everything required, everything bounded.

Grammars made from schemas (xgrammar and its like) and strict tools of the OpenAI API know a part of JSON Schema only,
and a model that is held to a loose schema writes loose things: endless strings, control characters, 1e495.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.models.base import Schema

MAX_TEXT = 400
"""Most letters of a string, whatever its schema says."""
PATTERN_RUN = 100
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


def to_strict_tool(tool: Schema) -> dict[str, Any]:
    """Mark a tool in OpenAI function-calling form strict: its optional fields become required and may be null."""
    function = tool["function"]
    parameters = constrain_schema(function["parameters"])
    return {"type": "function", "function": {**function, "strict": True, "parameters": parameters}}


def build_reply_schema(tools: Sequence[Schema]) -> dict[str, Any]:
    """Build the schema of a reply that is one call: {"thought": …, "tool": …, "arguments": {…}}.

    Args:
        tools: The tools that may be called, at least one, in OpenAI function-calling form.
    """
    branches = [_build_call_schema(tool["function"]) for tool in tools]
    return branches[0] if len(branches) == 1 else {"anyOf": branches}


def constrain_schema(schema: Schema) -> dict[str, Any]:
    """Resolve references, close and complete objects, and bound strings, lists and numbers.

    Whatever fits the result fits `schema` too, except that fields which `schema` does not require may be null.

    >>> constrain_schema({"type": "integer", "minimum": 1, "default": 1, "title": "Start"})
    {'type': 'integer', 'minimum': 1, 'maximum': 100000}
    """
    return _constrain_node(schema, schema.get("$defs", {}))


def _build_call_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        "thought": _THOUGHT,
        "tool": {"type": "string", "enum": [function["name"]]},
        "arguments": function["parameters"],
    }
    definitions = function["parameters"].get("$defs", {})
    return _constrain_node({"type": "object", "properties": properties, "required": [*properties]}, definitions)


def _constrain_node(schema: Schema, definitions: Mapping[str, Any]) -> dict[str, Any]:
    about = {"description": schema["description"]} if "description" in schema else {}
    if "$ref" in schema:
        return _constrain_node(definitions[schema["$ref"].rpartition("/")[2]], definitions) | about
    if "const" in schema or "enum" in schema:
        return {"type": schema.get("type", "string"), "enum": schema.get("enum") or [schema["const"]]} | about
    if branches := schema.get("anyOf", schema.get("oneOf", schema.get("allOf"))):
        kept = [_constrain_node(branch, definitions) for branch in branches if not _is_open_mapping(branch)]
        return (kept[0] if len(kept) == 1 else {"anyOf": kept}) | about
    return _constrain_by_type(schema, definitions) | about


def _is_open_mapping(schema: Schema) -> bool:
    """Whether the schema is an object with fields of any name, which no strict schema can say."""
    return schema.get("type") == "object" and not schema.get("properties")


def _constrain_by_type(schema: Schema, definitions: Mapping[str, Any]) -> dict[str, Any]:
    match schema.get("type", "string"):
        case "object":
            return _constrain_object(schema, definitions)
        case "array":
            return _constrain_array(schema, definitions)
        case "string":
            return {"type": "string", "pattern": _build_text_pattern(schema)}
        case "integer" | "number" as kind:
            return {"type": kind} | _bound_number(schema)
        case kind:
            return {"type": kind}


def _constrain_object(schema: Schema, definitions: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        name: _constrain_node(field_schema, definitions) for name, field_schema in schema.get("properties", {}).items()
    }
    optional = properties.keys() - set(schema.get("required", ()))
    properties |= {name: _make_nullable(properties[name]) for name in properties if name in optional}
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _make_nullable(schema: dict[str, Any]) -> dict[str, Any]:
    branches = schema.get("anyOf") or [{key: value for key, value in schema.items() if key != "description"}]
    about = {"description": schema["description"]} if "description" in schema else {}
    return {"anyOf": branches if {"type": "null"} in branches else [*branches, {"type": "null"}]} | about


def _constrain_array(schema: Schema, definitions: Mapping[str, Any]) -> dict[str, Any]:
    members = schema.get("prefixItems", ())
    items = _constrain_node(members[0] if members else schema.get("items", {}), definitions)
    least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _build_text_pattern(schema: Schema) -> str:
    """Build a pattern without quotes, backslashes and control characters, so that a grammar writes valid JSON.

    Whole runs come first, so that there is only one way to match a text, and engines that backtrack do not go far.
    """
    first = _NOT_BLANK if schema.get("minLength", 0) else ""
    most = min(schema.get("maxLength", MAX_TEXT), MAX_TEXT) - bool(first)
    runs = max(0, (most - PATTERN_RUN + 1) // PATTERN_RUN)
    more = f"({_LETTER}{{{PATTERN_RUN}}}){{0,{runs}}}" if runs else ""
    return f"^{first}{more}{_LETTER}{{0,{min(most, PATTERN_RUN - 1)}}}$"


def _bound_number(schema: Schema) -> dict[str, Any]:
    given = {key: schema[key] for closed, opened, _ in _BOUNDS for key in (closed, opened) if key in schema}
    return given | {closed: limit for closed, opened, limit in _BOUNDS if not {closed, opened} & given.keys()}
