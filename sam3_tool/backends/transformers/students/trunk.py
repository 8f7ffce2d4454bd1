"""The vision trunk of EfficientSAM3: timm's network of a family, and the head that gives SAM 3's features."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from transformers.modeling_outputs import BaseModelOutput

from sam3_tool.backends.transformers.students.layout import Family, StudentLayout
from sam3_tool.errors import MissingPackageError
from sam3_tool.plugins import import_lock

_ATTENTION_EPSILON = 1e-15
"""Of EfficientViT's linear attention (`efficientvit/nn/ops.py` of EfficientSAM3); timm says 1e-5."""


class WeightFaults(NamedTuple):
    """What is not right with the weights of a trunk."""

    missing: list[str]
    unknown: list[str]
    mismatched: list[tuple[str, torch.Size, torch.Size]]
    """Name, shape found, shape expected."""


class StudentTrunk(nn.Module):
    """Takes the place of a `Sam3ViTModel`: the same tokens of the same image, from a network a tenth of its size."""

    def __init__(self, layout: StudentLayout, *, grid: int) -> None:
        """Make the network with random weights.

        Args:
            layout: See `describe_student`.
            grid: Rows and columns of tokens that SAM 3 has of an image.

        Raises:
            MissingPackageError: timm is not installed.
        """
        super().__init__()
        self._grid = grid
        self.backbone = _build_backbone(layout.family, layout.arguments)
        self.head = nn.Sequential(
            nn.Conv2d(layout.width, layout.features, kernel_size=1, bias=False),
            nn.BatchNorm2d(layout.features),
            nn.GELU(),
            nn.Conv2d(layout.features, layout.features, kernel_size=3, padding=1),
        )

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutput:
        """Return tokens, (B, grid x grid, C), of images, (B, 3, S, S)."""
        features = self.head(self.backbone.forward_features(pixel_values))
        if features.shape[-1] != self._grid:
            # in float32: where the places between two values are rounded, 16 bits would move them
            size = (self._grid, self._grid)
            features = functional.interpolate(features.float(), size=size, mode="bilinear").to(features.dtype)
        # token after token, as SAM 3's own trunk leaves them: what follows convolves channels last
        return BaseModelOutput(last_hidden_state=features.permute(0, 2, 3, 1).flatten(1, 2).contiguous())

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> WeightFaults:
        """Take over weights by their names here, and say what is not right with them."""
        own = self.state_dict()
        expected = {name for name in own if not name.endswith(".num_batches_tracked")}
        unfit = [name for name in sorted(expected & weights.keys()) if weights[name].shape != own[name].shape]
        fitting = {name: weights[name] for name in (expected & weights.keys()).difference(unfit)}
        self.load_state_dict(fitting, strict=False, assign=True)
        return WeightFaults(
            missing=sorted(expected - weights.keys()),
            unknown=sorted(weights.keys() - expected),
            mismatched=[(name, weights[name].shape, own[name].shape) for name in unfit],
        )

    def fold_norms(self) -> "StudentTrunk":
        """Join each batch norm to the convolution before it, and return self, in evaluation mode.

        It is the same function in fewer steps, and in a 16-bit network it spares what the norms would round.
        """
        from timm.utils.model import reparameterize_model

        reparameterize_model(self.eval().requires_grad_(False), inplace=True)  # where timm knows how, with branches
        for part in list(self.modules()):
            for (first, convolution), (second, norm) in pairwise(list(part.named_children())):
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    setattr(part, first, fuse_conv_bn_eval(convolution, norm))
                    setattr(part, second, nn.Identity())
        return self.requires_grad_(False)


def is_student(trunk: Any) -> bool:
    """Return whether a vision trunk is EfficientSAM3's, and no `Sam3ViTModel`."""
    return isinstance(trunk, StudentTrunk)


def _build_backbone(family: Family, arguments: Mapping[str, Any]) -> Any:
    try:
        with import_lock:
            from timm.models.efficientvit_mit import EfficientVit, LiteMLA
            from timm.models.repvit import RepVit
            from timm.models.tiny_vit import TinyVit
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "timm":
            raise
        raise MissingPackageError(
            "to read EfficientSAM3, the package timm is needed, which is not installed;"
            " run `pip install 'sam3-agent[efficient]'`"
        ) from error
    match family:
        case "repvit":
            backbone = RepVit(**arguments, num_classes=0, distillation=False)
        case "tinyvit":
            backbone = TinyVit(**arguments, num_classes=0, drop_path_rate=0.0)
        case "efficientvit":
            backbone = EfficientVit(**arguments, num_classes=0, head_widths=(1, 1))
            for part in backbone.modules():
                if isinstance(part, LiteMLA):
                    part.eps = _ATTENTION_EPSILON
    backbone.head = nn.Identity()  # which chooses among classes of ImageNet
    return backbone
