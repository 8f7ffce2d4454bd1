"""Classes of masks, and masks that a person brings along."""

import json

import numpy as np
import pytest

from agent import Conversation, ConversationError, Episode
from agent.conversation.labels import MAX_LABEL_LENGTH, MAX_MASKS_AT_ONCE, GivenMask
from agent.exports import ExportAnswer
from agent.records.episode_file import Transcript, load_episode, save_episode
from agent.report.result import Result
from sam3_tool import Image
from sam3_tool.errors import RecordError
from sam3_tool.masks.rle import encode_mask


def give_mask(left: int, label: str = "", *, size: tuple[int, int] = (60, 100)) -> GivenMask:
    mask = np.zeros(size, bool)
    mask[5:20, left : left + 10] = True
    return GivenMask(encode_mask(mask), label)


@pytest.fixture
def begun() -> Conversation:
    return Conversation.start(Image(np.zeros((60, 100, 3), np.uint8)), "kitchen.png")


@pytest.fixture
def cups(begun) -> Conversation:
    return begun.add_masks([give_mask(5), give_mask(30, "cup"), give_mask(60)], "bring three")


def list_classes(conversation: Conversation) -> list[str]:
    return [one.label for one in conversation.workspace]


def save_and_open(conversation: Conversation, path) -> Conversation:
    conversation.save(path)
    return Conversation.open(path)


def test_given_masks_are_the_answer_with_their_classes(cups) -> None:
    assert (cups.selected, list_classes(cups)) == ((1, 2, 3), ["", "cup", ""])
    assert cups.answer.boxes[0].tolist() == [5, 5, 15, 20]
    assert cups.add_masks([give_mask(80)]).selected == (1, 2, 3, 4)


def test_a_class_is_given_taken_back_and_given_again(cups) -> None:
    named = cups.relabel([1, 3], " plate ")
    assert list_classes(named) == ["plate", "cup", "plate"]
    assert named.selected == (1, 2, 3)
    assert list_classes(named.undo()) == ["", "cup", ""]
    assert list_classes(named.undo().redo()) == ["plate", "cup", "plate"]
    assert list_classes(named.relabel([2], "")) == ["plate", "", "plate"]
    assert named.relabel([1], "plate") is named


def test_classes_are_read_back_with_all_that_was_undone(cups, tmp_path) -> None:
    named = cups.relabel([1], "plate").relabel([1], "bowl").undo()
    opened = save_and_open(named, tmp_path / "talk.json")
    assert list_classes(opened) == ["plate", "cup", ""]
    assert list_classes(opened.redo()) == ["bowl", "cup", ""]
    held = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert held["version"] == 4
    assert held["events"][2]["steps"][0]["added"]["labelled"] == [[1, "plate"]]
    assert held["events"][2]["steps"][0]["added"]["candidates"] == []


def test_a_file_without_classes_is_as_it_was(begun, tmp_path) -> None:
    begun.add_masks([give_mask(5)]).save(tmp_path / "talk.json")
    held = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert held["version"] == 1
    assert "label" not in held["events"][1]["steps"][0]["added"]["candidates"][0]


def test_an_episode_keeps_the_classes_that_were_there_before_it(cups, tmp_path) -> None:
    turn = cups.relabel([1], "plate").select([1]).last_turn
    assert isinstance(turn, Episode)
    save_episode(turn, tmp_path / "episode.json")
    assert load_episode(tmp_path / "episode.json").episode.workspace[1].label == "plate"
    assert Transcript.from_episode(turn, provenance=load_episode(tmp_path / "episode.json").made_by).version == 6


def test_a_file_that_gives_a_class_to_no_mask_is_refused(cups, tmp_path) -> None:
    cups.relabel([1], "plate").save(tmp_path / "talk.json")
    held = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    held["events"][2]["steps"][0]["added"]["labelled"] = [[9, "plate"]]
    (tmp_path / "talk.json").write_text(json.dumps(held), "utf-8")
    with pytest.raises(RecordError, match="gives a class to mask 9, which no step has found"):
        Conversation.open(tmp_path / "talk.json")


def test_the_class_comes_before_the_phrase_in_exports_and_results(cups) -> None:
    named = cups.relabel([1], "plate")
    answer = ExportAnswer.from_candidates(named.image, named.workspace.pick(named.selected), "kitchen.png", {})
    assert answer.categories == ["plate", "cup", "object"]
    assert [answer.describe_mask(one).get("class") for one in answer.candidates] == ["plate", "cup", None]
    rows = json.loads(Result.from_episode(named.last_turn, seconds=1).to_json())["masks"]
    assert [row.get("label") for row in rows] == ["plate", "cup", None]


def test_a_clicked_object_gets_the_class_in_the_same_turn(tiny, tmp_path) -> None:
    conversation = Conversation.start(Image.open("examples/scene.png"), "scene.png")
    clicked = conversation.click(340, 140, tiny, label="cherry")
    assert (clicked.workspace[1].category, len(clicked.turns)) == ("cherry", 1)
    corrected = clicked.click(280, 150, tiny, positive=False, mask_id=1)
    assert corrected.workspace[1].label == "cherry"
    assert save_and_open(corrected, tmp_path / "talk.json").workspace[1].label == "cherry"
    boxed = conversation.apply_box(245, 15, 379, 196, tiny, label="cherry")
    assert {boxed.workspace[id].label for id in boxed.selected} == {"cherry"}


REFUSED = {
    "no mask 9": (lambda cups: cups.relabel([9], "cup"), "there is no mask 9"),
    "a long name": (lambda cups: cups.relabel([1], "x" * 81), f"up to {MAX_LABEL_LENGTH} letters, and this one has 81"),
    "a mask of another image": (lambda cups: cups.add_masks([give_mask(1, size=(61, 100))]), "a mask is 100 x 61"),
    "no mask": (lambda cups: cups.add_masks([]), "there are 0 masks with a pixel to add"),
    "no pixel": (lambda cups: cups.add_masks([give_mask(100)]), "there are 0 masks with a pixel"),
    "too many": (lambda cups: cups.add_masks([give_mask(1)] * (MAX_MASKS_AT_ONCE + 1)), "2,001 masks"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_sense_is_one_sentence(what, cups) -> None:
    change, sentence = REFUSED[what]
    with pytest.raises(ConversationError, match=sentence):
        change(cups)
