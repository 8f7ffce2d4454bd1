"""Concepts: described once, looked for elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from sam3_tool import (
    CheckpointError,
    Concept,
    ConceptError,
    ConceptPrompt,
    FramePrompt,
    Image,
    Sam3,
    ScriptedBackend,
    Video,
)
from sam3_tool.backends.recording.cache import CachingBackend
from sam3_tool.backends.recording.record import RecordingBackend

CIRCLE = (30.0, 60.0, 150.0, 180.0)
SQUARE = (205.0, 85.0, 285.0, 165.0)


@pytest.fixture(scope="module")
def other() -> Image:
    """A red circle of another size, on another background, in an upright image."""
    y, x = np.indices((200, 160))
    pixels = np.full((200, 160, 3), (150, 190, 150), np.uint8)
    pixels[(x - 80) ** 2 + (y - 70) ** 2 < 40**2] = (210, 40, 45)
    return Image(pixels)


@pytest.fixture(scope="module")
def circle(tiny, picture) -> Concept:
    return tiny.describe(picture, boxes=[CIRCLE])


def test_a_concept_finds_to_the_last_bit_what_its_boxes_find_across_images(tiny, picture, other):
    for phrase, boxes, labels in [
        (None, [CIRCLE], [1]),
        ("object", [CIRCLE, SQUARE], [1, 0]),
        ("shape", [SQUARE], [0]),
    ]:
        concept = tiny.describe(picture, phrase, boxes=boxes, box_labels=labels)
        found = tiny.segment(other, concept)
        like = tiny.segment(other, phrase, boxes=boxes, box_labels=labels, exemplar_image=picture)
        assert np.array_equal(found.masks, like.masks)
        assert found.scores.tolist() == like.scores.tolist()
        assert found.phrase == (phrase or "")


def test_a_mask_is_the_box_around_it(tiny, picture, other):
    y, x = np.indices((240, 320))
    mask = (x >= 30) & (x < 150) & (y >= 60) & (y < 180) & ((x + y) % 2 == 0)
    assert tiny.describe(picture, masks=[mask]).key == tiny.describe(picture, boxes=[CIRCLE]).key
    by_mask = tiny.segment(picture, "shape", masks=[mask], mask_labels=[0], boxes=[SQUARE])
    by_box = tiny.segment(picture, "shape", boxes=[SQUARE, CIRCLE], box_labels=[1, 0])
    assert by_mask.scores.tolist() == by_box.scores.tolist()
    across = tiny.segment(other, masks=[mask], exemplar_image=picture)
    assert len(across) == 1
    assert across.masks[0, 70, 80]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"masks": [np.zeros((240, 320), bool)]}, "covers no pixel"),
        ({"masks": [np.ones((320, 240), bool)]}, r"of the size of its image, \(240, 320\); got bool \(320, 240\)"),
        ({"masks": [np.ones((240, 320), np.uint8)]}, "got uint8"),
        ({"masks": [np.ones((240, 320), bool)], "mask_labels": [1, 0]}, "got 0 and 2"),
        ({"masks": [np.ones((240, 320), bool)], "mask_labels": [2]}, "out of 0 and 1"),
        ({"boxes": [CIRCLE], "mask_labels": [1]}, "there is no mask"),
        ({"boxes": [(5, 5, 5, 9)]}, "x0 < x1"),
        ({}, "1 to 64 boxes and masks, got 0"),
        ({"boxes": [CIRCLE] * 65}, "got 65"),
    ],
)
def test_wrong_examples_are_refused_in_a_sentence(tiny, picture, given, why):
    with pytest.raises(ValueError, match=why):
        tiny.describe(picture, **given)


def test_examples_of_several_images_are_one_concept(tiny, picture, other, circle):
    there = tiny.describe(other, "shape", boxes=[(40, 30, 120, 110)])
    both = Concept.combine([circle, there])
    assert (len(both), both.surroundings.shape, both.phrase) == (2, (2, 128), "shape")
    best, *_ = tiny.segment(picture, both).masks
    assert (bool(best[120, 90]), bool(best[125, 245])) == (True, False)
    averaged = Concept.combine([circle, there, tiny.describe(picture, boxes=[SQUARE], box_labels=[0])], average=True)
    assert (averaged.labels, averaged.surroundings.shape) == ((1, 0), (1, 128))
    assert np.allclose(averaged.examples[0], both.examples.mean(axis=0))
    assert [bool(mask[120, 90]) for mask in tiny.segment(picture, averaged.with_phrase(None)).masks] == [True]
    with pytest.raises(ConceptError, match="different phrases, 'shape' and 'square'"):
        Concept.combine([there, circle.with_phrase("square")])
    with pytest.raises(ValueError, match="at most 64 examples"):
        Concept.combine([circle] * 65)
    with pytest.raises(ValueError, match="no concept to combine"):
        Concept.combine([])


def test_in_a_batch_and_for_a_caller_it_answers_as_alone(tiny, picture, other, circle):
    prompts = [ConceptPrompt(concept=circle), ConceptPrompt("shape"), ConceptPrompt(None, (CIRCLE,))]
    requests = [
        (image, prompt) for image in (picture, other) for prompt in prompts if image is picture or not prompt.boxes
    ]
    for request, found in zip(requests, tiny.for_caller("alice").segment_batch(requests), strict=True):
        [alone] = tiny.segment_batch([request])
        assert np.allclose(found.scores, alone.scores, atol=1e-5)
        assert (found.masks != alone.masks).sum() <= 1e-4 * alone.masks.size


def test_other_weights_refuse_it(tiny, picture, circle, tmp_path):
    foreign = replace(circle, fingerprint="ab" * 32, weights="facebook/sam3")
    with pytest.raises(ConceptError, match=r"made with the weights 'facebook/sam3' .* and these are 'tiny'"):
        tiny.segment(picture, foreign)
    with pytest.raises(ConceptError, match="load the weights that made it"):
        Concept.combine([circle, foreign])
    narrow = replace(circle, examples=circle.examples[:, :64], surroundings=circle.surroundings[:, :64])
    with pytest.raises(ConceptError, match="describe the examples again"):
        tiny.segment(picture, narrow)


def test_a_backend_without_concepts_says_so(picture, circle):
    scripted = Sam3(ScriptedBackend({}))
    for ask in (
        lambda: scripted.describe(picture, boxes=[CIRCLE]),
        lambda: scripted.segment(picture, circle),
        lambda: scripted.with_concepts({"cup": circle}),
        lambda: scripted.track_masklets(Video.from_images([picture]), ConceptPrompt(concept=circle)),
    ):
        with pytest.raises(CheckpointError, match="cannot keep examples as a concept"):
            ask()


def test_a_concept_and_boxes_are_not_mixed(tiny, picture, circle):
    with pytest.raises(ValueError, match="cannot be asked for together"):
        tiny.segment(picture, circle, boxes=[SQUARE])


def test_number_formats_share_it(tiny, rounded, picture, other, circle):
    rough = rounded.describe(picture, boxes=[CIRCLE])
    assert (rough.dtype, rough.fingerprint) == ("bfloat16", circle.fingerprint)
    for sam3, concept in [(tiny, rough), (rounded, circle)]:
        [found] = sam3.segment(other, concept).masks
        assert found[70, 80]


def test_it_is_recorded_and_replayed(network, picture, other, tmp_path):
    sam3 = Sam3(RecordingBackend(network, tmp_path))
    concept = sam3.describe(picture, boxes=[CIRCLE])
    found = sam3.segment(other, concept)
    again = Sam3.replay(tmp_path)
    described = again.describe(picture, boxes=[CIRCLE])
    assert described.key == concept.key
    assert np.array_equal(again.segment(other, described).masks, found.masks)
    with pytest.raises(CheckpointError, match="not asked for 'examples' in this way"):
        again.segment(other, replace(concept, labels=(0,)))
    with pytest.raises(CheckpointError, match="not asked to describe these examples"):
        again.describe(picture, boxes=[SQUARE])


def test_a_cache_tells_concepts_apart(network, picture, other, circle, tmp_path):
    sam3 = Sam3(CachingBackend(network, tmp_path, made_with={}, cache_bytes=2**24))
    assert sam3.describe(picture, boxes=[CIRCLE]).key == circle.key
    square = sam3.describe(picture, boxes=[SQUARE])
    assert [len(sam3.segment(other, concept)) for concept in (circle, square, circle)] == [1, 0, 1]
    assert len(list((tmp_path / "sam3").rglob("*.json"))) == 2


def test_a_phrase_can_stand_for_it(tiny, picture, other, circle):
    sam3 = tiny.with_concepts({"Red  Blob": circle})
    found = sam3.segment(other, "red blob")
    assert (found.phrase, len(found)) == ("red blob", 1)
    assert sam3.segment(other, "blob", boxes=[(40, 30, 120, 110)]).phrase == "blob"
    assert "'blob'" in tiny.vocabulary_warning("blob")
    assert "'blob'" not in sam3.vocabulary_warning("red blob")
    assert len(sam3.with_concepts({}).segment(other, "blob")) == len(tiny.segment(other, "blob"))


def test_it_is_looked_for_on_every_frame_of_a_video(tiny, picture, circle):
    frames = [Image(np.roll(picture.pixels, 6 * step, axis=1).copy()) for step in range(3)]
    video = Video.from_images(frames)
    prompts = ["red blob", ConceptPrompt("it", concept=circle), FramePrompt(1, ConceptPrompt(concept=circle))]
    for found in tiny.with_concepts({"red blob": circle}).track_masklets(video, prompts):
        assert [masklet.frames for masklet in found.masklets] == [(0, 1, 2)]
