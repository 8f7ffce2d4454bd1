"""The `vllm:` model: vLLM in this process, on a CPU."""

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent import WORKSPACE, Budget, Task, run
from agent.models.base import Call, Capabilities, Message, ModelError, Reply
from agent.models.vllm import SamplingSettings, VllmModel
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.views import View
from sam3_tool import Image

SCHEMAS = [tool.to_planner_schema() for tool in WORKSPACE.tools]
FIELDS = {one["function"]["name"]: {*one["function"]["parameters"]["properties"]} for one in SCHEMAS}
CPU = {"enforce_eager": True, "block_size": 32, "max_num_seqs": 8}
IMAGES = 4
RANDOM = 2.0
"""The highest temperature that vLLM takes."""
CALLERS = 8
SMALL = View(image_side=160)
"""As the model learned it."""


@pytest.fixture(scope="module")
def memorised(frugal, model_folder) -> VllmModel:
    """Tools through the chat template, as the model learned them."""
    os.environ.update(frugal | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"})
    return VllmModel.load(model_folder, wire="native", max_tokens=600, images=IMAGES, engine=CPU)


@pytest.fixture(scope="module")
def held(memorised) -> VllmModel:
    """The same engine, held to the schema of a call, and within it as random as can be."""
    by_schema = replace(memorised.capabilities, wire="schema")
    return replace(memorised, capabilities=by_schema, sampling=SamplingSettings(max_tokens=1000, temperature=RANDOM))


def talk(picture: Image, query: str) -> list[Message]:
    return [Message("system", ("You find things in pictures. " * 20,)), Message("user", (picture, query))]


def offered(name: str, **fields: dict[str, Any]) -> dict[str, Any]:
    """A tool in function-calling form, all of whose fields are required."""
    parameters = {"type": "object", "properties": fields, "required": [*fields]}
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


def whole_calls(replies: Sequence[Reply]) -> int:
    """How many replies were not cut off; each of those must be one call of an offered tool, with exactly its fields."""
    whole = [reply for reply in replies if reply.finish_reason != "length"]
    for reply in whole:
        [call] = reply.calls
        assert set(json.loads(call.arguments)) == FIELDS[call.tool]
    return len(whole)


def test_what_it_can_do_is_known_without_asking_it(memorised):
    assert memorised.capabilities == Capabilities(wire="native", images=IMAGES, context=8192)


def test_the_memorised_episode_ends_with_an_answer(memorised, scene, tiny, result):
    episode = run(Task(scene, "the watermelons"), ChatPlanner(memorised, view=SMALL), tiny)
    assert episode.outcome == "answered"
    assert [step.decision.tool for step in episode.steps] == ["segment", "answer"]
    usage = [step.decision.usage for step in episode.steps]
    assert all(one.prompt_tokens and one.completion_tokens and one.images for one in usage)
    assert usage[1].cached_tokens > 0.5 * usage[0].prompt_tokens
    result["in process: memorised episode"] = {
        "outcome": episode.outcome,
        "masks": len(episode.answer),
        "turns": [{"prompt tokens": one.prompt_tokens, "cached": one.cached_tokens} for one in usage],
    }


def test_threads_share_the_engine_and_each_gets_its_own_call(held, picture, result):
    with ThreadPoolExecutor(CALLERS) as pool:
        queries = [f"the {number}. circle" for number in range(CALLERS)]
        replies = [*pool.map(lambda query: held.generate_replies([talk(picture, query)], SCHEMAS)[0], queries)]
    assert [reply.error for reply in replies] == [""] * CALLERS
    whole = whole_calls(replies)
    assert whole
    result["in process: JSON schema"] = {"replies": CALLERS, "cut off": CALLERS - whole, "one call": whole}


def test_a_short_reply_does_not_wait_for_a_long_one_that_began_before_it(held, picture):
    many = {"type": "array", "items": {"type": "integer"}, "minItems": 300, "maxItems": 300}
    listing = offered("list", numbers=many)
    patient = replace(held, sampling=SamplingSettings(max_tokens=5000))
    hasty = replace(held, sampling=SamplingSettings(max_tokens=1))
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(lambda: (patient.generate_replies([talk(picture, "all")], [listing]), time.perf_counter()))
        time.sleep(0.5)
        [short] = hasty.generate_replies([talk(picture, "one")], [listing])
        short_ended = time.perf_counter()
        [reply], long_ended = long.result(600)
    assert (short.usage.completion_tokens, short.finish_reason) == (1, "length")
    assert reply.usage.completion_tokens > 600
    assert short_ended < long_ended


def test_what_cannot_be_answered_spoils_nobody_elses_reply(memorised, held, picture):
    conversations = [
        talk(picture, "the red circle"),
        [Message("user", ("word " * 20_000,))],
        [Message("user", (picture,) * (IMAGES + 1))],
        talk(picture, "the blue square"),
    ]
    first, too_long, too_many, last = held.generate_replies(conversations, SCHEMAS)
    assert (first.error, last.error) == ("", "")
    assert (too_long.finish_reason, too_long.text, too_long.calls, too_long.error) == ("length", "", (), "")
    assert "At most 4 image" in too_many.error
    assert not too_many.recoverable


def test_a_history_with_calls_and_pictures_is_understood_on_every_wire(memorised, picture):
    history = [
        *talk(picture, "the circles"),
        Message("assistant", ("I look for circles.",), (Call("segment", '{"phrases": ["circle"]}'),)),
        Message("tool", ("Found 1 mask.", picture)),
    ]
    for wire in ("native", "schema", "tagged"):
        model = replace(memorised, capabilities=replace(memorised.capabilities, wire=wire))
        [reply] = model.generate_replies([history], SCHEMAS)
        assert reply.error == ""
        assert reply.usage.images == 2
        assert reply.usage.prompt_tokens > 100


def test_a_verdict_is_held_to_its_own_tool(held, picture):
    replies = held.generate_replies([talk(picture, "is it red?")] * 4, [offered("judge", good={"type": "boolean"})])
    whole = [reply for reply in replies if reply.finish_reason != "length"]
    assert whole
    assert {call.tool for reply in whole for call in reply.calls} == {"judge"}
    assert {call.arguments for reply in whole for call in reply.calls} <= {'{"good": true}', '{"good": false}'}


def test_every_episode_of_random_tokens_has_an_outcome(held, tiny, picture, result):
    planner = ChatPlanner(held)
    with ThreadPoolExecutor(CALLERS) as pool:
        tasks = [Task(picture, f"circle {number}") for number in range(CALLERS)]
        episodes = [*pool.map(lambda task: run(task, planner, tiny, budget=Budget(max_steps=4)), tasks)]
    assert all(episode.outcome for episode in episodes)
    result["in process: episodes of random tokens"] = {
        "episodes": len(episodes),
        "replies": sum(episode.usage.model_calls for episode in episodes),
    }


def test_a_model_that_is_not_there_is_one_line(memorised, tmp_path):
    with pytest.raises(ModelError) as error:
        VllmModel.load(tmp_path / "nothing", engine=CPU)
    assert str(error.value).isprintable()
    assert "nothing" in str(error.value)


def test_a_picture_of_any_size_can_be_seen(memorised):
    sizes = [(1, 1), (3000, 20), (1500, 2000)]
    pictures = [Image(np.full((*size, 3), 90, np.uint8)) for size in sizes]
    replies = memorised.generate_replies([[Message("user", (one, "the banana"))] for one in pictures], SCHEMAS)
    assert [reply.error for reply in replies] == [""] * len(sizes)


def test_the_folder_is_named_in_the_model_s_name(memorised, model_folder):
    assert memorised.name == f"vllm:{Path(model_folder)}"
