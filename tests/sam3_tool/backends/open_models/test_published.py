"""Open models against the published processors and networks, one phrase at a time, on the same weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertTokenizer,
    CLIPTokenizer,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    Sam2VideoModel,
    Sam2VideoProcessor,
    Sam2VideoVideoProcessor,
)

from sam3_tool import ConceptPrompt, Image, Sam3, VisualPrompt
from sam3_tool.backends.open_models.detector import DetectionRequest, FoundBoxes
from sam3_tool.backends.open_models.reading import read_detector
from tests.support.open_models import SAM2_SIDE

CPU = torch.device("cpu")
PHRASES = ["red cup", "a long striped dog with 7", "cat"]


def detect_ours(folder: Path, image: Image, phrases: list[str]) -> list[FoundBoxes]:
    """All phrases in one batch."""
    detector = read_detector(folder, CPU, torch.float32)
    with torch.inference_mode():
        [features] = detector.encode([image])
        size = (image.height, image.width)
        return detector.detect(
            [DetectionRequest(features, features, size, size, ConceptPrompt(phrase, threshold=0)) for phrase in phrases]
        )


@torch.inference_mode()
def detect_with_dino(folder: Path, image: Image, phrase: str) -> Any:
    processor = GroundingDinoProcessor(
        GroundingDinoImageProcessor.from_pretrained(folder), BertTokenizer.from_pretrained(folder)
    )
    model = GroundingDinoForObjectDetection.from_pretrained(folder).eval()
    inputs = processor(images=image.to_pil(), text=f"{phrase}.", return_tensors="pt")
    [result] = processor.post_process_grounded_object_detection(
        model(**inputs), inputs.input_ids, threshold=0, target_sizes=[(image.height, image.width)]
    )
    return result


@torch.inference_mode()
def detect_with_owl(folder: Path, image: Image, phrase: str) -> Any:
    processor = Owlv2Processor(Owlv2ImageProcessor.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder))
    model = Owlv2ForObjectDetection.from_pretrained(folder).eval()
    inputs = processor(
        images=image.to_pil(), text=[[f"a photo of a {phrase}"]], truncation=True, max_length=16, return_tensors="pt"
    )
    [result] = processor.post_process_grounded_object_detection(
        model(**inputs), threshold=0, target_sizes=[(image.height, image.width)]
    )
    return result


@torch.inference_mode()
def segment_with_sam2(folder: Path, image: Image, **prompts: Any) -> tuple[np.ndarray, np.ndarray]:
    """Masks, bool (N, C, H, W), and predicted IoUs (N, C)."""
    processor = Sam2Processor(Sam2ImageProcessor.from_pretrained(folder))
    multimask = prompts.pop("multimask_output")
    inputs = processor(images=image.to_pil(), return_tensors="pt", **prompts)
    sizes = inputs.pop("original_sizes")
    output = Sam2Model.from_pretrained(folder).eval()(**inputs, multimask_output=multimask)
    [masks] = processor.post_process_masks(output.pred_masks, sizes)
    return masks.numpy(), output.iou_scores[0].numpy()


@torch.inference_mode()
def follow_with_sam2(folder: Path, frames: list[Image], box: tuple[float, ...]) -> list[np.ndarray]:
    """Mask logits of each frame, float32 (1, h, w), of one object that a box shows on the first."""
    processor = Sam2VideoProcessor(
        Sam2ImageProcessor.from_pretrained(folder),
        Sam2VideoVideoProcessor(size={"height": SAM2_SIDE, "width": SAM2_SIDE}),
    )
    model = Sam2VideoModel.from_pretrained(folder).eval()
    video = [frame.to_pil() for frame in frames]
    session = processor.init_video_session(video=video, inference_device="cpu", dtype=torch.float32)
    processor.add_inputs_to_inference_session(session, frame_idx=0, obj_ids=1, input_boxes=[[list(box)]])
    return [output.pred_masks[:, 0].numpy() for output in model.propagate_in_video_iterator(session, 0)]


@pytest.mark.parametrize("detect", [detect_with_dino, detect_with_owl])
def test_phrases_in_one_batch_have_the_published_boxes_and_scores(detect, request, photo):
    folder = request.getfixturevalue("dino_folder" if detect is detect_with_dino else "owl_folder")
    detector = read_detector(folder, CPU, torch.float32)
    scores = []
    for phrase, found in zip(PHRASES, detect_ours(folder, photo, PHRASES), strict=True):
        published = detect(folder, photo, phrase)
        order = published["scores"].argsort(descending=True, stable=True).numpy()
        raw = detector.calibrations["phrase"].to_raw_scores(found.scores)
        assert np.allclose(raw, published["scores"].numpy()[order], atol=2e-5)
        assert np.allclose(found.boxes, published["boxes"].numpy()[order], atol=2e-3)
        scores.append(raw)
    assert np.abs(scores[0] - scores[2]).max() > 1e-3  # or else the phrases would not count


@pytest.mark.parametrize("name", ["with_dino", "with_owl"])
def test_masks_are_those_of_sam_2_for_the_boxes(name, request, photo, sam2_folder):
    sam3: Sam3 = request.getfixturevalue(name)
    found = [sam3.segment(photo, phrase, threshold=0.0) for phrase in PHRASES]
    boxes = np.concatenate([instances.boxes for instances in found]).clip(0, [photo.width, photo.height] * 2)
    masks, _ = segment_with_sam2(sam2_folder, photo, input_boxes=[boxes.tolist()], multimask_output=False)
    assert len(masks) >= len(PHRASES)
    assert 0.05 < masks.mean() < 0.95  # or else any mask would do
    assert (np.concatenate([instances.masks for instances in found]) != masks[:, 0]).mean() < 1e-4


def test_clicks_are_answered_as_by_sam_2(with_dino, photo, sam2_folder):
    clicks, labels = [[30, 40], [100, 20]], [1, 0]
    found = with_dino.refine(photo, clicks, labels)
    masks, quality = segment_with_sam2(
        sam2_folder, photo, input_points=[[clicks]], input_labels=[[labels]], multimask_output=True
    )
    order = np.argsort(-quality[0], kind="stable")
    assert np.allclose(found.scores, quality[0][order].clip(0, 1), atol=1e-5)
    assert (found.masks != masks[0][order]).mean() < 1e-4


def test_an_object_is_followed_as_by_sam_2(with_dino, photo, sam2_folder):
    frames = [Image(np.roll(photo.pixels, 4 * step, axis=1)) for step in range(4)]
    box = (20.0, 20.0, 70.0, 60.0)
    backend: Any = with_dino._backend
    embeddings = backend.encode(frames)
    memory = backend.open_memory(photo.height, photo.width, len(frames))
    ours = [memory.prompt(embeddings[0], 0, 1, VisualPrompt(box=box, multimask=False))]
    ours += [memory.propagate(embeddings[frame], frame) for frame in (1, 2, 3)]
    for low, published in zip(ours, follow_with_sam2(sam2_folder, frames, box), strict=True):
        assert np.allclose(low.logits, published, atol=1e-2)
        assert low.logits.min() > -1024  # the object is there
    assert np.abs(ours[0].logits - ours[3].logits).max() > 1  # and it moves


def test_a_phrase_is_written_as_the_published_processor_does_it(dino_folder):
    detector: Any = read_detector(dino_folder, CPU, torch.float32)
    for phrase in PHRASES:
        published = BertTokenizer.from_pretrained(dino_folder)(f"{phrase}.", return_tensors="pt")
        ids, mask = detector._write_phrases([phrase])
        if len(published.input_ids[0]) <= 24:
            assert ids.equal(published.input_ids)
            assert mask.equal(published.attention_mask)
        else:
            assert ids.shape == (1, 24)
            assert ids[0, -2:].tolist() == [1012, 102]
