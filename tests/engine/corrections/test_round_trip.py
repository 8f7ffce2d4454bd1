"""Pairs that wait for correction go to another tool as COCO, and its masks come back as corrections."""

import json

import pytest
from pycocotools.coco import COCO

from engine.corrections.handing_out import hand_out_corrections
from engine.corrections.taking_back import take_corrections
from engine.errors import EngineError
from sam3_tool.masks import rle
from tests.engine.exports.conftest import LEFT, RIGHT, SIZE, builder, draw_block

__all__ = ["builder"]  # a fixture
SQUARE = [[4, 4, 12, 4, 12, 12, 4, 12]]


@pytest.fixture
def waiting(builder):
    """Cups with one mask of two right, a hat whose mask is wrong, in an image each; and a dog that is final."""
    first, second = builder.add_image("a.png"), builder.add_image("sub/b.png")
    builder.add_pair(first, "cup", (LEFT, RIGHT), ("accept", "reject", "reject"))
    builder.add_pair(first, "dog", (LEFT,), ("accept", "accept"))
    builder.add_pair(second, "hat", (LEFT,), ("reject",))
    return builder


def hand_out(builder, tmp_path):
    hand_out_corrections(builder.store, tmp_path / "out")
    return tmp_path / "out" / "coco.json"


def take(builder, *files, **how):
    return take_corrections(builder.store, files, by="anna", at=9.0, **how)


def list_final(builder):
    return {
        state.pair.phrase: (state.masks, state.decided_by)
        for state in builder.store.iterate_states()
        if state.name == "final"
    }


def test_what_waits_is_handed_out_with_what_is_accepted_and_comes_back_corrected(waiting, tmp_path):
    path = hand_out(waiting, tmp_path)
    read = COCO(path)
    assert [(image["file_name"], (image["width"], image["height"])) for image in read.loadImgs(read.getImgIds())] == [
        ("a.png", SIZE),
        ("sub/b.png", SIZE),
    ]
    assert {row["name"]: len(read.getAnnIds(catIds=row["id"])) for row in read.dataset["categories"]} == {
        "cup": 1,
        "hat": 0,
    }
    content = json.loads(path.read_text("utf-8"))
    drawn = {"iscrowd": 0, "segmentation": SQUARE, "bbox": [4, 4, 8, 8], "area": 64}
    content["annotations"] += [{"id": 9, "image_id": 1, "category_id": 1, **drawn}]
    path.write_text(json.dumps(content))
    taken = take(waiting, path)
    assert (taken.corrections, taken.empty, taken.other_masks, taken.unknown_images) == (1, 1, 0, ())
    masks, decided_by = list_final(waiting)["cup"]
    assert (masks[0], rle.compute_areas(masks)[1], decided_by) == (LEFT, 64, "human")
    assert "hat" not in list_final(waiting)  # nobody has said that there is none
    assert take(waiting, path).corrections == 0
    assert take(waiting, path, empty_is_done=True).corrections == 1
    assert list_final(waiting)["hat"] == ((), "human")


def test_tasks_of_label_studio_come_back_as_well(waiting, tmp_path):
    value = {"points": [[10, 10], [50, 10], [50, 50], [10, 50]], "polygonlabels": ["Hat"]}
    region = {"type": "polygonlabels", "original_width": SIZE[0], "original_height": SIZE[1], "value": value}
    task = {"data": {"image": "/data/upload/1/0badf00d-b.png"}, "annotations": [{"result": [region]}]}
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task]))
    assert take(waiting, path).corrections == 1
    [mask] = list_final(waiting)["hat"][0]
    assert rle.compute_ious([mask], [draw_block(4, 3, 20, 15)])[0, 0] > 0.9


def test_what_does_not_belong_here_is_counted_and_changes_nothing(waiting, tmp_path):
    path = hand_out(waiting, tmp_path)
    content = json.loads(path.read_text("utf-8"))
    content["images"] += [{"id": 7, "file_name": "elsewhere.png", "width": 9, "height": 9}]
    content["categories"] += [{"id": 7, "name": "zebra"}]
    mask = {"iscrowd": 0, "segmentation": SQUARE, "bbox": [4, 4, 8, 8], "area": 64}
    content["annotations"] = [
        {"id": 1, "image_id": 1, "category_id": 7, **mask},
        {"id": 2, "image_id": 7, "category_id": 1, **mask},
    ]
    path.write_text(json.dumps(content))
    position = waiting.store.last_position
    taken = take(waiting, path)
    assert (taken.corrections, taken.empty, taken.other_masks) == (0, 2, 2)
    assert taken.unknown_images == ("elsewhere.png",)
    assert waiting.store.last_position == position


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content.update(images=[{"id": 1, "file_name": "a.png", "width": 5, "height": 5}]), "5 x 5"),
        (lambda content: content["annotations"][0].update(segmentation=[[1, 2]]), "'a.png', 'cup'"),
        (lambda content: content["annotations"][0].update(image_id=99), "about no image of the file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_whole(waiting, tmp_path, change, told):
    path = hand_out(waiting, tmp_path)
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content))
    position = waiting.store.last_position
    with pytest.raises(EngineError, match=told):
        take(waiting, path)
    assert waiting.store.last_position == position


def test_a_name_of_two_images_a_missing_file_and_nobody_are_told(waiting, tmp_path):
    path = hand_out(waiting, tmp_path)
    path.write_text(path.read_text("utf-8").replace("sub/b.png", "b.png"))
    waiting.add_image("other/b.png")
    with pytest.raises(EngineError, match=r"'b\.png' is the name of 2 images"):
        take(waiting, path)
    with pytest.raises(EngineError, match=r"missing\.json cannot be read"):
        take(waiting, tmp_path / "missing.json")
    with pytest.raises(EngineError, match="--by NAME"):
        take_corrections(waiting.store, [path], by=" ", at=1.0)


def test_where_nothing_waits_nothing_is_handed_out(builder, tmp_path):
    builder.add_pair(builder.add_image("a.png"), "dog", (LEFT,), ("accept", "accept"))
    with pytest.raises(EngineError, match=r"no pair .* waits for correction"):
        hand_out(builder, tmp_path)
    assert not (tmp_path / "out").exists()
