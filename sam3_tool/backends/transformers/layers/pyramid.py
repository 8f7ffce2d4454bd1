"""SAM 3's feature pyramid as its mask decoder wants it: each level with what does not depend on the phrase done.

Nothing but the pixel decoder reads the fine levels, and it begins by convolving them (see `pixel_decoder`). Between
the last GELU of such a level and that convolution's end everything is linear: a doubling, a projection, two 3 x 3
convolutions. Where channels are few that is far cheaper as one transposed convolution with a 6 x 6 kernel and stride 2.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from sam3_tool.backends.transformers.layers.pixel_decoder import match_layout

_MAX_FOLDED_SHARE = 0.75
"""Share of the operations that a folded level may take. Without a gain the published steps stay."""


class SharedPyramid(nn.Module):
    """Replaces a `Sam3VisionNeck`.

    It gives the same levels without the last, which the detector never reads, and all but the coarsest convolved as the
    pixel decoder does it.
    """

    def __init__(self, neck: Any, convolutions: Sequence[nn.Conv2d]) -> None:
        """Take over a neck.

        `convolutions`: those of the pixel decoder, coarse to fine; the published model has one too many.
        """
        super().__init__()
        *fine, coarse, _ = neck.fpn_layers
        needed = list(convolutions)[: len(fine)][::-1]
        convolved = (fuse_convolution(level, convolution) for level, convolution in zip(fine, needed, strict=True))
        self.levels = nn.ModuleList([*convolved, coarse])
        self.position_encoding = neck.position_encoding

    def forward(self, trunk: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Return levels and their positions, finest first, each (B, C, h, w). `trunk`: (B, C', h', w')."""
        levels = tuple(level(trunk) for level in self.levels)
        # worked out in float32, as published: in bfloat16 the waves would be off by up to 0.03 of their height
        places = (self.position_encoding(level.shape, level.device, torch.float32).to(level.dtype) for level in levels)
        return levels, tuple(places)


def fuse_convolution(level: Any, convolution: nn.Conv2d) -> nn.Module:
    """Join a level of the neck and the convolution after it, in the form that takes fewer operations."""
    doubling, projection, smoothing = level.scale_layers[-1], level.proj1, level.proj2
    apart = sum(_count_operations(layer) for layer in (doubling, projection, smoothing, convolution))
    folded = 9 * doubling.in_channels * convolution.out_channels
    if folded > _MAX_FOLDED_SHARE * apart:
        return nn.Sequential(level, convolution)
    return nn.Sequential(*level.scale_layers[:-1], FoldedTail(doubling, projection, smoothing, convolution))


def _count_operations(layer: Any) -> int:
    """Count multiplications per pixel that comes out."""
    (rows, columns), (down, across) = layer.kernel_size, layer.stride
    return int(rows * columns * layer.in_channels * layer.out_channels // (down * across))


class _Reach(NamedTuple):
    """What is convolved along one axis, and by what."""

    kernels: tuple[slice, slice, slice]
    """Parts of the kernels of doubling, smoothing and convolution."""
    pixels: slice
    """The pixels that go in, and likewise those that come out."""
    padding: int


_INSIDE = _Reach((slice(None), slice(None), slice(None)), slice(None), padding=2)
_OVER_ENDS = (
    _Reach((slice(0, 1), slice(2, 3), slice(0, 1)), slice(0, 1), padding=0),
    _Reach((slice(1, 2), slice(0, 1), slice(2, 3)), slice(-1, None), padding=0),
)
"""The way from the first pixel to itself over the one before it, and likewise at the end."""
_EDGE_CORRECTIONS: list[tuple[int, _Reach, _Reach]] = [
    *((-1, _INSIDE, end) for end in _OVER_ENDS),
    *((-1, end, _INSIDE) for end in _OVER_ENDS),
    *((1, rows, columns) for rows, columns in product(_OVER_ENDS, repeat=2)),
]
"""Sign, rows, columns: edges are taken off, corners, which two edges have, put back."""


class FoldedTail(nn.Module):
    """Doubling (2 x 2, stride 2), projection (1 x 1), smoothing (3 x 3), convolution (3 x 3) as one linear function.

    What zero gives, biases and all, is computed once for each size and added. The convolution sees zeros beyond the
    edges, where the smoothed level would go on by one pixel: what comes from there is taken off again.
    """

    def __init__(self, *steps: Any) -> None:
        super().__init__()
        self._steps = nn.Sequential(*steps)
        doubling, projection, smoothing, convolution = (step.weight.detach().float() for step in steps)
        smooth = torch.einsum("ofyx,fcij->ocyx", smoothing, projection)
        self._kernels = nn.ParameterList(
            nn.Parameter(match_layout(steps[0].weight, _fold_kernels(doubling, smooth, convolution, *place)), False)
            for _, *place in ((1, _INSIDE, _INSIDE), *_EDGE_CORRECTIONS)
        )
        self._zero_output = torch.zeros(0)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map (B, C', h, w) to (B, C, 2 h, 2 w)."""
        whole, *others = self._kernels
        doubled = functional.conv_transpose2d(pixels, whole, stride=2, padding=2)
        for (sign, rows, columns), kernel in zip(_EDGE_CORRECTIONS, others, strict=True):
            place = (..., rows.pixels, columns.pixels)
            padding = (rows.padding, columns.padding)
            beyond = functional.conv_transpose2d(pixels[place], kernel, stride=2, padding=padding)
            doubled[place].add_(beyond, alpha=sign)
        return doubled.add_(self._compute_zero_output(pixels, doubled))

    def _compute_zero_output(self, pixels: torch.Tensor, doubled: torch.Tensor) -> torch.Tensor:
        if self._zero_output.shape[1:] != doubled.shape[1:]:
            self._zero_output = self._steps(torch.zeros_like(pixels[:1]))
        return self._zero_output


def _fold_kernels(
    doubling: torch.Tensor, smooth: torch.Tensor, convolution: torch.Tensor, rows: _Reach, columns: _Reach
) -> torch.Tensor:
    """Return (C', C, 6, 6), or 1 along an axis where an end is passed, as `conv_transpose2d` takes it."""
    doubling, smooth, convolution = (
        kernel[:, :, down, across]
        for kernel, down, across in zip((doubling, smooth, convolution), rows.kernels, columns.kernels, strict=True)
    )
    both = functional.conv_transpose2d(convolution, smooth)
    return functional.conv_transpose2d(doubling, both.flip(2, 3).transpose(0, 1))
