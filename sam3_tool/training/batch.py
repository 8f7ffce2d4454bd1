"""Scenes and questions as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from torch.nn import functional
from torchvision.transforms.v2 import functional as image
from transformers import CLIPTokenizer

from sam3_tool.synthetic.nouns import COLOURS, NOUNS, PATTERNS, SIZES
from sam3_tool.synthetic.phrases import Kind, TrainingPrompt, ask_about_scene
from sam3_tool.synthetic.scenes import HELD_OUT, MAX_OBJECTS, Scene, draw_scene
from sam3_tool.training.networks.architecture import FINE_SIDE, IMAGE_SIDE, MASK_SIDE

PAD_LABEL = -10
"""Label of a box that is not there (transformers' convention)."""
IGNORE_INDEX = -100
ATTRIBUTES: tuple[tuple[str, Sequence[str]], ...] = (
    ("noun", NOUNS),
    ("colour", tuple(COLOURS)),
    ("pattern", PATTERNS),
    ("size", SIZES),
)


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """B scenes of up to M = MAX_OBJECTS objects."""

    pixels: torch.Tensor
    """float32, (B, 3, side, side), in [-1, 1]."""
    fine_masks: torch.Tensor
    """float32, (B, M, FINE_SIDE, FINE_SIDE): share of each cell that the object covers."""
    boxes: torch.Tensor
    """float32, (B, M, 4), cx cy w h as shares of the image."""
    exist: torch.Tensor
    """bool, (B, M)."""
    attributes: torch.Tensor
    """int64, (B, M, 4): index of noun, colour, pattern, size; IGNORE_INDEX where there is none."""

    @cached_property
    def masks(self) -> torch.Tensor:
        """float32, (B, M, MASK_SIDE, MASK_SIDE): the same, in the cells of the mask logits."""
        return functional.avg_pool2d(self.fine_masks, FINE_SIDE // MASK_SIDE)


@dataclass(frozen=True, eq=False)
class Questions:
    """N prompts, K per image, in the images' order."""

    image_index: torch.Tensor
    """int64, (N,): which image."""
    tokens: torch.Tensor
    """int64, (N, T)."""
    token_mask: torch.Tensor
    """bool, (N, T): True where there is a token."""
    boxes: torch.Tensor
    """float32, (N, E, 4), cx cy w h as shares of the image."""
    box_labels: torch.Tensor
    """int64, (N, E): 1, 0 or PAD_LABEL. A question without exemplars carries padded boxes only."""
    targets: torch.Tensor
    """bool, (N, M): which objects are meant."""


def build_image_batch(scenes: Sequence[Scene]) -> ImageBatch:
    rows = [_build_image_row(scene) for scene in scenes]
    masks, boxes, exist, attributes = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
    pixels = torch.stack([to_square(scene.pixels) for scene in scenes])
    return ImageBatch(pixels, masks, boxes, exist, attributes)


def to_square(pixels: np.ndarray) -> torch.Tensor:
    """Return the image as SAM 3 sees it: stretched to a square, antialiased bilinear on bytes, scaled to [-1, 1]."""
    channels_first = torch.from_numpy(pixels).permute(2, 0, 1)
    square: torch.Tensor = image.resize(channels_first, [IMAGE_SIDE, IMAGE_SIDE], antialias=True)
    return square.float() / 127.5 - 1


def _build_image_row(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n, (height, width) = len(scene.objects), scene.ids.shape
    masks = np.zeros((MAX_OBJECTS, FINE_SIDE, FINE_SIDE), np.float32)
    for index, mask in enumerate(scene.masks):
        masks[index] = cv2.resize(mask.astype(np.float32), (FINE_SIDE, FINE_SIDE), interpolation=cv2.INTER_AREA)
    boxes = np.full((MAX_OBJECTS, 4), 0.5, np.float32)
    boxes[:n] = to_shares(scene.boxes, width, height)
    attributes = np.full((MAX_OBJECTS, len(ATTRIBUTES)), IGNORE_INDEX, np.int64)
    for index, thing in enumerate(scene.objects):
        for column, (name, values) in enumerate(ATTRIBUTES):
            value = getattr(thing, name)
            attributes[index, column] = IGNORE_INDEX if value is None else values.index(value)
    return masks, boxes, np.arange(MAX_OBJECTS) < n, attributes


def to_shares(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Convert x0 y0 x1 y1 in pixels to cx cy w h as shares of the image, (N, 4)."""
    x0, y0, x1, y1 = boxes.T / np.array([[width], [height], [width], [height]], np.float32)
    return np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], axis=1)


def write_questions(
    scenes: Sequence[Scene], kinds: Sequence[Kind], rng: np.random.Generator, tokenizer: CLIPTokenizer
) -> Questions:
    prompts = [ask_about_scene(scene, kind, rng) for scene in scenes for kind in kinds]
    owners = [scene for scene in scenes for _ in kinds]
    tokens = tokenizer([p.phrase for p in prompts], padding=True, truncation=True, return_tensors="pt")
    boxes, labels = _draw_exemplars(prompts, owners, rng)
    targets = torch.zeros(len(prompts), MAX_OBJECTS, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        targets[row, list(prompt.targets)] = True
    return Questions(
        image_index=torch.arange(len(scenes)).repeat_interleave(len(kinds)),
        tokens=tokens.input_ids,
        token_mask=tokens.attention_mask.bool(),
        boxes=boxes,
        box_labels=labels,
        targets=targets,
    )


def _draw_exemplars(
    prompts: Sequence[TrainingPrompt], scenes: Sequence[Scene], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw boxes a little inexactly, as a person would, padded to the longest list (at least one)."""
    longest = max(1, *(len(prompt.exemplars) for prompt in prompts))
    boxes = np.full((len(prompts), longest, 4), 0.5, np.float32)
    labels = np.full((len(prompts), longest), PAD_LABEL, np.int64)
    for row, (prompt, scene) in enumerate(zip(prompts, scenes, strict=True)):
        if prompt.exemplars:
            height, width = scene.ids.shape
            exact = to_shares(scene.boxes[list(prompt.exemplars)], width, height)
            slack = rng.uniform(-0.05, 0.05, exact.shape) * np.tile(exact[:, 2:], 2)
            boxes[row, : len(exact)] = exact + slack
            labels[row, : len(exact)] = prompt.labels
    return torch.from_numpy(boxes), torch.from_numpy(labels)


def draw_batch(
    seed: Sequence[int], image_count: int, kinds: Sequence[Kind], tokenizer: CLIPTokenizer, *, shapes_only: float = 0.0
) -> tuple[ImageBatch, Questions]:
    """Draw the batch of this seed: fresh scenes each time, so that training never sees one twice.

    `shapes_only`: share of the scenes that hold no everyday things.
    """
    rng = np.random.default_rng(list(seed))
    scenes = [
        draw_scene(int(scene_seed), shapes_only=index < shapes_only * image_count)
        for index, scene_seed in enumerate(rng.integers(HELD_OUT, size=image_count))
    ]
    return build_image_batch(scenes), write_questions(scenes, kinds, rng, tokenizer)
