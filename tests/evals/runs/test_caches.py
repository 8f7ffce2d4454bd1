"""What was asked once need not be asked again, and gives the same to the last bit."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent import Episode, Task, run
from agent.models.base import Call, Capabilities, Messages, Reply, Schema
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.scripted_model import ScriptedModel
from agent.planners.loading import generation_settings, wrap_caching
from agent.records.model_recording import CachingModel
from sam3_tool import ConceptPrompt, Image, Sam3
from sam3_tool.backends.recording.cache import CachingBackend
from sam3_tool.backends.scripted import ScriptedBackend

OFFERED = [{"type": "function", "function": {"name": "segment", "parameters": {"type": "object"}}}]
SCRIPT = [Call("segment", '{"phrases": ["red circle"]}'), Call("report_no_mask", '{"reason": "none"}')]


class Greedy:
    """A scripted model that counts its questions."""

    def __init__(self, *, name: str = "greedy", temperature: float | None = 0.0, error: str = "") -> None:
        self.name, self.capabilities, self.asked, self.error = name, Capabilities(wire="native"), 0, error
        self.generation = {"temperature": temperature}
        self._script = ScriptedModel(SCRIPT)

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        self.asked += len(conversations)
        return (
            [Reply(error=self.error) for _ in conversations]
            if self.error
            else self._script.generate_replies(conversations, tools)
        )


class Counting(ScriptedBackend):
    """A backend that counts its images and prompts."""

    encodes = decodes = 0

    def encode(self, images):
        self.encodes += len(images)
        return super().encode(images)

    def decode(self, embeddings, prompts):
        self.decodes += len(prompts)
        return super().decode(embeddings, prompts)


def planned(model: Greedy, folder: Path) -> ChatPlanner:
    planner = wrap_caching(ChatPlanner(model), folder)
    assert isinstance(planner, ChatPlanner)
    return planner


@pytest.fixture
def sam3(picture: Image) -> Sam3:
    return Sam3(ScriptedBackend({}))


def test_the_second_time_a_model_is_not_asked_and_its_replies_cost_the_same(picture, sam3, tmp_path):
    first, second = Greedy(), Greedy()
    task = Task(picture, "the red circle")
    before = run(task, planned(first, tmp_path), sam3)
    after = run(task, planned(second, tmp_path), sam3)
    assert (first.asked, second.asked) == (2, 0)
    assert [step.decision for step in after.steps] == [step.decision for step in before.steps]
    assert after.usage.prompt_tokens == before.usage.prompt_tokens > 0


@pytest.mark.parametrize("other", [Greedy(name="another"), Greedy(temperature=0.5)])
def test_another_model_or_other_settings_are_asked_anew(picture, sam3, tmp_path, other):
    task = Task(picture, "the red circle")
    run(task, planned(Greedy(), tmp_path), sam3)
    planner = ChatPlanner(CachingModel(other, tmp_path, settings=other.generation))
    run(task, planner, sam3)
    assert other.asked == 2


@pytest.mark.parametrize("temperature", [0.7, None])
def test_what_is_drawn_by_chance_is_not_reused(picture, sam3, tmp_path, temperature):
    model = Greedy(temperature=temperature)
    planner = planned(model, tmp_path)
    for _ in range(2):
        run(Task(picture, "the red circle"), planner, sam3)
    assert model.asked == 4
    assert generation_settings(planner) == {"temperature": temperature}


def test_errors_are_not_remembered(picture, sam3, tmp_path):
    conversation = ChatPlanner(Greedy()).build_messages(_begun(picture))
    broken = CachingModel(Greedy(error="no answer"), tmp_path, settings={})
    assert broken.generate_replies([conversation], OFFERED)[0].error == "no answer"
    mended = Greedy()
    assert not CachingModel(mended, tmp_path, settings={}).generate_replies([conversation], OFFERED)[0].error
    assert mended.asked == 1


def _begun(picture: Image):
    return Episode(Task(picture, "the red circle"))


def test_only_what_is_missing_is_asked_and_the_order_stays(picture, tmp_path):
    planner = ChatPlanner(Greedy())
    talks = [
        planner.build_messages(_begun(one)) for one in (picture, picture.crop(0, 0, 50, 60), picture.crop(9, 9, 70, 80))
    ]
    CachingModel(Greedy(), tmp_path, settings={}).generate_replies([talks[1]], OFFERED)
    model = Greedy()
    replies = CachingModel(model, tmp_path, settings={}).generate_replies(talks, OFFERED)
    assert model.asked == 2
    assert [reply.usage for reply in replies] == [reply.usage for reply in Greedy().generate_replies(talks, OFFERED)]


def test_sam3_is_asked_once_and_answers_bit_for_bit(picture, tmp_path):
    requests = [(picture, ConceptPrompt("red circle")), (picture, ConceptPrompt("unicorn"))]
    # each asked first thing: in what batch a phrase was first read shows in its last digits
    plain = Sam3.load("tiny").segment_batch(requests)
    first, again = (Sam3.load("tiny", cache=tmp_path).segment_batch(requests) for _ in range(2))
    for one, two, three in zip(plain, first, again, strict=True):
        assert one.masks.tobytes() == two.masks.tobytes() == three.masks.tobytes()
        assert one.boxes.tobytes() == two.boxes.tobytes() == three.boxes.tobytes()
        assert one.scores.tobytes() == two.scores.tobytes() == three.scores.tobytes()
        assert (one.presence, one.phrase) == (two.presence, two.phrase) == (three.presence, three.phrase)


def backend(folder: Path, **made_with: str) -> tuple[Counting, Sam3]:
    counting = Counting({})
    return counting, Sam3(CachingBackend(counting, folder, made_with=made_with, cache_bytes=2**20))


def test_a_picture_of_which_all_is_known_is_never_encoded(picture, tmp_path):
    first, sam3 = backend(tmp_path)
    sam3.segment(picture, "cup")
    second, sam3 = backend(tmp_path)
    sam3.segment(picture, "cup")
    assert (first.encodes, first.decodes) == (1, 1)
    assert (second.encodes, second.decodes) == (0, 0)
    sam3.segment(picture, "saucer")
    assert (second.encodes, second.decodes) == (1, 1)


def test_other_weights_thresholds_and_pictures_are_asked_anew(picture, tmp_path):
    _, sam3 = backend(tmp_path, weights="a")
    sam3.segment(picture, "cup")
    counting, sam3 = backend(tmp_path, weights="b")
    sam3.segment(picture, "cup")
    sam3.segment(picture, "cup", threshold=0.3)
    sam3.segment(picture.crop(0, 0, 100, 100), "cup")
    assert (counting.encodes, counting.decodes) == (2, 3)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 1, "answer": {"height": 3}}', b'{"version": 99}'])
def test_a_damaged_entry_is_asked_anew(picture, tmp_path, damage):
    _, sam3 = backend(tmp_path)
    sam3.segment(picture, "cup")
    [entry] = [path for path in tmp_path.rglob("*.json")]
    entry.write_bytes(damage)
    counting, sam3 = backend(tmp_path)
    sam3.segment(picture, "cup")
    assert counting.decodes == 1
    assert json.loads(entry.read_bytes())["answer"]["phrase"] == "cup"
