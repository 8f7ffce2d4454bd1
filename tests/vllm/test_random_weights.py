"""The `openai:` model against a real vLLM server whose model has random weights: it writes tokens at random, as far as
the server's grammars let it, and so tries whatever reads its replies."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import pytest

from agent import WORKSPACE, Budget, Decision, Episode, Task, parse_toolset, run
from agent.core.errors import ToolError
from agent.models.base import Capabilities, Message, Reply
from agent.models.openai.client import OpenAICompatible
from agent.models.openai.probe import format_capabilities
from agent.models.openai.responses import parse_response
from agent.models.rendering import to_openai
from agent.models.reply_parsing import extract_calls
from agent.planners.chat.planner import ChatPlanner
from agent.tools import parse_call

ASKED = 20
"""Replies of each kind."""
REPLIES = 300
"""At least, in whole episodes."""
TALK = [Message("system", ("You find things in pictures.",)), Message("user", ("the red circle",))]
SCHEMAS = [tool.to_planner_schema() for tool in WORKSPACE.tools]
FIELDS = {one["function"]["name"]: {*one["function"]["parameters"]["properties"]} for one in SCHEMAS}
WAYS = {
    "strict tools": Capabilities("native", strict=True),
    "tools": Capabilities("native"),
    "JSON schema": Capabilities("schema"),
    "tagged": Capabilities("tagged"),
}


@pytest.fixture(scope="module")
def server(serve, random_folder):
    return serve(random_folder)


@pytest.fixture(scope="module")
def model(server) -> OpenAICompatible:
    options = {"timeout": 600.0, "workers": 8, "max_tokens": 1000, "temperature": 1.0}
    return OpenAICompatible.load("tiny", base_url=server.url, **options)


def replies(model: OpenAICompatible, way: str) -> list[Reply]:
    return replace(model, capabilities=WAYS[way]).generate_replies([TALK] * ASKED, SCHEMAS)


def is_strict(reply: Reply) -> bool:
    """Whether it is one call of a tool that was offered, with a JSON object of exactly its fields."""
    return len(reply.calls) == 1 and set(json.loads(reply.calls[0].arguments)) == FIELDS[reply.calls[0].tool]


def is_accepted(reply: Reply) -> bool:
    """Whether it is one call that its tool takes: there are rules that a grammar does not know."""
    try:
        [parse_call(Decision(call.tool, call.arguments), WORKSPACE.tools) for call in reply.calls]
    except ToolError:
        return False
    return len(reply.calls) == 1


def whole(found: list[Reply]) -> list[Reply]:
    """Those that were not cut off."""
    assert [reply.error for reply in found] == [""] * len(found)
    return [reply for reply in found if reply.finish_reason != "length"]


def test_the_probe_chooses_a_way_that_grammars_hold(model, result):
    assert model.capabilities.wire in ("native", "schema")
    result.setdefault("probe", {})["random weights"] = format_capabilities(model.capabilities)


@pytest.mark.parametrize("way", ["strict tools", "JSON schema"])
def test_a_grammar_gives_one_valid_call(model, result, way):
    found = whole(replies(model, way))
    assert found
    assert [reply for reply in found if not is_strict(reply)] == []
    accepted = sum(map(is_accepted, found))
    result[way] = {"replies": ASKED, "cut off": ASKED - len(found), "one call": len(found), "accepted": accepted}


def test_of_tools_that_are_not_strict_several_are_called_in_one_reply_and_all_are_read(model, result):
    found = whole(replies(model, "tools"))
    several = [reply for reply in found if len(reply.calls) > 1]
    assert several
    assert all(call.tool for reply in several for call in reply.calls)
    cut_off, accepted = ASKED - len(found), sum(map(is_accepted, found))
    result["tools"] = {"replies": ASKED, "cut off": cut_off, "several calls": len(several), "accepted": accepted}


def test_calls_that_the_server_leaves_in_the_text_are_found_there(server, result):
    body = {"tool_choice": "required", "temperature": 1.0, "max_tokens": 100}
    answers = [server.complete(to_openai(TALK, SCHEMAS, "native") | body)[1] for _ in range(ASKED)]
    left = [one for one in answers if not one["choices"][0]["message"].get("tool_calls")]
    found = [extract_calls(parse_response(one, images=0), tools=SCHEMAS) for one in left]
    begun = [one["choices"][0]["message"]["content"] for one in left]
    assert any(begun)
    spoken = [(reply, text) for reply, text in zip(found, begun, strict=True) if not reply.reasoning]
    assert [text for reply, text in spoken if not reply.calls and '"name"' in text] == []
    read = sum(bool(reply.calls) for reply in found)
    result["empty tool_calls"] = {"replies": ASKED, "empty": len(left), "call found in the text": read}


@pytest.mark.parametrize(("way", "protocol"), [*product(WAYS, ("workspace", "paper"))])
def test_every_episode_has_an_outcome(model, tiny, picture, result, way, protocol):
    planner = ChatPlanner(replace(model, capabilities=WAYS[way]), toolset=parse_toolset(protocol))

    def episode(number: int) -> Episode:
        return run(Task(picture, f"circle {number}"), planner, tiny, budget=Budget(max_steps=8))

    episodes: list[Episode] = []
    while sum(one.usage.model_calls for one in episodes) < REPLIES / (2 * len(WAYS)):
        with ThreadPoolExecutor(8) as pool:
            episodes += pool.map(episode, range(8))
    assert all(one.outcome for one in episodes)
    result.setdefault("episodes", {})[f"{way}, {protocol}"] = {
        "episodes": len(episodes),
        "replies": sum(one.usage.model_calls for one in episodes),
        "exceptions": 0,
        "outcomes": dict(Counter(str(one.outcome) for one in episodes)),
    }
