"""SAM 3's feature pyramid as its mask decoder wants it: each level with what does not depend on the phrase done.

Nothing but the pixel decoder reads the fine levels, and it begins by convolving them (see `pixels`). Between the last
GELU of such a level and that convolution's end everything is linear: a doubling, a projection, two 3 x 3 convolutions.
Where channels are few that is far cheaper as one transposed convolution with a 6 x 6 kernel and stride 2.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sam3_tool.backends.pixels import laid_out_as

_WORTH = 0.75
"""Of the operations that a folded level may take at most; for less there is no reason to leave the published steps."""


class SharedPyramid(nn.Module):
    """In the place of a `Sam3VisionNeck`: the same levels without the last, which the detector never reads, and all but
    the coarsest convolved as the pixel decoder does it."""

    def __init__(self, neck: Any, convolutions: Sequence[nn.Conv2d]) -> None:
        """`convolutions`: of the pixel decoder, coarse to fine; the published model has one more than it needs."""
        super().__init__()
        *fine, coarse, _ = neck.fpn_layers
        needed = list(convolutions)[: len(fine)][::-1]
        convolved = (_convolved(level, convolution) for level, convolution in zip(fine, needed, strict=True))
        self.levels = nn.ModuleList([*convolved, coarse])
        self.position_encoding = neck.position_encoding

    def forward(self, trunk: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Levels and their positions, finest first, each (B, C, h, w). `trunk`: (B, C', h', w')."""
        levels = tuple(level(trunk) for level in self.levels)
        return levels, tuple(self.position_encoding(level.shape, level.device, level.dtype) for level in levels)


def _convolved(level: Any, convolution: nn.Conv2d) -> nn.Module:
    """A level of the neck, then the convolution: in the form that takes fewer operations."""
    doubling, projection, smoothing = level.scale_layers[-1], level.proj1, level.proj2
    apart = sum(_operations(one) for one in (doubling, projection, smoothing, convolution))
    folded = 9 * doubling.in_channels * convolution.out_channels
    if folded > _WORTH * apart:
        return nn.Sequential(level, convolution)
    return nn.Sequential(*level.scale_layers[:-1], FoldedTail(doubling, projection, smoothing, convolution))


def _operations(layer: Any) -> int:
    """Multiplications per pixel that comes out."""
    (rows, columns), (down, across) = layer.kernel_size, layer.stride
    return int(rows * columns * layer.in_channels * layer.out_channels // (down * across))


class FoldedTail(nn.Module):
    """Doubling (2 x 2, stride 2), projection (1 x 1), smoothing (3 x 3), convolution (3 x 3): one linear function.

    What zero gives, biases and all, is computed once for each size and added. The convolution sees zeros beyond the
    edges, where the smoothed level would go on by one pixel; what that would add is taken off again.
    """

    def __init__(self, *steps: Any) -> None:
        super().__init__()
        self._steps = nn.Sequential(*steps)
        doubling, projection, smoothing, convolution = (step.weight.detach().float() for step in steps)
        smooth = torch.einsum("ofyx,fcij->ocyx", smoothing, projection)
        both = functional.conv_transpose2d(convolution, smooth)
        whole = functional.conv_transpose2d(doubling, both.flip(2, 3).transpose(0, 1))
        self._doubling, self._smooth, self._convolution, self._whole = (
            nn.Parameter(laid_out_as(steps[0].weight, weight), requires_grad=False)
            for weight in (doubling, smooth, convolution, whole)
        )
        self._of_nothing = torch.zeros(0)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, C', h, w) -> (B, C, 2 h, 2 w)"""
        made = functional.conv_transpose2d(pixels, self._whole, stride=2, padding=2)
        weights = (self._doubling, self._smooth, self._convolution)
        for row, beyond in _beyond(pixels, *weights, corners=True):
            made[:, :, row] -= beyond
        for column, beyond in _beyond(*(one.transpose(2, 3) for one in (pixels, *weights)), corners=False):
            made[:, :, :, column] -= beyond
        return made.add_(self._constant(pixels, made))

    def _constant(self, pixels: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        if self._of_nothing.shape[1:] != made.shape[1:]:
            self._of_nothing = self._steps(torch.zeros_like(pixels[:1]))
        return self._of_nothing


def _beyond(
    pixels: torch.Tensor, doubling: torch.Tensor, smooth: torch.Tensor, convolution: torch.Tensor, *, corners: bool
) -> Iterator[tuple[int, torch.Tensor]]:
    """The first row and the last, and what each gets from the row beyond it, (B, C, w)."""
    first, last = slice(0, 1), slice(2, 3)
    for row, place, near, far in ((0, slice(0, 1), first, last), (-1, slice(-1, None), last, first)):
        edge = functional.conv_transpose2d(pixels[:, :, place], doubling, stride=2)[:, :, place]
        beyond = functional.conv2d(edge, smooth[:, :, far], padding=(0, 2))
        if not corners:
            beyond[..., :: beyond.shape[-1] - 1] = 0
        yield row, functional.conv2d(beyond, convolution[:, :, near])[:, :, 0]
