"""Exemplars that lie in another picture than the one that is asked about."""

import numpy as np
import pytest

from sam3_tool import ConceptPrompt, Image, Instances, Sam3, ScriptedBackend
from sam3_tool.backends.recording.cache import CachingBackend
from sam3_tool.backends.recording.record import RecordingBackend

AROUND_THE_CIRCLE = (40, 30, 120, 110)


@pytest.fixture(scope="module")
def other() -> Image:
    """A red circle of another size, on another background, in an upright picture."""
    y, x = np.indices((200, 160))
    pixels = np.full((200, 160, 3), (150, 190, 150), np.uint8)
    pixels[(x - 80) ** 2 + (y - 70) ** 2 < 40**2] = (210, 40, 45)
    return Image(pixels)


def test_an_exemplar_in_another_picture_finds_its_kind_in_this_one(tiny, picture, other):
    found = tiny.segment(picture, boxes=[AROUND_THE_CIRCLE], exemplar_image=other)
    assert found.masks.shape[1:] == (240, 320)
    assert [bool(mask[120, 90]) for mask in found.masks] == [True]
    assert np.abs(found.boxes[0] - (30, 60, 150, 180)).max() < 12


def test_both_pictures_are_encoded_once_and_remembered(network, picture, other):
    sam3 = Sam3(network)
    request = (picture, ConceptPrompt(None, (AROUND_THE_CIRCLE,), exemplar_image=other))
    assert [sam3.run_requests([request, request]).encodes, sam3.run_requests([request]).encodes] == [2, 0]
    assert sam3.run_requests([(other, ConceptPrompt("circle"))]).encodes == 0


def test_a_batch_of_exemplars_here_and_there_answers_as_each_alone(tiny, picture, other):
    here = ConceptPrompt(None, ((205.0, 85.0, 285.0, 165.0),))
    there = ConceptPrompt(None, (AROUND_THE_CIRCLE,), exemplar_image=other)
    requests = [(picture, here), (picture, there), (picture, ConceptPrompt("red circle")), (other, here)]
    for request, found in zip(requests, tiny.segment_batch(requests), strict=True):
        [alone] = tiny.segment_batch([request])
        assert np.allclose(found.scores, alone.scores, atol=1e-5)
        assert (found.masks != alone.masks).sum() <= 1e-4 * alone.masks.size


def test_the_picture_itself_as_the_other_one_changes_nothing(tiny, picture):
    box = (30.0, 60.0, 150.0, 180.0)
    plain, like = tiny.segment(picture, boxes=[box]), tiny.segment(picture, boxes=[box], exemplar_image=picture)
    assert np.array_equal(plain.masks, like.masks)
    assert plain.scores.tolist() == like.scores.tolist()


def test_it_is_recorded_and_replayed_under_both_pictures(network, picture, other, tmp_path):
    found = Sam3(RecordingBackend(network, tmp_path)).segment(picture, boxes=[AROUND_THE_CIRCLE], exemplar_image=other)
    again = Sam3.replay(tmp_path).segment(picture, boxes=[AROUND_THE_CIRCLE], exemplar_image=other)
    assert np.array_equal(found.masks, again.masks)


def test_a_cache_tells_the_pictures_of_the_boxes_apart(picture, other, tmp_path):
    instances = Instances.empty(240, 320)
    sam3 = Sam3(CachingBackend(ScriptedBackend({None: {"": instances}}), tmp_path, made_with={}, cache_bytes=2**20))
    for like in (None, other, picture):
        assert len(sam3.segment(picture, boxes=[AROUND_THE_CIRCLE], exemplar_image=like)) == 0
    assert len(list((tmp_path / "sam3").rglob("*.json"))) == 3


def test_another_picture_without_a_box_is_refused(tiny, picture, other):
    with pytest.raises(ValueError, match="but there is no box"):
        tiny.segment(picture, "circle", exemplar_image=other)
