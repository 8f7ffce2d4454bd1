"""Calls as the chat templates of many models, agents and small slips write them."""

import pytest

from agent.core.episode import Decision
from agent.models.call_dialects import rewrite_dialects
from agent.models.reply_parsing import read_reply
from agent.tools import WORKSPACE, parse_call
from agent.tools.toolsets import Answer, Segment

OFFERED = [tool.to_planner_schema() for tool in WORKSPACE.tools]
CUP = '{"phrases": ["red cup"]}'
CALL = f'{{"name": "segment", "arguments": {CUP}}}'
TEMPLATES = {
    "GLM-4.5": '<tool_call>segment\n<arg_key>phrases</arg_key>\n<arg_value>["red cup"]</arg_value>\n</tool_call>',
    "GLM-4.5, text": "<tool_call>segment\n<arg_key>phrases</arg_key>\n<arg_value>red cup</arg_value>\n</tool_call>",
    "GLM-4": f"segment\n{CUP}",
    "DeepSeek V3": (
        "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>function<\uff5ctool\u2581sep\uff5c>segment\n```json\n"
        f"{CUP}\n```<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>"
    ),
    "DeepSeek V3.1": (
        f"<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>segment<\uff5ctool\u2581sep\uff5c>{CUP}<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>"
    ),
    "Mistral": f"[TOOL_CALLS]segment[ARGS]{CUP}",
    "Mistral, with an id": f"[TOOL_CALLS]segment[CALL_ID]x12345678[ARGS]{CUP}",
    "Kimi K2": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.segment:0<|tool_call_argument_begin|>"
        f"{CUP}<|tool_call_end|><|tool_calls_section_end|>"
    ),
    "gpt-oss": f"<|channel|>commentary to=functions.segment <|constrain|>json<|message|>{CUP}<|call|>",
    "MiniMax": (
        '<minimax:tool_call>\n<invoke name="segment">\n<parameter name="phrases">["red cup"]</parameter>\n</invoke>'
        "\n</minimax:tool_call>"
    ),
    "invoke": '<function_calls><invoke name="segment"><parameter name="phrases">red cup</parameter></invoke>',
    "Phi-4": f"functools[{CALL}]",
    "Command A": f'<|START_ACTION|>[{{"tool_call_id": "0", "tool_name": "segment", "parameters": {CUP}}}]',
    "Nemotron": f"<TOOLCALL>[{CALL}]</TOOLCALL>",
    "InternLM": f"<|action_start|><|plugin|>{CALL}<|action_end|>",
    "Hunyuan": f"<tool_calls><tool_call>segment\n```json\n{CUP}\n```</tool_call></tool_calls>",
    "Llama 4": '[segment(phrases=["red cup"])]',
    "Llama 3": '<|python_tag|>segment.call(phrases=["red cup"])',
    "LFM2": "<|tool_call_start|>[segment(phrases=['red cup'])]<|tool_call_end|>",
    "Gemini": '```tool_code\nprint(default_api.segment(phrases=["red cup"]))\n```',
    "a place for the argument": 'segment(["red cup"])',
    "JavaScript": 'segment({phrases: ["red cup"]})',
    "ReAct": f"Action: segment\nAction Input: {CUP}",
    "LangChain": f'Action:\n```json\n{{"action": "segment", "action_input": {CUP}}}\n```',
    "Gemini, JSON": f'{{"functionCall": {{"name": "segment", "args": {CUP}}}}}',
    "the tool is the key": f'{{"segment": {CUP}}}',
    "tags of its own": "<segment><phrases>red cup</phrases></segment>",
    "bold": f"**Tool call:** segment\n```json\n{CUP}\n```",
}
SLIPS = {
    "Python": "{'name': 'segment', 'arguments': {'phrases': ['red cup']}}",
    "Python's words": '<tool_call>{"name": "segment", "arguments": {"close_ups": False, "phrases": ["red cup"]}}',
    "comments": f'{{\n  // where is it?\n  "name": "segment", # this one\n  "arguments": {CUP} /* that is all */\n}}',
    "keys without quotes": '{name: "segment", arguments: {phrases: ["red cup"]}}',
    "quotes of print": "{“name”: “segment”, “arguments”: {“phrases”: [“red cup”]}}",
}  # fmt: skip


def read_calls(text):
    return [
        parse_call(Decision(call.tool, call.arguments), WORKSPACE.tools)
        for call in read_reply(text, tools=OFFERED).calls
    ]


@pytest.mark.parametrize("text", (TEMPLATES | SLIPS).values(), ids=TEMPLATES | SLIPS)
def test_a_call_is_read_in_the_dialect_of_its_model(text):
    assert read_calls(text) == [Segment(phrases=["red cup"])]
    left = read_reply(text, tools=OFFERED).text
    assert not {"<", "{"} & {*left}, f"markup is no text for a person: {left}"


@pytest.mark.parametrize("around", ["segment(ids=[1]) {call}", "{call}\nanswer(ids=[2])"])
def test_a_call_by_the_book_is_not_joined_by_one_of_another_dialect(around):
    assert read_calls(around.replace("{call}", f"<tool_call>{CALL}</tool_call>")) == [Segment(phrases=["red cup"])]


def test_two_calls_of_a_dialect_are_two():
    assert read_calls('[segment(phrases=["red cup"]), answer(ids=[1, 2])]') == [
        Segment(phrases=["red cup"]),
        Answer(ids=[1, 2]),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "I can segment (not count) the cups.",
        "The answer {1, 2} is near.",
        'To answer {"who": "cares"} would be wrong.',
        "segment(phrases=[open('x')])",
        "segment(phrases=f'{1}')",
        "count(*ids)",
        "<segment>the cup</segment>",
    ],
)
def test_words_that_are_also_names_of_tools_make_no_call(text):
    assert read_reply(text, tools=OFFERED).calls == ()


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("<|channel|>analysis<|message|>Cups?<|end|><|start|>assistant<|channel|>final<|message|>Two.", "Cups?"),
        ("◁think▷Cups?◁/think▷Two.", "Cups?"),
        ("<seed:think>Cups?</seed:think>Two.", "Cups?"),
        ("<reasoning>Cups?</reasoning>Two.", "Cups?"),
    ],
)
def test_thinking_is_told_from_what_is_said_in_each_dialect(text, thought):
    reply = read_reply(text, tools=OFFERED)
    assert (reply.reasoning, reply.text) == (thought, "Two.")


@pytest.mark.parametrize(
    "unit", ["segment(", "segment{", "<segment><a>", '<invoke name="a">', "segment\n", "{a:", "{'a"]
)
def test_hostile_text_of_a_dialect_is_read_in_a_moment(unit):
    """A time that grew with the square of this length would be minutes."""
    text = unit * 30_000
    reply = read_reply(text, tools=OFFERED)
    assert len(reply.text) <= len(text)


@pytest.mark.parametrize("piece", ["<tool_call>a <arg_key>k</arg_key><arg_value>v</arg_value>", "<tool_call>"])
def test_calls_that_never_end_are_read_in_a_moment(piece):
    """A pattern that tries every way to divide them takes longer than anybody waits."""
    text = piece * 700 + "x"
    assert rewrite_dialects(text, {"count": ["ids"]}) == text
