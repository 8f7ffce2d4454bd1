"""What the client asks a server, and what it reads in the answers."""

import json
from threading import Thread

import pytest

from agent.models.base import Call, Message, ModelError
from agent.tools import WORKSPACE
from tests.support.chat_server import ASKED, SEGMENT, TOOL_SCHEMAS, Answer, ask, completion, refusal

# --- what is asked -------------------------------------------------------------------------------


def test_tools_are_offered_natively_and_one_must_be_called(server, load):
    server.script(completion("Cups.", [SEGMENT]))
    reply = ask(load(max_tokens=99, seed=3))
    assert reply.calls == (Call(*SEGMENT),)
    assert (reply.text, reply.finish_reason, reply.error) == ("Cups.", "tool_calls", "")
    request = server.requests[0]
    assert [tool["function"]["name"] for tool in request["tools"]] == [tool.name for tool in WORKSPACE.tools]
    assert request["tool_choice"] == "required"
    assert (request["model"], request["max_tokens"], request["temperature"], request["seed"]) == ("m", 99, 0.0, 3)


def test_a_temperature_of_none_is_the_servers_own(server, load):
    server.script(completion("x"))
    ask(load(temperature=None))
    assert "temperature" not in server.requests[0]
    assert "seed" not in server.requests[0]


def test_the_schema_wire_asks_for_one_json_object_and_reads_it(server, load):
    server.script(completion('{"thought": "Cups.", "tool": "segment", "arguments": {"phrases": ["red cup"]}}'))
    reply = ask(load(wire="schema"))
    assert (reply.text, reply.calls) == ("Cups.", (Call(*SEGMENT),))
    request = server.requests[0]
    assert request["response_format"]["type"] == "json_schema"
    assert "guided_json" not in request  # an option of old servers, which those of today accept and ignore
    assert "tools" not in request


def test_the_tagged_wire_needs_nothing_of_a_server_but_text(server, load):
    server.script(
        completion('Cups.\n<tool_call>\n{"name": "segment", "arguments": {"phrases": ["red cup"]}}\n</tool_call>')
    )
    reply = ask(load(wire="tagged"))
    assert (reply.text, reply.calls) == ("Cups.", (Call(*SEGMENT),))
    assert server.requests[0].keys() == {"model", "messages", "max_tokens", "temperature"}


# --- what comes back -----------------------------------------------------------------------------

REPLIES = {
    "text": {"text": "I see two cups."},
    "a call": {"text": "Cups.", "calls": [SEGMENT]},
    "several calls": {"calls": [SEGMENT, ("count", '{"ids": [1, 2]}'), ("segment", '{"phrases": ["saucer"]}')]},
    "no arguments": {"calls": [("report_no_mask", "")]},
    "calls that are no JSON": {"calls": [("segment", '{"phrases": [Infinity'), ("count", "4"), ("count", '" "')]},
    "a named tool, with which servers say stop": {"calls": [SEGMENT], "finish_reason": "stop"},
    "raw text of a call": {
        "text": '<tool_call>\n{"name": "segment", "arguments": {"phrases": ["red cup"]}}\n</tool_call>',
        "finish_reason": "tool_calls",
    },
    "a reasoning channel": {"text": "Cups.", "calls": [SEGMENT], "reasoning_content": "There is <tool_call> a cup."},
    "a reasoning channel of the other name": {"calls": [SEGMENT], "reasoning": "There is a cup."},
    "thinking in the text": {"text": "<think>Call {count}? No.</think>Cups.", "calls": [SEGMENT]},
    "a reply that was cut off while thinking": {"text": "<think>The cup", "finish_reason": "length"},
    "nothing at all": {"text": "", "finish_reason": "length"},
    "cached tokens": {
        "text": "x",
        "usage": {
            "prompt_tokens": 900,
            "completion_tokens": 2,
            "total_tokens": 902,
            "prompt_tokens_details": {"cached_tokens": 832},
        },
    },
    "letters of every kind": {"text": "Die gr\u00fcne T\u00fcr \u7eff\u8272\u7684\u95e8 \U0001f6aa"},
}


@pytest.mark.parametrize("kind", REPLIES)
def test_a_stream_gives_the_same_reply(server, load, kind):
    server.script(completion(**REPLIES[kind]))
    whole = ask(load())
    streamed = ask(load(stream=True))
    assert whole == streamed
    assert (whole.error, whole.usage.model_calls) == ("", 1)
    assert server.requests[1]["stream_options"] == {"include_usage": True}


def test_an_empty_list_of_calls_with_the_call_in_the_text_is_a_call(server, load):
    text = 'I look.<tool_call>{"name": "segment", "arguments": {"phrases": ["red cup"]}}</tool_call>'
    server.script(completion(text, tool_calls=[], finish_reason="tool_calls"))
    reply = ask(load())
    assert (reply.text, reply.calls) == ("I look.", (Call(*SEGMENT),))


def test_several_calls_in_one_reply_all_come_back_in_order(server, load):
    server.script(completion(**REPLIES["several calls"]))
    assert [call.tool for call in ask(load()).calls] == ["segment", "count", "segment"]


def test_reasoning_is_kept_and_no_call_in_it_counts(server, load):
    thinking = 'Should I <tool_call>{"name": "report_no_mask", "arguments": {}}</tool_call>?'
    server.script(
        completion("Two cups.", reasoning_content=thinking), completion(f"<think>{thinking}</think>Two cups.")
    )
    model = load()
    channel, tagged = ask(model), ask(model)
    assert (channel.reasoning, channel.text, channel.calls) == (thinking, "Two cups.", ())
    assert (tagged.reasoning, tagged.text, tagged.calls) == (thinking, "Two cups.", ())


def test_a_reply_that_thinking_used_up_is_told_apart_from_a_bad_one(server, load):
    server.script(completion(None, reasoning_content="Hmm, the cup", finish_reason="length"))
    reply = ask(load())
    assert (reply.text, reply.calls, reply.error) == ("", (), "")
    assert (reply.finish_reason, reply.reasoning) == ("length", "Hmm, the cup")


def test_cached_tokens_and_pictures_are_counted(server, load, square):
    server.script(completion(**REPLIES["cached tokens"]))
    usage = ask(load(), [Message("user", (square, "and", square))]).usage
    assert (usage.model_calls, usage.images, usage.seconds) == (1, 2, 0.0)
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (900, 832, 2)


def test_a_server_that_counts_nothing_costs_nothing(server, load):
    server.script(completion("x", usage=None))
    usage = ask(load()).usage
    assert (usage.model_calls, usage.prompt_tokens, usage.completion_tokens) == (1, 0, 0)


def test_content_in_parts_and_arguments_that_are_an_object_are_read(server, load):
    body = completion([{"type": "text", "text": "Cu"}, {"type": "text", "text": "ps."}], [("segment", "")])
    body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = {"phrases": ["red cup"]}
    server.script(body)
    reply = ask(load())
    assert (reply.text, reply.calls) == ("Cups.", (Call(*SEGMENT),))


def test_parallel_calls_of_a_stream_that_all_have_the_index_0_are_several(server, load):
    def event(delta, finish_reason=None):
        return "data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    calls = [
        {"index": 0, "id": f"c{nth}", "function": {"name": "count", "arguments": f'{{"ids": [{nth}]}}'}}
        for nth in (1, 2)
    ]
    events = [*(event({"tool_calls": [call]}) for call in calls), event({}, "tool_calls"), "data: [DONE]"]
    server.script("\n\n".join(events) + "\n\n")
    reply = ask(load(stream=True))
    assert reply.calls == (Call("count", '{"ids": [1]}'), Call("count", '{"ids": [2]}'))
    assert reply.usage.model_calls == 1


def test_half_a_character_in_an_answer_can_still_be_saved(server, load):
    server.script(completion("a \ud83d b", [("answer", '{"message": "\ud83d"}')]))
    reply = ask(load())
    assert reply.text.encode() == b"a ? b"
    assert reply.calls[0].arguments.encode() == b'{"message": "?"}'


# --- many at a time ------------------------------------------------------------------------------


def test_conversations_are_asked_together_and_answered_in_order(server, load):
    server.script(lambda request: Answer(completion(request["messages"][0]["content"].upper()), stall=0.2))
    conversations = [[Message("user", (f"picture {nth}",))] for nth in range(8)]
    replies = load(workers=4).generate_replies(conversations, [])
    assert [reply.text for reply in replies] == [f"PICTURE {nth}" for nth in range(8)]
    assert 2 <= server.most_at_once <= 4


def test_callers_share_the_places(server, load):
    server.script(Answer(completion("x"), stall=0.05))
    model = load(workers=2)
    threads = [Thread(target=model.generate_replies, args=([ASKED] * 3, [])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(server.requests), server.most_at_once) == (12, 2)


def test_one_failure_leaves_the_other_replies_alone(server, load):
    def answer(request):
        bad = request["messages"][0]["content"] == "1"
        return refusal(400, "not this one") if bad else completion(request["messages"][0]["content"])

    server.script(answer)
    replies = load().generate_replies([[Message("user", (str(nth),))] for nth in range(3)], [])
    assert [reply.text for reply in replies] == ["0", "", "2"]
    assert "not this one" in replies[1].error


def test_no_conversations_are_no_requests(server, load):
    assert load().generate_replies([], TOOL_SCHEMAS) == []
    assert server.requests == []


# --- what it can do ------------------------------------------------------------------------------


def test_at_load_the_best_way_that_works_is_found(server, load):
    server.models = {"data": [{"id": "m", "max_model_len": 32768}]}
    server.script(
        lambda request: completion(
            calls=[("report_colours", '{"left": "red", "right": "blue"}')],
            reasoning_content="Red and blue.",
            usage={"prompt_tokens": 50 + 20 * str(request).count("image_url"), "completion_tokens": 9},
        )
    )
    model = load(wire="auto")
    able = model.capabilities
    assert (able.wire, able.strict, able.images, able.reasoning, able.context) == ("native", True, None, True, 32768)
    ask(model)
    request = server.requests[-1]
    assert all(tool["function"]["strict"] for tool in request["tools"])
    assert (request["tool_choice"], request["parallel_tool_calls"]) == ("required", False)


def test_at_load_an_unknown_model_is_one_line_with_those_there_are(server, load):
    server.script(refusal(404, "no such model"))
    with pytest.raises(ModelError, match=r"does not know 'n' \(no such model\); it offers 'm', 'm-large'$"):
        load("n", wire="auto")


def test_at_load_a_wrong_key_is_one_line(server, load):
    server.script(refusal(401, "no"))
    with pytest.raises(ModelError, match=r"refused the key \(no\); expected a key in the environment variable"):
        load(wire="auto")
