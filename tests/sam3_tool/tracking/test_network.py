"""Phrases through a video with the real network."""

from pathlib import Path

import numpy as np
import pytest

from bench.suites.videos.phrases_in_videos import CountingBackend, draw_pan
from sam3_tool import ConceptPrompt, FramePrompt, Sam3, TrackingRules, Video
from sam3_tool.backends.transformers.backend import TransformersBackend

PHRASES = ("object", "circle", "red object", "star")
NOTHING_IN_COMMON = TrackingRules(hot_start=0, birth_score=0.5)


@pytest.fixture(scope="module")
def pan() -> Video:
    return draw_pan(6, size=(96, 128))


def test_detections_are_what_the_image_path_finds(network: TransformersBackend, pan: Video) -> None:
    """To the bit: scores, boxes, and masks once they are enlarged."""
    image = pan.read_frame(0)
    [embedding] = network.encode([image])
    prompts = [ConceptPrompt(phrase, threshold=0.3) for phrase in PHRASES]
    found = network.detect([embedding] * len(prompts), prompts)
    images = network.decode([embedding] * len(prompts), prompts)
    for detections, instances in zip(found, images, strict=True):
        assert detections.scores.tolist() == instances.scores.tolist()
        assert detections.boxes.tolist() == instances.boxes.tolist()
        assert detections.presence == instances.presence
        assert tuple(network.upsample_masks(detections.logits, image.height, image.width)) == instances.rles
    assert sum(map(len, images)) > 3


def test_the_first_frame_is_found_as_an_image(coarse_folder: Path, pan: Video) -> None:
    """But for pixels of two objects, which an image may have; and for refined masks."""
    sam3 = Sam3.load(coarse_folder, max_batch=1)
    [found] = next(sam3.track(pan, "object", rules=NOTHING_IN_COMMON)).instances
    image = sam3.segment(pan.read_frame(0), "object")
    assert len(found) > 1
    for mask, score in zip(found.masks, found.scores, strict=True):
        same = image.masks[image.scores.tolist().index(score)]
        assert (mask & ~same).sum() == 0
        assert mask.sum() > 0.9 * same.sum()


def test_prompts_share_each_encoding_and_find_what_each_finds_alone(network: TransformersBackend, pan: Video) -> None:
    counting = CountingBackend(network)
    box = FramePrompt(2, ConceptPrompt(boxes=(tuple(Sam3(network).segment(pan.read_frame(2), "object").boxes[0]),)))
    together = Sam3(counting).track_masklets(pan, [*PHRASES, box])
    assert counting.encoded == len(pan)
    alone = [Sam3(network).track_masklets(pan, prompt)[0] for prompt in (*PHRASES, box)]
    for both, single in zip(together, alone, strict=True):
        assert len(both) == len(single)
        for a, b in zip(both.masklets, single.masklets, strict=True):
            assert a.frames == b.frames
            assert a.scores == pytest.approx(b.scores, abs=1e-3)
            assert np.allclose(a.areas, b.areas, rtol=0.02, atol=2), "batches round the last digits"
    assert sum(map(len, together)) > 3
