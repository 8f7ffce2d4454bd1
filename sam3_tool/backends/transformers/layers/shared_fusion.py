"""The first self-attention of the fusion encoder, done once for all phrases of an image.

An image's tokens meet the phrase in the cross-attention of the first layer. What that layer does before is the same for
every phrase.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class SharedFusionLayer(nn.Module):
    """Replaces the first `Sam3DetrEncoderLayer`: the same function, up to rounding."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.whole = whole
        self._images: list[int] | None = None

    def share_images(self, images: Sequence[int] | None) -> None:
        """Say which rows of the next batch show the same image.

        `images`: the number of each row's image, counted from 0 in the order in which they come; None where every row
        is to be worked out by itself.
        """
        self._images = None if images is None or len(set(images)) == len(images) else [*images]

    def forward(
        self,
        vision_feats: torch.Tensor,
        prompt_feats: torch.Tensor,
        vision_pos_encoding: torch.Tensor,
        prompt_cross_attn_mask: torch.Tensor | None = None,
        **options: Any,
    ) -> torch.Tensor:
        """Return (B, h w, C), of the same.

        `vision_feats`, `vision_pos_encoding`: (B, h w, C). `prompt_feats`: (B, L, C).
        """
        layer, images = self.whole, self._images
        if images is not None:
            firsts = [images.index(image) for image in range(max(images) + 1)]
            vision_feats, vision_pos_encoding = vision_feats[firsts], vision_pos_encoding[firsts]
        normed = layer.layer_norm1(vision_feats)
        placed = normed + vision_pos_encoding
        attended, _ = layer.self_attn(query=placed, key=placed, value=normed, **options)
        hidden = attended + vision_feats
        asking = layer.layer_norm2(hidden)
        if images is not None:
            hidden, asking = hidden[images], asking[images]
        attended, _ = layer.cross_attn(
            query=asking, key=prompt_feats, value=prompt_feats, attention_mask=prompt_cross_attn_mask, **options
        )
        hidden = attended + hidden
        fused: torch.Tensor = layer.mlp(layer.layer_norm3(hidden)) + hidden
        return fused
