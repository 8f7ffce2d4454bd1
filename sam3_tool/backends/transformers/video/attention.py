"""Memory attention for many objects in one pass, although their memories differ in length.

All objects of a frame share everything but the attention to their memories, which is done for objects with memories of
one shape together. Until they have looked at a memory, they even share their numbers: the first self-attention is done
once. Sums stay in float32 in a 16-bit network, as published.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from sam3_tool.backends.transformers.layers.rotary import rotate_pairs


class MemoryGroup(NamedTuple):
    """Objects whose memories have one shape."""

    values: torch.Tensor
    """(R, n, c) of R objects: tokens of remembered frames, a whole number of grids, then those of object pointers."""
    keys: torch.Tensor
    """Likewise: the same with their positions added."""
    pointer_count: int
    """Tokens of object pointers, which have no place in the image."""


class MemoryAttention:
    """Replaces a `Sam3TrackerVideoMemoryAttention`: the same function, up to rounding."""

    def __init__(self, whole: Any, places: torch.Tensor, dtype: torch.dtype) -> None:
        """Take over the layers. `places`: float32, (1, h w, C), the positions of the frame's tokens."""
        self._layers, self._norm = list(whole.layers), whole.layer_norm
        self._places, self._dtype = places, dtype
        cosines, sines = type(whole.rotary_emb)(whole.config)(places, whole.position_ids.cpu())
        # transformers repeats each angle for both numbers of a pair; one of them is enough
        self._turns = torch.stack((cosines, sines), dim=-1)[0, :, ::2].contiguous().to(places.device)

    def __call__(self, tokens: torch.Tensor, groups: Sequence[MemoryGroup]) -> torch.Tensor:
        """Return (K, h w, C), of one frame's tokens (1, h w, C), in the order of the groups' objects."""
        hidden = tokens.float() + 0.1 * self._places
        counts = [len(group.values) for group in groups]
        for layer in self._layers:
            hidden = hidden + self._attend_to_self(layer, hidden)
            queries = self._project_queries(layer, hidden)
            parts = _share_rows(queries, counts)
            looks = [self._attend_to_memory(layer, *pair) for pair in zip(parts, groups, strict=True)]
            hidden = hidden + (torch.cat(looks) if len(looks) > 1 else looks[0])
            hidden = hidden + layer.linear2(layer.activation(layer.linear1(self._normalize(layer.layer_norm3, hidden))))
        return self._normalize(self._norm, hidden)

    def _normalize(self, norm: nn.LayerNorm, hidden: torch.Tensor) -> torch.Tensor:
        weight, bias = norm.weight.float(), norm.bias.float()
        return functional.layer_norm(hidden, norm.normalized_shape, weight, bias, norm.eps).to(self._dtype)

    def _attend_to_self(self, layer: Any, hidden: torch.Tensor) -> torch.Tensor:
        part, tokens = layer.self_attn, self._normalize(layer.layer_norm1, hidden)
        query, key = (self._turn(_split_heads(part, project(tokens))) for project in (part.q_proj, part.k_proj))
        return _attend(part, query, key, _split_heads(part, part.v_proj(tokens)))

    def _project_queries(self, layer: Any, hidden: torch.Tensor) -> torch.Tensor:
        part = layer.cross_attn_image
        return self._turn(_split_heads(part, part.q_proj(self._normalize(layer.layer_norm2, hidden))))

    def _attend_to_memory(self, layer: Any, query: torch.Tensor, group: MemoryGroup) -> torch.Tensor:
        part = layer.cross_attn_image
        key = _split_heads(part, part.k_proj(group.keys.to(self._dtype)))
        seen = key.shape[2] - group.pointer_count
        rows, heads, _, width = key.shape
        turned = self._turn(key[:, :, :seen].reshape(rows, heads, -1, *self._turns.shape[:1], width)).flatten(2, 3)
        key = torch.cat((turned, key[:, :, seen:]), dim=2) if group.pointer_count else turned
        return _attend(part, query, key, _split_heads(part, part.v_proj(group.values.to(self._dtype))))

    def _turn(self, tokens: torch.Tensor) -> torch.Tensor:
        """Turn (…, h w, D) by the places in the image."""
        return rotate_pairs(tokens, self._turns)


def _split_heads(part: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Return (R, heads, n, D) of (R, n, heads D)."""
    return tokens.view(*tokens.shape[:2], part.num_attention_heads, part.head_dim).transpose(1, 2)


def _share_rows(queries: torch.Tensor, counts: Sequence[int]) -> Sequence[torch.Tensor]:
    """Split rows among groups of so many objects. One row is everybody's."""
    if len(queries) == 1:
        return [queries.expand(count, -1, -1, -1) for count in counts]
    return torch.split_with_sizes(queries, list(counts))


def _attend(part: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    attended = functional.scaled_dot_product_attention(query, key, value, scale=part.scaling)
    projected: torch.Tensor = part.o_proj(attended.transpose(1, 2).flatten(2))
    return projected
