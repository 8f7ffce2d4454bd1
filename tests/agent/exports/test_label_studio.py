"""Label Studio's tasks, read by Label Studio's own package: its decoder of brushes, its interfaces, its converter."""

import json
from base64 import b64decode
from collections import defaultdict
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest

from agent.exports import EXPORTERS
from agent.exports.label_studio import encode_brush
from sam3_tool import Image
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import decode_mask, encode_mask

pytestmark = pytest.mark.usefixtures("owners")
SIZES = [(1, 1), (1, 7), (9, 1), (3, 5), (37, 53), (241, 319)]
"""Height and width."""


def decoded(packed: bytes, height: int, width: int) -> np.ndarray:
    """uint8, (H, W, 4): what Label Studio sees in a brush."""
    from label_studio_sdk.converter.brush import decode_rle

    return decode_rle(packed).reshape(height, width, 4)


def only_task(path: Path) -> dict[str, Any]:
    (task,) = json.loads(path.read_text("utf-8"))
    return task


def submitted(task: dict[str, Any], folder: Path) -> dict[str, list[np.ndarray]]:
    """A task whose predictions a person took over as they are, exported by Label Studio: each label's masks, in order.

    Label Studio writes a file per mask, uint8, (H, W), 255 within.
    """
    from label_studio_sdk.converter import Converter

    annotation = {"id": 1, "completed_by": 1, "result": task["predictions"][0]["result"]}
    tasks = folder / "submitted.json"
    tasks.write_text(json.dumps([{"id": 1, "data": task["data"], "annotations": [annotation]}]), "utf-8")
    converter = Converter(task["meta"]["interface"], str(folder), download_resources=False)
    (brushes := folder / "brushes").mkdir()
    converter.convert(str(tasks), str(brushes), "BRUSH_TO_NUMPY", is_dir=False)
    found = defaultdict(list)
    for path in sorted(brushes.glob("*.npy")):
        found[path.stem.split("-label-")[1].rsplit("-", 1)[0]].append(np.load(path))
    return found


def test_label_studio_accepts_the_prediction_for_the_interface_that_comes_with_it(write, fruit, awkward):
    from label_studio_sdk.label_interface import LabelInterface

    task = only_task(write("label-studio", (*fruit, replace(awkward, phrase='<a> & "b"'))))
    interface = LabelInterface(task["meta"]["interface"])
    (prediction,) = task["predictions"]
    assert interface.validate_prediction(prediction, return_errors=True) == []
    assert interface.validate_task({"data": task["data"]})
    prediction["result"][0]["value"]["brushlabels"] = ["no such label"]
    assert interface.validate_prediction(prediction, return_errors=True) != []


def test_label_studio_exports_the_very_masks_of_the_answer(write, fruit, awkward, tmp_path):
    candidates = (*fruit, replace(awkward, phrase="odd"))
    found = submitted(only_task(write("label-studio", candidates)), tmp_path)
    assert sum(map(len, found.values())) == len(candidates)
    for label in ("watermelon", "cherry", "banana", "odd"):
        wanted = [255 * decode_mask(one.rle) for one in candidates if one.phrase == label]
        assert np.array_equal(found[label], wanted)


@pytest.mark.parametrize("size", SIZES)
def test_pictures_of_any_size_keep_their_masks(fruit, tmp_path, size):
    random = np.random.default_rng(0)
    masks = [np.ones(size, bool), *(random.random((3, *size)) < [[[0.02]], [[0.5]], [[0.98]]])]
    candidates = [
        replace(fruit[0], id=number, rle=encode_mask(mask), box=tuple(masks_to_boxes(mask[None])[0].tolist()))
        for number, mask in enumerate(masks, start=1)
        if mask.any()
    ]
    picture = Image(np.zeros((*size, 3), np.uint8))
    task = only_task(EXPORTERS["label-studio"].write(picture, candidates, "x.png", tmp_path, {}))
    for one, region in zip(candidates, task["predictions"][0]["result"], strict=True):
        assert (region["original_height"], region["original_width"]) == size
        assert (decoded(region["value"]["rle"], *size) == 255 * decode_mask(one.rle)[..., None]).all()


@pytest.mark.parametrize("fill", [False, True])
def test_runs_longer_than_the_layout_can_say_are_divided(fill):
    mask = np.full((300, 400), fill)
    mask[150, 200] = not fill
    assert (decoded(encode_brush(mask), 300, 400) == 255 * mask[..., None]).all()


def test_a_task_has_its_picture_and_fits_its_labelling_interface(write, fruit, awkward, scene):
    (task,) = json.loads(write("label-studio", (*fruit, replace(awkward, phrase='<a> & "b"'))).read_text("utf-8"))
    image = PIL.Image.open(BytesIO(b64decode(task["data"]["image"].removeprefix("data:image/png;base64,"))))
    assert (np.asarray(image) == scene.pixels).all()
    assert task["data"]["file_name"] == "scene.png"
    view = ElementTree.fromstring(task["meta"]["interface"])
    brush_tag, image_tag = view.find("BrushLabels"), view.find("Image")
    assert brush_tag is not None
    assert image_tag is not None
    assert image_tag.get("value") == "$image"
    labels = {label.get("value") for label in brush_tag}
    for region in task["predictions"][0]["result"]:
        assert (region["from_name"], region["to_name"]) == (brush_tag.get("name"), image_tag.get("name"))
        assert (region["type"], region["value"]["format"]) == ("brushlabels", "rle")
        assert set(region["value"]["brushlabels"]) <= labels
    assert labels == {"watermelon", "cherry", "banana", '<a> & "b"'}
    assert task["predictions"][0]["result"][0]["meta"] == {"text": ["It is round."]}


def test_without_a_mask_it_is_a_task_with_an_empty_prediction(write):
    (task,) = json.loads(write("label-studio", ()).read_text("utf-8"))
    assert task["predictions"] == [{"model_version": "sam3-agent", "score": 0.0, "result": []}]
