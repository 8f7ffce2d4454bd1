"""The vision trunk's self-attention in fewer steps: one projection instead of three, one product instead of eight.

Rotary position encoding turns pairs of numbers by an angle that depends on where a token lies. transformers works the
angles out for every layer of every image and turns by way of a swapped copy; here they are kept and a pair is a
complex number, as in the published code (`sam3/model/vitdet.py`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class RotaryAttention(nn.Module):
    """Replaces a `Sam3ViTRoPEAttention`: the same function, up to rounding."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self._heads, self._scale = whole.num_attention_heads, whole.scaling
        self.inputs, self.output = _concatenate_layers(whole.q_proj, whole.k_proj, whole.v_proj), whole.o_proj

    def forward(self, tokens: torch.Tensor, turns: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return (B, h, w, C) and no attention weights, as `Sam3ViTLayer` takes it.

        `turns`: cosines and sines, (h w, D / 2, 2), for heads of D numbers.
        """
        # (B, h w, query | key | value, heads, D)
        projected = self.inputs(tokens.flatten(1, 2)).unflatten(-1, (3, self._heads, -1))
        turned = rotate_pairs(projected[:, :, :2], turns[:, None, None])
        query, key, value = (tensor.transpose(1, 2) for tensor in (*turned.unbind(2), projected[:, :, 2]))
        attended = functional.scaled_dot_product_attention(query, key, value, scale=self._scale)
        return self.output(attended.transpose(1, 2).reshape(tokens.shape)), None


class CachedRotaryEmbedding(nn.Module):
    """Replaces a layer's `Sam3ViTRotaryEmbedding`, whose result never changes.

    In float32 whatever the weights are, as in the published code. A layer in bfloat16 has its places rounded to that,
    which in facebook/sam3 moves tokens by up to an eighth of their distance.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        places = layer.precompute_positions(layer.config, layer.window_size)
        cosines, sines = type(layer.rotary_emb)(layer.config)(places, places)
        # transformers repeats each angle for both numbers of a pair; one of them is enough
        turns = torch.stack((cosines, sines), dim=-1)[0, :, ::2]
        self._turns = turns.contiguous().to(layer.position_ids.device)

    def forward(self, *_: Any) -> torch.Tensor:
        """Return float32, (h w, D / 2, 2)."""
        return self._turns


def replace_rotary_attention(trunk: Any) -> None:
    """Change the attention of every layer of a `Sam3ViTModel`."""
    for layer in trunk.layers:
        layer.attention, layer.rotary_emb = RotaryAttention(layer.attention), CachedRotaryEmbedding(layer)


def rotate_pairs(tokens: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Multiply pairs of the last axis, as complex numbers, by the turns; in float32, as published."""
    pairs = tokens.float().view(*tokens.shape[:-1], -1, 2)
    # PyTorch fuses steps in real numbers alone, and not every device knows complex ones
    if torch.compiler.is_compiling() or tokens.device.type not in ("cpu", "cuda"):
        (real, imaginary), (cosines, sines) = pairs.unbind(-1), turns.unbind(-1)
        turned = torch.stack((real * cosines - imaginary * sines, real * sines + imaginary * cosines), dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turns))
    return turned.flatten(-2).to(tokens.dtype)


def join_tensors(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Concatenate tensors of one shape along the first axis; without a copy if they lie side by side in memory.

    >>> whole = torch.arange(12.0).view(3, 2, 2)
    >>> join_tensors(list(whole)).data_ptr() == whole.data_ptr(), join_tensors([whole[0], whole[2]]).tolist()
    (True, [[0.0, 1.0], [2.0, 3.0], [8.0, 9.0], [10.0, 11.0]])
    """
    first = parts[0]
    is_side_by_side = all(
        part.is_contiguous()
        and part.shape == first.shape
        and part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        and part.storage_offset() == first.storage_offset() + number * first.numel()
        for number, part in enumerate(parts)
    )
    if not is_side_by_side:
        return torch.cat([*parts])
    return first.as_strided((len(parts) * len(first), *first.shape[1:]), first.stride())


def _concatenate_layers(*layers: nn.Linear) -> nn.Linear:
    """Make one layer with the outputs of several, in their order."""
    weight, bias = (join_tensors([getattr(layer, name).detach() for layer in layers]) for name in ("weight", "bias"))
    whole = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    whole.weight, whole.bias = (nn.Parameter(tensor, requires_grad=False) for tensor in (weight, bias))
    return whole
