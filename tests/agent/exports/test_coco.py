"""COCO files, read by pycocotools and by supervision."""

import json
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from sam3_tool.masks.rle import compute_areas, decode_mask, encode_mask


def read(path: Path) -> COCO:
    with redirect_stdout(StringIO()):
        return COCO(str(path))


@pytest.mark.parametrize("kind", ["coco", "coco-polygons"])
def test_pycocotools_draws_the_very_masks(write, fruit, awkward, kind):
    candidates = (*fruit, awkward)
    known = read(write(kind, candidates))
    assert sorted(known.getAnnIds()) == sorted(one.id for one in candidates)
    for one in candidates:
        (annotation,) = known.loadAnns([one.id])
        assert (known.annToMask(annotation) == decode_mask(one.rle)).all()


@pytest.mark.parametrize("kind", ["coco", "coco-polygons"])
def test_supervision_loads_the_masks_with_their_classes(write, fruit, scene, iou, tmp_path, kind):
    import supervision  # slow to import

    scene.to_pil().save(tmp_path / "scene.png")
    loaded = supervision.DetectionDataset.from_coco(str(tmp_path), str(write(kind)), force_masks=True)
    ((_, picture, found),) = list(loaded)
    assert picture.shape == scene.pixels.shape
    assert [loaded.classes[number] for number in found.class_id] == [one.phrase for one in fruit]
    for one, mask in zip(fruit, found.mask, strict=True):
        assert iou(mask, decode_mask(one.rle)) > (0.9 if kind == "coco-polygons" else 0.9999)


def test_a_file_says_what_coco_readers_ask(write, fruit):
    content = json.loads(write("coco").read_text("utf-8"))
    assert content["images"] == [{"id": 1, "file_name": "scene.png", "width": 640, "height": 480}]
    assert content["categories"] == [
        {"id": number, "name": name} for number, name in enumerate(["watermelon", "cherry", "banana"], start=1)
    ]
    first = content["annotations"][0]
    assert first["segmentation"]["size"] == [480, 640]
    assert (first["iscrowd"], first["score"], first["reason"]) == (0, round(fruit[0].score, 4), "It is round.")
    assert [row["area"] for row in content["annotations"]] == compute_areas([one.rle for one in fruit]).tolist()
    x, y, width, height = first["bbox"]
    cut = decode_mask(fruit[0].rle)[y : y + height, x : x + width]
    assert cut.sum() == first["area"]
    assert cut.any(axis=1)[[0, -1]].all()
    assert cut.any(axis=0)[[0, -1]].all()


@pytest.mark.parametrize("kind", ["coco", "coco-polygons"])
def test_without_a_mask_the_file_is_valid_and_has_no_annotation(write, kind):
    known = read(write(kind, ()))
    assert (len(known.getImgIds()), known.getAnnIds()) == (1, [])


def test_a_mask_of_noise_survives_as_polygons(write, fruit, scene):
    noise = np.zeros((scene.height, scene.width), bool)
    noise[100:160, 200:280] = np.random.default_rng(0).random((60, 80)) < 0.6
    one = replace(fruit[0], rle=encode_mask(noise))
    known = read(write("coco-polygons", (one,)))
    assert (known.annToMask(known.loadAnns([one.id])[0]) == noise).all()
