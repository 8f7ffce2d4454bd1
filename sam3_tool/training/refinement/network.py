"""The mask refiner while it learns: with batch norms, which become part of the convolutions when it is shipped."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from sam3_tool.backends.transformers.video.refinement import MaskRefiner

WIDTHS = (32, 64, 96, 128)
"""Channels of the levels of the shipped network, finest first."""


class LearningRefiner(MaskRefiner):
    """A `MaskRefiner` whose convolutions have a batch norm each. In the beginning it changes no mask."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(widths)
        self.widths = tuple(widths)
        for parameter in self.output.parameters():
            nn.init.zeros_(parameter)
        for pairs in (self.down, self.up):
            for index, pair in enumerate(pairs):
                pairs[index] = _add_norms(pair)

    @torch.no_grad()
    def fold_norms(self) -> MaskRefiner:
        """Return the same function, in evaluation mode, without norms."""
        folded = MaskRefiner(self.widths)
        for (bare, norm), plain in zip(_list_normed(self), _list_convolutions(folded), strict=True):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            plain.weight.copy_(bare.weight * scale[:, None, None, None])
            plain.bias.copy_(norm.bias - norm.running_mean * scale)
        folded.output.load_state_dict(self.output.state_dict())
        return folded.eval()

    @torch.no_grad()
    def take_over(self, shipped: MaskRefiner, windows: torch.Tensor) -> None:
        """Begin with the function that is shipped, with norms that know the mean and spread of these windows."""
        for (bare, _), plain in zip(_list_normed(self), _list_convolutions(shipped), strict=True):
            bare.weight.copy_(plain.weight)
        self.output.load_state_dict(shipped.output.state_dict())
        seen = _record_outputs(shipped, windows)
        for (_, norm), plain, output in zip(_list_normed(self), _list_convolutions(shipped), seen, strict=True):
            bare_output = output - plain.bias[:, None, None]
            norm.running_mean.copy_(bare_output.mean(dim=(0, 2, 3)))
            norm.running_var.copy_(bare_output.var(dim=(0, 2, 3), correction=0))
            norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps))
            norm.bias.copy_(plain.bias + norm.running_mean)


def _add_norms(pair: nn.Module) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in pair.children():
        if isinstance(layer, nn.Conv2d):
            bare = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1, bias=False)
            layers += [bare, nn.BatchNorm2d(layer.out_channels)]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def _record_outputs(refiner: MaskRefiner, windows: torch.Tensor) -> list[torch.Tensor]:
    """Return what each convolution gives for these windows."""
    seen: list[torch.Tensor] = []
    hooks = [
        convolution.register_forward_hook(lambda layer, inputs, output: seen.append(output))
        for convolution in _list_convolutions(refiner)
    ]
    refiner(windows)
    for hook in hooks:
        hook.remove()
    return seen


def _list_convolutions(refiner: MaskRefiner) -> list[Any]:
    """Return all convolutions but the last one, in order."""
    pairs = (*refiner.down, *refiner.up)
    return [layer for pair in pairs for layer in pair.children() if isinstance(layer, nn.Conv2d)]


def _list_normed(refiner: MaskRefiner) -> Iterator[tuple[Any, Any]]:
    """Yield each of them with the norm behind it."""
    pairs = (*refiner.down, *refiner.up)
    norms = [layer for pair in pairs for layer in pair.children() if isinstance(layer, nn.BatchNorm2d)]
    yield from zip(_list_convolutions(refiner), norms, strict=True)
