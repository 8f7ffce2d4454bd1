"""Masks as the tracker reads them in a prompt: as the logits that it gave for them, or as logits made from pixels.

The published image predictor is given the low-resolution logits of its previous answer. A person, a planner and a file
have the mask alone, so that logits are remembered here, under the mask that they became.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from sam3_tool.cache import ByteCache
from sam3_tool.masks.rle import RleMask, encode_mask

MAX_LOGIT = 32.0
"""Logits of an earlier answer are cut there (`sam3/model/sam1_task_predictor.py`)."""
CERTAIN_LOGIT = 10.0
"""Logit of a pixel in a mask that is given as a prompt, where the weights have not learnt one; minus that outside.
The published video model has it where a click follows a mask (`_use_mask_as_output`)."""

_BYTES = 64 * 2**20
"""Room for the candidates of 60 answers of facebook/sam3."""


class EarlierMasks:
    """Turns masks into logits, (1, 1, h, w). Not safe between threads."""

    def __init__(self, size: tuple[int, int], downsample: torch.nn.Conv2d | None) -> None:
        """Take the size of the network's mask logits.

        `downsample`: the convolution of the published video model that turns a mask, four times as large along each
        side and in [0, 1], into logits; None where the weights have none.
        """
        self._size, self._downsample = tuple(size), downsample
        self._logits: ByteCache[tuple[str, RleMask], torch.Tensor] = ByteCache(_BYTES, size=lambda kept: kept.nbytes)

    def remember(self, image: str, masks: Sequence[RleMask], logits: torch.Tensor) -> None:
        """Keep the logits that became these masks of the image with this key. `logits`: (N, h, w)."""
        for mask, row in zip(masks, logits, strict=True):
            self._logits[image, mask] = row.clamp(-MAX_LOGIT, MAX_LOGIT)  # a copy: a view would keep all of them

    def to_logits(self, image: str, mask: np.ndarray, device: torch.device) -> torch.Tensor:
        """Return float32, (1, 1, h, w), on the device. `mask`: bool (H, W), of the image with this key."""
        known = self._logits.get((image, encode_mask(mask)))
        if known is not None:
            return known.to(device, torch.float32)[None, None]
        pixels = torch.tensor(mask, device=device)[None, None].float()
        if self._downsample is not None:
            height, width = self._size
            logits: torch.Tensor = self._downsample(_shrink(pixels, (4 * height, 4 * width)))
            return logits
        return _shrink((2 * pixels - 1) * CERTAIN_LOGIT, self._size)


def _shrink(pixels: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    return functional.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
