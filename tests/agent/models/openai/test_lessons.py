"""What a refusal teaches, in words of many servers; and that other refusals teach nothing."""

import numpy as np
import pytest

from agent.models.base import Call, Capabilities, Message
from agent.models.openai.dialect import Dialect, Request, Sending, build_request
from agent.models.openai.lessons import Refusal, describe_lesson, learn_lesson
from sam3_tool import Image
from tests.support.chat_server import TOOL_SCHEMAS

SQUARE = Image(np.zeros((64, 64, 3), np.uint8))
CONVERSATION = [
    Message("system", ("You plan.",)),
    Message("user", (SQUARE, "Query")),
    Message("assistant", (), (Call("segment", "{}"),)),
    Message("tool", ("Found.", SQUARE)),
]
STRICT = Capabilities("native", strict=True)


def request(turns: int, dialect: Dialect | None = None) -> Request:
    sending = Sending("m", 2048, 0.0, 1, False, {})
    return build_request(CONVERSATION[:turns], TOOL_SCHEMAS, STRICT, sending, dialect or Dialect())


def learn(turns: int, status: int, words: str) -> str:
    before = Dialect()
    return describe_lesson(before, learn_lesson(before, Refusal(status, words, request(turns))))


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        ("'seed' is not supported", "`seed` is left out"),
        ("tool_choice='required' requires --tool-call-parser", "`tool_choice` is left out"),
        ("Thinking mode does not support this tool_choice", "`tool_choice` is left out"),
        ("invalid temperature: only 1 is allowed for this model", "`temperature` is left out"),
        ("Unrecognized request argument supplied: parallel_tool_calls", "`parallel_tool_calls` is left out"),
        ("This model does not support system messages", "folds_system"),
        ("messages.0.role: Input should be 'user' or 'assistant'", "folds_system"),
        ("Streaming only: set stream=True", "streams"),
        ("This endpoint only supports streaming requests", "streams"),
        ("The output token limit is 1024", "reply_limit"),
        ("max_completion_tokens: Input should be less than or equal to 1024", "reply_limit"),
        ("max_tokens must be at least 4096", "`max_completion_tokens` is left out, `max_tokens` is left out"),
        ("Image too large: exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes", "jpeg_quality"),
        (
            "Current length is 9000 while limit is 8192; reduce the length of the messages",
            "context, tokens_per_estimate",
        ),
    ],
)
def test_a_refusal_of_a_first_step_teaches(words, lesson):
    assert learn(2, 400, words) == lesson


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        ("all messages must have non-empty content", "fills_blanks, refuses_null"),
        ("Invalid 'messages[2].content': string too short", "refuses_null, fills_blanks"),
        ("Invalid type for 'messages[2].content': expected a string, but got null instead.", "refuses_null"),
        ("The `content` field is a required field.", "refuses_null"),
        ("Roles must alternate user/assistant", "bridges_results"),
        ("Unsupported role 'tool'", "is_tagged"),
        ("messages with role tool are not supported", "is_tagged"),
        ("reasoning_content must be passed back to the API", "wants_reasoning"),
    ],
)
def test_a_refusal_of_a_history_teaches(words, lesson):
    assert set(learn(4, 400, words).split(", ")) == set(lesson.split(", "))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Failed to load image: broken data stream"),
        (400, "The request was rejected by the safety system"),
        (400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."),
        (400, "you requested 12048 tokens (10000 in the messages, 2048 in the completion); the context length is 8192"),
        (400, "This model's maximum prompt length is 131072 but the request contains 140000 tokens."),
        (401, "System role not supported"),
        (429, "max_tokens is too large"),
        (413, "Request too large: tokens per minute (TPM): Limit 6000, Requested 9000"),
        (500, "Internal Server Error"),
    ],
)
@pytest.mark.parametrize("turns", [2, 4])
def test_a_refusal_about_something_else_teaches_nothing(turns, status, words):
    assert learn(turns, status, words) == ""


def test_a_lesson_is_in_every_later_request():
    dialect = Dialect(
        left_out=frozenset({"seed", "max_tokens"}),
        folds_system=True,
        bridges_results=True,
        fills_blanks=True,
        refuses_null=True,
        streams=True,
        reply_limit=100,
    )
    body = request(4, dialect).body
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
    assert body["messages"][0]["content"][0] == {"type": "text", "text": "You plan."}
    assert body["messages"][1]["content"] == "(nothing)"
    assert (body["stream"], body["max_completion_tokens"], body.keys() & {"seed", "max_tokens"}) == (True, 100, set())


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_length_among_the_further_fields_is_kept_to_what_was_learnt(field):
    def build(dialect: Dialect) -> dict[str, object]:
        sending = Sending("m", 2048, 0.0, 1, False, {field: 5000, "top_k": 3})
        return build_request(CONVERSATION, TOOL_SCHEMAS, STRICT, sending, dialect).body

    assert (build(Dialect())[field], build(Dialect(reply_limit=815))[field]) == (5000, 815)
    assert [name for name in build(Dialect()) if name.startswith("max_")] == [field]
    assert build(Dialect(left_out=frozenset({field})))["top_k"] == 3


def test_a_reply_gets_what_the_context_leaves_and_an_estimate_does_not_starve_it():
    assert Dialect().choose_reply_length(2048, 3000, 4096) == 1096
    assert Dialect().choose_reply_length(2048, 4000, 4096) == 2048  # the server will say what fits
    assert Dialect(context=4096, tokens_per_estimate=1.25).choose_reply_length(2048, 3000, None) == 346
    assert Dialect(reply_limit=1000).choose_reply_length(2048, 100, None) == 1000
