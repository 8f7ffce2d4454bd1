"""What a detector for phrases does behind `OpenBackend`, in two halves, as the whole backend."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from sam3_tool.backends.open_models.calibration import Calibration
from sam3_tool.backends.transformers.hardware.failures import check_numbers
from sam3_tool.image import Image
from sam3_tool.prompts import ConceptPrompt

MAX_BOXES = 200
"""Boxes of one prompt that get a mask, best first: as many as SAM 3 has queries."""


class Features(NamedTuple):
    """What a detector keeps of one image."""

    tensors: tuple[torch.Tensor, ...]
    """Each (1, …), on the detector's device."""
    size: tuple[int, int]
    """Height and width of the image as the detector sees it, in pixels."""


class DetectionRequest(NamedTuple):
    """One prompt about one image."""

    features: Features
    exemplar: Features
    """Of the image that the prompt's boxes lie in: mostly the same."""
    size: tuple[int, int]
    """Height and width of the image in pixels."""
    exemplar_size: tuple[int, int]
    prompt: ConceptPrompt


class FoundBoxes(NamedTuple):
    """What a detector finds for one prompt: every box that scores above the prompt's threshold, `MAX_BOXES` at most."""

    boxes: np.ndarray
    """float32, (N, 4), x0 y0 x1 y1 in pixels of the image; they may reach beyond it."""
    scores: np.ndarray
    """float32, (N,), in [0, 1], best first."""
    presence: float
    """In [0, 1]."""


class Detector(Protocol):
    """A detector on its device. Not safe between threads."""

    title: str
    """What it is called in messages."""
    parts: dict[str, torch.nn.Module]
    """Its parts, for measuring."""
    calibrations: dict[str, Calibration]
    """By kind of prompt: "phrase", and "exemplar" where it takes boxes."""

    def check_prompts(self, prompts: Sequence[ConceptPrompt]) -> None:
        """Raise CheckpointError, in one sentence, if a prompt asks for what this detector cannot do."""
        ...

    def encode(self, images: Sequence[Image]) -> list[Features]:
        """Encode images: all that does not depend on a prompt."""
        ...

    def detect(self, requests: Sequence[DetectionRequest]) -> list[FoundBoxes]:
        """Find boxes. Prompts do not see each other."""
        ...


def choose_boxes(
    boxes: np.ndarray, raw: np.ndarray, scores: np.ndarray, *, threshold: float, presence: float
) -> FoundBoxes:
    """Keep what scores above a threshold, best raw score first; ties keep the detector's order, boxes are finite.

    `boxes`: float32, (Q, 4). `raw` and `scores`: float32, (Q,). Raises DeviceError if these are no numbers.
    """
    check_numbers(raw, "the detector")
    order = np.argsort(-raw, kind="stable")
    kept = order[(scores[order] > threshold) & np.isfinite(boxes[order]).all(axis=1)][:MAX_BOXES]
    return FoundBoxes(boxes[kept], scores[kept], presence)


def prepare_pixels(processor: Any, image: Image, device: torch.device, **options: Any) -> torch.Tensor:
    """Run a transformers image processor on one image: float32, (1, 3, h, w), on the device."""
    pixels = torch.tensor(image.pixels).permute(2, 0, 1)
    made = processor(pixels, input_data_format="channels_first", return_tensors="pt", device=device, **options)
    prepared: torch.Tensor = made["pixel_values"]
    return prepared.to(device)
