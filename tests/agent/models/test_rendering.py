import base64
import io
import json

import numpy as np
import PIL.Image
import pytest

from agent.core.episode import Decision
from agent.models.base import Call, Message
from agent.models.rendering import (
    MAX_PNG_PIXELS,
    NOT_EXECUTED_MESSAGE,
    collect_images,
    encode_image,
    render_tools,
    to_chat_template,
    to_openai,
)
from agent.models.reply_parsing import read_reply
from agent.tools import WORKSPACE, parse_call
from sam3_tool import Image

OFFERED = [tool.to_planner_schema() for tool in WORKSPACE.tools]
SEGMENT, COUNT = Call("segment", '{"phrases": ["cup"]}'), Call("count", '{"ids": [1]}')
WIRES = ("native", "schema", "tagged")


@pytest.fixture
def talk(square) -> list[Message]:
    """Two calls and their results, the last with a picture."""
    return [
        Message("system", ("You plan.",)),
        Message("user", (square, "Query: the cup")),
        Message("assistant", ("Cups.",), (SEGMENT,)),
        Message("tool", ("Found 1 mask.",)),
        Message("assistant", (), (COUNT,)),
        Message("tool", (square, "There is 1 mask.")),
    ]


def roles(rendered) -> list[str]:
    return [message["role"] for message in rendered["messages"]]


def pixels(url: str) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


# --- native ---


def test_native_calls_have_ids_and_results_answer_them(talk):
    rendered = to_openai(talk, OFFERED, "native")
    assert roles(rendered) == ["system", "user", "assistant", "tool", "assistant", "tool", "user"]
    _, _, first, result, second, other, _ = rendered["messages"]
    function = {"name": "segment", "arguments": '{"phrases": ["cup"]}'}
    assert first["tool_calls"] == [{"id": "call00001", "type": "function", "function": function}]
    assert first["content"] == "Cups."
    assert (result["tool_call_id"], result["content"]) == ("call00001", "Found 1 mask.")
    assert (second["tool_calls"][0]["id"], second["content"], other["tool_call_id"]) == ("call00002", None, "call00002")
    assert rendered["tools"] == OFFERED


def test_the_pictures_of_a_native_result_follow_in_a_user_message(talk, square):
    *_, result, shown = to_openai(talk, OFFERED, "native")["messages"]
    assert result["content"] == "There is 1 mask."
    assert [part["type"] for part in shown["content"]] == ["image_url"]
    assert np.array_equal(pixels(shown["content"][0]["image_url"]["url"]), square.pixels)


def test_strict_tools_say_so_and_leave_nothing_open(talk):
    tools = to_openai(talk, OFFERED, "native", strict=True)["tools"]
    assert all(tool["function"]["strict"] for tool in tools)
    segment = tools[0]["function"]["parameters"]
    assert segment["required"] == [*segment["properties"]]


def test_every_call_of_a_turn_has_a_result_as_servers_demand(square):
    asked = [Message("user", ("Query",)), Message("assistant", (), (SEGMENT, COUNT))]
    one = to_openai([*asked, Message("tool", ("Found 1 mask.",))], OFFERED, "native")["messages"]
    assert [(m["tool_call_id"], m["content"]) for m in one[2:]] == [
        ("call00001", "Found 1 mask."),
        ("call00002", NOT_EXECUTED_MESSAGE),
    ]
    two = to_openai([*asked, Message("tool", ("A.",)), Message("tool", ("B.", square))], OFFERED, "native")["messages"]
    assert [m["content"] for m in two[2:4]] == ["A.", "B."]
    assert [m["role"] for m in two] == ["user", "assistant", "tool", "tool", "user"]
    three = to_openai([*asked, *(Message("tool", (text,)) for text in "ABC")], OFFERED, "native")["messages"]
    assert three[-1] == {"role": "user", "content": "C"}
    none = to_openai([*asked, Message("user", ("Go on.",))], OFFERED, "native")["messages"]
    assert [m["role"] for m in none] == ["user", "assistant", "tool", "tool", "user"]


def test_a_result_of_no_call_is_said_by_the_user():
    talk = [Message("user", ("Query",)), Message("assistant", ("Hm.",)), Message("tool", ("No tool was called.",))]
    assert roles(to_openai(talk, OFFERED, "native")) == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    "arguments", ["4", "true", "Infinity", '" "', "", "{broken", "[" * 5000, "\ud83d", '["\\ud83d"]']
)
def test_a_mistake_in_the_history_is_never_one_in_the_request(arguments):
    talk = [
        Message("user", ("Q",)),
        Message("assistant", (), (Call("weird tool!", arguments),)),
        Message("tool", ("E",)),
    ]
    call = to_openai(talk, OFFERED, "native")["messages"][1]["tool_calls"][0]["function"]
    assert isinstance(json.loads(call["arguments"]), dict)
    assert call["name"] == "weird_tool_"
    for wire in WIRES:
        assert json.dumps(to_openai(talk, OFFERED, wire), ensure_ascii=False).encode("utf-8")
    assert isinstance(to_chat_template(talk, OFFERED, "native")[0][1]["tool_calls"][0]["function"]["arguments"], dict)


# --- in the text ---


@pytest.mark.parametrize("wire", ["schema", "tagged"])
def test_tools_are_described_after_the_fixed_prompt_and_results_come_from_the_user(talk, wire):
    rendered = to_openai(talk, OFFERED, wire)
    assert roles(rendered) == ["system", "user", "assistant", "user", "assistant", "user"]
    system = rendered["messages"][0]["content"]
    assert system.startswith("You plan.\n\n")
    assert system.endswith(render_tools(OFFERED, wire))
    described = [
        json.loads(line)["name"] for line in system.splitlines() if line.startswith('{"name": "') and "desc" in line
    ]
    assert described == [tool.name for tool in WORKSPACE.tools]
    assert "tools" not in rendered
    assert [part["type"] for part in rendered["messages"][-1]["content"]] == ["image_url", "text"]


@pytest.mark.parametrize("wire", ["schema", "tagged"])
def test_what_a_model_is_shown_of_its_calls_is_what_it_is_to_write(talk, wire):
    said = to_openai(talk, OFFERED, wire)["messages"][2]["content"]
    reply = read_reply(said, tools=OFFERED)
    assert (reply.text, reply.calls) == ("Cups.", (SEGMENT,))


def test_tagged_calls_stand_between_tags(talk):
    said = to_openai(talk, OFFERED, "tagged")["messages"][2]["content"]
    assert said == 'Cups.\n<tool_call>\n{"name": "segment", "arguments": {"phrases": ["cup"]}}\n</tool_call>'


def test_the_schema_wire_holds_the_reply_to_a_schema_of_a_call(talk):
    form = to_openai(talk, OFFERED, "schema")["response_format"]
    assert form["type"] == "json_schema"
    assert [one["properties"]["tool"]["enum"][0] for one in form["json_schema"]["schema"]["anyOf"]] == [
        tool.name for tool in WORKSPACE.tools
    ]


@pytest.mark.parametrize("wire", ["schema", "tagged"])
def test_without_a_system_message_the_tools_get_one(wire):
    rendered = to_openai([Message("user", ("Q",))], OFFERED, wire)
    assert roles(rendered) == ["system", "user"]
    assert rendered["messages"][0]["content"] == render_tools(OFFERED, wire)


def test_the_examples_of_the_texts_are_calls_in_their_own_form():
    for wire in ("schema", "tagged"):
        example = read_reply(render_tools(OFFERED[:1], wire)).calls[0]
        assert (example.tool, json.loads(example.arguments)) == ("name of the tool", {"field": "value"})


# --- all of them ---


@pytest.mark.parametrize("wire", WIRES)
def test_user_and_assistant_take_turns_whatever_the_conversation(square, wire):
    talk = [Message("user", ("a",)), Message("user", (square,)), Message("assistant", ("b",)), Message("tool", ("c",))]
    talk += [Message("user", ("d",))]
    rendered = to_openai(talk, OFFERED, wire)
    assert [role for role in roles(rendered) if role != "system"] == ["user", "assistant", "user"]
    assert rendered["messages"][-1]["content"] == "c\nd"


@pytest.mark.parametrize("wire", WIRES)
def test_a_conversation_that_grew_begins_as_before(talk, wire):
    """So that a server that keeps prefixes reads them once."""
    before = to_openai(talk[:4], OFFERED, wire)["messages"]
    assert to_openai(talk, OFFERED, wire)["messages"][: len(before)] == before


@pytest.mark.parametrize("wire", WIRES)
def test_a_rendering_is_plain_json_and_always_the_same(talk, wire):
    assert json.dumps(to_openai(talk, OFFERED, wire)) == json.dumps(to_openai(talk, OFFERED, wire))


def test_a_template_gets_placeholders_and_the_pictures_in_their_order(talk, square):
    messages, images = to_chat_template(talk, OFFERED, "native")
    parts = [part["type"] for message in messages for part in message["content"]]
    assert (parts.count("image"), [image.size for image in images]) == (2, [(64, 48)] * 2)
    assert messages[2]["tool_calls"][0]["function"] == {"name": "segment", "arguments": {"phrases": ["cup"]}}
    assert messages[1]["content"] == [{"type": "image"}, {"type": "text", "text": "Query: the cup"}]
    tagged, _ = to_chat_template(talk, OFFERED, "tagged")
    assert "tool_calls" not in tagged[2]
    assert render_tools(OFFERED, "tagged") in tagged[0]["content"][0]["text"]


# --- pictures ---


def test_a_small_picture_is_sent_exactly(square):
    mime, text = encode_image(square)
    assert mime == "image/png"
    assert np.array_equal(pixels(f"data:{mime};base64,{text}"), square.pixels)


def test_a_large_picture_is_sent_as_jpeg_with_its_thin_outlines():
    image = np.full((480, 640, 3), 128, np.uint8)
    image[100:300, 200:202] = (255, 0, 0)
    picture = Image(image)
    assert picture.height * picture.width > MAX_PNG_PIXELS
    mime, text = encode_image(picture)
    shown = pixels(f"data:{mime};base64,{text}").astype(int)
    assert mime == "image/jpeg"
    assert shown.shape == (480, 640, 3)
    red = shown[150:250, 200:202]
    assert red[..., 0].mean() > 200
    assert red[..., 1:].mean() < 60


def test_equal_pictures_are_encoded_alike_and_a_forgotten_one_does_not_matter():
    first = Image(np.full((10, 10, 3), 7, np.uint8))
    before = encode_image(first)
    del first
    assert encode_image(Image(np.full((10, 10, 3), 7, np.uint8))) == before


def test_pictures_are_found_in_reading_order(square, talk):
    assert collect_images(talk) == [square, square]


def test_a_call_that_was_rendered_and_read_again_is_still_valid():
    for wire in ("schema", "tagged"):
        talk = [Message("assistant", (), (Call("segment", '{"phrases": ["cup"], "region": [1, 2, 30, 40]}'),))]
        (call,) = read_reply(to_openai(talk, OFFERED, wire)["messages"][-1]["content"], tools=OFFERED).calls
        assert parse_call(Decision(call.tool, call.arguments), WORKSPACE.tools).region is not None
