"""Models that write nonsense: whatever comes, nothing raises and every episode ends."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agent import WORKSPACE, Budget, Decision, Episode, ScriptedPlanner, Task, parse_toolset, run
from agent.core.errors import ToolError
from agent.models.base import Call, Messages, Reply, Schema
from agent.models.rendering import render_call, to_chat_template, to_openai
from agent.models.reply_parsing import extract_calls, read_reply
from agent.models.transformers import GenerationSettings, TransformersModel
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.prompt import build_messages
from agent.planners.chat.views import View
from agent.tools import parse_call
from sam3_tool import Image

MODEL = Path(__file__).parents[2] / "mllm" / "model"
SCHEMAS = [tool.to_planner_schema() for tool in WORKSPACE.tools]
REPLIES = 72
AT_ONCE = 16
"""Episodes."""


class Counting:
    """A ChatModel that counts the replies of another."""

    def __init__(self, model: TransformersModel) -> None:
        self.model, self.name, self.capabilities = model, model.name, model.capabilities
        self.said: list[Reply] = []
        """Appending to a list is safe in threads."""

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        replies = self.model.generate_replies(conversations, tools)
        self.said.extend(replies)
        return replies


@pytest.fixture
def finished(kitchen_sam3) -> Any:
    """Episodes about many small pictures, some of each protocol, and the replies that they took."""

    def finished(model: TransformersModel, episodes: int) -> tuple[list[Episode], list[Reply]]:
        counting = Counting(model)

        def one(seed: int) -> Episode:
            protocol = ("workspace", "paper")[seed % 2]
            pixels = np.random.default_rng(seed).integers(0, 256, (60, 100, 3), dtype=np.uint8)
            task = Task(Image(pixels), f"the {('watermelons', 'red cup', 'ripe cherries')[seed % 3]}")
            planner = ChatPlanner(counting, toolset=parse_toolset(protocol), view=View(image_side=64))
            return run(task, planner, kitchen_sam3, budget=Budget(max_steps=8))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [*pool.map(one, range(episodes))], counting.said

    return finished


def test_a_model_of_random_weights_never_raises_and_every_episode_ends(finished):
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor  # slow to import

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(MODEL)).eval()
    processor = AutoProcessor.from_pretrained(MODEL)
    generation = GenerationSettings(max_tokens=12, temperature=1.0, seed=0)
    model = TransformersModel(network, processor, name="random", generation=generation)
    episodes, replies = finished(model, REPLIES // 2)
    assert len(replies) >= REPLIES
    assert [reply.error for reply in replies if reply.error] == []
    assert {episode.outcome for episode in episodes} == {"failed"}
    reasons = ("mistakes in a row", "are cut off before they call a tool")
    assert all(any(reason in episode.message for reason in reasons) for episode in episodes)


def test_a_model_that_half_knows_what_to_say_never_raises_and_every_episode_ends(finished):
    model = TransformersModel.load(MODEL, device="cpu", max_tokens=48, temperature=1.2, seed=0)
    episodes, replies = finished(model, 12)
    assert [reply.error for reply in replies if reply.error] == []
    assert [episode for episode in episodes if episode.outcome is None] == []
    mistakes = Counter(step.observation.is_error for episode in episodes for step in episode.steps)
    assert mistakes.keys() == {True, False}


# --- text ----------------------------------------------------------------------------------------

PIECES = (
    *("<tool_call>", "</tool_call>", "<think>", "</think>", "```json", "```", "<function=answer>", "</function>"),
    *("{", "}", "[", "]", '"', "'", ":", ",", "\\", "\\u0000", "\\ud83d", "\ud83d", "\x00", "\n", "é", "🍉"),
    *("null", "true", "NaN", "Infinity", "-1e999", "9" * 5000, '{"a":' * 50, "[" * 200, '"name"', '"arguments"'),
)


def written() -> list[str]:
    """Replies as they should be."""
    calls = [
        Call("segment", '{"phrases": ["red cup", "table"], "threshold": 0.3}'),
        Call("relate", '{"ids": [1, 2], "relation": "left_of", "to": [3]}'),
        Call("answer", '{"ids": [1], "message": "The cup {left} of \\"it\\".", "reasons": [{"id": 1, "reason": "x"}]}'),
        Call("ask_user", '{"question": "Which?", "options": ["a", "b"]}'),
    ]
    tagged = [render_call(call, "tagged", "<think>Cups?</think>I look.") for call in calls]
    return [*tagged, *(render_call(call, "schema", "Why") for call in calls), "\n".join(tagged), json.dumps(tagged)]


def damaged(chance: random.Random) -> Iterator[str]:
    """The same, with pieces cut out, doubled, moved and put in."""
    for text in written():
        for _ in range(chance.randint(1, 6)):
            start, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
            end = min(end, start + chance.choice((1, 3, 20, 200)))
            middle = chance.choice(
                ("", text[start:end] * 2, chance.choice(PIECES), text[start:end] + chance.choice(PIECES))
            )
            text = text[:start] + middle + text[end:]
        yield text


def complaint(call: Call) -> str:
    """What is wrong with a call; "" when nothing is."""
    try:
        parse_call(Decision(call.tool, call.arguments), WORKSPACE.tools)
    except ToolError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(6))
def test_damaged_replies_never_raise_and_are_a_call_or_one_sentence(seed, is_one_sentence):
    chance = random.Random(seed)
    for text in (text for _ in range(30) for text in damaged(chance)):
        reply = read_reply(text, tools=SCHEMAS)
        assert reply == extract_calls(Reply(text), tools=SCHEMAS)
        complaints = [said for call in reply.calls if (said := complaint(call))]
        assert [said for said in complaints if not is_one_sentence(said)] == [], text


@pytest.mark.parametrize("seed", range(5))
def test_after_a_damaged_reply_the_conversation_is_still_one_that_servers_and_templates_take(
    seed, kitchen, kitchen_sam3
):
    for text in damaged(random.Random(100 + seed)):
        reply = read_reply(text, tools=SCHEMAS)
        call = reply.calls[0] if reply.calls else Call("", "")
        planner = ScriptedPlanner([Decision(call.tool, call.arguments, reply.text, reasoning=reply.reasoning)])
        episode = run(Task(kitchen, "q"), planner, kitchen_sam3, budget=Budget(max_steps=1))
        talk = build_messages(episode, WORKSPACE, View(image_side=64))
        for wire in ("native", "schema", "tagged"):
            body = json.dumps(to_openai(talk, SCHEMAS, wire), allow_nan=False, ensure_ascii=False)
            assert len(body.encode("utf-8")) < 200_000
            chat, images = to_chat_template(talk, SCHEMAS, wire)
            assert [message["role"] for message in chat][:2] == ["system", "user"]
            assert len(images) <= 2
