"""A folder of `Sam3TrackerModel` alone, as transformers saves it: clicks as the whole network, and no phrases."""

from pathlib import Path

import numpy as np
import pytest
from transformers import Sam3ImageProcessor, Sam3TrackerModel

from sam3_tool import CheckpointError, Sam3
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, embedded = tmp_path_factory.mktemp("tracker"), locate_checkpoint("tiny")
    Sam3TrackerModel.from_pretrained(embedded).save_pretrained(place)
    Sam3ImageProcessor.from_pretrained(embedded).save_pretrained(place)
    return place


def test_clicks_boxes_and_masks_are_answered_as_by_the_whole_network(folder, tiny, picture):
    alone = Sam3.load(folder, device="cpu")
    assert (alone.name, alone.runs_on) == (str(folder), "cpu float32")
    assert alone.device_name == tiny.device_name
    for prompt in ({"points": [(90, 120)]}, {"box": (205, 85, 285, 165)}):
        found, expected = alone.refine(picture, **prompt), tiny.refine(picture, **prompt)
        assert found.rles == expected.rles
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    again = [
        sam3.refine(picture, [(90, 120)], mask=sam3.refine(picture, [(90, 120)]).masks[0]) for sam3 in (alone, tiny)
    ]
    assert again[0].rles == again[1].rles


def test_in_16_bits_coordinates_stay_exact(folder, rounded, picture):
    alone = Sam3.load(folder, device="cpu", dtype="bfloat16")
    assert alone.runs_on == "cpu bfloat16"
    found, expected = (sam3.refine(picture, [(90, 120)]) for sam3 in (alone, rounded))
    assert found.rles == expected.rles


def test_a_phrase_ends_with_one_sentence(folder, picture):
    with pytest.raises(
        CheckpointError, match="tracker alone, which follows clicks, boxes and masks and finds no phr"
    ) as e:
        Sam3.load(folder, device="cpu").segment(picture, "cup")
    assert "\n" not in str(e.value)


def test_half_a_tracker_is_refused(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 5000 if file.suffix == ".safetensors" else None])
    with pytest.raises(CheckpointError, match="is only a part of a file: 5,000 of"):
        Sam3.load(tmp_path, device="cpu")
