"""Clicks, boxes and earlier masks: the product's own path against transformers' tracker, called directly."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Sam3Model, Sam3TrackerModel, Sam3TrackerProcessor

from sam3_tool import CheckpointError, ConceptPrompt, Image, Instances, Sam3, ScriptedBackend, VisualPrompt
from sam3_tool.backends.recording.cache import CachingBackend
from sam3_tool.backends.recording.record import RecordingBackend
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.checkpoint import locate_checkpoint

EMBEDDED = locate_checkpoint("tiny")
ON_THE_CIRCLE, ON_THE_SQUARE, NOWHERE = (90.0, 120.0), (245.0, 125.0), (180.0, 30.0)
AROUND_THE_CIRCLE = (30.0, 60.0, 150.0, 180.0)


def disc() -> np.ndarray:
    """The mask of the red circle, without its right half."""
    y, x = np.indices((240, 320))
    return np.asarray(((x - 90) ** 2 + (y - 120) ** 2 < 60**2) & (x < 90))


PROMPTS = {
    "a click": VisualPrompt((ON_THE_CIRCLE,)),
    "three clicks": VisualPrompt((ON_THE_CIRCLE, ON_THE_SQUARE, NOWHERE), (1, 0, 0)),
    "a box": VisualPrompt(box=AROUND_THE_CIRCLE),
    "a box and a click": VisualPrompt((ON_THE_SQUARE,), (0,), AROUND_THE_CIRCLE),
    "a mask and a click": VisualPrompt(((130.5, 120.25),), (1,), None, disc()),
    "a mask": VisualPrompt(mask=disc()),
}


@pytest.fixture(scope="module")
def direct(network: TransformersBackend) -> tuple[Any, Any]:
    model = Sam3TrackerModel.from_pretrained(EMBEDDED, dtype=torch.float32).eval()
    return model, Sam3TrackerProcessor(network._images, target_size=128)


@torch.inference_mode()
def published(direct: tuple[Any, Any], picture: Image, prompt: VisualPrompt) -> tuple[np.ndarray, np.ndarray, float]:
    """Masks, predicted IoU and presence as `Sam3TrackerProcessor` and `Sam3TrackerModel` give them, best first."""
    model, processor = direct
    inputs = processor(
        images=picture.to_pil(),
        input_points=[[[list(point) for point in prompt.points]]] if prompt.points else None,
        input_labels=[[list(prompt.labels)]] if prompt.points else None,
        input_boxes=[[list(prompt.box)]] if prompt.box else None,
        return_tensors="pt",
    )
    sizes = inputs.pop("original_sizes")
    if prompt.mask is not None:
        inputs["input_masks"] = torch.tensor(prompt.mask)[None, None].float() * 20 - 10
    output = model(**inputs)
    [masks] = processor.post_process_masks(output.pred_masks, sizes)
    quality = output.iou_scores[0, 0]
    order = quality.argsort(descending=True, stable=True)
    return masks[0][order].numpy(), quality[order].numpy(), output.object_score_logits.sigmoid().item()


@pytest.mark.parametrize("kind", PROMPTS)
def test_a_prompt_gives_what_the_published_tracker_gives(tiny, direct, picture, kind):
    prompt = PROMPTS[kind]
    found = tiny.refine(picture, prompt.points, prompt.labels, box=prompt.box, mask=prompt.mask)
    masks, quality, presence = published(direct, picture, prompt)
    assert (found.masks != masks).mean() < 1e-4
    assert np.allclose(found.scores, quality, atol=1e-5)
    assert found.presence == pytest.approx(presence, abs=1e-5)


def test_candidates_come_best_first_with_the_extents_of_their_masks(tiny, picture):
    found = tiny.refine(picture, [ON_THE_CIRCLE])
    assert found.masks.shape == (3, 240, 320)
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert found.phrase == ""
    rows, columns = np.nonzero(found.masks[0])
    assert found.boxes[0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_a_click_costs_no_encode_after_a_phrase_and_a_phrase_none_after_a_click(network, picture):
    sam3 = Sam3(network)
    click, phrase = (picture, VisualPrompt((ON_THE_CIRCLE,))), (picture, ConceptPrompt("red circle"))
    assert [sam3.run_requests([one]).encodes for one in (phrase, click, phrase, click)] == [1, 0, 0, 0]
    other = Sam3(network)
    assert [other.run_requests([one]).encodes for one in (click, phrase)] == [1, 0]
    assert Sam3(network).run_requests([click, phrase]).encodes == 1


def test_detector_and_tracker_share_one_backbone_in_memory(network):
    detector, tracker = network._model, network._tracker.model
    everything = {id(p): p.numel() for model in (detector, tracker) for p in model.parameters()}
    trunk = {id(p): p.numel() for p in detector.vision_encoder.backbone.parameters()}
    own = [p.numel() for name, p in tracker.named_parameters() if not name.startswith("vision_encoder.backbone.")]
    alone = {id(p): p.numel() for p in detector.parameters()}
    assert tracker.vision_encoder.backbone is detector.vision_encoder.backbone
    assert trunk.keys() <= alone.keys()
    assert sum(everything.values()) == sum(alone.values()) + sum(own)


def test_mixed_requests_of_many_threads_get_what_each_would_get_alone(tiny, picture):
    requests = [(picture, prompt) for prompt in (*PROMPTS.values(), ConceptPrompt("red circle"))] * 2
    alone = [tiny.segment_batch([request])[0] for request in requests]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda request: tiny.segment_batch([request])[0], requests))
    for expected, found in zip([*alone, *alone], [*together, *tiny.segment_batch(requests)], strict=True):
        assert np.allclose(found.scores, expected.scores, atol=1e-5)
        assert (found.masks != expected.masks).mean() < 1e-4


def test_in_bfloat16_a_click_stays_where_it_is(tiny, rounded, picture):
    exact = tiny.refine(picture, [ON_THE_CIRCLE])
    found = rounded.refine(picture, [ON_THE_CIRCLE])
    assert (found.masks[0] != exact.masks[0]).mean() < 0.02


# What is wrong is said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs a point, a box, a mask"),
        ({"points": [ON_THE_CIRCLE], "labels": [1, 0]}, "1 points need as many labels"),
        ({"points": [ON_THE_CIRCLE], "labels": [2]}, "labels out of 0 and 1"),
        ({"points": [(float("nan"), 3)]}, "a point is finite x y"),
        ({"points": [(320.5, 3)]}, "lies outside the image, which is 320 wide and 240 high"),
        ({"box": (5, 5, 5, 9)}, "x0 < x1"),
        ({"mask": np.zeros((240, 320), np.uint8)}, r"must be bool \(H, W\), got uint8"),
        ({"mask": np.zeros((24, 32), bool)}, r"must have the image's size \(240, 320\), got \(24, 32\)"),
    ],
)
def test_a_prompt_that_cannot_be_followed_is_refused_in_one_sentence(tiny, picture, given, said):
    with pytest.raises(ValueError, match=said):
        tiny.refine(picture, **given)


def without(folder: Path, prefixes: tuple[str, ...]) -> Path:
    """A copy of the embedded checkpoint that lacks the weights whose names begin so."""
    for file in EMBEDDED.glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    weights = load_file(EMBEDDED / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith(prefixes)}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("lost", "said"),
    [(("tracker_",), "has no tracker weights"), (("tracker_neck.",), "has no whole tracker for clicks: 22 weights")],
)
def test_without_a_tracker_clicks_are_refused_in_one_sentence_and_phrases_go_on(tiny, picture, tmp_path, lost, said):
    sam3 = Sam3.load(without(tmp_path, lost))
    with pytest.raises(CheckpointError, match=said) as refusal:
        sam3.refine(picture, [ON_THE_CIRCLE])
    assert "--sam3 tiny" in str(refusal.value)
    assert np.array_equal(sam3.segment(picture, "red circle").masks, tiny.segment(picture, "red circle").masks)


# Checkpoint


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # transformers' video model
def test_one_folder_loads_into_detector_tracker_and_video_classes():
    from transformers import Sam3VideoModel

    for kind in (Sam3Model, Sam3TrackerModel):
        _, report = kind.from_pretrained(EMBEDDED, output_loading_info=True)
        assert not report["missing_keys"]
    _, report = Sam3VideoModel.from_pretrained(EMBEDDED, output_loading_info=True)
    memory = ("memory_", "mask_downsample", "object_pointer", "temporal_", "no_memory_pos", "no_object", "occlusion")
    missing = {name.removeprefix("tracker_model.") for name in report["missing_keys"]}
    assert {name for name in missing if not name.startswith(memory)} == set()
    assert not report["unexpected_keys"]


# Recording


def scripted(picture: Image) -> ScriptedBackend:
    masks = np.zeros((2, 240, 320), bool)
    masks[0, 60:180, 30:150] = True
    masks[1, 85:165, 205:285] = True
    boxes = np.array([AROUND_THE_CIRCLE, (205, 85, 285, 165)], np.float32)
    found = Instances(masks, boxes, np.array([0.9, 0.8], np.float32), 1.0, "shape")
    return ScriptedBackend({picture.key: {"shape": found}})


def test_clicks_are_recorded_and_replayed_bit_for_bit(network, picture, tmp_path):
    recorder = Sam3(RecordingBackend(network, tmp_path))
    requests = [(picture, prompt) for prompt in PROMPTS.values()]
    found = recorder.segment_batch(requests)
    for one, again in zip(found, Sam3.replay(tmp_path).segment_batch(requests), strict=True):
        assert np.array_equal(one.masks, again.masks)
        assert (one.scores.tolist(), one.presence) == (again.scores.tolist(), again.presence)
    with pytest.raises(CheckpointError, match="was not asked for 'an object by clicks' in this way"):
        Sam3.replay(tmp_path).refine(picture, [NOWHERE])


def test_a_recorded_click_holds_its_mask_as_text(picture, tmp_path):
    Sam3(RecordingBackend(scripted(picture), tmp_path)).refine(picture, [ON_THE_CIRCLE], mask=disc())
    [asked] = [
        held["asked"]
        for file in (tmp_path / "sam3").iterdir()
        if (held := json.loads(file.read_text()))["asked"]["what"] == "refine"
    ]
    assert asked["points"] == [list(ON_THE_CIRCLE)]
    assert isinstance(asked["mask"], str)


def test_a_click_asked_before_is_answered_from_the_cache_without_an_encode(picture, tmp_path):
    def cached() -> Sam3:
        return Sam3(CachingBackend(scripted(picture), tmp_path, made_with={}, cache_bytes=2**20))

    first = cached().refine(picture, [ON_THE_CIRCLE], mask=disc())
    assert np.array_equal(cached().refine(picture, [ON_THE_CIRCLE], mask=disc()).masks, first.masks)
    [answer] = (tmp_path / "sam3").rglob("*.json")
    assert json.loads(answer.read_text())["answer"]["phrase"] == ""
