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
        self.max_folded_weights = 2**20
        """Of one object; more of them would not stay in a processor's cache."""
        self._turns_by_shape: dict[tuple[int, int], torch.Tensor] = {}

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
        query, key = (_rotate(part, project(tokens), self._turns) for project in (part.q_proj, part.k_proj))
        return _attend(part, query, key, _split_heads(part, part.v_proj(tokens)).transpose(1, 2))

    def _project_queries(self, layer: Any, hidden: torch.Tensor) -> torch.Tensor:
        part = layer.cross_attn_image
        return _rotate(part, part.q_proj(self._normalize(layer.layer_norm2, hidden)), self._turns)

    def _attend_to_memory(self, layer: Any, query: torch.Tensor, group: MemoryGroup) -> torch.Tensor:
        part, turns = layer.cross_attn_image, self._get_turns(group)
        key = _rotate(part, part.k_proj(group.keys.to(self._dtype)), turns)
        weights = query.shape[2] * key.shape[2]
        if self._can_fold(part, query) and weights <= self.max_folded_weights:
            return self._attend_folded(part, query, key, group.values)
        return _attend(part, query, key, _split_heads(part, part.v_proj(group.values.to(self._dtype))).transpose(1, 2))

    def _can_fold(self, part: Any, query: torch.Tensor) -> bool:
        return query.device.type == "cpu" and query.dtype == torch.float32 and part.num_attention_heads == 1

    def _attend_folded(self, part: Any, query: torch.Tensor, key: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Attend to the remembered numbers themselves, and project what comes of it.

        Values are a linear function of them, half as wide, and weights sum to 1: sum(w (V m + b)) = V sum(w m) + b. One
        object after the other, because its weights then stay in the processor's cache.
        """
        query = query[:, 0] * part.scaling
        seen = torch.stack(
            [
                torch.softmax(asking @ known.T, dim=-1) @ tokens
                for asking, known, tokens in zip(query, key[:, 0], values, strict=True)
            ]
        )
        weight = part.o_proj.weight @ part.v_proj.weight
        return functional.linear(seen, weight, part.o_proj.weight @ part.v_proj.bias + part.o_proj.bias)

    def _get_turns(self, group: MemoryGroup) -> torch.Tensor:
        """Return the turns of a memory's tokens: those of its frames' places, none for object pointers."""
        tokens = group.keys.shape[1]
        shape = (tokens, group.pointer_count)
        if shape not in self._turns_by_shape:
            frames = (tokens - group.pointer_count) // len(self._turns)
            none = torch.tensor([1.0, 0.0], device=self._turns.device).expand(
                group.pointer_count, *self._turns.shape[1:]
            )
            self._turns_by_shape = {shape: torch.cat((self._turns.repeat(frames, 1, 1), none))}  # the last one is kept
        return self._turns_by_shape[shape]


def _split_heads(part: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Return (R, n, heads, D) of (R, n, heads D)."""
    return tokens.view(*tokens.shape[:2], part.num_attention_heads, part.head_dim)


def _rotate(part: Any, tokens: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Return (R, heads, n, D) of (R, n, heads D), turned by their places (n, D / 2, 2)."""
    return rotate_pairs(_split_heads(part, tokens), turns[:, None]).transpose(1, 2)


def _share_rows(queries: torch.Tensor, counts: Sequence[int]) -> Sequence[torch.Tensor]:
    """Split rows among groups of so many objects. One row is everybody's."""
    if len(queries) == 1:
        return [queries.expand(count, -1, -1, -1) for count in counts]
    return torch.split_with_sizes(queries, list(counts))


def _attend(part: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    attended = functional.scaled_dot_product_attention(query, key, value, scale=part.scaling)
    projected: torch.Tensor = part.o_proj(attended.transpose(1, 2).flatten(2))
    return projected
