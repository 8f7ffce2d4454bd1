"""Replies that are odd in kind, from a real server through the loop: nothing is lost, and one sentence says why."""

import json

import pytest

from agent import ChatPlanner, Task, run
from agent.models.openai.client import OpenAICompatible
from tests.support.chat_server import ChatServer, completion

FIND = completion(None, [("segment", '{"phrases": ["red cup"]}')])


@pytest.fixture
def answer_with(kitchen, kitchen_sam3):
    """Answer all requests after the first search in this way."""

    def answer_with(*replies):
        server = ChatServer().script(FIND, *replies)
        model = OpenAICompatible.load("m", base_url=server.url, wire="native", first_delay=0.005, retries=2)
        try:
            return run(Task(kitchen, "the red cup"), ChatPlanner(model), kitchen_sam3)
        finally:
            model.close()
            server.close()

    return answer_with


@pytest.mark.parametrize(
    ("ids", "meant"),
    [
        ("1 to 3", [1, 2, 3]),
        ("1-2", [1, 2]),
        ("masks 1 and 3", [1, 3]),
        (["#1", "mask 2"], [1, 2]),
        ([[1, 2]], [1, 2]),
        ([{"id": 1}, {"mask_id": 3}], [1, 3]),
    ],
)
def test_numbers_of_masks_are_read_however_they_are_written(ids, meant, answer_with):
    episode = answer_with(completion(None, [("answer", json.dumps({"ids": ids, "confidence": 0.9}))]))
    assert (episode.outcome, list(episode.best_ids), episode.usage.model_calls) == ("answered", meant, 2)


@pytest.mark.parametrize(
    "said",
    [
        "I'm sorry, but I can't help with identifying people.",
        "Ich sehe zwei rote Tassen, die linke ist gemeint.",
        "Which cup do you mean, the left or the right one?",
    ],
)
def test_a_model_that_only_talks_is_quoted_and_its_masks_are_kept(said, answer_with):
    episode = answer_with(completion(said))
    assert (episode.outcome, episode.best_ids) == ("failed", (1, 2, 3))
    assert repr(said) in episode.message
    assert "best answer so far is 3 masks" in episode.message


@pytest.mark.parametrize(
    "reply",
    [
        completion("[answer(ids=[1])]"),
        completion(None, reasoning_content="The first.\n[answer(ids=[1])]"),
        completion(None, reasoning='The first.\nAction: answer\nAction Input: {"ids": [1]}'),
        completion(None, [("answer", "{'ids': [1]} // the first")]),
        completion(None, [("answer", '{"ids": [1], "explanation": "It is red."}')]),
    ],
    ids=["code in the text", "code in the reasoning", "ReAct in the reasoning", "a comment", "an aside"],
)
def test_an_answer_in_another_dialect_ends_the_episode_at_once(reply, answer_with):
    episode = answer_with(reply)
    assert (episode.outcome, list(episode.best_ids), episode.usage.model_calls) == ("answered", [1], 2)


@pytest.mark.parametrize(
    "field",
    [
        {"thinking": "Hm."},
        {"reasoning_text": "Hm."},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
    ],
)
def test_thinking_in_any_field_is_kept_for_the_trace(field, answer_with):
    episode = answer_with(completion(None, [("answer", '{"ids": [1]}')], **field))
    assert episode.steps[-1].decision.reasoning == "Hm."
