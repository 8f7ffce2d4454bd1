"""Labels of images, and batches of them as tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from transformers import CLIPTokenizer

from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from sam3_tool.synthetic.phrases import Kind, ask_about_scene
from sam3_tool.synthetic.scenes import Scene
from sam3_tool.training.batch import ATTRIBUTES, IGNORE_INDEX, PAD_LABEL, ImageBatch, Questions, to_shares, to_square
from sam3_tool.training.networks.architecture import FINE_SIDE


@dataclass(frozen=True)
class LabelledPair:
    """A phrase of an image, and its masks."""

    phrase: str
    masks: tuple[RleMask, ...]
    is_exhaustive: bool = True
    """Whether these are all: only then is anything else taught to be wrong. Without masks: that nothing is there."""


@dataclass(frozen=True, eq=False)
class LabelledImage:
    load_pixels: Callable[[], np.ndarray]
    """() -> uint8, (height, width, 3), RGB."""
    pairs: tuple[LabelledPair, ...]


@dataclass(frozen=True, eq=False)
class LabelBatch:
    """Images, K questions about each, and which answers are complete."""

    images: ImageBatch
    questions: Questions
    exhaustive: torch.Tensor
    """bool, (N,): one a question."""


def label_scene(scene: Scene, kinds: Sequence[Kind], rng: np.random.Generator) -> LabelledImage:
    """Ask a generated scene questions of these kinds, with true answers. A phrase that came before is left out."""
    prompts = {prompt.phrase: prompt for prompt in (ask_about_scene(scene, kind, rng) for kind in kinds)}
    masks = rle.encode_masks(scene.masks)
    pairs = (LabelledPair(p.phrase, tuple(masks[index] for index in p.targets)) for p in prompts.values())
    return LabelledImage(lambda: scene.pixels, tuple(pairs))


def build_label_batch(labelled: Sequence[LabelledImage], tokenizer: CLIPTokenizer) -> LabelBatch:
    """Bring images and all their pairs into tensors; at least one pair is expected."""
    pairs = [pair for image in labelled for pair in image.pairs]
    tokens = tokenizer([pair.phrase for pair in pairs], padding=True, truncation=True, return_tensors="pt")
    most = max(1, *(sum(len(pair.masks) for pair in image.pairs) for image in labelled))
    questions = Questions(
        image_index=torch.tensor([row for row, image in enumerate(labelled) for _ in image.pairs]),
        tokens=tokens.input_ids,
        token_mask=tokens.attention_mask.bool(),
        boxes=torch.full((len(pairs), 1, 4), 0.5),
        box_labels=torch.full((len(pairs), 1), PAD_LABEL),
        targets=torch.cat([_mark_targets(image.pairs, most) for image in labelled]),
    )
    return LabelBatch(_build_images(labelled, most), questions, torch.tensor([pair.is_exhaustive for pair in pairs]))


def _mark_targets(pairs: Sequence[LabelledPair], most: int) -> torch.Tensor:
    """Return bool, (pairs, most): which of the image's masks, in the order of its pairs, belong to each pair."""
    targets, first = torch.zeros(len(pairs), most, dtype=torch.bool), 0
    for row, pair in enumerate(pairs):
        targets[row, first : first + len(pair.masks)] = True
        first += len(pair.masks)
    return targets


def _build_images(labelled: Sequence[LabelledImage], most: int) -> ImageBatch:
    rows = [_build_masks([mask for pair in image.pairs for mask in pair.masks], most) for image in labelled]
    masks, boxes, exist = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
    pixels = torch.stack([to_square(image.load_pixels()) for image in labelled])
    # labels name no attributes of single objects
    unknown = torch.full((*exist.shape, len(ATTRIBUTES)), IGNORE_INDEX)
    return ImageBatch(pixels, masks, boxes, exist, unknown)


def _build_masks(masks: Sequence[RleMask], most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return float32 (most, FINE_SIDE, FINE_SIDE), float32 (most, 4) cx cy w h, bool (most,)."""
    fine = np.zeros((most, FINE_SIDE, FINE_SIDE), np.float32)
    boxes = np.full((most, 4), 0.5, np.float32)
    for index, mask in enumerate(masks):
        whole = rle.decode_mask(mask).astype(np.float32)
        fine[index] = cv2.resize(whole, (FINE_SIDE, FINE_SIDE), interpolation=cv2.INTER_AREA)
    if masks:
        height, width = masks[0].size
        boxes[: len(masks)] = to_shares(rle.compute_boxes(masks).astype(np.float32), width, height)
    return fine, boxes, np.arange(most) < len(masks)
