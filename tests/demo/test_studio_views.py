"""What the studio shows without an edit: sharp tiles of one's own image, and the mask under the pointer."""

import base64
import time
from io import BytesIO

import numpy as np
import PIL.Image
import pytest

from agent.conversation.conversation import Conversation
from demo.engine import Engine
from demo.sessions import SessionStore
from demo.studio.preview import MaskPreviewer, preview_mask
from demo.studio.tiles import TILE_SIDE, TileDrawer
from sam3_tool import Image


@pytest.fixture(scope="module")
def large():
    """An image in which each pixel tells where it is."""
    rows, columns = np.mgrid[:1100, :1700]
    return Image(np.stack([columns // 8, rows // 8, np.full_like(rows, 128)], axis=-1).astype(np.uint8))


def show_image(sessions, image):
    session_id = sessions.open()
    sessions.update(session_id, conversation=Conversation.start(image))
    return session_id


def decode(url):
    return np.asarray(PIL.Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")).astype(int)


@pytest.mark.parametrize(
    ("level", "column", "row", "size"), [(0, 0, 0, (512, 512)), (0, 3, 2, (76, 164)), (1, 1, 1, (38, 338))]
)
def test_a_tile_is_its_part_of_the_image(large, level, column, row, size):
    tile = decode(TileDrawer().draw_tile(large, level, column, row))
    step = TILE_SIDE << level
    part = large.pixels[row * step : (row + 1) * step, column * step : (column + 1) * step].astype(int)
    assert tile.shape[:2] == size
    assert abs(tile[0, 0] - part[0, 0]).max() <= 4
    assert abs(tile[-1, -1] - part[-1, -1]).max() <= 4


def test_a_tile_is_given_to_whoever_has_the_image_alone(large):
    sessions = SessionStore()
    mine, other = show_image(sessions, large), show_image(sessions, Image(np.zeros((9, 9, 3), np.uint8)))
    drawer = TileDrawer()
    asked = {"session": mine, "key": large.key, "level": 0, "column": 1, "row": 0}
    assert drawer.answer_visitor(asked, sessions).startswith("data:image/jpeg;base64,")
    refused = ({"session": other}, {"session": "?"}, {"key": "another"}, {"column": 99}, {"level": 99}, {"row": -1})
    assert [drawer.answer_visitor({**asked, **change}, sessions) for change in refused] == [""] * len(refused)
    assert [drawer.answer_visitor(nonsense, sessions) for nonsense in (None, [], "tile", {"session": mine})] == [""] * 4


def test_a_preview_is_the_mask_that_a_click_makes(actions, melons):
    conversation = actions.sessions[melons].conversation
    sam3 = actions.engine.get_sam3("tiny")
    shown = preview_mask(sam3, conversation.image, 340, 140)
    clicked = conversation.click(340, 140, sam3, new=True)
    assert shown["score"] == round(clicked.workspace[5].score, 2)
    assert shown["path"].startswith("M")
    assert preview_mask(sam3, conversation.image, 20, 440)["path"] == ""
    assert preview_mask(sam3, conversation.image, -1, 5)["path"] == ""


def test_a_preview_of_a_large_image_is_its_mask_reduced(actions, melons):
    sam3, small = actions.engine.get_sam3("tiny"), actions.sessions[melons].conversation.image
    large = Image(small.pixels.repeat(3, axis=0).repeat(3, axis=1))
    whole, quick = (sam3.refine(large, [(1020, 420)], tidy=True, mask_side=side)[[0]] for side in (None, 192))
    assert (whole.size, quick.size) == ((1440, 1920), (144, 192))
    assert quick.scores.tolist() == whole.scores.tolist()
    assert quick.boxes * 10 == pytest.approx(whole.boxes, abs=20)
    assert (quick.masks[0] == whole.masks[0, 5::10, 5::10]).mean() > 0.99
    assert sam3.refine(small, [(340, 140)], mask_side=5000).size == (480, 640)
    with pytest.raises(ValueError, match="at least 1"):
        sam3.refine(small, [(340, 140)], mask_side=0)


def test_nobody_waits_for_a_preview_and_nothing_is_edited_by_it(actions, melons):
    previewer, before = MaskPreviewer(actions.engine, actions.sessions), actions.sessions[melons].conversation
    asked = {"session": melons, "sam3": "tiny", "key": before.image.key, "x": 340, "y": 140}
    while not (shown := previewer.preview(asked))["ready"]:  # another test's image may have taken its place
        time.sleep(0.01)
    assert shown["path"]
    assert actions.sessions[melons].conversation is before
    for change in ({"session": "guessed"}, {"key": "another"}, {"x": float("nan")}, {"sam3": 3}):
        assert previewer.preview({**asked, **change})["path"] == ""
    assert not previewer.preview({**asked, "sam3": "not loaded"})["ready"]


def test_no_model_is_loaded_for_a_preview(actions, melons):
    engine = Engine(actions.engine.options)
    asked = {"session": melons, "sam3": "tiny", "key": actions.sessions[melons].conversation.image.key, "x": 1, "y": 1}
    assert not MaskPreviewer(engine, actions.sessions).preview(asked)["ready"]
    assert engine.get_loaded_sam3("tiny") is None
