"""The memorised model of tests/mllm, in this process."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from agent import PAPER, WORKSPACE, Episode, Task, run
from agent.core.errors import PlannerError
from agent.models.base import Capabilities, Message, Messages, ModelError
from agent.models.transformers import TransformersModel
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.prompt import build_messages
from agent.planners.chat.views import View
from agent.planners.loading import load_planner
from sam3_tool import Image

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "tests" / "mllm" / "model"
SCHEMAS = [tool.to_planner_schema() for tool in WORKSPACE.tools]
SEGMENT = '{{"phrases": ["{}"]}}'
SMALL = View(image_side=160)


@pytest.fixture(scope="module")
def model() -> TransformersModel:
    return TransformersModel.load(MODEL, device="cpu", dtype="float32", max_tokens=200)


@pytest.fixture(scope="module")
def scene() -> Image:
    return Image.open(ROOT / "examples" / "scene.png")


def asked(query: str, picture: Image, *, images: int | None = None) -> Messages:
    """What a planner sends first. `images`: at most so many pictures."""
    return build_messages(Episode(Task(picture, query)), WORKSPACE, View(image_side=160, images=images))


def test_what_it_can_do_is_known_from_its_files(model):
    assert model.name == f"transformers:{MODEL}"
    assert model.capabilities == Capabilities(wire="native", context=8192)


@pytest.mark.parametrize("wire", ["native", "tagged"])
def test_a_query_is_answered_in_process(tiny, scene, wire):
    model = TransformersModel.load(MODEL, device="cpu", dtype="float32", wire=wire, max_tokens=200)
    episode = run(Task(scene, "the watermelons above the banana"), ChatPlanner(model, view=SMALL), tiny)
    assert episode.outcome == "answered"
    assert [step.decision.tool for step in episode.steps] == ["segment", "relate", "answer"]
    assert episode.usage.model_calls == 3
    assert episode.usage.images == 1 + 2 + 2
    assert episode.usage.prompt_tokens > episode.usage.completion_tokens > 0


def test_the_planner_is_loaded_by_its_name(tiny, scene):
    planner = load_planner(f"transformers:{MODEL}", toolset=PAPER, image_side=160)
    episode = run(Task(scene, "the ripe watermelons"), planner, tiny)
    assert (episode.outcome, episode.current_ids) == ("answered", (1, 3))


def test_conversations_asked_together_get_the_replies_they_get_alone(model, scene):
    part = scene.crop(0, 100, 640, 480)
    talks = [asked("the watermelons", scene), asked("the largest banana", part), asked("the dog", scene, images=0)]
    together = model.generate_replies(talks, SCHEMAS)
    assert together == [model.generate_replies([talk], SCHEMAS)[0] for talk in talks]
    assert [reply.calls[0].arguments for reply in together[:2]] == [SEGMENT.format(n) for n in ("watermelon", "banana")]
    assert [reply.usage.images for reply in together] == [1, 1, 0]


def test_threads_get_the_replies_to_their_own_conversations(model, scene):
    nouns = ["watermelon", "banana", "unicorn"] * 4
    with ThreadPoolExecutor(len(nouns)) as pool:
        replies = [*pool.map(lambda noun: model.generate_replies([asked(f"the {noun}s", scene)], SCHEMAS)[0], nouns)]
    assert [reply.calls[0].arguments for reply in replies] == [SEGMENT.format(noun) for noun in nouns]


def test_tokens_are_counted_without_the_padding_of_a_batch(model, scene):
    short, long = model.generate_replies([asked("the unicorns", scene), asked("the unicorns " * 20, scene)], SCHEMAS)
    assert short.usage == model.generate_replies([asked("the unicorns", scene)], SCHEMAS)[0].usage
    assert short.usage.prompt_tokens < long.usage.prompt_tokens


def test_a_reply_of_too_many_tokens_is_cut_off(scene):
    model = TransformersModel.load(MODEL, device="cpu", max_tokens=3)
    reply = model.generate_replies([asked("the watermelons", scene)], SCHEMAS)[0]
    assert (reply.finish_reason, reply.usage.completion_tokens) == ("length", 3)


def test_a_conversation_that_leaves_no_room_is_an_empty_reply_and_the_others_are_answered(model, scene):
    endless, other = model.generate_replies(
        [[Message("user", ("x " * 20_000,))], asked("the watermelons", scene)], SCHEMAS
    )
    assert (endless.text, endless.finish_reason, endless.error) == ("", "length", "")
    assert endless.usage.prompt_tokens > 8192
    assert other.calls[0].tool == "segment"


def test_a_long_conversation_does_not_cut_short_the_replies_to_others(scene, tmp_path):
    short, long = asked("the watermelons", scene), asked("the watermelons " * 20, scene)
    lengths = [
        reply.usage.prompt_tokens
        for reply in known_to(8192, tmp_path / "large").generate_replies([short, long], SCHEMAS)
    ]
    model = known_to(max(lengths) + 3, tmp_path / "small")
    together = model.generate_replies([short, long, short], SCHEMAS)
    assert together == [model.generate_replies([talk], SCHEMAS)[0] for talk in (short, long, short)]
    assert [reply.finish_reason for reply in together] == ["tool_calls", "length", "tool_calls"]
    assert together[1].usage.completion_tokens == 3


def known_to(context: int, folder: Path) -> TransformersModel:
    """The model, with a context of so many tokens."""
    folder.mkdir()
    for file in MODEL.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "config.json").unlink()
    config = (MODEL / "config.json").read_text(encoding="utf-8")
    small = config.replace('"max_position_embeddings": 8192', f'"max_position_embeddings": {context}')
    (folder / "config.json").write_text(small)
    return TransformersModel.load(folder, device="cpu", dtype="float32", max_tokens=200)


def test_a_conversation_that_the_model_cannot_take_is_an_error_and_the_others_are_answered(model, scene):
    too_flat = Message("user", (Image(np.zeros((1, 2000, 3), np.uint8)),))
    bad, good = model.generate_replies([[too_flat], asked("the watermelons", scene)], SCHEMAS)
    assert bad.error.startswith("the model could not answer: ValueError: ")
    assert (bad.recoverable, "\n" in bad.error) == (False, False)
    assert good.calls[0].tool == "segment"


def test_a_seed_determines_what_is_sampled(scene):
    def sampled(seed: int) -> list[str]:
        model = TransformersModel.load(MODEL, device="cpu", max_tokens=12, temperature=5.0, seed=seed)
        return [
            reply.text for _ in range(2) for reply in model.generate_replies([asked("the moon", scene)] * 2, SCHEMAS)
        ]

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_no_conversations_are_no_replies(model):
    assert model.generate_replies([], SCHEMAS) == []


UNUSABLE = {
    "no such folder": ("./nothing/here", "does not exist; expected a folder"),
    "a file": (str(ROOT / "README.md"), "is not a folder; expected a folder"),
    "a folder without a model": (str(ROOT / "examples"), "cannot be loaded"),
    "a model that writes no text": (str(ROOT / "sam3_tool" / "tiny"), "does not answer in text about images"),
}


@pytest.mark.parametrize(("name", "problem"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_model_that_cannot_be_loaded_is_one_line(name, problem):
    with pytest.raises(ModelError, match=problem) as raised:
        TransformersModel.load(name, device="cpu")
    assert "\n" not in str(raised.value)
    with pytest.raises(PlannerError, match=problem):
        load_planner(f"transformers:{name}")


def test_a_model_that_is_not_on_this_machine_is_one_line_without_a_network():
    with pytest.raises(PlannerError, match=r"^the model nobody/no-such-model cannot be loaded: ") as raised:
        load_planner("transformers:nobody/no-such-model")
    assert "\n" not in str(raised.value)


def test_weights_that_are_missing_are_told(tmp_path):
    for file in MODEL.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "config.json").unlink()
    config = (MODEL / "config.json").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(config.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    with pytest.raises(ModelError, match="is not whole: 11 weights are missing"):
        TransformersModel.load(tmp_path, device="cpu")


def test_a_wire_that_needs_a_server_is_refused():
    with pytest.raises(ModelError, match="'native' or 'tagged', not by 'schema'"):
        TransformersModel.load(MODEL, wire="schema")  # type: ignore[arg-type]
