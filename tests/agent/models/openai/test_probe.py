import json

import pytest

from agent.models.base import Capabilities, ModelError
from agent.models.openai.probe import format_capabilities
from tests.support.chat_server import completion, refusal

REPORT = ("report_colours", '{"left": "red", "right": "blue"}')


def pictures_in(request) -> int:
    return json.dumps(request["messages"]).count('"image_url", "image_url"')


def usage(request) -> dict[str, int]:
    return {"prompt_tokens": 60 + 16 * pictures_in(request), "completion_tokens": 5}


def is_strict(request) -> bool:
    return any(tool["function"].get("strict") for tool in request.get("tools", ()))


@pytest.fixture
def able(server, load):
    """What the probe finds out about a server that answers so."""

    def able(answer) -> Capabilities:
        server.script(answer)
        return load(wire="auto").capabilities

    return able


def test_strict_native_tools_are_the_first_choice_and_take_two_requests(able, server):
    found = able(lambda request: completion(calls=[REPORT], usage=usage(request)))
    assert found == Capabilities("native", strict=True, images=None, reasoning=False, context=None)
    assert len(server.requests) == 2


def test_a_server_that_refuses_strict_tools_gets_plain_ones(able):
    found = able(
        lambda r: refusal(400, "strict is unknown") if is_strict(r) else completion(calls=[REPORT], usage=usage(r))
    )
    assert (found.wire, found.strict) == ("native", False)


def test_strict_tools_whose_arguments_do_not_fit_are_not_strict(able):
    def answer(request):
        arguments = "Infinity" if is_strict(request) else REPORT[1]
        return completion(calls=[("report_colours", arguments)], usage=usage(request))

    assert able(answer) == Capabilities("native", strict=False, images=None)


def test_tools_that_are_accepted_and_ignored_do_not_count(able):
    def answer(request):
        if "response_format" not in request:
            return completion("The left one is red, the right one is blue.", usage=usage(request))
        return completion(
            json.dumps({"thought": "", "tool": REPORT[0], "arguments": json.loads(REPORT[1])}), usage=usage(request)
        )

    assert able(answer).wire == "schema"


def test_a_schema_that_is_accepted_and_ignored_does_not_count(able):
    def answer(request):
        if "tools" in request or "response_format" in request:
            return completion("Red, blue.", usage=usage(request))
        call = json.dumps({"name": REPORT[0], "arguments": json.loads(REPORT[1])})
        return completion(f"<tool_call>{call}</tool_call>", usage=usage(request))

    assert able(answer).wire == "tagged"


def test_a_model_that_calls_nothing_gets_the_plainest_way(able, server):
    assert able(lambda request: completion("Squares!", usage=usage(request))) == Capabilities("tagged")
    assert len(server.requests) == 5


def test_a_raw_call_in_the_text_of_a_native_reply_counts_as_one(able):
    call = json.dumps({"name": REPORT[0], "arguments": json.loads(REPORT[1])})
    found = able(lambda request: completion(f"<tool_call>{call}</tool_call>", tool_calls=[], usage=usage(request)))
    assert found.wire == "native"


def test_a_server_that_takes_one_picture_only(able):
    def answer(request):
        if pictures_in(request) > 1:
            return refusal(400, "At most 1 image(s) may be provided in one prompt.")
        return completion(calls=[REPORT], usage=usage(request))

    assert able(answer).images == 1


def test_a_server_without_eyes(able):
    blind = able(
        lambda r: refusal(500, "image input is not supported") if pictures_in(r) else completion(calls=[REPORT])
    )
    assert blind.images == 0


@pytest.mark.parametrize(("guess", "images"), [('{"left": "green", "right": "red"}', 0), (REPORT[1], None)])
def test_pictures_that_cost_nothing_were_seen_by_who_can_tell_their_colours(able, guess, images):
    def answer(request):
        told = "is red" in str(request["messages"])
        usage = {"prompt_tokens": 60, "completion_tokens": 5}
        return completion(calls=[(REPORT[0], REPORT[1] if told else guess)], usage=usage)

    assert able(answer).images == images


def test_colours_named_in_words_are_seen_too(able):
    def answer(request):
        told = "is red" in str(request["messages"])
        usage = {"prompt_tokens": 60, "completion_tokens": 5}
        return completion(calls=[REPORT], usage=usage) if told else completion("First red, then Blue.", usage=usage)

    assert able(answer).images is None


def test_where_tokens_are_not_counted_an_answer_is_enough(able):
    assert able(completion(calls=[REPORT], usage=None)).images is None


@pytest.mark.parametrize("how", [{"reasoning_content": "Hm."}, {"reasoning": "Hm."}, {"text": "<think>Hm.</think>"}])
def test_a_reasoning_channel_is_noticed(able, how):
    assert able(completion(calls=[REPORT], **how)).reasoning


@pytest.mark.parametrize("field", ["max_model_len", "context_length"])
def test_the_context_is_what_the_list_of_models_says(able, server, field):
    server.models = {"data": [{"id": "other", field: 7}, {"id": "m", field: 8192}]}
    assert able(completion(calls=[REPORT], usage=None)).context == 8192


def test_nothing_but_errors_is_the_servers_last_word(able):
    with pytest.raises(ModelError, match=r"refused the request with 400 \(this model cannot chat\)$"):
        able(refusal(400, "this model cannot chat"))


def test_capabilities_are_told_in_one_line():
    assert format_capabilities(Capabilities("native", strict=True)) == "native tools, strict; several pictures"
    assert format_capabilities(Capabilities("schema", images=1, reasoning=True)) == (
        "one JSON schema for every reply; one picture; reasoning channel"
    )
    assert format_capabilities(Capabilities("tagged", images=0, context=4096)) == (
        "calls tagged in the text; no pictures; context of 4096 tokens"
    )
