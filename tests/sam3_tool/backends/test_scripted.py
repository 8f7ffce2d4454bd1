"""The backend for tests: it finds what it was given."""

import numpy as np
import pytest

from sam3_tool import Image, Instances, Sam3, ScriptedBackend

ON_THE_CIRCLE, ON_THE_SQUARE, NOWHERE = (90.0, 120.0), (245.0, 125.0), (180.0, 30.0)
AROUND_THE_CIRCLE = (30.0, 60.0, 150.0, 180.0)


def plain(value: int, height: int = 6, width: int = 8) -> Image:
    return Image(np.full((height, width, 3), value, np.uint8))


@pytest.fixture
def dogs() -> Instances:
    masks = np.zeros((2, 6, 8), bool)
    masks[0, :3], masks[1, 3:] = True, True
    return Instances(masks, np.zeros((2, 4), np.float32), np.array([0.6, 0.9], np.float32), 0.95, "")


def test_a_scripted_backend_answers_its_phrases_and_no_others(dogs):
    sam3 = Sam3(ScriptedBackend({None: {"Brown Dog": dogs}}))
    found = sam3.segment(plain(1), " brown  dog")
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])
    assert (found.presence, found.phrase) == (0.95, " brown  dog")
    assert found.masks[0, 5].all()
    assert len(sam3.segment(plain(1), "dog")) == 0
    assert sam3.vocabulary_warning("dog") == ""


def test_a_scripted_backend_keeps_scores_strictly_above_the_threshold(dogs):
    sam3 = Sam3(ScriptedBackend({None: {"dog": dogs}}))
    assert [len(sam3.segment(plain(1), "dog", threshold=at)) for at in (0.5, float(dogs.scores[0]), 0.95)] == [2, 1, 0]


def test_a_script_may_say_something_else_for_one_picture(dogs):
    sam3 = Sam3(ScriptedBackend({plain(1).key: {"dog": dogs}, None: {"cat": dogs}}))
    assert [len(sam3.segment(plain(value), phrase)) for value in (1, 2) for phrase in ("dog", "cat")] == [2, 0, 0, 2]


def test_a_script_for_boxes_alone_is_the_empty_phrase(dogs):
    assert len(Sam3(ScriptedBackend({None: {"": dogs}})).segment(plain(1), boxes=[(0, 0, 2, 2)])) == 2


def test_a_script_can_normalise_phrases_as_it_likes(dogs):
    backend = ScriptedBackend({None: {"dog": dogs}}, normalize=lambda phrase: phrase.removesuffix("s"))
    assert len(Sam3(backend).segment(plain(1), "dogs")) == 2


def test_masks_scripted_for_another_size_are_an_error(dogs):
    with pytest.raises(ValueError, match=r"scripted masks for 'dog' are \(6, 8\), the image is \(3, 3\)"):
        Sam3(ScriptedBackend({None: {"dog": dogs}})).segment(plain(1, 3, 3), "dog")


def scripted(picture: Image) -> ScriptedBackend:
    masks = np.zeros((2, 240, 320), bool)
    masks[0, 60:180, 30:150] = True
    masks[1, 85:165, 205:285] = True
    boxes = np.array([AROUND_THE_CIRCLE, (205, 85, 285, 165)], np.float32)
    found = Instances(masks, boxes, np.array([0.9, 0.8], np.float32), 1.0, "shape")
    return ScriptedBackend({picture.key: {"shape": found}})


@pytest.mark.parametrize("click", [ON_THE_CIRCLE, ON_THE_SQUARE])
def test_a_scripted_backend_answers_a_click_with_the_mask_under_it(picture, click):
    found = Sam3(scripted(picture)).refine(picture, [click])
    assert len(found) == 1
    assert found.masks[0, int(click[1]), int(click[0])]
    assert found.scores.tolist() == [1.0]


def test_a_scripted_backend_prefers_what_agrees_with_box_and_mask_and_gives_nothing_where_nothing_does(picture):
    sam3 = Sam3(scripted(picture))
    assert sam3.refine(picture, box=AROUND_THE_CIRCLE).boxes.tolist() == [list(AROUND_THE_CIRCLE)]
    assert sam3.refine(picture, [ON_THE_CIRCLE, ON_THE_SQUARE], [1, 0]).masks[0, 120, 90]
    nothing = sam3.refine(picture, [NOWHERE])
    assert (len(nothing), nothing.presence) == (0, 0.0)
