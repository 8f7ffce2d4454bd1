import json
import random
import re
from typing import Any

import numpy as np
import pytest

from agent.core.episode import Decision
from agent.models.reply_parsing import read_reply
from agent.models.schemas import MAX_ITEMS, MAX_NUMBER, MAX_TEXT, build_reply_schema, constrain_schema, to_strict_tool
from agent.tools import PAPER, WORKSPACE, parse_call

PROTOCOLS = {"workspace": WORKSPACE.tools, "paper": PAPER.tools}
OFFERED = [tool.to_planner_schema() for tools in PROTOCOLS.values() for tool in tools]


def parts(schema: Any) -> list[dict[str, Any]]:
    """Every schema inside a schema, itself included."""
    match schema:
        case dict():
            properties = schema.get("properties", {})
            inner = [*properties.values(), *schema.get("anyOf", ()), schema.get("items")]
            return [schema, *(part for one in inner for part in parts(one))]
        case _:
            return []


@pytest.mark.parametrize("tool", OFFERED, ids=lambda tool: tool["function"]["name"])
def test_every_part_of_a_strict_tool_is_closed_and_bounded(tool):
    strict = to_strict_tool(tool)["function"]
    assert strict["strict"] is True
    for part in parts(strict["parameters"]):
        assert not part.keys() & {
            "minLength",
            "maxLength",
            "default",
            "title",
            "$ref",
            "$defs",
            "prefixItems",
            "format",
        }
        match part.get("type"):
            case "object":
                assert part["required"] == [*part["properties"]]
                assert part["additionalProperties"] is False
            case "array":
                assert part["maxItems"] <= MAX_ITEMS
            case "string":
                assert "enum" in part or re.compile(part["pattern"])
            case "number" | "integer":
                assert part.keys() & {"minimum", "exclusiveMinimum"}
                assert part.keys() & {"maximum", "exclusiveMaximum"}
            case "boolean" | "null":
                assert part.keys() <= {"type", "description"}
            case None:
                assert len(part["anyOf"]) > 1
            case other:
                raise AssertionError(other)


def test_optional_fields_may_be_null_and_required_ones_may_not():
    properties = {"a": {"type": "string", "description": "Why."}, "b": {"type": "integer", "default": 1}}
    strict = constrain_schema({"type": "object", "properties": properties, "required": ["a"]})
    assert strict["properties"]["a"]["type"] == "string"
    assert strict["properties"]["a"]["description"] == "Why."
    assert strict["properties"]["b"] == {
        "anyOf": [{"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}, {"type": "null"}]
    }


def test_what_bounds_a_number_of_itself_stays():
    assert constrain_schema({"type": "number", "minimum": 0, "exclusiveMaximum": 1}) == {
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
    }


def test_references_are_resolved_and_mappings_left_out():
    pair = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    mapping = {"type": "object", "additionalProperties": {"type": "string"}}
    schema = {"$defs": {"Pair": pair}, "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Pair"}}, mapping]}
    assert constrain_schema(schema)["type"] == "array"
    assert constrain_schema(schema)["items"]["properties"]["id"]["type"] == "integer"


@pytest.mark.parametrize("most", [1, 5, 99, 100, 150, 200, 400, 9999])
@pytest.mark.parametrize("least", [0, 1])
def test_patterns_allow_what_json_holds_without_escapes_and_no_more(most, least):
    pattern = constrain_schema({"type": "string", "maxLength": most, "minLength": least})["pattern"]
    assert all(int(times) <= 128 for times in re.findall(r",(\d+)\}", pattern))
    assert re.search(pattern, "\u7eff"[:most])
    assert re.search(pattern, "red cup"[:most])
    assert bool(re.search(pattern, "")) == (least == 0)
    assert bool(re.search(pattern, " ")) == (least == 0)
    assert not [
        text for text in ('a"', "a\\", "a\nb", "\x00", "x" * (min(most, MAX_TEXT) + 1)) if re.search(pattern, text)
    ]


def test_a_reply_is_one_call_of_one_of_the_tools():
    schema = build_reply_schema([tool.to_planner_schema() for tool in WORKSPACE.tools])
    assert [one["properties"]["tool"]["enum"] for one in schema["anyOf"]] == [[tool.name] for tool in WORKSPACE.tools]
    alone = build_reply_schema([WORKSPACE.tools[0].to_planner_schema()])
    assert list(alone["properties"]) == alone["required"] == ["thought", "tool", "arguments"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_whatever_a_grammar_lets_a_model_write_is_a_valid_call(protocol):
    """The worst model there is, one that writes any letter it may, held to the schema by the grammar vLLM uses."""
    xgrammar = pytest.importorskip("xgrammar", reason="comes with the extra vllm")
    tools = PROTOCOLS[protocol]
    offered = [tool.to_planner_schema() for tool in tools]
    letters = [*map(chr, range(32, 127)), "\u00e9", "\n"]
    vocabulary = xgrammar.TokenizerInfo([*letters, "<end>"], stop_token_ids=[len(letters)])
    schema = json.dumps(build_reply_schema(offered))
    grammar = xgrammar.GrammarCompiler(vocabulary).compile_json_schema(schema, any_whitespace=False)
    rng = random.Random(0)
    for _ in range(40):
        text = written(xgrammar, grammar, letters, rng)
        assert json.loads(text).keys() == {"thought", "tool", "arguments"}
        (call,) = read_reply(text, tools=offered).calls
        assert parse_call(Decision(call.tool, call.arguments), tools).name == json.loads(text)["tool"]


def written(xgrammar, grammar, letters: list[str], rng: random.Random) -> str:
    """Letters drawn from those the grammar allows; a quote more often, so that strings come to an end."""
    matcher = xgrammar.GrammarMatcher(grammar)
    mask = xgrammar.allocate_token_bitmask(1, len(letters) + 1)
    text = ""
    while True:
        matcher.fill_next_token_bitmask(mask)
        allowed = np.flatnonzero(np.unpackbits(mask.numpy().view(np.uint8), bitorder="little")[: len(letters) + 1])
        quote = letters.index('"')
        token = quote if quote in allowed and rng.random() < 0.2 else int(rng.choice(allowed))
        assert matcher.accept_token(token)
        if token == len(letters):
            return text
        text += letters[token]
