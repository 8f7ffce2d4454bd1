import email.utils
import json
import logging
import socket
import time
from threading import Event, Thread

import pytest

from agent import Task, run
from agent.models.base import Call, Message, ModelError
from agent.models.openai.client import OpenAICompatible
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.views import View
from agent.records.episode_file import Provenance, save_episode
from agent.records.episode_file import load_episode as load_episode
from agent.report.prompt_trace import reconstruct_prompts
from agent.tools import WORKSPACE

KEY = "sk-planted-5up3r-s3cr3t"
ASKED = [Message("system", ("You plan.",)), Message("user", ("Query: the red cup",))]
TOOL_SCHEMAS = [tool.to_planner_schema() for tool in WORKSPACE.tools]
SEGMENT = ("segment", '{"phrases": ["red cup"]}')


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No key and no address, and no proxy between a test and its server."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def ask(model, conversation=ASKED):
    return model.generate_replies([conversation], TOOL_SCHEMAS)[0]


@pytest.fixture
def no_server() -> str:
    """An address at which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}/v1"


# --- what is asked -------------------------------------------------------------------------------


def test_tools_are_offered_natively_and_one_must_be_called(server, load, told):
    server.script(told("Cups.", [SEGMENT]))
    reply = ask(load(max_tokens=99, seed=3))
    assert reply.calls == (Call(*SEGMENT),)
    assert (reply.text, reply.finish_reason, reply.error) == ("Cups.", "tool_calls", "")
    request = server.requests[0]
    assert [tool["function"]["name"] for tool in request["tools"]] == [tool.name for tool in WORKSPACE.tools]
    assert request["tool_choice"] == "required"
    assert (request["model"], request["max_tokens"], request["temperature"], request["seed"]) == ("m", 99, 0.0, 3)


def test_a_temperature_of_none_is_the_servers_own(server, load, told):
    server.script(told("x"))
    ask(load(temperature=None))
    assert "temperature" not in server.requests[0]
    assert "seed" not in server.requests[0]


def test_the_schema_wire_asks_for_one_json_object_and_reads_it(server, load, told):
    server.script(told('{"thought": "Cups.", "tool": "segment", "arguments": {"phrases": ["red cup"]}}'))
    reply = ask(load(wire="schema"))
    assert (reply.text, reply.calls) == ("Cups.", (Call(*SEGMENT),))
    request = server.requests[0]
    assert request["response_format"]["type"] == "json_schema"
    assert "guided_json" not in request  # an option of old servers, which those of today accept and ignore
    assert "tools" not in request


def test_the_tagged_wire_needs_nothing_of_a_server_but_text(server, load, told):
    server.script(told('Cups.\n<tool_call>\n{"name": "segment", "arguments": {"phrases": ["red cup"]}}\n</tool_call>'))
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
def test_a_stream_gives_the_same_reply(server, load, told, kind):
    server.script(told(**REPLIES[kind]))
    whole = ask(load())
    streamed = ask(load(stream=True))
    assert whole == streamed
    assert (whole.error, whole.usage.model_calls) == ("", 1)
    assert server.requests[1]["stream_options"] == {"include_usage": True}


def test_an_empty_list_of_calls_with_the_call_in_the_text_is_a_call(server, load, told):
    text = 'I look.<tool_call>{"name": "segment", "arguments": {"phrases": ["red cup"]}}</tool_call>'
    server.script(told(text, tool_calls=[], finish_reason="tool_calls"))
    reply = ask(load())
    assert (reply.text, reply.calls) == ("I look.", (Call(*SEGMENT),))


def test_several_calls_in_one_reply_all_come_back_in_order(server, load, told):
    server.script(told(**REPLIES["several calls"]))
    assert [call.tool for call in ask(load()).calls] == ["segment", "count", "segment"]


def test_reasoning_is_kept_and_no_call_in_it_counts(server, load, told):
    thinking = 'Should I <tool_call>{"name": "report_no_mask", "arguments": {}}</tool_call>?'
    server.script(told("Two cups.", reasoning_content=thinking), told(f"<think>{thinking}</think>Two cups."))
    model = load()
    channel, tagged = ask(model), ask(model)
    assert (channel.reasoning, channel.text, channel.calls) == (thinking, "Two cups.", ())
    assert (tagged.reasoning, tagged.text, tagged.calls) == (thinking, "Two cups.", ())


def test_a_reply_that_thinking_used_up_is_told_apart_from_a_bad_one(server, load, told):
    server.script(told(None, reasoning_content="Hmm, the cup", finish_reason="length"))
    reply = ask(load())
    assert (reply.text, reply.calls, reply.error) == ("", (), "")
    assert (reply.finish_reason, reply.reasoning) == ("length", "Hmm, the cup")


def test_cached_tokens_and_pictures_are_counted(server, load, told, square):
    server.script(told(**REPLIES["cached tokens"]))
    usage = ask(load(), [Message("user", (square, "and", square))]).usage
    assert (usage.model_calls, usage.images, usage.seconds) == (1, 2, 0.0)
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (900, 832, 2)


def test_a_server_that_counts_nothing_costs_nothing(server, load, told):
    server.script(told("x", usage=None))
    usage = ask(load()).usage
    assert (usage.model_calls, usage.prompt_tokens, usage.completion_tokens) == (1, 0, 0)


def test_content_in_parts_and_arguments_that_are_an_object_are_read(server, load, told):
    body = told([{"type": "text", "text": "Cu"}, {"type": "text", "text": "ps."}], [("segment", "")])
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


def test_half_a_character_in_an_answer_can_still_be_saved(server, load, told):
    server.script(told("a \ud83d b", [("answer", '{"message": "\ud83d"}')]))
    reply = ask(load())
    assert reply.text.encode() == b"a ? b"
    assert reply.calls[0].arguments.encode() == b'{"message": "?"}'


# --- what passes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_may_pass_is_asked_again(server, load, told, refused, status):
    server.script(refused(status, "busy"), told("fine"))
    reply = ask(load())
    assert (reply.text, reply.error, len(server.requests)) == ("fine", "", 2)
    assert reply.usage.model_calls == 1


def test_a_reply_that_the_server_cannot_send_is_asked_for_again(server, load, told, refused):
    said = "'utf-8' codec can't encode character '\\udada' in position 736: surrogates not allowed"
    server.script(refused(400, said), told("fine"))
    assert ask(load()).text == "fine"


def test_a_500_for_a_picture_that_was_refused_before_is_asked_again(server, load, told, refused, square):
    server.script(refused(400, "cannot decode the image"), refused(500, "Internal Server Error"), told("fine"))
    model, conversation = load(), [Message("user", (square, "What is it?"))]
    assert "cannot decode the image" in ask(model, conversation).error
    assert ask(model, conversation).text == "fine"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "broken",
    [{"drop": True}, {"body": "{damaged"}, {"body": '{"choices": []}'}, {"body": "[]"}, {"body": '{"choices": [4]}'}],
)
def test_a_damaged_answer_is_asked_for_again(server, load, told, answers, broken, stream):
    server.script(answers(**broken), told("fine"))
    assert ask(load(stream=stream)).text == "fine"


def test_a_stream_that_breaks_off_is_asked_for_again(server, load, told, answers):
    server.script(answers(told("I was about to say"), drop=True), told("I say"))
    assert ask(load(stream=True)).text == "I say"


def test_an_error_in_a_stream_is_asked_again(server, load, told):
    server.script('data: {"error": {"message": "the engine died"}}\n\n', told("fine"))
    assert ask(load(stream=True)).text == "fine"


@pytest.mark.parametrize("stream", [False, True])
def test_a_stalled_request_is_given_up_and_asked_again(server, load, told, answers, stream):
    server.script(answers(told("late"), stall=60.0), told("fine"))
    assert ask(load(stream=stream, timeout=1.0)).text == "fine"


def test_a_server_that_never_answers_in_time_is_one_sentence(server, load, told, answers):
    server.script(answers(told("late"), stall=60.0))
    reply = ask(load(timeout=0.1, retries=1))
    assert reply.error == f"{server.url} did not answer within 0.1 seconds, in 2 tries"
    assert reply.recoverable


def test_a_server_that_stays_broken_is_one_sentence_with_its_own_words(server, load, refused):
    server.script(refused(503, "no capacity\n left. "))
    reply = ask(load())
    assert (reply.error, reply.recoverable) == (f"{server.url} answered 503 (no capacity left), in 3 tries", True)
    assert (reply.text, reply.calls, reply.usage.model_calls, len(server.requests)) == ("", (), 0, 3)


@pytest.mark.parametrize("header", ["seconds", "milliseconds", "date"])
def test_a_server_that_asks_to_wait_is_not_asked_before(server, load, told, refused, header):
    value = {
        "seconds": {"retry_after": "1"},
        "milliseconds": {"retry_after_ms": "1000"},
        "date": {"retry_after": email.utils.formatdate(time.time() + 3, usegmt=True)},
    }
    server.script(refused(429, "slow down", **value[header]), told("fine"))
    began = time.monotonic()
    assert ask(load()).text == "fine"
    assert time.monotonic() - began >= 1.0


def test_all_wait_when_the_server_tells_one_to(server, load, told, refused):
    arrivals = []

    def answer(_):
        arrivals.append(time.monotonic())
        return refused(429, "slow down", retry_after="1") if len(arrivals) == 1 else told("fine")

    server.script(answer)
    model = load(workers=1)
    replies = model.generate_replies([ASKED] * 3, TOOL_SCHEMAS)
    assert [reply.text for reply in replies] == ["fine"] * 3
    assert arrivals[1] - arrivals[0] >= 0.95


def test_who_waits_already_waits_on_when_another_is_told_a_later_time(server, load, told, refused):
    second_came, first_told, named, later = Event(), Event(), [], []

    def at_first(_):
        second_came.wait(10)
        first_told.set()
        return refused(429, "slow down", retry_after_ms="600")

    def at_second(_):
        second_came.set()
        first_told.wait(10)
        time.sleep(0.3)  # the third waits by now
        named.append(time.monotonic() + 1)
        return refused(429, "slower", retry_after="1")

    def at_last(_):
        later.append(time.monotonic())
        return told("fine")

    server.script(at_first, at_second, at_last)
    model = load()
    both = Thread(target=model.generate_replies, args=([ASKED] * 2, TOOL_SCHEMAS))
    both.start()
    first_told.wait(10)
    time.sleep(0.1)  # the first is told by now
    assert ask(model).text == "fine"
    both.join()
    assert len(later) == 3
    assert min(later) >= named[0]


def test_a_time_that_is_named_at_the_last_try_counts_for_the_next_request(server, load, told, refused):
    arrivals = []

    def answer(_):
        arrivals.append(time.monotonic())
        return refused(503, "starting", retry_after_ms="300") if len(arrivals) == 1 else told("fine")

    server.script(answer)
    model = load(retries=0)
    assert [ask(model).error for _ in range(2)] == [f"{server.url} answered 503 (starting)", ""]
    assert arrivals[1] - arrivals[0] >= 0.3


def test_the_log_says_what_was_wrong_at_each_try_and_the_last_sentence_how_many_there_were(
    server, load, refused, caplog
):
    caplog.set_level(logging.INFO, logger="agent")
    server.script(refused(503, "no capacity left"))
    assert ask(load()).error == f"{server.url} answered 503 (no capacity left), in 3 tries"
    assert caplog.messages == [f"{server.url} answered 503 (no capacity left): trying again"] * 2


def test_nobody_waits_for_an_hour(server, load, refused):
    server.script(refused(429, "come back", retry_after="3600"))
    reply = ask(load())
    assert reply.error == f"{server.url} answered 429 (come back) and asks to wait 3600 seconds; ask it again then"
    assert (reply.recoverable, len(server.requests)) == (False, 1)


def test_an_account_without_credit_is_not_asked_again(server, load, answers):
    error = {"message": "You exceeded your current quota.", "code": "insufficient_quota"}
    server.script(answers({"error": error}, 429))
    reply = ask(load())
    assert "no credit left" in reply.error
    assert (reply.recoverable, len(server.requests)) == (False, 1)


def test_a_server_that_is_started_again_in_the_meantime_answers(server, load, told):
    port = int(server.url.rpartition(":")[2].removesuffix("/v1"))
    model = load(retries=8, first_delay=0.1)
    server.close()
    replies = []
    asking = Thread(target=lambda: replies.append(ask(model)))
    asking.start()
    time.sleep(0.3)
    again = type(server)(port).script(told("back"))
    asking.join()
    again.close()
    assert [(reply.text, reply.error) for reply in replies] == [("back", "")]


# --- what does not pass --------------------------------------------------------------------------


def test_a_wrong_key_is_said_at_once(server, load, refused, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script(refused(401, f"Incorrect API key provided: {KEY}."))
    reply = ask(load())
    assert reply.error == (
        f"{server.url} refused the key (Incorrect API key provided: [the key]);"
        " expected a key of this server in the environment variable OPENAI_API_KEY"
    )
    assert (reply.recoverable, len(server.requests)) == (False, 1)


def test_a_missing_key_is_said_to_be_missing(server, load, refused):
    server.script(refused(401, "Unauthorized"))
    assert ask(load()).error.endswith("expected a key in the environment variable OPENAI_API_KEY, which is not set")
    server.script(refused(403, "Forbidden"))
    reply = ask(load())
    assert "does not allow the use of 'm' (Forbidden)" in reply.error
    assert not reply.recoverable


def test_an_unknown_model_is_answered_with_those_there_are(server, load, refused):
    server.models = {"data": [{"id": f"model-{nth}"} for nth in range(7)]}
    server.script(refused(404, "The model `m` does not exist."))
    reply = ask(load())
    assert reply.error == (
        f"{server.url} does not know 'm' (The model `m` does not exist);"
        " it offers 'model-0', 'model-1', 'model-2', 'model-3', 'model-4' and 2 more"
    )
    assert (reply.recoverable, len(server.requests)) == (False, 1)


@pytest.mark.parametrize("models", ["no list", {"data": None}, [], {"data": [4, {"id": None}]}])
def test_an_unknown_path_is_said_even_where_no_models_are_listed(server, load, refused, models):
    server.models = models
    server.script(refused(404, "Not Found"))
    assert ask(load()).error.endswith(
        "expected the name of one of its models, and an address that most often ends in /v1"
    )


def test_a_web_page_instead_of_an_api_is_said_to_be_one(server, load, answers):
    server.script(answers("<html><h1>Welcome</h1></html>", kind="text/html"))
    reply = ask(load())
    assert "answered with text that is no JSON, not with a chat completion" in reply.error
    assert reply.error.endswith("is it the address of a chat API? Most end in /v1")
    assert (reply.recoverable, len(server.requests)) == (False, 1)


def test_a_corrupt_picture_is_refused_once(server, load, refused, square):
    server.script(refused(400, "Failed to load image: broken data stream"))
    reply = ask(load(), [Message("user", (square,))])
    assert reply.error == f"{server.url} refused the request with 400 (Failed to load image: broken data stream)"
    assert (reply.recoverable, len(server.requests)) == (False, 1)


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens.",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "'max_tokens' is too large: 2048. This model's maximum context length is 2048 tokens.",
        "the request exceeds the available context size, try increasing it",
        "prompt is too long: 210000 tokens > 200000 maximum",
    ],
)
def test_a_conversation_that_is_too_long_is_not_sent_again_and_told_apart(server, load, refused, said):
    server.script(refused(400, said))
    reply = ask(load())
    assert "says that the conversation is too long for 'm'" in reply.error
    assert (reply.finish_reason, reply.recoverable, len(server.requests)) == ("length", False, 1)


def test_no_server_is_one_sentence_that_says_what_to_do(load, no_server):
    reply = ask(load(base_url=no_server))
    assert reply.error == (
        f"{no_server} cannot be reached, in 3 tries; is the server running, and is --base-url its address?"
    )
    with pytest.raises(ModelError, match=r"cannot be reached; is the server running, and is --base-url its address\?$"):
        OpenAICompatible.load("m", base_url=no_server)


@pytest.mark.parametrize("address", ["localhost:8000/v1", "ftp://x/v1", "http://", "8000"])
def test_an_address_that_is_none_is_refused_with_an_example(address):
    with pytest.raises(ModelError, match="is no address of a server; expected one such as http://localhost:8000/v1"):
        OpenAICompatible.load("m", base_url=address)


def test_of_a_refused_conversation_the_page_shows_the_shorter_one_that_was_answered(
    server, load, told, refused, kitchen, kitchen_sam3, tmp_path
):
    tools = ("segment", '{"phrases": ["red cup"]}'), ("count", '{"ids": [1, 2]}'), ("count", '{"ids": [1]}')
    too_long = refused(400, "This model's maximum context length is 4096 tokens.")
    server.script(*(told(calls=[tool]) for tool in tools), too_long, told(calls=[("answer", '{"ids": [1]}')]))
    model = load()
    episode = run(Task(kitchen, "the red cup"), ChatPlanner(model, view=View(image_side=64)), kitchen_sam3)
    assert [(step.decision.usage.model_calls, step.decision.shortened) for step in episode.steps] == [
        *[(1, False)] * 3,
        (1, True),
    ]
    made_by = Provenance(planner="openai:m", sam3="scripted", model=model.name, view={"image_side": 64})
    save_episode(episode, tmp_path / "e.json", provenance=made_by)
    sights = reconstruct_prompts(load_episode(tmp_path / "e.json").episode, made_by).steps
    assert [len(sight.shorter) for sight in sights[:3]] == [0, 0, 0]
    texts = [part for turn in sights[3].shorter for part in turn.parts if isinstance(part, str)]
    sent = str(server.requests[-1]["messages"])
    assert len(sights[3].shorter) < len(sights[3].known) + len(sights[3].messages)
    assert texts
    assert [text for text in texts if repr(text)[1:-1] not in sent] == []


# --- what a server objects to --------------------------------------------------------------------


def test_what_a_server_does_not_know_is_left_out_from_then_on(server, load, told, refused):
    def picky(request):
        if "max_tokens" in request:
            return refused(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "temperature" in request:
            return refused(400, "Unsupported value: 'temperature' does not support 0 with this model.")
        return told("fine")

    server.script(picky)
    model = load(max_tokens=77)
    assert (ask(model).text, len(server.requests)) == ("fine", 3)
    assert (ask(model).text, len(server.requests)) == ("fine", 4)
    assert server.requests[-1]["max_completion_tokens"] == 77
    assert "temperature" not in server.requests[-1]


def test_two_who_are_refused_the_same_both_do_without_it(server, load, told, refused):
    second_came, third_came = Event(), Event()
    refusal = refused(400, "Unsupported value: 'temperature' does not support 0 with this model.")

    def at_first(_):
        second_came.wait(10)
        return refusal

    def at_second(_):
        second_came.set()
        third_came.wait(10)  # by then the first one's refusal is known to all
        return refusal

    def later(request):
        third_came.set()
        return refusal if "temperature" in request else told("fine")

    server.script(at_first, at_second, later)
    replies = load().generate_replies([ASKED] * 2, TOOL_SCHEMAS)
    assert [(reply.text, reply.error) for reply in replies] == [("fine", "")] * 2
    assert len(server.requests) == 4


def test_a_server_that_objects_to_everything_is_asked_a_few_times_only(server, load, refused):
    server.script(refused(400, "max_tokens, max_completion_tokens, temperature, tool_choice are wrong"))
    assert "refused the request with 400" in ask(load()).error
    assert len(server.requests) == 4


# --- many at a time ------------------------------------------------------------------------------


def test_conversations_are_asked_together_and_answered_in_order(server, load, told, answers):
    server.script(lambda request: answers(told(request["messages"][0]["content"].upper()), stall=0.2))
    conversations = [[Message("user", (f"picture {nth}",))] for nth in range(8)]
    replies = load(workers=4).generate_replies(conversations, [])
    assert [reply.text for reply in replies] == [f"PICTURE {nth}" for nth in range(8)]
    assert 2 <= server.most_at_once <= 4


def test_callers_share_the_places(server, load, told, answers):
    server.script(answers(told("x"), stall=0.05))
    model = load(workers=2)
    threads = [Thread(target=model.generate_replies, args=([ASKED] * 3, [])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(server.requests), server.most_at_once) == (12, 2)


def test_one_failure_leaves_the_other_replies_alone(server, load, told, refused):
    def answer(request):
        bad = request["messages"][0]["content"] == "1"
        return refused(400, "not this one") if bad else told(request["messages"][0]["content"])

    server.script(answer)
    replies = load().generate_replies([[Message("user", (str(nth),))] for nth in range(3)], [])
    assert [reply.text for reply in replies] == ["0", "", "2"]
    assert "not this one" in replies[1].error


def test_no_conversations_are_no_requests(server, load):
    assert load().generate_replies([], TOOL_SCHEMAS) == []
    assert server.requests == []


# --- keys and addresses --------------------------------------------------------------------------


def test_the_key_is_sent_and_appears_nowhere_else(server, load, told, refused, answers, monkeypatch, caplog, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    server.script(
        told("fine"),
        refused(401, f"bad key {KEY}"),
        refused(400, f"bad request of {KEY}"),
        answers(f"<html>{KEY}</html>", 500, kind="text/html"),
        answers({"error": {"message": KEY}}),
        told("fine"),
    )
    model = load()
    replies = [ask(model) for _ in range(4)]
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert [bool(reply.error) for reply in replies] == [False, True, True, False]
    told_to_the_user = (*map(repr, (model, model.settings, model.capabilities, model.name, *replies)), caplog.text)
    assert not [text for text in (*told_to_the_user, *capsys.readouterr()) if KEY in text]
    assert "[the key]" in replies[1].error


def test_a_key_that_is_none_is_not_repeated(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nand more")
    with pytest.raises(ModelError) as refusal:
        OpenAICompatible.load("m", base_url=server.url)
    assert KEY not in str(refusal.value)
    assert "OPENAI_API_KEY" in str(refusal.value)


def test_without_a_key_a_server_of_ones_own_gets_a_placeholder(server, load, told):
    server.script(told("fine"))
    assert ask(load()).text == "fine"
    assert server.headers[0]["authorization"] == "Bearer no-key"


def test_openai_itself_is_not_asked_without_a_key():
    with pytest.raises(
        ModelError, match="OpenAI wants a key; set OPENAI_API_KEY, or give the address of another server"
    ):
        OpenAICompatible.load("gpt-5", wire="native")


def test_the_address_may_come_from_the_environment(server, load, told, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/")
    server.script(told("fine"))
    model = load(base_url=None)
    assert (ask(model).text, model.settings.base_url) == ("fine", server.url)


def test_a_password_in_the_address_is_not_shown(server, load, refused):
    server.script(refused(400, "no"))
    model = load(base_url=server.url.replace("http://", "http://me:pa55word@"))
    assert "pa55word" not in repr(model) + repr(ask(model))


# --- what it can do ------------------------------------------------------------------------------


def test_at_load_the_best_way_that_works_is_found(server, load, told):
    server.models = {"data": [{"id": "m", "max_model_len": 32768}]}
    server.script(
        lambda request: told(
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


def test_at_load_an_unknown_model_is_one_line_with_those_there_are(server, load, refused):
    server.script(refused(404, "no such model"))
    with pytest.raises(ModelError, match=r"does not know 'n' \(no such model\); it offers 'm', 'm-large'$"):
        load("n", wire="auto")


def test_at_load_a_wrong_key_is_one_line(server, load, refused):
    server.script(refused(401, "no"))
    with pytest.raises(ModelError, match=r"refused the key \(no\); expected a key in the environment variable"):
        load(wire="auto")
