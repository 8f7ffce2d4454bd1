"""Requests that failed in a way that may pass, and fields that a server refuses."""

import email.utils
import logging
import time
from threading import Event, Thread

import pytest

from agent.models.base import Message
from tests.support.chat_server import ASKED, TOOL_SCHEMAS, Answer, ask, completion, refusal


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_may_pass_is_asked_again(server, load, status):
    server.script(refusal(status, "busy"), completion("fine"))
    reply = ask(load())
    assert (reply.text, reply.error, len(server.requests)) == ("fine", "", 2)
    assert reply.usage.model_calls == 1


def test_a_reply_that_the_server_cannot_send_is_asked_for_again(server, load):
    said = "'utf-8' codec can't encode character '\\udada' in position 736: surrogates not allowed"
    server.script(refusal(400, said), completion("fine"))
    assert ask(load()).text == "fine"


def test_a_500_for_a_picture_that_was_refused_before_is_asked_again(server, load, square):
    server.script(refusal(400, "cannot decode the image"), refusal(500, "Internal Server Error"), completion("fine"))
    model, conversation = load(), [Message("user", (square, "What is it?"))]
    assert "cannot decode the image" in ask(model, conversation).error
    assert ask(model, conversation).text == "fine"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "broken",
    [{"drop": True}, {"body": "{damaged"}, {"body": '{"choices": []}'}, {"body": "[]"}, {"body": '{"choices": [4]}'}],
)
def test_a_damaged_answer_is_asked_for_again(server, load, broken, stream):
    server.script(Answer(**broken), completion("fine"))
    assert ask(load(stream=stream)).text == "fine"


def test_a_stream_that_breaks_off_is_asked_for_again(server, load):
    server.script(Answer(completion("I was about to say"), drop=True), completion("I say"))
    assert ask(load(stream=True)).text == "I say"


def test_an_error_in_a_stream_is_asked_again(server, load):
    server.script('data: {"error": {"message": "the engine died"}}\n\n', completion("fine"))
    assert ask(load(stream=True)).text == "fine"


@pytest.mark.parametrize("stream", [False, True])
def test_a_stalled_request_is_given_up_and_asked_again(server, load, stream):
    server.script(Answer(completion("late"), stall=60.0), completion("fine"))
    assert ask(load(stream=stream, timeout=1.0)).text == "fine"


def test_a_server_that_never_answers_in_time_is_one_sentence(server, load):
    server.script(Answer(completion("late"), stall=60.0))
    reply = ask(load(timeout=0.1, retries=1))
    assert reply.error == f"{server.url} did not answer within 0.1 seconds, in 2 tries"
    assert reply.recoverable


def test_a_server_that_stays_broken_is_one_sentence_with_its_own_words(server, load):
    server.script(refusal(503, "no capacity\n left. "))
    reply = ask(load())
    assert (reply.error, reply.recoverable) == (f"{server.url} answered 503 (no capacity left), in 3 tries", True)
    assert (reply.text, reply.calls, reply.usage.model_calls, len(server.requests)) == ("", (), 0, 3)


@pytest.mark.parametrize("header", ["seconds", "milliseconds", "date"])
def test_a_server_that_asks_to_wait_is_not_asked_before(server, load, header):
    value = {
        "seconds": {"retry_after": "1"},
        "milliseconds": {"retry_after_ms": "1000"},
        "date": {"retry_after": email.utils.formatdate(time.time() + 3, usegmt=True)},
    }
    server.script(refusal(429, "slow down", **value[header]), completion("fine"))
    began = time.monotonic()
    assert ask(load()).text == "fine"
    assert time.monotonic() - began >= 1.0


def test_all_wait_when_the_server_tells_one_to(server, load):
    arrivals = []

    def answer(_):
        arrivals.append(time.monotonic())
        return refusal(429, "slow down", retry_after="1") if len(arrivals) == 1 else completion("fine")

    server.script(answer)
    model = load(workers=1)
    replies = model.generate_replies([ASKED] * 3, TOOL_SCHEMAS)
    assert [reply.text for reply in replies] == ["fine"] * 3
    assert arrivals[1] - arrivals[0] >= 0.95


def test_who_waits_already_waits_on_when_another_is_told_a_later_time(server, load):
    second_came, first_told, named, later = Event(), Event(), [], []

    def at_first(_):
        second_came.wait(10)
        first_told.set()
        return refusal(429, "slow down", retry_after_ms="600")

    def at_second(_):
        second_came.set()
        first_told.wait(10)
        time.sleep(0.3)  # the third waits by now
        named.append(time.monotonic() + 1)
        return refusal(429, "slower", retry_after="1")

    def at_last(_):
        later.append(time.monotonic())
        return completion("fine")

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


def test_a_time_that_is_named_at_the_last_try_counts_for_the_next_request(server, load):
    arrivals = []

    def answer(_):
        arrivals.append(time.monotonic())
        return refusal(503, "starting", retry_after_ms="300") if len(arrivals) == 1 else completion("fine")

    server.script(answer)
    model = load(retries=0)
    assert [ask(model).error for _ in range(2)] == [f"{server.url} answered 503 (starting)", ""]
    assert arrivals[1] - arrivals[0] >= 0.3


def test_the_log_says_what_was_wrong_at_each_try_and_the_last_sentence_how_many_there_were(server, load, caplog):
    caplog.set_level(logging.INFO, logger="agent")
    server.script(refusal(503, "no capacity left"))
    assert ask(load()).error == f"{server.url} answered 503 (no capacity left), in 3 tries"
    assert caplog.messages == [f"{server.url} answered 503 (no capacity left): trying again"] * 2


def test_nobody_waits_for_an_hour(server, load):
    server.script(refusal(429, "come back", retry_after="3600"))
    reply = ask(load())
    assert reply.error == f"{server.url} answered 429 (come back) and asks to wait 3600 seconds; ask it again then"
    assert (reply.recoverable, len(server.requests)) == (False, 1)


def test_an_account_without_credit_is_not_asked_again(server, load):
    error = {"message": "You exceeded your current quota.", "code": "insufficient_quota"}
    server.script(Answer({"error": error}, 429))
    reply = ask(load())
    assert "no credit left" in reply.error
    assert (reply.recoverable, len(server.requests)) == (False, 1)


def test_a_server_that_is_started_again_in_the_meantime_answers(server, load):
    port = int(server.url.rpartition(":")[2].removesuffix("/v1"))
    model = load(retries=8, first_delay=0.1)
    server.close()
    replies = []
    asking = Thread(target=lambda: replies.append(ask(model)))
    asking.start()
    time.sleep(0.3)
    again = type(server)(port).script(completion("back"))
    asking.join()
    again.close()
    assert [(reply.text, reply.error) for reply in replies] == [("back", "")]


# --- what a server objects to --------------------------------------------------------------------


def test_what_a_server_does_not_know_is_left_out_from_then_on(server, load):
    def picky(request):
        if "max_tokens" in request:
            return refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "temperature" in request:
            return refusal(400, "Unsupported value: 'temperature' does not support 0 with this model.")
        return completion("fine")

    server.script(picky)
    model = load(max_tokens=77)
    assert (ask(model).text, len(server.requests)) == ("fine", 3)
    assert (ask(model).text, len(server.requests)) == ("fine", 4)
    assert server.requests[-1]["max_completion_tokens"] == 77
    assert "temperature" not in server.requests[-1]


def test_two_who_are_refused_the_same_both_do_without_it(server, load):
    second_came, third_came = Event(), Event()
    objection = refusal(400, "Unsupported value: 'temperature' does not support 0 with this model.")

    def at_first(_):
        second_came.wait(10)
        return objection

    def at_second(_):
        second_came.set()
        third_came.wait(10)  # by then the first one's refusal is known to all
        return objection

    def later(request):
        third_came.set()
        return objection if "temperature" in request else completion("fine")

    server.script(at_first, at_second, later)
    replies = load().generate_replies([ASKED] * 2, TOOL_SCHEMAS)
    assert [(reply.text, reply.error) for reply in replies] == [("fine", "")] * 2
    assert len(server.requests) == 4


def test_a_server_that_objects_to_everything_is_asked_a_few_times_only(server, load):
    server.script(refusal(400, "max_tokens, max_completion_tokens, temperature, tool_choice are wrong"))
    assert "refused the request with 400" in ask(load()).error
    assert len(server.requests) == 4
