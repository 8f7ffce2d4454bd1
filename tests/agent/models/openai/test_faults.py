"""What fails for good is one sentence that says what to do."""

import pytest

from agent import Task, run
from agent.models.base import Message, ModelError
from agent.models.openai.client import OpenAICompatible
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.views import View
from agent.records.episode_file import load_episode, save_episode
from agent.records.provenance import Provenance
from agent.report.prompt_trace import reconstruct_prompts
from tests.support.chat_server import Answer, ask, completion, refusal

KEY = "sk-planted-5up3r-s3cr3t"


def test_a_wrong_key_is_said_at_once(server, load, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script(refusal(401, f"Incorrect API key provided: {KEY}."))
    reply = ask(load())
    assert reply.error == (
        f"{server.url} refused the key (Incorrect API key provided: [the key]);"
        " expected a key of this server in the environment variable OPENAI_API_KEY"
    )
    assert (reply.recoverable, len(server.requests)) == (False, 1)


def test_a_missing_key_is_said_to_be_missing(server, load):
    server.script(refusal(401, "Unauthorized"))
    assert ask(load()).error.endswith("expected a key in the environment variable OPENAI_API_KEY, which is not set")
    server.script(refusal(403, "Forbidden"))
    reply = ask(load())
    assert "does not allow the use of 'm' (Forbidden)" in reply.error
    assert not reply.recoverable


def test_an_unknown_model_is_answered_with_those_there_are(server, load):
    server.models = {"data": [{"id": f"model-{nth}"} for nth in range(7)]}
    server.script(refusal(404, "The model `m` does not exist."))
    reply = ask(load())
    assert reply.error == (
        f"{server.url} does not know 'm' (The model `m` does not exist);"
        " it offers 'model-0', 'model-1', 'model-2', 'model-3', 'model-4' and 2 more"
    )
    assert (reply.recoverable, len(server.requests)) == (False, 1)


@pytest.mark.parametrize("models", ["no list", {"data": None}, [], {"data": [4, {"id": None}]}])
def test_an_unknown_path_is_said_even_where_no_models_are_listed(server, load, models):
    server.models = models
    server.script(refusal(404, "Not Found"))
    assert ask(load()).error.endswith(
        "expected the name of one of its models, and an address that most often ends in /v1"
    )


def test_a_web_page_instead_of_an_api_is_said_to_be_one(server, load):
    server.script(Answer("<html><h1>Welcome</h1></html>", kind="text/html"))
    reply = ask(load())
    assert "answered with text that is no JSON, not with a chat completion" in reply.error
    assert reply.error.endswith("is it the address of a chat API? Most end in /v1")
    assert (reply.recoverable, len(server.requests)) == (False, 1)


def test_a_corrupt_picture_is_refused_once(server, load, square):
    server.script(refusal(400, "Failed to load image: broken data stream"))
    reply = ask(load(), [Message("user", (square,))])
    assert reply.error == f"{server.url} refused the request with 400 (Failed to load image: broken data stream)"
    assert (reply.recoverable, len(server.requests)) == (False, 1)


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens.",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "the request exceeds the available context size, try increasing it",
        "prompt is too long: 210000 tokens > 200000 maximum",
    ],
)
def test_a_conversation_that_is_too_long_is_not_sent_again_and_told_apart(server, load, said):
    server.script(refusal(400, said))
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


def test_of_a_refused_conversation_the_page_shows_the_shorter_one_that_was_answered(
    server, load, kitchen, kitchen_sam3, tmp_path
):
    tools = ("segment", '{"phrases": ["red cup"]}'), ("count", '{"ids": [1, 2]}'), ("count", '{"ids": [1]}')
    too_long = refusal(400, "This model's maximum context length is 4096 tokens.")
    server.script(
        *(completion(calls=[tool]) for tool in tools), too_long, completion(calls=[("answer", '{"ids": [1]}')])
    )
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
