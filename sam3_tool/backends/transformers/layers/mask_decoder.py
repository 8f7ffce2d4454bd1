"""SAM 3's mask decoder, run for those queries that get a mask.

The published one projects every pixel before the product with the queries. Queries are far fewer, and
q . (W p + b) = (q W) . p + q . b: here they are projected instead. The semantic map, which nobody reads, is left out.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from sam3_tool.backends.transformers.layers.pixel_decoder import SplitPixelDecoder


class MaskHead(nn.Module):
    """Replaces a `Sam3MaskDecoder`: the same function, up to rounding."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.norm, self.attention = whole.prompt_cross_attn_norm, whole.prompt_cross_attn
        self.pixels = SplitPixelDecoder(whole.pixel_decoder)
        self.embedder, self.projection = whole.mask_embedder, whole.instance_projection

    def forward(
        self,
        queries: torch.Tensor,
        levels: Sequence[torch.Tensor],
        encoded: torch.Tensor,
        prompt: torch.Tensor,
        prompt_mask: torch.Tensor,
    ) -> torch.Tensor:
        """Return logits (B, n, H, W).

        `queries`: (B, n, C). `levels`: of `SharedPyramid`, each (B, C, h, w). `encoded`: the fusion encoder's output,
        (B, h w, C) of the coarsest level. `prompt`: its tokens, (B, L, C). `prompt_mask`: which of them are, bool (B,
        L).
        """
        mask = prompt_mask[:, None, None]  # the same for every head and every pixel
        attended, _ = self.attention(query=self.norm(encoded), key=prompt, value=prompt, attention_mask=mask)
        coarsest = (encoded + attended).transpose(1, 2).reshape(levels[-1].shape)
        pixels = self.pixels([*levels[:-1], coarsest])
        embedded = self.embedder(queries)
        # q . (W p + b) = (q W) . p + q . b: the few queries are projected instead of the many pixels
        offsets = embedded @ self.projection.bias
        products = embedded @ self.projection.weight[:, :, 0, 0] @ pixels.flatten(2)
        logits: torch.Tensor = products + offsets[..., None]
        return logits.view(*logits.shape[:2], *pixels.shape[2:])
