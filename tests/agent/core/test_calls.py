"""What a planner wrote is read once, whoever wants to know."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from pydantic import model_validator

from agent import WORKSPACE, ChatPlanner, Decision, Episode, Task, Tool, Toolset, run
from agent.core.tools.calls import InvalidCall, ToolCall, ValidCall
from agent.models.base import Call, Reply
from agent.planners.chat.scripted_model import ScriptedModel
from agent.planners.chat.views import View
from agent.planners.loading import with_model_info
from agent.records.episode_file import load_episode, save_episode
from agent.records.provenance import Provenance
from agent.report.html import to_html
from agent.tools.combine import Count
from sam3_tool import Image, Sam3

CALLS = [
    Call("segment", '{"phrases": ["red cup", "saucer"]}'),
    Call("locate", '{"ids": [1, 2, 3], "place": "left"}'),
    Call("examine", '{"ids": [1, 2, 3]}'),
    Call("count", "[]"),
    Call("answer", '{"ids": [1]}'),
]


def count_readings(tool: type[Tool], readings: Counter[str]) -> type[Tool]:
    """The same tool, which counts how often its arguments are validated."""

    def count(cls: type[Tool], value: Any) -> Any:
        readings[tool.name] += 1
        return value

    fields = {"__module__": __name__, "count": model_validator(mode="before")(classmethod(count))}
    return type(f"Counted{tool.__name__}", (tool,), {**fields, "__doc__": tool.__doc__})


@pytest.fixture
def readings() -> Counter[str]:
    return Counter()


@pytest.fixture
def counting(readings: Counter[str]) -> Toolset:
    return replace(WORKSPACE, tools=tuple(count_readings(tool, readings) for tool in WORKSPACE.tools))


def play(
    toolset: Toolset, image: Image, sam3: Sam3, calls: list[Call | Reply], **view: Any
) -> tuple[ChatPlanner, Episode]:
    planner = ChatPlanner(ScriptedModel(calls), toolset=toolset, view=View(**view))
    return planner, run(Task(image, "the left cup"), planner, sam3)


def test_an_episode_of_five_steps_is_read_five_times(
    counting: Toolset, readings: Counter[str], kitchen: Image, kitchen_sam3: Sam3, tmp_path
) -> None:
    planner, episode = play(counting, kitchen, kitchen_sam3, CALLS)
    assert len(episode.steps) == 5
    once = {"segment": 1, "locate": 1, "examine": 1, "answer": 1}  # what is no JSON object is refused before it
    assert readings == once
    made_by = with_model_info(Provenance(planner="scripted", sam3="scripted"), planner)
    to_html(episode, made_by)
    planner.build_messages(episode)
    save_episode(episode, tmp_path / "e.json", provenance=made_by)
    assert readings == once, "the conversation, the page and the file read it from the decision"


def test_a_loaded_episode_is_read_when_it_is_drawn_and_once(
    counting: Toolset, readings: Counter[str], kitchen: Image, kitchen_sam3: Sam3, tmp_path
) -> None:
    planner, episode = play(WORKSPACE, kitchen, kitchen_sam3, CALLS)
    made_by = with_model_info(Provenance(planner="scripted", sam3="scripted"), planner)
    save_episode(episode, tmp_path / "e.json", provenance=made_by)
    loaded = load_episode(tmp_path / "e.json")
    again = loaded.made_by.model_copy(update={"toolset": counting})
    assert not readings
    pages = [to_html(loaded.episode, again) for _ in range(2)]
    assert pages == [to_html(episode, made_by)] * 2
    assert max(readings.values()) == 1


REGION, POINT = '"region": [500, 0, 1000, 1000]', '{"id": 1, "points": [{"x": 500, "y": 100}, [20, 30, false]]}'
ONE_REPLY_EACH = {
    "a region": ([Call("segment", f'{{"phrases": ["unicorn"], {REGION}}}')], {"segment": 1}),
    "boxes": ([Call("segment", '{"phrases": ["cup"], "boxes": [[100, 300, 200, 500]]}')], {"segment": 1}),
    "points": ([Call("refine", POINT)], {"refine": 1}),
    "two calls that are one": (
        [Call("segment", f'{{"phrases": ["{name}"], {REGION}}}') for name in "ab"],
        {"segment": 2},
    ),
    "a call and another": ([Call("locate", '{"ids": [1], "place": "left"}'), Call("count", "{}")], {"locate": 1}),
    "a call twice": ([Call("locate", '{"ids": [1], "place": "left"}')] * 2, {"locate": 1}),
    "a call that cannot be": ([Call("locate", '{"ids": [], "place": 3}'), Call("count", "{}")], {"locate": 1}),
}


@pytest.mark.parametrize("coordinates", ["pixels", "qwen", "gemini"])
@pytest.mark.parametrize(("written", "once"), ONE_REPLY_EACH.values(), ids=ONE_REPLY_EACH)
def test_each_call_of_a_reply_is_read_once_wherever_it_goes(
    counting: Toolset, readings: Counter[str], kitchen: Image, kitchen_sam3: Sam3, coordinates, written, once
) -> None:
    script = [Call("segment", '{"phrases": ["red cup"]}'), Reply(calls=tuple(written)), *CALLS[-1:]]
    planner, episode = play(counting, kitchen, kitchen_sam3, script, coordinates=coordinates, image_side=50)
    planner.build_messages(episode)
    assert readings == Counter(once) + Counter({"segment": 1, "answer": 1})
    again = [WORKSPACE.read_call(replace(step.decision)) for step in episode.steps]
    made = [counting.read_call(step.decision) for step in episode.steps]
    assert [_write(call) for call in made] == [_write(call) for call in again], "it is what would be read"


def _write(call: ToolCall) -> str:
    return call.tool.model_dump_json() if isinstance(call, ValidCall) else call.message


def test_a_place_in_a_models_own_units_is_that_place_in_pixels(
    counting: Toolset, readings: Counter[str], kitchen: Image, kitchen_sam3: Sam3
) -> None:
    calls = [Call("segment", f'{{"phrases": ["cup"], {REGION}}}'), *CALLS[-1:]]
    _, episode = play(counting, kitchen, kitchen_sam3, calls, coordinates="qwen")
    assert json.loads(episode.steps[0].decision.arguments)["region"] == [50, 0, 100, 60]
    assert readings == {"segment": 1, "answer": 1}


def test_a_decision_is_a_call_or_says_what_is_wrong() -> None:
    assert WORKSPACE.read_call(Decision("count", '{"ids": "1, 2"}')) == ValidCall(Count(ids=[1, 2]))
    match WORKSPACE.read_call(Decision("count", "[")):
        case InvalidCall(message):
            assert message.startswith("The arguments are not JSON")
        case call:
            pytest.fail(f"{call} is no mistake")


def test_what_was_read_is_no_part_of_a_decision() -> None:
    one, other = Decision("count", '{"ids": [1]}'), Decision("count", '{"ids": [1]}')
    WORKSPACE.read_call(one)
    assert (one, repr(one), hash(one)) == (other, repr(other), hash(other))
