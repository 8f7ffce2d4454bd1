"""A backend: connected regions of one colour take the place of SAM 3."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sam3_tool import Backend, ConceptPrompt, Image, Instances, UserError, VisualPrompt

TOLERANCE = 60
"""Largest distance in RGB at which a pixel still has the colour."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The embedding: the regions of one image."""

    masks: np.ndarray
    """bool, (N, height, width)."""

    @property
    def nbytes(self) -> int:
        return int(self.masks.nbytes)


class ColorBackend:
    """Answers every phrase with the regions of one colour, largest first."""

    def __init__(self, color: tuple[int, int, int], name: str) -> None:
        self.name = name
        self.fingerprint = f"mine 1 {color}"  # what is cached for one colour is of no use for another
        self._color = color

    def encode(self, images: Sequence[Image]) -> list[Regions]:
        return [self._find_regions(image) for image in images]

    def decode(self, embeddings: Sequence[Any], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        pairs = zip(embeddings, prompts, strict=True)
        return [to_instances(regions.masks, prompt.phrase or "") for regions, prompt in pairs]

    def refine(self, embeddings: Sequence[Any], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        raise UserError("the backend 'mine' cannot follow clicks")

    def vocabulary_warning(self, phrase: str) -> str:
        return ""

    def _find_regions(self, image: Image) -> Regions:
        distance = np.linalg.norm(image.pixels.astype(float) - self._color, axis=-1)
        count, labels = cv2.connectedComponents((distance < TOLERANCE).astype(np.uint8))
        masks = [labels == label for label in range(1, count)]
        masks.sort(key=np.count_nonzero, reverse=True)
        return Regions(np.array(masks, bool).reshape(-1, image.height, image.width))


def to_instances(masks: np.ndarray, phrase: str) -> Instances:
    """Give each region its box, and a score that is its share of the largest one."""
    areas = masks.sum(axis=(1, 2))
    boxes = [(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) for ys, xs in map(np.nonzero, masks)]
    scores = 0.5 + 0.5 * areas / areas.max(initial=1)
    return Instances(
        masks,
        np.array(boxes, np.float32).reshape(-1, 4),
        scores.astype(np.float32),
        presence=float(len(masks) > 0),
        phrase=phrase,
    )


def load(weights: str, **options: object) -> Backend:
    """Make the backend that `mine:RRGGBB` names; `options`, such as the device, change nothing here."""
    try:
        red, green, blue = bytes.fromhex(weights.lstrip("#"))
    except ValueError as error:
        raise UserError(f"the backend 'mine' takes a colour such as mine:d62628, got {weights!r}") from error
    return ColorBackend((red, green, blue), f"mine:{weights}")
