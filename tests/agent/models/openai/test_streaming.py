"""Whoever listens hears a reply while it comes, and the final reply is the one that it would have been anyway."""

import pytest

from agent.models.openai.partial import StreamReader
from agent.models.progress import PartialReply, RetryNotice, listen_to_models
from tests.support.chat_server import ASKED, SEGMENT, TOOL_SCHEMAS, Answer, ask, completion, refusal

THOUGHT = "There are two cups. The left one is red, so I look for a red cup."


@pytest.fixture
def heard():
    return []


@pytest.fixture
def ask_aloud(heard):
    def ask_it(model, conversation=ASKED):
        with listen_to_models(heard.append):
            return ask(model, conversation)

    return ask_it


def test_the_thought_is_heard_while_it_comes_and_the_reply_is_the_same(server, load, heard, ask_aloud):
    server.script(completion("I see.", [SEGMENT], reasoning_content=THOUGHT))
    silent = ask(load())
    loud = ask_aloud(load())
    assert [request.get("stream") for request in server.requests] == [None, True]
    assert (loud.text, loud.reasoning, loud.calls, loud.finish_reason, loud.usage) == (
        *(silent.text, silent.reasoning, silent.calls, silent.finish_reason, silent.usage),
    )
    assert heard
    assert all(THOUGHT.startswith(news.reasoning) for news in heard)


def test_who_forbids_streams_gets_none(server, load, heard, ask_aloud):
    server.script(completion("I see.", [SEGMENT], reasoning_content=THOUGHT))
    assert ask_aloud(load(stream=False)).calls
    assert "stream" not in server.requests[-1]
    assert heard == []


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400, "streaming is not supported"),
        refusal(501, "nothing of the kind"),
        refusal(422, "tools cannot be combined with what you ask"),
        Answer("data: {\n\n", kind="text/event-stream"),
        Answer('data: {"choices": [{"delta": {"content": "half"}}]}\n\n', kind="text/event-stream"),
    ],
    ids=["says so", "501", "says something else", "broken JSON", "never ends"],
)
def test_a_server_without_streams_works_as_before(server, load, ask_aloud, answer):
    server.script(lambda request: answer if request.get("stream") else completion(None, [SEGMENT]))
    model = load(retries=0)
    assert [ask_aloud(model).calls[0].tool for _ in range(2)] == ["segment", "segment"]
    if answer.status != 200:
        assert [bool(request.get("stream")) for request in server.requests] == [True, False, False]


def test_an_error_that_is_not_about_streams_stays_that_error(server, load, ask_aloud):
    server.script(refusal(400, "not this one"))
    assert ask_aloud(load()).error == ask(load()).error
    server.script(refusal(401, "wrong key"))
    server.requests.clear()
    assert "wrong key" in ask_aloud(load()).error
    assert len(server.requests) == 1


def test_further_tries_are_heard(server, load, heard, ask_aloud):
    server.script(refusal(503, "busy"), refusal(429, "slow down"), completion(None, [SEGMENT]))
    assert ask_aloud(load(retries=5)).calls
    assert [(news.number, news.limit) for news in heard if isinstance(news, RetryNotice)] == [(2, 6), (3, 6)]


def test_several_conversations_at_once_come_whole(server, load, heard):
    server.script(completion("yes"))
    with listen_to_models(heard.append):
        replies = load().generate_replies([ASKED, ASKED], TOOL_SCHEMAS)
    assert [reply.text for reply in replies] == ["yes", "yes"]
    assert not any(request.get("stream") for request in server.requests)


def test_the_key_is_never_heard_not_even_its_beginning(server, load, heard, ask_aloud, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key")
    server.script(completion("sk-very-secret-key", reasoning_content="sk-very-secret-key, and more of it"))
    ask_aloud(load())
    assert heard
    assert not any("sk-ve" in news.text + news.reasoning for news in heard)


PARTS = {
    "reasoning": (['{"reasoning_content": "Two "}', '{"reasoning_content": "cups"}'], PartialReply("Two cups")),
    "other name": (['{"reasoning": "Two"}'], PartialReply("Two")),
    "think tags": (['{"content": "<think>Two"}', '{"content": " cups</think>Yes"}'], PartialReply("Two cups", "Yes")),
    "call in text": (['{"content": "I look. <tool>{\\"tool\\": \\"seg"}'], PartialReply("", "I look.")),
    "bare call": (['{"content": "{\\"name\\": \\"segment\\""}'], PartialReply("", "")),
    "native call": (
        ['{"content": "So"}', '{"tool_calls": [{"function": {"name": "segment", "arguments": ""}}]}'],
        PartialReply("", "So", "segment"),
    ),
    "foreign types": (
        ['{"content": 7, "tool_calls": "x"}', '{"content": ["a"]}', '{"content": "ok"}'],
        PartialReply("", "ok"),
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_read_however_they_are_cut(name, heard):
    deltas, expected = PARTS[name]
    sent = "".join(f'data: {{"choices": [{{"delta": {delta}}}]}}\r\n\r\n' for delta in deltas)
    junk = ": comment\ndata: [DONE]\ndata: nothing\ndata: [1]\n"
    for size in (1, 7, 1000):
        reader = StreamReader(heard.append, interval=0)
        text = (sent + junk).encode()
        for start in range(0, len(text), size):
            reader.read_bytes(text[start : start + size])
        assert heard[-1] == expected
