"""Weights from which the memory can start: before anything is learnt, a place looks at what was like it nearby."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import Sam3TrackerVideoModel

from sam3_tool.training.networks.architecture import WIDTH
from sam3_tool.training.networks.tracker import CERTAIN_LOGIT

LOOK_CHANNELS = 48
"""Channels of a memory, of 64, that begin as what the frame looks like there; the others begin as the mask."""


@torch.no_grad()
def initialize_mask_prompt(sam3: Sam3TrackerVideoModel) -> None:
    """Let a given mask reach the decoder as the mask prompts that it learnt from: the cover of a cell as a logit.

    Nothing is left to learn here, so that it stays as it is. The weights that no class reads are zero.
    """
    sam3.mask_downsample.weight.fill_(2 * CERTAIN_LOGIT / sam3.mask_downsample.weight.numel())
    sam3.mask_downsample.bias.fill_(-CERTAIN_LOGIT)
    sam3.no_memory_positional_encoding.zero_()


@torch.no_grad()
def initialize_memory(sam3: Sam3TrackerVideoModel, coarse: torch.Tensor, seed: int) -> None:
    """Fill in the weights of a memory that has learnt nothing.

    A memory holds the main coordinates of the frame's features, and the mask in coordinates that the frame hardly
    uses. Queries and keys of memory attention are the same main coordinates, so that a place finds what looked like
    it, and the rotary code prefers what was nearby; values are the mask. The last norm undoes itself as nearly as a
    norm can, because the frozen decoder expects the frame's own features.

    Args:
        sam3: Its memory is changed in place.
        coarse: float32, (N, WIDTH, GRID, GRID): the coarsest level of some frames.
        seed: Of what is drawn by chance.
    """
    generator = torch.Generator().manual_seed(seed)
    pixels = coarse.permute(0, 2, 3, 1).reshape(-1, WIDTH)
    mean = pixels.mean(dim=0)
    axes = torch.linalg.svd(torch.cov((pixels - mean).T)).U
    main, unused = axes[:, :LOOK_CHANNELS], axes[:, -32:]
    for part in (
        sam3.memory_attention,
        sam3.memory_encoder,
        sam3.object_pointer_proj,
        sam3.temporal_positional_encoding_projection_layer,
    ):
        _initialize_layers(part, generator)
    _initialize_encoder(sam3, mean, main, unused, generator)
    for layer in sam3.memory_attention.layers:
        _initialize_attention(layer, main, generator)
    normed = F.layer_norm(pixels, (WIDTH,))
    scale = ((normed - normed.mean(dim=0)) * (pixels - mean)).mean(dim=0) / normed.var(dim=0)
    sam3.memory_attention.layer_norm.weight.copy_(scale)
    sam3.memory_attention.layer_norm.bias.copy_(mean - scale * normed.mean(dim=0))
    for embedding in (
        sam3.memory_temporal_positional_encoding,
        sam3.no_object_pointer,
        sam3.occlusion_spatial_embedding_parameter,
    ):
        nn.init.normal_(embedding, std=0.02, generator=generator)


def _initialize_layers(part: nn.Module, generator: torch.Generator) -> None:
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def _initialize_encoder(
    sam3: Sam3TrackerVideoModel,
    mean: torch.Tensor,
    main: torch.Tensor,
    unused: torch.Tensor,
    generator: torch.Generator,
) -> None:
    """Keep the frame's main coordinates, and add the mask in those that it hardly uses."""
    encoder = sam3.memory_encoder
    for block in encoder.memory_fuser.layers:
        block.scale.fill_(0.1)
    encoder.feature_projection.weight.copy_(torch.eye(WIDTH)[:, :, None, None])
    encoder.feature_projection.bias.copy_(-mean)
    mask = encoder.mask_downsampler.final_conv
    drawn = torch.randn(unused.shape[1], mask.weight.shape[1], generator=generator)
    mask.weight.copy_((unused @ drawn * (1.5 / math.sqrt(drawn.shape[1])))[:, :, None, None])
    read = _draw_orthogonal(unused.shape[1], sam3.mem_dim - LOOK_CHANNELS, generator)
    encoder.projection.weight.copy_(torch.cat([main.T, (unused @ read).T])[:, :, None, None])


def _initialize_attention(layer: Any, main: torch.Tensor, generator: torch.Generator) -> None:
    attention = layer.cross_attn_image
    turn = _draw_orthogonal(WIDTH, LOOK_CHANNELS, generator) * 0.9
    attention.q_proj.weight.copy_(turn @ main.T)
    attention.k_proj.weight.zero_()
    attention.k_proj.weight[:, :LOOK_CHANNELS] = turn
    values = torch.randn(attention.v_proj.weight.shape, generator=generator)
    values[:, :LOOK_CHANNELS] *= 0.03
    values[:, LOOK_CHANNELS:] *= 0.25
    attention.v_proj.weight.copy_(values)
    attention.o_proj.weight.mul_(0.3)
    layer.self_attn.o_proj.weight.mul_(0.1)
    layer.linear2.weight.mul_(0.1)


def _draw_orthogonal(rows: int, columns: int, generator: torch.Generator) -> torch.Tensor:
    """Return float32, (rows, columns), whose columns are orthonormal."""
    return torch.as_tensor(torch.linalg.qr(torch.randn(rows, columns, generator=generator)).Q)
