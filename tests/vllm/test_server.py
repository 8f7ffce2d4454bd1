"""The `openai:` model against a real vLLM server. The model is the tiny one that memorised a few queries."""

import base64
from dataclasses import replace

import pytest

from agent import Budget, Task, run
from agent.models.base import Capabilities, Message
from agent.models.openai.client import OpenAICompatible
from agent.models.openai.probe import format_capabilities
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.views import View

# As the model learned it: a strict schema has fields that it never wrote.
NATIVE = Capabilities("native")
SMALL = View(image_side=160)


@pytest.fixture(scope="module")
def server(serve, model_folder):
    return serve(model_folder)


@pytest.fixture(scope="module")
def model(server) -> OpenAICompatible:
    return OpenAICompatible.load("tiny", base_url=server.url, timeout=600.0, max_tokens=600)


@pytest.fixture(scope="module")
def planner(model) -> ChatPlanner:
    return ChatPlanner(replace(model, capabilities=NATIVE), view=SMALL)


def test_the_probe_finds_native_tools_several_pictures_and_the_context(model, result):
    able = model.capabilities
    assert (able.wire, able.images, able.context) == ("native", None, 8192)
    result.setdefault("probe", {})["memorised model"] = format_capabilities(able)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_memorised_episode_ends_with_an_answer(planner, scene, tiny, result, stream):
    model = replace(planner.model, settings=replace(planner.model.settings, stream=stream))
    episode = run(Task(scene, "the watermelons"), ChatPlanner(model, view=SMALL), tiny)
    assert episode.outcome == "answered"
    assert [step.decision.tool for step in episode.steps] == ["segment", "answer"]
    assert len(episode.answer) > 0
    result["memorised episode"] = {"outcome": episode.outcome, "masks": len(episode.answer)}


def test_the_second_turn_finds_the_first_in_the_prefix_cache(planner, scene, tiny, result):
    episode = run(Task(scene, "the largest banana"), planner, tiny, budget=Budget(max_steps=2))
    first, second = (step.decision.usage for step in episode.steps)
    assert second.cached_tokens > 0.5 * first.prompt_tokens
    result["prefix cache"] = [
        {"prompt tokens": usage.prompt_tokens, "cached": usage.cached_tokens} for usage in (first, second)
    ]


def test_a_conversation_that_is_too_long_is_refused_in_one_sentence(planner, result):
    [reply] = planner.model.generate_replies([[Message("user", ("word " * 20_000,))]], planner.schemas)
    assert "too long" in reply.error
    assert "8192" in reply.error
    assert (reply.finish_reason, reply.text, reply.calls) == ("length", "", ())
    result["too long a conversation"] = reply.error.partition(" ")[2]


def test_a_damaged_picture_is_refused_and_the_server_goes_on(server, planner, picture, result):
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n damaged").decode()
    body = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}
    statuses = [server.complete(body)[0] for _ in range(3)]
    assert set(statuses) <= {400, 500}
    [reply] = planner.model.generate_replies([[Message("user", (picture, "the watermelons"))]], planner.schemas)
    assert reply.error == ""
    result["damaged picture"] = {"statuses": statuses}
