"""SAM 2.1: masks of boxes, clicks and earlier masks. Its mask decoder is that of SAM 3's tracker."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sam3_tool.backends.open_models.detector import prepare_pixels
from sam3_tool.backends.transformers.tracker import Tracker, TrunkEmbedding
from sam3_tool.image import Image
from sam3_tool.prompts import VisualPrompt

_MIN_BOX = 1e-3
"""Pixels of the shortest side of a box that SAM 2 is asked about."""


class Segmenter(Tracker):
    """A `Sam2Model` on its device, in evaluation mode. Not safe between threads.

    All rules are those of `Tracker`; an embedding brings the levels with it that the decoder reads.
    """

    def __init__(self, model: Any, image_processor: Any) -> None:
        super().__init__(model)
        self._images = image_processor

    @property
    def dtype(self) -> torch.dtype:
        """The number format of all but coordinates."""
        return self._dtype

    def encode(self, images: Sequence[Image]) -> list[tuple[torch.Tensor, ...]]:
        """Return what the mask decoder reads of each image, finest level first, each (1, C, h, w)."""
        model = self.model
        device = model.no_memory_embedding.device
        pixels = torch.cat([prepare_pixels(self._images, image, device) for image in images])
        finest, finer, coarse = model.vision_encoder(pixels.to(self._dtype)).fpn_hidden_states
        levels = (model.mask_decoder.conv_s0(finest), model.mask_decoder.conv_s1(finer), coarse)
        # clones, because a view would keep the whole batch in memory
        return [tuple(level[row : row + 1].clone() for level in levels) for row in range(len(images))]

    def segment_boxes(self, embeddings: Sequence[Any], boxes: np.ndarray, *, batch_size: int) -> torch.Tensor:
        """Return one mask per box, as logits (N, h, w) on the device.

        Args:
            embeddings: N, which may repeat.
            boxes: float32, (N, 4), x0 y0 x1 y1 in pixels.
            batch_size: Boxes in one pass.

        Returns:
            Logits, in the network's number format.
        """
        side = self.model.prompt_encoder.mask_input_size
        parts = [torch.zeros(0, *side, device=self.model.no_memory_embedding.device)]
        prompts = [
            VisualPrompt(box=_clip_box(box, embedding.height, embedding.width), multimask=False)
            for embedding, box in zip(embeddings, boxes, strict=True)
        ]
        for first in range(0, len(prompts), batch_size):
            rows = slice(first, first + batch_size)
            logits, _, _ = self._predict_masks(embeddings[rows], prompts[rows])
            parts.append(logits[:, 0])
        return torch.cat(parts)

    def _get_levels(self, embedding: TrunkEmbedding) -> list[torch.Tensor]:
        return list(embedding.trunk)


def _clip_box(box: np.ndarray, height: int, width: int) -> tuple[float, float, float, float]:
    """Return the part of a box that lies in the image; one without area gets a little."""
    x0, x1 = (float(x) for x in box[::2].clip(0, width))
    y0, y1 = (float(y) for y in box[1::2].clip(0, height))
    return x0, y0, max(x1, x0 + _MIN_BOX), max(y1, y0 + _MIN_BOX)
