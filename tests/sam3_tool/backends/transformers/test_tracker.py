"""Clicks, boxes and earlier masks: the product's own path against transformers' tracker, called directly."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import Sam3Model, Sam3TrackerModel, Sam3TrackerProcessor

from sam3_tool import CheckpointError, ConceptPrompt, Image, Instances, Sam3, ScriptedBackend, VisualPrompt
from sam3_tool.backends.recording.cache import CachingBackend
from sam3_tool.backends.recording.record import RecordingBackend
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.earlier_masks import EarlierMasks
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.masks.rle import RleMask

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
def exact(network: TransformersBackend) -> Sam3:
    """The network in float32, which encodes each picture of these tests once."""
    return Sam3(network)


@pytest.fixture(scope="module")
def direct(network: TransformersBackend) -> tuple[Any, Any]:
    model = Sam3TrackerModel.from_pretrained(EMBEDDED, dtype=torch.float32).eval()
    return model, Sam3TrackerProcessor(network._images, target_size=128)


@torch.inference_mode()
def published(
    direct: tuple[Any, Any], picture: Image, prompt: VisualPrompt, logits: torch.Tensor | None = None
) -> tuple[np.ndarray, np.ndarray, float, torch.Tensor]:
    """What `Sam3TrackerProcessor` and `Sam3TrackerModel` give, best first: masks, predicted IoU, presence and logits.

    `logits`: of the mask that the prompt holds; else 10 inside and -10 outside.
    """
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
        inputs["input_masks"] = logits if logits is not None else as_certain_logits(prompt.mask)
    if prompt.points or prompt.box:
        output = model(**inputs, multimask_output=prompt.multimask)
        found = output.pred_masks, output.iou_scores, output.object_score_logits
    else:
        found = published_without_a_place(model, prompt.multimask, **inputs)
    [masks] = processor.post_process_masks(found[0], sizes)
    quality = found[1][0, 0]
    order = quality.argsort(descending=True, stable=True)
    return masks[0][order].numpy(), quality[order].numpy(), found[2].sigmoid().item(), found[0][0, 0][order]


def published_without_a_place(
    model: Any, multimask: bool, pixel_values: torch.Tensor, input_masks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `SAM3InteractiveImagePredictor.predict(mask_input=…)`, whose prompt encoder gets no points."""
    small = functional.interpolate(
        input_masks, size=model.prompt_encoder.mask_input_size, mode="bilinear", antialias=True
    )
    *fine, coarse = model.get_image_embeddings(pixel_values)
    masks, quality, _, presence = model.mask_decoder(
        image_embeddings=coarse,
        image_positional_embeddings=model.get_image_wide_positional_embeddings(),
        sparse_prompt_embeddings=torch.zeros(1, 1, 0, coarse.shape[1]),
        dense_prompt_embeddings=model.prompt_encoder.mask_embed(small),
        multimask_output=multimask,
        high_resolution_features=fine,
    )
    return masks, quality, presence


def as_certain_logits(mask: np.ndarray) -> torch.Tensor:
    return torch.tensor(mask)[None, None].float() * 20 - 10


def assert_is(found: Instances, expected: tuple[np.ndarray, np.ndarray, float, torch.Tensor]) -> None:
    masks, quality, presence, _ = expected
    assert len(found) == len(masks)
    assert (found.masks != masks).mean() < 1e-4
    assert np.allclose(found.scores, quality, atol=1e-5)
    assert found.presence == pytest.approx(presence, abs=1e-5)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", PROMPTS)
def test_a_prompt_gives_what_the_published_tracker_gives(exact, direct, picture, kind, multimask):
    prompt = replace(PROMPTS[kind], multimask=multimask)
    [found] = exact.segment_batch([(picture, prompt)])
    assert_is(found, published(direct, picture, prompt))
    assert len(found) == (3 if multimask else 1)


# Corrections


@pytest.mark.parametrize("kind", ["a click", "a box", "a box and a click"])
@pytest.mark.parametrize("click", [(), ((130.0, 120.0),)])
def test_the_numbers_of_an_earlier_answer_go_back_with_its_mask(exact, direct, picture, kind, click):
    first = PROMPTS[kind]
    *_, logits = published(direct, picture, first)
    for chosen in (0, 2):
        mask = exact.segment_batch([(picture, first)])[0].masks[chosen]
        again = VisualPrompt(first.points + click, first.labels + (1,) * len(click), first.box, mask, False)
        expected = published(direct, picture, again, logits[chosen][None, None].clamp(-32, 32))
        assert_is(exact.segment_batch([(picture, again)])[0], expected)


def test_the_numbers_of_another_image_or_of_another_mask_do_not_go_with_a_mask(network, direct, picture):
    sam3 = Sam3(network)
    other = Image(picture.pixels[::-1].copy())
    mask = sam3.refine(other, [ON_THE_CIRCLE]).masks[0].copy()
    for given in (mask, mask ^ disc()):
        prompt = VisualPrompt((ON_THE_CIRCLE,), mask=given)
        assert_is(sam3.segment_batch([(picture, prompt)])[0], published(direct, picture, prompt))


def test_numbers_are_forgotten_when_there_is_no_room_for_them():
    size, count = (64, 64), 3 * 2**26 // (64 * 64 * 4)
    earlier = EarlierMasks(size, None)
    pixels = torch.zeros(1, *size)
    for number in range(count // 2):
        earlier.remember("image", [RleMask((8, 8), str(number))], pixels)
    assert earlier._logits.nbytes <= 2**26


def test_masks_from_elsewhere_go_through_the_published_convolution_where_the_weights_have_it(direct, picture, tmp_path):
    torch.manual_seed(0)
    weight, bias = torch.randn(1, 1, 4, 4), torch.randn(1)
    names = {"tracker_model.mask_downsample.weight": weight, "tracker_model.mask_downsample.bias": bias}
    sam3 = Sam3.load(without(tmp_path, (), more=names), dtype="float32")
    for prompt in (PROMPTS["a mask"], PROMPTS["a mask and a click"]):
        pixels = torch.tensor(prompt.mask)[None, None].float()
        large = functional.interpolate(pixels, size=(256, 256), mode="bilinear", antialias=True)
        expected = published(direct, picture, prompt, functional.conv2d(large, weight, bias, stride=4))
        assert_is(sam3.segment_batch([(picture, prompt)])[0], expected)


def test_half_of_the_published_convolution_is_said(tiny, picture, tmp_path):
    half = {"tracker_model.mask_downsample.weight": torch.zeros(1, 1, 4, 4)}
    with pytest.raises(CheckpointError, match=r"no whole tracker for clicks: 1 weights are missing, e.g. mask_down"):
        Sam3.load(without(tmp_path, ("tracker_model.mask_downsample.",), more=half)).refine(picture, [ON_THE_CIRCLE])


# 16 bits


@pytest.fixture(scope="module", params=["float32", "bfloat16", "float16"])
def any_format(request) -> Sam3:
    return Sam3.load("tiny", device="cpu", dtype=request.param)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", PROMPTS)
def test_every_prompt_works_in_every_format(any_format, exact, picture, kind, multimask):
    prompt = replace(PROMPTS[kind], multimask=multimask, fill_holes=True)
    [found], [wanted] = (sam3.segment_batch([(picture, prompt)]) for sam3 in (any_format, exact))
    assert np.isfinite(found.scores).all()
    assert found.scores[0] == pytest.approx(wanted.scores[0], abs=0.05)
    assert (found.masks[0] != wanted.masks[0]).mean() < 0.02


@pytest.mark.parametrize("kind", PROMPTS)
def test_an_answer_can_be_corrected_in_every_format(any_format, picture, kind):
    prompt = PROMPTS[kind]
    mask = any_format.segment_batch([(picture, prompt)])[0].masks[0]
    for again in (replace(prompt, mask=mask), VisualPrompt(mask=mask), VisualPrompt(((130.0, 120.0),), mask=mask)):
        [found] = any_format.segment_batch([(picture, again)])
        assert found.masks[0].any()
        assert np.isfinite(found.scores).all()


def test_prompts_of_all_kinds_together_work_in_every_format(any_format, picture):
    prompts = [
        *PROMPTS.values(),
        *(replace(prompt, multimask=False) for prompt in PROMPTS.values()),
        ConceptPrompt("red circle"),
        ConceptPrompt(boxes=(AROUND_THE_CIRCLE,)),
        ConceptPrompt("shape", boxes=(AROUND_THE_CIRCLE,), box_labels=(0,)),
        ConceptPrompt(boxes=(AROUND_THE_CIRCLE,), exemplar_image=Image(picture.pixels[:, ::-1].copy())),
    ]
    found = any_format.segment_batch([(picture, prompt) for prompt in prompts])
    assert [len(one) for one in found[:12]] == [3] * 6 + [1] * 6
    assert all(np.isfinite(one.scores).all() for one in found)
    assert len(found[12]) == 1


def test_in_16_bits_places_and_masks_are_read_with_weights_of_32(any_format):
    tracker = any_format._backend._tracker.model
    exact = load_file(EMBEDDED / "model.safetensors")
    for name, weight in tracker.prompt_encoder.state_dict().items():
        assert torch.equal(weight, exact[f"tracker_model.prompt_encoder.{name}"].float()), name


# Candidates


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


def without(folder: Path, prefixes: tuple[str, ...], more: dict[str, torch.Tensor] | None = None) -> Path:
    """A copy of the embedded checkpoint that lacks the weights whose names begin so, and has `more`."""
    for file in EMBEDDED.glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    weights = load_file(EMBEDDED / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith(prefixes)}
    save_file(kept | (more or {}), folder / "model.safetensors", metadata={"format": "pt"})
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


def test_recordings_from_before_there_was_a_choice_of_candidates_answer_for_one(picture, tmp_path):
    recorder = Sam3(RecordingBackend(scripted(picture), tmp_path))
    three = recorder.refine(picture, [ON_THE_CIRCLE], mask=disc())
    [file] = [file for file in (tmp_path / "sam3").iterdir() if "refine" in file.read_text()]
    assert {"multimask", "fill_holes"}.isdisjoint(json.loads(file.read_text())["asked"])
    for choice in ({"multimask": False}, {"fill_holes": True}, {"multimask": False, "fill_holes": True}):
        again = Sam3.replay(tmp_path).refine(picture, [ON_THE_CIRCLE], mask=disc(), **choice)
        assert np.array_equal(again.masks, three.masks)
    with pytest.raises(CheckpointError, match="was not asked for 'an object by clicks' in this way"):
        Sam3.replay(tmp_path).refine(picture, [ON_THE_SQUARE], multimask=False)


def test_a_choice_of_candidates_is_recorded_apart(network, picture, tmp_path):
    prompts = [
        VisualPrompt((ON_THE_CIRCLE,), multimask=many, fill_holes=fill)
        for many, fill in product((False, True), repeat=2)
    ]
    found = Sam3(RecordingBackend(network, tmp_path)).segment_batch([(picture, prompt) for prompt in prompts])
    for prompt, one in zip(prompts, found, strict=True):
        [again] = Sam3.replay(tmp_path).segment_batch([(picture, prompt)])
        assert (again.scores.tolist(), again.rles) == (one.scores.tolist(), one.rles)


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
