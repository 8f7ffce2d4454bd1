"""Whole episodes with a vision-language model behind a real server. The model has memorised them: see README.md."""

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import numpy as np
import pytest

from agent import Budget, Episode, Task, parse_toolset, run
from agent.core.errors import PlannerError
from agent.loop import advance, watch
from agent.models.base import ModelError
from agent.models.openai.client import OpenAICompatible
from agent.models.openai.probe import format_capabilities
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.views import View
from agent.planners.loading import load_planner
from sam3_tool import Image

KEY = "sk-planted-5up3r-s3cr3t"
SMALL = View(image_side=160)
PATIENT = {"timeout": 120.0, "retries": 12, "first_delay": 0.2}
HASTY = {"timeout": 120.0, "retries": 1, "first_delay": 0.05}


@pytest.fixture(autouse=True)
def environment(monkeypatch) -> None:
    """No key and no address, and no proxy between a test and its server."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def model(server) -> Iterator[Callable[..., OpenAICompatible]]:
    """The served model, by default with native tools and without asking what it can do."""
    loaded: list[OpenAICompatible] = []

    def load(name: str = server.model, **options: Any) -> OpenAICompatible:
        defaults = {"base_url": server.url, "wire": "native", "max_tokens": 200}
        loaded.append(OpenAICompatible.load(name, **defaults | options))
        return loaded[-1]

    yield load
    for one in loaded:
        one.close()


@pytest.fixture
def answered(model, tiny, scene) -> Callable[..., Episode]:
    """The episode of a query about the scene."""

    def answered(query: str, *, protocol: str = "workspace", picture: Image = scene, **options: Any) -> Episode:
        planner = ChatPlanner(model(**options), toolset=parse_toolset(protocol), view=SMALL)
        return run(Task(picture, query), planner, tiny, budget=Budget(max_steps=8))

    return answered


def tools_of(episode: Episode) -> list[str]:
    return [step.decision.tool for step in episode.steps]


# --- whole episodes ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["at once", "streamed"])
def test_a_query_about_positions_is_answered_in_three_turns(answered, stream):
    episode = answered("the watermelons above the banana", stream=stream)
    assert tools_of(episode) == ["segment", "relate", "answer"]
    assert (episode.outcome, episode.message.startswith("Done.")) == ("answered", True)
    assert len(episode.answer) == 4
    assert episode.usage.model_calls == 3
    # the raw picture in every turn, and from the second on the masks drawn over it
    assert episode.usage.images == 1 + 2 + 2
    assert episode.usage.completion_tokens > 0
    tokens = [step.usage.prompt_tokens for step in episode.steps]
    assert tokens == sorted(tokens)


def test_streamed_replies_are_the_same_as_others(answered):
    streamed, at_once = (answered("the largest watermelon", stream=stream) for stream in (True, False))
    assert tools_of(at_once) == ["segment", "rank", "answer"]
    assert [step.decision for step in streamed.steps] == [step.decision for step in at_once.steps]
    assert len(at_once.answer) == 1


@pytest.mark.parametrize(("query", "masks"), [("the ripe cherries", 3), ("the ripe watermelons", 4)])
def test_masks_are_examined_each_in_a_request_of_its_own_or_many_on_a_sheet(answered, query, masks):
    episode = answered(query)
    assert tools_of(episode) == ["segment", "examine", "answer"]
    verdicts = episode.steps[1].observation.verdicts
    assert [verdict.accept for verdict in verdicts] == [number % 2 == 1 for number in range(1, masks + 1)]
    assert {verdict.reason for verdict in verdicts} == {"ripe", "raw"}
    requests = masks if masks <= 3 else 1
    assert episode.steps[1].observation.usage.model_calls == requests
    assert len(episode.answer) == 2


def test_the_papers_protocol_examines_masks_and_numbers_them_anew(answered):
    episode = answered("the ripe watermelons", protocol="paper")
    assert tools_of(episode) == ["segment_phrase", "examine_each_mask", "select_masks_and_return"]
    assert episode.outcome == "answered"
    assert episode.current_ids == (1, 3)
    assert episode.usage.model_calls == 3 + 4


def test_a_thing_that_is_not_there_is_reported(answered):
    for protocol in ("workspace", "paper"):
        episode = answered("the unicorns", protocol=protocol)
        assert (episode.outcome, len(episode.steps), len(episode.answer)) == ("no_match", 2, 0)


def test_a_query_that_can_be_read_in_two_ways_is_a_question(answered):
    episode = answered("the nicest one")
    assert episode.outcome == "asked"
    assert episode.steps[-1].observation.options == ("the largest", "the ripest")


def test_tools_can_be_described_in_the_text_instead(answered):
    episode = answered("the watermelons above the banana", wire="tagged")
    assert tools_of(episode) == ["segment", "relate", "answer"]
    assert episode.outcome == "answered"


def test_a_mistake_is_told_to_the_model_and_mended(answered):
    episode = answered("the watermelons, after a slip")
    assert tools_of(episode) == ["segment", "segment", "answer"]
    assert [step.observation.is_error for step in episode.steps] == [True, False, False]
    assert "colour" in episode.steps[0].observation.text
    assert len(episode.answer) == 4


def test_thinking_is_kept_for_the_trace_and_not_sent_back(answered, model):
    for stream in (False, True):
        episode = answered("the watermelons, after some thought", stream=stream)
        assert episode.steps[0].decision.reasoning == "watermelons"
        assert episode.steps[0].decision.tool == "segment"
        assert episode.outcome == "answered"
        told = ChatPlanner(model(), view=SMALL).build_messages(Episode(episode.task, episode.steps[:1]))
        assert "think" not in str([turn.content for turn in told if turn.role == "assistant"])


def test_two_calls_in_one_reply_are_one_search(answered):
    for stream in (False, True):
        episode = answered("the watermelons and the bananas", stream=stream)
        assert tools_of(episode) == ["segment", "answer"]
        assert [search.phrase for search in episode.workspace.searches] == ["watermelon", "banana"]
        assert len(episode.answer) == 5


def test_the_model_sees_the_picture(answered):
    for colour, phrase in (((220, 30, 30), "watermelon"), ((250, 240, 40), "banana")):
        picture = Image(np.full((120, 160, 3), colour, np.uint8))
        episode = answered("what goes with the colour", picture=picture)
        assert episode.workspace.searches[0].phrase == phrase


def test_a_probe_finds_native_tools_and_pictures(server, tiny, scene):
    planner = load_planner(f"openai:{server.model}", base_url=server.url, image_side=160)
    assert isinstance(planner, ChatPlanner)
    assert "native tools" in format_capabilities(planner.model.capabilities)
    assert "several pictures" in format_capabilities(planner.model.capabilities)
    assert run(Task(scene, "the watermelons"), planner, tiny).outcome == "answered"
    planner.model.close()


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_wrong_name_of_a_model_is_one_line(model, scene, tiny):
    with pytest.raises(ModelError, match="'no/such-model'") as at_load:
        model("no/such-model", wire="auto")
    unprobed = ChatPlanner(model("no/such-model"), view=SMALL)
    with pytest.raises(PlannerError, match="'no/such-model'") as at_run:
        run(Task(scene, "the watermelons"), unprobed, tiny)
    assert "\n" not in f"{at_load.value}{at_run.value}"


def test_a_wrong_key_is_one_line_that_does_not_tell_it(gate, model, monkeypatch, scene, tiny):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    guarded = gate(key="another").url
    with pytest.raises(ModelError, match="refused the key") as at_load:
        model(base_url=guarded, wire="auto")
    unprobed = ChatPlanner(model(base_url=guarded), view=SMALL)
    with pytest.raises(PlannerError, match="refused the key") as at_run:
        run(Task(scene, "the watermelons"), unprobed, tiny)
    said = f"{at_load.value}{at_run.value}"
    assert KEY not in said
    assert "\n" not in said


def test_the_right_key_opens_the_gate(gate, answered, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert answered("the watermelons", base_url=gate(key=KEY).url).outcome == "answered"


def test_a_server_that_stops_answering_ends_the_episode_with_the_best_answer(gate, model, tiny, scene):
    slow = gate()
    patient, hurried = (
        ChatPlanner(model(base_url=slow.url, **HASTY | {"timeout": seconds}), view=SMALL) for seconds in (120.0, 0.3)
    )
    episode = advance(Episode(Task(scene, "the largest watermelon")), patient, tiny)
    slow.stalls = True
    episode = advance(episode, hurried, tiny)
    assert episode.outcome == "failed"
    assert "did not answer within 0.3 seconds, in 2 tries" in episode.message
    assert len(episode.answer) == 4


def test_a_server_that_is_gone_for_good_ends_the_episode_with_the_best_answer(gate, model, tiny, scene):
    doomed = gate()
    planner = ChatPlanner(model(base_url=doomed.url, **HASTY), view=SMALL)
    episodes = watch(Task(scene, "the largest watermelon"), planner, tiny)
    assert next(episodes).outcome is None
    doomed.close()
    *_, episode = episodes
    assert episode.outcome == "failed"
    assert "cannot be reached" in episode.message
    assert len(episode.answer) == 4
    assert tools_of(episode) == ["segment"]


def test_an_episode_goes_on_after_its_server_was_killed_and_started_again(server, model, tiny, scene):
    planner = ChatPlanner(model(**PATIENT), view=SMALL)
    episodes = watch(Task(scene, "the watermelons above the banana"), planner, tiny)
    assert next(episodes).outcome is None
    server.kill()
    restart = Thread(target=server.start)
    restart.start()
    *_, episode = episodes
    restart.join()
    assert episode.outcome == "answered"
    assert tools_of(episode) == ["segment", "relate", "answer"]
