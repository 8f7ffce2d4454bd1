import json
import random
from contextlib import suppress

import pytest

from agent.core.episode import Decision
from agent.core.errors import ToolError
from agent.core.usage import Usage
from agent.models.base import Call, Reply
from agent.models.reply_parsing import extract_calls, find_final_call, read_reply, split_thinking
from agent.tools import WORKSPACE, parse_call
from agent.tools.toolsets import Count, Segment

OFFERED = [tool.to_planner_schema() for tool in WORKSPACE.tools]
SEGMENT = Call("segment", '{"phrases": ["red cup"]}')
COUNT = Call("count", '{"ids": [1, 2]}')
ONE = '{"name": "segment", "arguments": {"phrases": ["red cup"]}}'
TWO = '{"name": "count", "arguments": {"ids": [1, 2]}}'


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{ONE}\n</tool_call>",
        f"<tool_call>{ONE}</tool_call>",
        f"<tool_call>{ONE}",
        f"<tool>{ONE}</tool>",
        f"<function_call>{ONE}</function_call>",
        f"<|tool_call|>{ONE}",
        f"[TOOL_CALLS][{ONE}]",
        f"<|python_tag|>{ONE}",
        f"```json\n{ONE}\n```",
        f"```\n{ONE}\n```",
        f"<tool_call>\n```json\n{ONE}\n```\n</tool_call>",
        ONE,
        f"[{ONE}]",
        f"{ONE}</tool_call>",
        f'{{"tool_calls": [{ONE}]}}',
        f'{{"type": "function", "function": {ONE}}}',
        f'{{"tool_call": {ONE}}}',
        '{"name": "segment", "parameters": {"phrases": ["red cup"]}}',
        '{"tool": "segment", "arguments": {"phrases": ["red cup"]}}',
        '{"function": "segment", "args": {"phrases": ["red cup"]}}',
        '{"action": "segment", "input": {"phrases": ["red cup"]}}',
        '{"tool": "segment", "phrases": ["red cup"]}',
        '{"name": "segment", "phrases": ["red cup"]}',
        '{"id": "call_1", "type": "function", "name": "segment", "arguments": {"phrases": ["red cup"]}}',
        '{"name": "segment", "arguments": "{\\"phrases\\": [\\"red cup\\"]}"}',
        '{"name": "segment", "arguments": {"phrases": ["red cup",],},}',
        '<tool_call>{"name": "segment", "arguments": {"phrases": ["red cup"]}</tool_call>',
        '<tool_call>{"name": "segment", "arguments": {"phrases": ["red cup"]',
        '```json\n{"name": "segment", "arguments": {"phrases": ["red cup"]}\n```',
        f"{ONE}}}",
        '<tool_call>\n<function=segment>\n<parameter=phrases>\n["red cup"]\n</parameter>\n</function>\n</tool_call>',
        '<function=segment>{"phrases": ["red cup"]}</function>',
    ],
)
def test_a_call_is_read_however_it_is_written(text):
    reply = read_reply(text, tools=OFFERED)
    (call,) = reply.calls
    assert parse_call(Decision(call.tool, call.arguments), WORKSPACE.tools) == Segment(phrases=["red cup"])
    assert (reply.text, reply.reasoning) == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>{ONE}</tool_call>\n<tool_call>{TWO}</tool_call>",
        f"<tool_call>{ONE}<tool_call>{TWO}",
        f"<tool_call>{ONE}\n{TWO}</tool_call>",
        f"<tool_calls>[{ONE}, {TWO}]</tool_calls>",
        f"[{ONE}, {TWO}]",
        f"{ONE}\n{TWO}",
        f"```json\n{ONE}\n```\n```json\n{TWO}\n```",
        f'{{"calls": [{ONE}, {TWO}]}}',
    ],
)
def test_several_calls_are_read_in_order(text):
    reply = read_reply(text, tools=OFFERED)
    assert (reply.calls, reply.text) == ((SEGMENT, COUNT), "")


def test_the_text_around_a_call_is_kept():
    assert (
        read_reply(f"First I look.\n<tool_call>{ONE}</tool_call>\nThen we see.").text == "First I look.\n\nThen we see."
    )
    assert read_reply(f"I look:\n```json\n{ONE}\n```", tools=OFFERED).text == "I look:"


def test_a_thought_beside_the_call_becomes_the_text():
    reply = read_reply('{"thought": "Cups?", "tool": "segment", "arguments": {"phrases": ["red cup"]}}')
    assert (reply.text, reply.calls) == ("Cups?", (SEGMENT,))
    flat = read_reply('{"thought": "Cups?", "tool": "segment", "phrases": ["red cup"]}')
    assert (flat.text, flat.calls) == ("Cups?", (SEGMENT,))


@pytest.mark.parametrize(
    "letters", ["}", "{", "}}", "</tool_call>", "<tool_call>", '\\"}', "[", "```", "</think>", "<think>"]
)
def test_what_a_string_holds_is_not_read_as_the_end_of_it(letters):
    text = f'<tool_call>{{"name": "answer", "arguments": {{"ids": [1], "message": "see {letters} there"}}}}</tool_call>'
    (call,) = read_reply(text, tools=OFFERED).calls
    assert json.loads(call.arguments) == {"ids": [1], "message": json.loads(f'"see {letters} there"')}


def test_nested_objects_that_end_in_three_braces_stay_whole():
    text = '<tool_call>{"name": "answer", "arguments": {"ids": [1], "reasons": {"1": {"why": "red"}}}}</tool_call>'
    (call,) = read_reply(text).calls
    assert json.loads(call.arguments) == {"ids": [1], "reasons": {"1": {"why": "red"}}}


# --- thinking ---


@pytest.mark.parametrize(
    "thinking",
    [
        "Two cups.",
        f"Maybe <tool_call>{TWO}</tool_call>, or not.",
        f"Not {TWO}, no.",
        "I would end it with </tool_call>",
        "I would begin it with <tool_call>",
        "an open { brace, and a [",
    ],
)
@pytest.mark.parametrize("begin", ["<think>", "", "<thinking>", "<THINK>\n"])
def test_thinking_neither_makes_a_call_nor_hides_one(thinking, begin):
    end = "</thinking>" if "thinking" in begin else "</think>"
    reply = read_reply(f"{begin}{thinking}{end}I look.<tool_call>{ONE}</tool_call>", tools=OFFERED)
    assert (reply.reasoning, reply.text, reply.calls) == (thinking, "I look.", (SEGMENT,))


def test_thinking_that_was_cut_off_is_all_thinking():
    reply = read_reply(f"<think>Perhaps <tool_call>{ONE}</tool_call>", tools=OFFERED)
    assert (reply.text, reply.calls) == ("", ())
    assert reply.reasoning.startswith("Perhaps")


def test_a_call_inside_thinking_that_began_in_the_prompt_is_none():
    assert read_reply(f"<tool_call>{ONE}</tool_call></think>", tools=OFFERED).calls == ()


def test_several_thoughts_are_put_together():
    assert split_thinking("<think>a</think>b<think>c</think>d") == ("b\nd", "a\nc")


# --- what cannot be read, and what is no call ---


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "segment", "arguments": {"phrases": [red cup]}}</tool_call>',
        '<tool_call>{"name": "segment", "arguments": {"phrases": ["red</tool_call>',
        '{"name": "segment", "arguments": {"phrases": ["red cup", "sau',
        "{'name': 'segment', 'arguments': {'phrases': ['the dog's cup']}}",
    ],
)
def test_a_call_that_cannot_be_read_is_a_call_that_says_why(text):
    (call,) = read_reply(text, tools=OFFERED).calls
    assert call.tool == "segment"
    with pytest.raises(ToolError, match=r"The arguments are not JSON .* call it again with one JSON object\."):
        parse_call(Decision(call.tool, call.arguments), WORKSPACE.tools)


def test_a_list_that_was_cut_off_is_not_taken_as_whole():
    (call,) = read_reply('<tool_call>{"name": "answer", "arguments": {"ids": [1, 2', tools=OFFERED).calls
    with pytest.raises(ToolError, match="not JSON"):
        parse_call(Decision(call.tool, call.arguments), WORKSPACE.tools)


@pytest.mark.parametrize("arguments", ["4", "true", "Infinity", '" "', "1e495", "[]", "9" * 5000, "null"])
def test_arguments_of_any_kind_become_one_sentence(arguments):
    for call in (
        *read_reply(f'<tool_call>{{"name": "count", "arguments": {arguments}}}</tool_call>').calls,
        *extract_calls(Reply(calls=(Call("count", arguments),))).calls,
        *read_reply(f'{{"name": "count", "arguments": {{"ids": {{"all": {arguments}}}}}}}').calls,
    ):
        assert call.tool == "count"
        with pytest.raises(ToolError):
            parse_call(Decision(call.tool, call.arguments), WORKSPACE.tools)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "There are two cups.",
        "I could use <tool_call> for that.",
        "The set {1, 2} and the list [3].",
        '{"ids": [1, 2]}',
        '{"name": "cup", "colour": "red"}',
        '"segment"',
        "{}",
        "null",
    ],
)
def test_what_is_no_call_stays_text(text):
    reply = read_reply(text, tools=OFFERED)
    assert (reply.calls, reply.text) == ((), text)


def test_the_arguments_of_the_only_tool_are_a_call_of_it():
    count = [Count.to_planner_schema()]
    for text in ('{"ids": [1, 2]}', '```json\n{"ids": [1, 2]}\n```', '{"arguments": {"ids": [1, 2]}}'):
        assert read_reply(text, tools=count).calls == (COUNT,)
    assert read_reply('{"colour": "red"}', tools=count).calls == ()


# --- replies of a server ---


def test_a_native_reply_without_calls_is_mended_from_its_text():
    usage = Usage(model_calls=1, prompt_tokens=9)
    reply = extract_calls(Reply(f"I look.<tool_call>{ONE}</tool_call>", "Hm.", finish_reason="tool_calls", usage=usage))
    assert reply == Reply("I look.", "Hm.", (SEGMENT,), "tool_calls", usage)


def test_a_native_call_is_not_joined_by_what_the_text_says():
    reply = extract_calls(Reply(f"<think>Cups</think>As in {TWO}.", "Hm.", (SEGMENT,)))
    assert (reply.calls, reply.text, reply.reasoning) == ((SEGMENT,), f"As in {TWO}.", "Hm.\nCups")


def test_an_error_stays_as_it_is():
    error = Reply(error="no server", recoverable=False)
    assert extract_calls(error) is error


# --- anything at all ---

SCRAPS = [
    *'{}[]",:\\ \n',
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "```json\n",
    '"name"',
    '"arguments"',
    ONE,
]
SCRAPS += [
    '"segment"',
    "null",
    "1e999",
    "\ud83d",
    "\\ud83d",
    "\x00",
    "<function=x>",
    "<parameter=y>",
    "é",
    "{" * 50,
    '{"a":',
]


@pytest.mark.parametrize("seed", range(300))
def test_any_text_is_read_and_can_be_saved(seed):
    rng = random.Random(seed)
    text = "".join(rng.choices(SCRAPS, k=rng.randint(1, 60)))
    reply = read_reply(text, tools=OFFERED)
    assert repr(reply)
    "".join([reply.text, reply.reasoning, *(call.tool + call.arguments for call in reply.calls)]).encode("utf-8")
    for call in reply.calls:
        with suppress(ToolError):
            parse_call(Decision(call.tool, call.arguments), WORKSPACE.tools)


@pytest.mark.parametrize(
    "text",
    [
        *('{"a":' * 20_000, "{" * 50_000, "[" * 50_000 + '{"name":"x"', '"' * 50_000, "<think>" * 5_000, '{"a' * 9_000),
        '{"name": "' + '\\"' * 500_000,
        '{"name": "count", "arguments": {' + " " * 500_000 + "x",
    ],
)
def test_hostile_text_is_read_in_a_moment(text):
    """A time that grew with the square of these lengths would be minutes."""
    reply = read_reply(text, tools=OFFERED)
    assert len(reply.text) + len(reply.reasoning) + sum(len(call.arguments) for call in reply.calls) <= len(text)


def test_a_quote_that_nothing_closes_hides_no_brackets():
    cut_off = '{"name": "count", "arguments": {"ids": [1], "why'
    assert read_reply(cut_off, tools=OFFERED).calls == (Call("count", '{"ids": [1]}'),)
    damaged = f"{cut_off}: }}}}"
    assert read_reply(damaged, tools=OFFERED).calls == (Call("count", damaged),), "what it means is not guessed"


@pytest.mark.parametrize(
    "text",
    ["<tool_call>" * 60_000, "</think>" * 30_000, "<think></think>" * 20_000, "[TOOL_CALLS]" * 40_000],
    ids=lambda text: text[:12],
)
def test_tags_without_end_are_read_in_one_pass(text):
    assert read_reply(text).calls == ()


@pytest.mark.parametrize(
    ("reasoning", "tools", "left"),
    [
        ('Hm.\n<tool_call>{"name": "segment", "arguments": {}}</tool_call>', ["segment"], "Hm."),
        ("Hm. <tool_call>\n<function=segment>\n</function>\n</tool_call>", ["segment"], "Hm."),
        ('Hm. <tool_call>{"name": "segment", "arguments": {}}</tool_call> Or not?', [], None),
        ('Hm. <tool_call>{"name": "segment", "argu', [], None),
        ("Hm. I could <tool_call> something }", [], None),
        ("Hm.", [], None),
    ],
)
def test_only_a_whole_call_at_the_end_of_a_text_is_a_final_call(reasoning, tools, left):
    found = find_final_call(reasoning)
    assert [call.tool for call in found.calls] == tools
    assert found.reasoning == (reasoning if left is None else left)
