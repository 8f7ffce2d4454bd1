"""Label Studio's brush masks, read by its layout.

Its Python package wants another OpenCV than ours and cannot be installed beside it; `SAMPLE` is what its encoder
(label-studio-sdk 2.1.2, `converter.brush.mask2rle`) made of `MASK`, so that the decoder here is known to read what
Label Studio writes.
"""

import json
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from agent.exports.label_studio import brush
from sam3_tool.rle import decode

MASK = np.array([[0, 1, 1, 0, 0], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1]], bool)
SAMPLE = bytes.fromhex("0000003c391bfc6013ffdb008ffe3008ffe300c27fe0")


def decoded(packed: bytes) -> np.ndarray:
    """uint8, (N,): what a run-length package of bytes holds."""
    bits = "".join(f"{byte:08b}" for byte in packed)
    at = 0

    def number(length: int) -> int:
        nonlocal at
        at += length
        return int(bits[at - length : at], 2)

    size, word = number(32), number(5) + 1
    lengths = [number(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < size:
        repeated, count = number(1), number(lengths[number(2)]) + 1
        out += [number(word)] * count if repeated else [number(word) for _ in range(count)]
    assert len(out) == size
    assert len(bits) - at < 8
    return np.array(out, np.uint8)


def test_what_label_studio_itself_writes_is_read():
    assert (decoded(SAMPLE).reshape(3, 5, 4) == 255 * MASK[..., None]).all()


def test_the_masks_of_a_task_are_those_of_the_answer(write, fruit, awkward):
    candidates = (*fruit, awkward)
    (task,) = json.loads(write("label-studio", candidates).read_text("utf-8"))
    (prediction,) = task["predictions"]
    for one, region in zip(candidates, prediction["result"], strict=True):
        assert (region["original_width"], region["original_height"]) == (640, 480)
        rgba = decoded(bytes(region["value"]["rle"])).reshape(480, 640, 4)
        assert (rgba == 255 * decode(one.rle)[..., None]).all()


def test_a_task_has_its_picture_and_fits_its_labelling_interface(write, fruit, awkward, scene):
    (task,) = json.loads(write("label-studio", (*fruit, replace(awkward, phrase='<a> & "b"'))).read_text("utf-8"))
    image = Image.open(BytesIO(b64decode(task["data"]["image"].removeprefix("data:image/png;base64,"))))
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


@pytest.mark.parametrize("fill", [False, True])
def test_runs_longer_than_the_layout_can_say_are_divided(fill):
    mask = np.full((300, 400), fill)
    mask[150, 200] = not fill
    assert (decoded(brush(mask)).reshape(300, 400, 4) == 255 * mask[..., None]).all()


def test_a_mask_of_noise_survives():
    mask = np.random.default_rng(0).random((40, 50)) < 0.5
    assert (decoded(brush(mask)).reshape(40, 50, 4) == 255 * mask[..., None]).all()


def test_without_a_mask_it_is_a_task_with_an_empty_prediction(write):
    (task,) = json.loads(write("label-studio", ()).read_text("utf-8"))
    assert task["predictions"] == [{"model_version": "sam3-agent", "score": 0.0, "result": []}]
