"""Clicks and boxes on the example scene, with the embedded SAM 3."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from agent import GrammarPlanner
from agent.conversation.conversation import Conversation
from agent.core.errors import ConversationError
from agent.records.episode_file import load_episode, save_episode
from sam3_tool import Image, Sam3
from sam3_tool.errors import RecordError
from sam3_tool.masks.rle import compute_ious
from sam3_tool.masks.tidying import tidy_mask

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"
CHERRY = (225, 15, 380, 195)
"""A box around one of the three cherries, x0 y0 x1 y1 in pixels."""
BIG_MELON = (75, 250, 320, 460)


@pytest.fixture(scope="module")
def scene() -> Image:
    return Image.open(EXAMPLE)


@pytest.fixture(scope="module")
def melons(scene: Image, tiny: Sam3) -> Conversation:
    return Conversation.start(scene, EXAMPLE.name).say("all the watermelons", GrammarPlanner(), tiny)


def iou(talk: Conversation, id: int, mask: np.ndarray) -> float:
    ours = talk.workspace.get_instances([id]).masks[0]
    return float((ours & mask).sum() / (ours | mask).sum())


def test_a_click_where_nothing_is_selected_adds_the_object_there(melons, scene, tiny) -> None:
    (banana,) = tiny.segment(scene, "banana").masks
    talk = melons.click(385, 410, tiny)
    assert talk.selected == (1, 2, 3, 4, 5)
    assert iou(talk, 5, banana) > 0.7
    assert talk.workspace[5].origin == "refine: +385,410"
    assert talk.last_turn.usage.sam_encodes == 0, "the picture was seen before"
    assert talk.context.turns[-1].query == "add what is at 385, 410"
    assert talk.undo().selected == (1, 2, 3, 4)


def test_a_click_into_a_mask_corrects_it_and_keeps_its_number(melons, tiny) -> None:
    talk = melons.click(475, 300, tiny)
    assert talk.selected == (1, 2, 3, 4)
    assert talk.message.startswith("Mask 2 corrected (score ")
    assert talk.workspace[2].phrase == "watermelon"
    assert len(talk.workspace) == 4
    assert iou(talk, 2, melons.workspace.get_instances([2]).masks[0]) > 0.7
    further = talk.click(440, 275, tiny)
    assert further.selected == (1, 2, 3, 4)
    assert further.workspace[2].origin == "refine of 2: +475,300 +440,275"
    assert further.undo().workspace == talk.workspace
    assert further.undo().undo().workspace == melons.workspace


def test_a_click_may_say_which_mask_it_is_about_and_what_is_too_much(melons, tiny) -> None:
    less = melons.click(430, 330, tiny, positive=False, mask_id=1)
    assert less.selected == (1, 2, 3, 4)
    assert less.workspace[1].origin == "refine of 1: -430,330"
    assert less.context.turns[-1].query == "take what is at 430, 330 from mask 1"


def test_a_click_beside_a_mask_adds_what_is_there_to_it(melons, tiny) -> None:
    talk = melons.click(385, 410, tiny, mask_id=2)
    assert talk.selected == (1, 2, 3, 4)
    assert talk.mask_at(385, 410) == 2
    assert talk.workspace[2].origin == "refine of 2: +385,410"


def outcome_of_click(talk: Conversation, x: int, y: int, sam3: Sam3) -> np.ndarray | str:
    """The new mask, or why there is none."""
    try:
        clicked = talk.click(x, y, sam3, new=True)
    except ConversationError as error:
        return str(error)
    return clicked.workspace.get_instances([max(clicked.selected)]).masks[0]


def test_wherever_one_clicks_the_click_is_in_the_mask_or_there_is_none(melons, scene, tiny) -> None:
    outcomes = set()
    for x, y in np.random.default_rng(4).integers((0, 0), (scene.width, scene.height), (12, 2)).tolist():
        outcome = outcome_of_click(melons, x, y, tiny)
        if isinstance(outcome, np.ndarray):
            assert outcome[y, x]
            assert np.array_equal(tidy_mask(outcome, [(x, y)], [1]), outcome)
        outcomes.add("mask" if isinstance(outcome, np.ndarray) else re.sub(r"0\.[0-4]\d", "0.x", outcome))
    assert outcomes == {
        "mask",
        "Nothing was found there (presence 0.x); click on an object.",
        "No mask that was found there covers the click; click nearer to the middle of the object.",
    }


def test_corrections_are_read_back_as_they_were_and_a_file_without_them_is_of_the_earlier_version(
    melons, tiny, tmp_path: Path
) -> None:
    path = tmp_path / "talk.json"
    melons.click(385, 410, tiny).save(path)
    assert json.loads(path.read_text("utf-8"))["version"] == 1
    talk = melons.click(475, 300, tiny).click(385, 410, tiny, mask_id=2)
    talk.save(path)
    again = Conversation.open(path)
    assert json.loads(path.read_text("utf-8"))["version"] == 3
    assert (again.selected, again.workspace) == (talk.selected, talk.workspace)
    assert again.undo().workspace == talk.undo().workspace
    save_episode(talk.last_turn, path)
    assert load_episode(path).episode.workspace == talk.workspace


@pytest.mark.parametrize("change", [{"id": 9}, {"rle": {"size": [1, 1], "counts": "1"}}])
def test_a_correction_of_what_is_not_there_is_a_damaged_file(melons, tiny, tmp_path: Path, change) -> None:
    path = tmp_path / "talk.json"
    melons.click(475, 300, tiny).save(path)
    held = json.loads(path.read_text("utf-8"))
    held["events"][-1]["steps"][0]["added"]["corrected"][0].update(change)
    path.write_text(json.dumps(held), "utf-8")
    with pytest.raises(RecordError, match="is damaged: at event 3"):
        Conversation.open(path)


def test_an_object_that_is_clicked_twice_is_there_once(melons, scene, tiny) -> None:
    talk = melons.select([1]).click(385, 410, tiny)
    inside = talk.workspace.get_instances([talk.selected[-1]]).masks[0]
    y, x = (int(edge) for edge in np.argwhere(inside)[len(np.argwhere(inside)) // 2])
    again = talk.click(x, y, tiny)
    assert len(again.selected) == 2


def test_a_box_adds_all_that_looks_like_what_is_in_it(melons, scene, tiny) -> None:
    talk = melons.apply_box(*CHERRY, tiny)
    cherries = tiny.segment(scene, "cherry")
    assert talk.selected == (1, 2, 3, 4, 5, 6, 7)
    overlaps = compute_ious(talk.workspace.get_rles([5, 6, 7]), cherries.rles)
    assert (overlaps.max(axis=0) > 0.8).all()
    assert talk.message == "7 masks; added 5 to 7."


def test_a_box_may_be_drawn_from_any_corner_and_beyond_the_picture(melons, tiny) -> None:
    x0, y0, x1, y1 = CHERRY
    assert (
        melons.apply_box(x1, y1, x0, y0, tiny).answer.masks.shape == melons.apply_box(*CHERRY, tiny).answer.masks.shape
    )
    wide = melons.apply_box(-500, 240, 320, 5000, tiny, positive=False)
    assert 1 not in wide.selected


def test_a_negative_box_leaves_out_all_that_looks_like_what_is_in_it(melons, tiny) -> None:
    everything = melons.apply_box(*CHERRY, tiny)
    assert everything.apply_box(*BIG_MELON, tiny, positive=False).selected == (5, 6, 7)
    assert everything.apply_box(*CHERRY, tiny, positive=False).selected == (1, 2, 3, 4)


def test_what_a_box_does_not_change_is_no_turn(melons, tiny) -> None:
    with pytest.raises(ConversationError, match="nothing in the answer looks like what is in the box"):
        melons.apply_box(*CHERRY, tiny, positive=False)
    with pytest.raises(ConversationError, match="there is no answer yet to take anything from"):
        melons.undo().apply_box(*CHERRY, tiny, positive=False)


def test_after_a_click_the_conversation_goes_on_by_words_and_by_file(melons, tiny, tmp_path: Path) -> None:
    talk = melons.click(385, 410, tiny).say("without the largest one", GrammarPlanner(), tiny)
    assert talk.selected == (2, 3, 4, 5)
    talk.save(tmp_path / "talk.json")
    again = Conversation.open(tmp_path / "talk.json")
    assert (again.selected, again.workspace) == (talk.selected, talk.workspace)
