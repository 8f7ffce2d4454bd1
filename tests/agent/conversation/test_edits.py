"""Clicks and boxes on the example scene, with the embedded SAM 3."""

from pathlib import Path

import numpy as np
import pytest

from agent import GrammarPlanner
from agent.conversation.conversation import Conversation
from agent.core.errors import ConversationError
from sam3_tool import Image, Sam3
from sam3_tool.masks.rle import compute_ious

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


def test_a_click_into_a_mask_corrects_it_and_keeps_the_one_before(melons, tiny) -> None:
    talk = melons.click(475, 300, tiny)
    assert talk.selected == (1, 5, 3, 4)
    assert talk.message.startswith("Mask 2 corrected is mask 5 (score ")
    assert talk.workspace[5].phrase == "watermelon"
    assert len(talk.workspace) == 5
    assert iou(talk, 5, melons.workspace.get_instances([2]).masks[0]) > 0.7
    further = talk.click(440, 275, tiny)
    assert further.selected == (1, 6, 3, 4)
    assert further.workspace[6].origin == "refine of 5: +475,300 +440,275"


def test_a_click_may_say_which_mask_it_is_about_and_what_is_too_much(melons, tiny) -> None:
    less = melons.click(430, 330, tiny, positive=False, mask_id=1)
    assert less.selected == (5, 2, 3, 4)
    assert less.workspace[5].origin == "refine of 1: -430,330"
    assert less.context.turns[-1].query == "take what is at 430, 330 from mask 1"


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
