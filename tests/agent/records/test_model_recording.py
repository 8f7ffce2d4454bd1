import json
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import numpy as np
import pytest

import prompts
from agent import Episode, Task, run
from agent.core.budget import Budget, Price
from agent.core.errors import PlannerError
from agent.core.usage import Usage
from agent.models.base import Call, Capabilities, ChatModel, Message, Messages, Reply, Schema
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.scripted_model import ScriptedModel
from agent.records.episode_file import save_episode
from agent.records.model_recording import RecordingHeader, RecordingModel, ReplayingModel
from agent.records.provenance import Provenance
from agent.tools import parse_toolset
from sam3_tool import Image, Sam3

OFFERED = [{"type": "function", "function": {"name": "segment", "parameters": {"type": "object"}}}]
SKY = Image(np.full((4, 6, 3), 200, np.uint8))
HALF = "half a \ud83d character, ein Käfer, 猫"
FULL = Reply(
    text=HALF,
    reasoning="<think>\nhm\u2028</think>",
    calls=(Call("segment", '{"phrases": ["cup"]'), Call("", "not JSON")),
    finish_reason="length",
    usage=Usage(2, 1000, 900, 77, 2, seconds=0.1 + 0.2),
)
CAN = Capabilities(wire="native", strict=True, images=2, reasoning=True, context=32_768)


class Counting:
    """A chat model that answers with how often it was asked; it holds a key, as a client of a server does."""

    name = "counting"
    capabilities = CAN

    def __init__(self, reply: Callable[[int], Reply] = lambda asked: Reply(text=f"reply {asked}")) -> None:
        self.key = os.environ.get("OPENAI_API_KEY", "")
        self._reply, self._lock, self._asked = reply, Lock(), 0

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        with self._lock:
            first, self._asked = self._asked + 1, self._asked + len(conversations)
        return [self._reply(first + place) for place in range(len(conversations))]


def say(text: str, *pictures: Image) -> list[Message]:
    return [Message("system", (HALF,)), Message("user", (*pictures, text))]


def header(**changes: object) -> RecordingHeader:
    made_by = Provenance(planner="openai:counting", sam3="tiny", model="counting", **changes)
    return RecordingHeader(made_by=made_by, capabilities=CAN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    header().save(tmp_path)
    return tmp_path


def calls(folder: Path) -> list[Path]:
    return sorted((folder / "model").iterdir())


def test_a_reply_comes_back_byte_for_byte_without_the_model(folder: Path) -> None:
    talks = [say("one"), say("two", SKY), say("three", SKY, SKY)]
    said = RecordingModel(Counting(lambda asked: FULL), folder).generate_replies(talks, OFFERED)
    replayed = ReplayingModel(folder)
    assert replayed.generate_replies(talks, OFFERED) == said == [FULL] * 3
    assert (replayed.name, replayed.capabilities) == ("counting", CAN)
    assert replayed.generate_replies(talks, OFFERED)[0].usage == FULL.usage, "what it cost stays what it was"


def test_a_failed_request_is_replayed_as_one(folder: Path) -> None:
    failed = Reply(error="the key was refused", recoverable=False)
    assert RecordingModel(Counting(lambda asked: failed), folder).generate_replies([say("one")], OFFERED) == [failed]
    assert ReplayingModel(folder).generate_replies([say("one")], OFFERED) == [failed]


OTHER: dict[str, tuple[list[Message], list[Schema]]] = {
    "text": (say("two", SKY), OFFERED),
    "picture": (say("one", Image(np.zeros((4, 6, 3), np.uint8))), OFFERED),
    "order": ([Message("system", (HALF,)), Message("user", ("one", SKY))], OFFERED),
    "role": ([Message("system", (HALF,)), Message("tool", (SKY, "one"))], OFFERED),
    "calls": ([Message("system", (HALF,)), Message("user", (SKY, "one"), (Call("a", "{}"),))], OFFERED),
    "tools": (say("one", SKY), []),
}


@pytest.mark.parametrize("what", OTHER)
def test_another_question_is_an_error_in_one_sentence_that_asking_again_cannot_mend(what: str, folder: Path) -> None:
    RecordingModel(Counting(), folder).generate_replies([say("one", SKY)], OFFERED)
    conversation, tools = OTHER[what]
    known, unknown = ReplayingModel(folder).generate_replies([say("one", SKY), conversation], tools)
    assert known.text == ("reply 1" if tools else "")
    assert re.fullmatch(r".*/model holds no recording of this call \(\w+\.json\)", unknown.error)
    assert not unknown.recoverable


def test_the_same_model_with_other_capabilities_is_another(folder: Path) -> None:
    RecordingModel(Counting(), folder).generate_replies([say("one")], OFFERED)
    header().model_copy(update={"capabilities": Capabilities()}).save(folder)
    assert ReplayingModel(folder).generate_replies([say("one")], OFFERED)[0].error
    header().save(folder)
    assert ReplayingModel(folder).generate_replies([say("one")], OFFERED)[0].text == "reply 1"


def test_the_name_of_a_question_stays_what_it_was_so_that_earlier_recordings_can_be_replayed(folder: Path) -> None:
    RecordingModel(Counting(), folder).generate_replies([say("one", SKY)], OFFERED)
    assert [file.name for file in calls(folder)] == ["b8b8c5722e8017170d5e8900c6e7a66e.json"]


def test_changed_prompts_are_named_when_a_call_is_not_found(folder: Path) -> None:
    name = next(iter(prompts.hash_prompts()))
    header(prompts=prompts.hash_prompts() | {name: "another", "gone": "0"}).save(folder)
    [reply] = ReplayingModel(folder).generate_replies([say("one")], OFFERED)
    changed = ", ".join(sorted([name, "gone"]))
    assert reply.error.endswith(f"; since it was made, these prompts have changed: {changed}")


def test_replies_drawn_by_chance_are_replayed_in_order(folder: Path) -> None:
    model = RecordingModel(Counting(), folder)
    said = [model.generate_replies([say("one")], OFFERED)[0].text for _ in range(3)]
    replayed = ReplayingModel(folder)
    again = [replayed.generate_replies([say("one")], OFFERED)[0].text for _ in range(6)]
    assert again == said * 2 == ["reply 1", "reply 2", "reply 3"] * 2


def test_threads_that_ask_the_same_leave_whole_files(folder: Path) -> None:
    model = RecordingModel(Counting(), folder)
    with ThreadPoolExecutor(8) as threads:
        said = list(threads.map(lambda _: model.generate_replies([say("same"), say("same")], OFFERED), range(20)))
        list(threads.map(lambda number: model.generate_replies([say(f"{number}")], OFFERED), range(40)))
    assert len(calls(folder)) == 41
    assert all(json.loads(path.read_bytes())["answers"] for path in calls(folder))
    replayed = ReplayingModel(folder)
    again = [replayed.generate_replies([say("same")], OFFERED)[0].text for _ in range(40)]
    assert sorted(again) == sorted(reply.text for replies in said for reply in replies)


SCRIPTS: dict[str, list[str | Call | Reply]] = {
    "workspace": [
        '<think>the circle first</think>{"tool": "segment", "arguments": {"phrases": ["circle", "square",]}}',
        Call("relate", '{"ids": [1, 9], "relation": "left_of", "to": [2]}'),
        f"nothing that could be called {HALF}",
        Call("examine", '{"ids": [1, 2]}'),
        Call("segment", '{"phrases": ["blue square"], "region": [500, 0, 1000, 1000]}'),
        Call("answer", '{"ids": [1], "message": "the red one"}'),
    ],
    "paper": [
        Call("segment_phrase", '{"text_prompt": "circle"}'),
        Call("examine_each_mask", "{}"),
        Call("select_masks_and_return", '{"final_answer_masks": [1]}'),
    ],
}


def play(picture: Image, model: ChatModel, sam3: Sam3, protocol: str) -> Episode:
    return run(Task(picture, "the circle"), ChatPlanner(model, toolset=parse_toolset(protocol)), sam3)


def saved(episode: Episode, path: Path) -> dict:
    """What `episode.json` holds, without what no two runs share: how long it took."""
    save_episode(episode, path, provenance=Provenance(planner="p", sam3="tiny"))
    held: dict = json.loads(path.read_bytes())
    return held | {"steps": [step | {"seconds": 0} for step in held["steps"]]}


@pytest.mark.parametrize("protocol", SCRIPTS)
def test_a_whole_episode_is_repeated_byte_for_byte_without_model_and_checkpoint(
    protocol: str, picture: Image, tiny: Sam3, tmp_path: Path
) -> None:
    model = ScriptedModel(SCRIPTS[protocol], verdicts={2: 0.1})
    made_by = Provenance(planner="scripted", sam3="tiny", model=model.name, protocol=protocol)
    RecordingHeader(made_by=made_by, capabilities=model.capabilities).save(tmp_path)
    recording = Sam3.load("tiny", record=tmp_path)
    first = saved(play(picture, RecordingModel(model, tmp_path), recording, protocol), tmp_path / "1.json")
    again = saved(play(picture, ReplayingModel(tmp_path), Sam3.replay(tmp_path), protocol), tmp_path / "2.json")
    assert json.dumps(again) == json.dumps(first)
    assert first["outcome"] == "answered"
    assert sum(step["decision"]["usage"]["prompt_tokens"] for step in again["steps"]) > 0
    without = saved(play(picture, model, tiny, protocol), tmp_path / "3.json")
    assert without["steps"][-1] == first["steps"][-1], "recording changes nothing"


def test_a_replay_of_another_query_ends_at_once_in_one_sentence(picture: Image, folder: Path) -> None:
    planner = ChatPlanner(ReplayingModel(folder))
    with pytest.raises(PlannerError, match="holds no recording of this call"):
        planner.decide(Episode(Task(picture, "the square")))


def test_no_key_is_ever_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-4f1c")
    model = Counting()
    header().save(tmp_path)
    RecordingModel(model, tmp_path).generate_replies([say("one", SKY)], OFFERED)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert model.key == "sk-planted-4f1c"
    assert len(written) == 2
    assert not [path for path in written if b"sk-planted" in path.read_bytes()]


def test_the_header_keeps_what_the_same_planner_needs(tmp_path: Path) -> None:
    budget = Budget(max_steps=3, price=Price(0.4, 1.6, 0.1))
    whole = header(protocol="paper", view={"image_side": 640}, prompts={"paper": "12ab"}, budget=budget)
    whole.save(tmp_path / "made" / "here")
    assert RecordingHeader.load(tmp_path / "made" / "here") == whole


FOREIGN: dict[str, Callable[[str], str]] = {
    "version 2 of recordings; expected 1": lambda text: text.replace('"version": 1', '"version": 2', 1),
    "does not say format 'sam3-agent recording'": lambda text: "[]",
    "damaged or cut off": lambda text: text[:50],
    r"damaged: made_by\.sam3: Field required": lambda text: text.replace('"sam3"', '"sam4"', 1),
}


@pytest.mark.parametrize("said", FOREIGN)
def test_a_foreign_header_is_refused_in_one_sentence(said: str, folder: Path) -> None:
    path = folder / "planner.json"
    path.write_text(FOREIGN[said](path.read_text()))
    with pytest.raises(PlannerError, match=said) as refused:
        ReplayingModel(folder)
    assert "\n" not in str(refused.value)


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlannerError, match=r"holds no recording: cannot read planner\.json \(No such file"):
        ReplayingModel(tmp_path)


DAMAGE: dict[str, Callable[[dict], dict]] = {
    "version 9 of recorded calls; expected 1": lambda held: held | {"version": 9},
    "a recorded reply is damaged": lambda held: held | {"answers": [{"text": "only"}]},
    "unexpected keyword": lambda held: held | {"answers": [held["answers"][0] | {"mood": "good"}]},
}


@pytest.mark.parametrize("said", DAMAGE)
def test_a_damaged_call_is_an_error_in_one_sentence(said: str, folder: Path) -> None:
    RecordingModel(Counting(), folder).generate_replies([say("one")], OFFERED)
    [path] = calls(folder)
    path.write_text(json.dumps(DAMAGE[said](json.loads(path.read_text()))))
    [reply] = ReplayingModel(folder).generate_replies([say("one")], OFFERED)
    assert said in reply.error
    assert not reply.recoverable


def test_a_folder_that_cannot_be_written_is_refused_before_any_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for start in (lambda: RecordingModel(Counting(), tmp_path / "file"), lambda: header().save(tmp_path / "file")):
        with pytest.raises(PlannerError, match=r"cannot record into .*file"):
            start()


def test_what_a_server_wants_back_with_a_call_is_recorded_and_part_of_the_next_question(tmp_path):
    signed = Call("segment", "{}", '{"call": {"sign": "a+/"}}')
    header().save(tmp_path)
    recording = RecordingModel(Counting(lambda asked: Reply(calls=(signed,))), tmp_path)
    asked = [say("What?"), [*say("What?"), Message("assistant", (), (signed,)), Message("tool", ("Nothing.",))]]
    recording.generate_replies(asked, OFFERED)
    replies = ReplayingModel(tmp_path).generate_replies(asked, OFFERED)
    assert [reply.calls for reply in replies] == [(signed,)] * 2
    unsigned = [*say("What?"), Message("assistant", (), (Call("segment", "{}"),)), Message("tool", ("Nothing.",))]
    assert ReplayingModel(tmp_path).generate_replies([unsigned], OFFERED)[0].error
