"""SAM 3's mask decoder, run for one prompt and those of its queries that get a mask.

The published one projects every pixel before the product with the queries. Queries are far fewer, and
q . (W p + b) = (q W) . p + q . b: here they are projected instead. The semantic map, which nobody reads, is left out.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from sam3_tool.backends.pixels import SplitPixelDecoder


class MaskHead(nn.Module):
    """In the place of a `Sam3MaskDecoder`: the same function, up to rounding."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.norm, self.attention = whole.prompt_cross_attn_norm, whole.prompt_cross_attn
        self.pixels = SplitPixelDecoder(whole.pixel_decoder)
        self.embedder, self.projection = whole.mask_embedder, whole.instance_projection

    def forward(
        self, queries: torch.Tensor, levels: Sequence[torch.Tensor], seen: torch.Tensor, prompt: torch.Tensor
    ) -> torch.Tensor:
        """Logits (n, H, W).

        `queries`: (n, C). `levels`: of `SharedPyramid`, each (1, C, h, w). `seen`: the fusion encoder's output,
        (1, h w, C) of the coarsest level. `prompt`: its tokens without padding, (1, L, C).
        """
        attended, _ = self.attention(query=self.norm(seen), key=prompt, value=prompt)
        coarsest = (seen + attended).transpose(1, 2).reshape(levels[-1].shape)
        [pixels] = self.pixels([*levels[:-1], coarsest])
        embedded = self.embedder(queries)
        offsets = embedded @ self.projection.bias
        products = embedded @ self.projection.weight[:, :, 0, 0] @ pixels.flatten(1)
        logits: torch.Tensor = products + offsets[:, None]
        return logits.view(len(queries), *pixels.shape[1:])
