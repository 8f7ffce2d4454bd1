"""The memory of SAM 3's tracker as functions of tensors, for any number of objects of one frame at a time.

The function is that of the published code (`sam3/model/sam3_tracker_base.py`, `sam3/model/memory.py`), which differs
from transformers' `Sam3TrackerVideoModel` in several places: see `docs/explanation/following-objects.md`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers import Sam3TrackerVideoConfig
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import (
    Sam3TrackerVideoFeedForward,
    Sam3TrackerVideoMemoryAttention,
    Sam3TrackerVideoMemoryEncoder,
    get_1d_sine_pe,
)

from sam3_tool.backends.transformers.layers.pixel_decoder import match_layout
from sam3_tool.backends.transformers.layers.pyramid import fuse_convolution
from sam3_tool.backends.transformers.video.attention import MemoryAttention, MemoryGroup
from sam3_tool.backends.transformers.video.refinement import SQUARE_SIDE, MaskRefiner

ABSENT_LOGIT = -1024.0
"""Logit of every pixel of an object that is not on the frame (`NO_OBJ_SCORE`)."""
MASK_SCALE, MASK_BIAS = 20.0, -10.0
"""What a mask in [0, 1] is stretched by before it is remembered, or taken as an answer."""
MIN_REMAINING_SHARE = 0.3
"""An object that keeps less of its area, once every pixel belongs to one object, is not remembered there
(`_suppress_shrinked_masks` in `sam3/model/sam3_tracking_predictor.py`)."""


class MemoryWeights(nn.Module):
    """What a checkpoint has for memory, under the names of `Sam3TrackerVideoModel`."""

    def __init__(self, config: Sam3TrackerVideoConfig) -> None:
        super().__init__()
        channels, narrow = config.vision_config.fpn_hidden_size, config.memory_encoder_output_channels
        self.memory_attention = Sam3TrackerVideoMemoryAttention(config)
        self.memory_encoder = Sam3TrackerVideoMemoryEncoder(config)
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.object_pointer_proj = Sam3TrackerVideoFeedForward(channels, channels, channels, 3)
        self.temporal_positional_encoding_projection_layer = nn.Linear(channels, narrow)
        self.memory_temporal_positional_encoding = nn.Parameter(torch.zeros(config.num_maskmem, 1, 1, narrow))
        self.no_object_pointer = nn.Parameter(torch.zeros(1, channels))
        self.occlusion_spatial_embedding_parameter = nn.Parameter(torch.zeros(1, narrow))


class ChannelNorm(nn.Module):
    """Replaces a `Sam3TrackerVideoLayerNorm` over the channels of large maps: the same function, up to rounding.

    That one turns the map so that channels come last; four channels of a large map make rows too short to be quick.
    """

    def __init__(self, whole: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self._epsilon = whole.weight, whole.bias, whole.eps

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (K, C, h, w), of the same."""
        centered = pixels - pixels.mean(dim=1, keepdim=True)
        variance = (centered * centered).mean(dim=1, keepdim=True)
        scaled = centered * torch.rsqrt(variance + self._epsilon)
        return torch.addcmul(self.bias[:, None, None], scaled, self.weight[:, None, None])


class FrameLevels(NamedTuple):
    """One frame as the tracker reads it."""

    finest: torch.Tensor
    """(1, C / 8, 4 h, 4 w), projected for the mask decoder."""
    finer: torch.Tensor
    """(1, C / 4, 2 h, 2 w), likewise."""
    coarse: torch.Tensor
    """(1, C, h, w), without the mark of a frame that has no past."""


class FrameReader:
    """Makes of an image's trunk what the tracker reads of a frame, in fewer operations than `Tracker.compute_levels`.

    From the last GELU of a fine level to the projection after it everything is linear: see `layers.pyramid`.
    """

    def __init__(self, heads: Any) -> None:
        """Take over a `Sam3TrackerModel`."""
        sizes, decoder = heads.backbone_feature_sizes, heads.mask_decoder
        finest, finer, coarse = list(heads.vision_encoder.neck.fpn_layers)[: len(sizes)]
        self._grid = sizes[-1]
        self._layers = (
            fuse_convolution(finest, _widen_kernel(decoder.conv_s0)),
            fuse_convolution(finer, _widen_kernel(decoder.conv_s1)),
            coarse,
        )

    def __call__(self, trunk: torch.Tensor) -> FrameLevels:
        """Read a frame. `trunk`: the last state, (1, tokens, C)."""
        grid = trunk.transpose(1, 2).reshape(1, -1, *self._grid)
        return FrameLevels(*(layer(grid) for layer in self._layers))


def _widen_kernel(projection: nn.Conv2d) -> nn.Conv2d:
    """Make a 3 x 3 convolution of a 1 x 1 one, as `fuse_convolution` takes it."""
    wide = nn.Conv2d(projection.in_channels, projection.out_channels, 3, padding=1, device="meta")
    weight = functional.pad(projection.weight.detach(), (1, 1, 1, 1))
    wide.weight = nn.Parameter(match_layout(projection.weight, weight), requires_grad=False)
    wide.bias = projection.bias
    return wide


class Places(NamedTuple):
    """Clicks of K objects with the same number each; a box is two of them, with the labels 2 and 3."""

    points: torch.Tensor
    """float32, (K, P, 2), in pixels of the network's square."""
    labels: torch.Tensor
    """int64, (K, P): 1 on the object, 0 not on it, 2 and 3 the corners of a box, -1 none."""


class DecodedObjects(NamedTuple):
    """What the mask decoder says of K objects."""

    logits: torch.Tensor
    """float32, (K, 4 h, 4 w); `ABSENT_LOGIT` everywhere where the object is absent."""
    presences: torch.Tensor
    """float32, (K,), logits: above 0 the object is on the frame."""
    scores: torch.Tensor
    """float32, (K,), in [0, 1]: predicted IoU."""
    pointers: torch.Tensor
    """float32, (K, C)."""


class VideoNetwork:
    """Mask decoder and memory of one checkpoint, on one device."""

    def __init__(self, heads: Any, weights: MemoryWeights, refiner: MaskRefiner | None = None) -> None:
        """Take over all of them.

        `heads`: a `Sam3TrackerModel`, whose prompt encoder, mask decoder and mark of a frame without a past are used.
        `refiner`: what draws the decoder's masks once more, if the checkpoint has it.
        """
        self.refiner = refiner
        self.heads, self.weights = heads, weights
        device, self.dtype = heads.no_memory_embedding.device, heads.mask_decoder.conv_s0.weight.dtype
        self.grid: tuple[int, int] = tuple(heads.backbone_feature_sizes[-1])
        self.side: int = heads.config.prompt_encoder_config.image_size
        self.low_size: tuple[int, int] = tuple(heads.prompt_encoder.mask_input_size)
        self.mask_size = (4 * self.low_size[0], 4 * self.low_size[1])
        self.answer_size = self.low_size if refiner is None else (SQUARE_SIDE, SQUARE_SIDE)
        """Height and width of the masks that are given out."""
        self.channels: int = heads.no_memory_embedding.shape[-1]
        # worked out in float32, as published
        places = heads.vision_encoder.neck.position_encoding((1, self.channels, *self.grid), device, torch.float32)
        self._image_places = heads.get_image_wide_positional_embeddings()
        self.attention = MemoryAttention(weights.memory_attention, places.flatten(2).transpose(1, 2), self.dtype)
        encoder = weights.memory_encoder
        for layer in encoder.mask_downsampler.layers:
            if not isinstance(layer.layer_norm, ChannelNorm):
                layer.layer_norm = ChannelNorm(layer.layer_norm)
        narrow = encoder.projection.out_channels
        spots = encoder.position_encoding((1, narrow, *self.grid), device, torch.float32)
        self.memory_places: torch.Tensor = spots.flatten(2).transpose(1, 2)[0]
        """float32, (h w, c): where each token of a remembered frame lies."""

    # What a frame looks like to an object

    def forget_past(self, levels: FrameLevels) -> torch.Tensor:
        """Mark a frame as one without a past: (1, C, h, w)."""
        marked: torch.Tensor = levels.coarse + self.heads.no_memory_embedding.view(1, -1, 1, 1).to(levels.coarse.dtype)
        return marked

    def recall(self, levels: FrameLevels, groups: Sequence[MemoryGroup]) -> torch.Tensor:
        """Let K objects look at a frame through their memories: (K, C, h, w), in the order of the groups' rows."""
        tokens = self.attention(levels.coarse.flatten(2).transpose(1, 2), groups)
        return tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid)

    def place_memories(self, ranks: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the positions of remembered frames, float32, (R, n h w, c), of R objects with n frames each.

        `ranks`: 1 is the latest frame; 0 stands for a conditioning frame.
        """
        times = self.weights.memory_temporal_positional_encoding[:, 0]  # (7, 1, c)
        rows = torch.tensor(ranks, device=times.device) - 1  # -1 is the last
        places: torch.Tensor = self.memory_places + times[rows]
        return places.flatten(1, 2)

    def place_pointers(self, offsets: Sequence[Sequence[int]], most: int) -> torch.Tensor:
        """Return the positions of object pointers, float32, (R, p C / c, c), of R objects with p pointers each.

        `offsets`: how far away they are. `most`: pointers that can count.
        """
        distances = torch.tensor(offsets, dtype=torch.float32, device=self.memory_places.device) / max(1, most - 1)
        projection = self.weights.temporal_positional_encoding_projection_layer
        places: torch.Tensor = projection(get_1d_sine_pe(distances, dim=projection.in_features))
        return places.repeat_interleave(projection.in_features // projection.out_features, dim=1)

    def split_pointers(self, pointers: torch.Tensor) -> torch.Tensor:
        """Split object pointers (R, p, C) into tokens as wide as those of memory, (R, p C / c, c)."""
        return pointers.reshape(len(pointers), -1, self.memory_places.shape[-1])

    # What an object looks like on a frame

    def decode(
        self,
        levels: FrameLevels,
        features: torch.Tensor,
        places: Places | None = None,
        masks: torch.Tensor | None = None,
        *,
        multimask: bool | None = None,
    ) -> DecodedObjects:
        """Find K objects on a frame.

        Args:
            levels: The frame.
            features: (K, C, h, w), of `recall` or `forget_past`.
            places: Clicks and boxes; None for an object that is followed.
            masks: float32, (K, 1, 4 h, 4 w), logits to be mended.
            multimask: Whether the best of three candidates is taken; left out, where there is no more than one place.

        Returns:
            The masks, and what the memory keeps of them.
        """
        count = len(features)
        if places is None:
            device = features.device
            none = torch.full((count, 1), -1, device=device)
            places = Places(torch.zeros(count, 1, 2, device=device), none)
        multimask = places.labels.shape[1] <= 1 if multimask is None else multimask
        sparse, dense = self.heads.prompt_encoder(
            input_points=places.points[:, None],
            input_labels=places.labels[:, None],
            input_boxes=None,
            input_masks=masks,
        )
        logits, scores, tokens, presences = self.heads.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=self._image_places.expand(count, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            high_resolution_features=[level.expand(count, -1, -1, -1) for level in (levels.finest, levels.finer)],
        )
        rows, best = torch.arange(count, device=features.device), scores[:, 0].argmax(dim=-1)
        presence = presences[:, 0, 0].float()
        chosen = logits[rows, 0, best].float()
        return DecodedObjects(
            torch.where(presence[:, None, None] > 0, chosen, ABSENT_LOGIT),
            presence,
            scores[rows, 0, best].float(),
            self.make_pointers(tokens[rows, 0, best], presence),
        )

    def make_pointers(self, tokens: torch.Tensor, presences: torch.Tensor) -> torch.Tensor:
        """Make object pointers, float32, (K, C), of the decoder's tokens (K, C)."""
        pointers = self.weights.object_pointer_proj(tokens.float())
        return torch.where(presences[:, None] > 0, pointers, self.weights.no_object_pointer)

    def take_masks(self, levels: FrameLevels, masks: torch.Tensor, logits: torch.Tensor) -> DecodedObjects:
        """Take masks for the answer, and make pointers of them.

        Args:
            levels: The frame.
            masks: float32, (K, 1, 16 h, 16 w), in [0, 1].
            logits: float32, (K, *answer_size): the same masks.

        Returns:
            These logits, and what the memory keeps of the masks.
        """
        features = levels.coarse.expand(len(masks), -1, -1, -1)  # the mark of a frame without a past is not added here
        found = self.decode(levels, features, masks=self.weights.mask_downsample(masks), multimask=False)
        is_there = (masks.flatten(1) > 0).any(dim=1)
        pointers = torch.where(is_there[:, None], found.pointers, self.weights.no_object_pointer)
        presences = torch.where(is_there, -MASK_BIAS, MASK_BIAS)
        return DecodedObjects(logits, presences, torch.ones_like(found.scores), pointers)

    def shrink_video_masks(self, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn masks, bool (K, H, W) at the video's size, into what `take_masks` takes."""
        pixels = masks[:, None].float()
        return _resize(pixels, self.mask_size, antialias=True), self._shrink_certain(pixels)

    def adopt_logits(self, logits: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn logits (K, *answer_size) that were found by other means into what `take_masks` takes.

        `size`: of the video, for the published code goes by way of a mask of that size.
        """
        pixels = (_resize(logits[:, None], self.mask_size) > 0).float()
        at_video_size = [_resize(row[None], size, antialias=True) > 0.5 for row in pixels]
        return pixels, torch.cat([self._shrink_certain(row.float()) for row in at_video_size])

    def _shrink_certain(self, pixels: torch.Tensor) -> torch.Tensor:
        """Turn masks of 0 and 1, (K, 1, H, W), into logits (K, *answer_size)."""
        return _resize((1 - 2 * pixels) * ABSENT_LOGIT, self.answer_size, antialias=True)[:, 0]

    def shrink_answers(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits (K, *answer_size) into what the decoder mends, (K, 4 h, 4 w)."""
        if self.answer_size == self.low_size:
            return logits
        return _resize(logits[:, None], self.low_size, antialias=True)[:, 0]

    # What is remembered

    def remember(self, levels: FrameLevels, masks: torch.Tensor, presences: torch.Tensor) -> torch.Tensor:
        """Make memories, bfloat16, (K, h w, c). `masks`: float32, (K, 1, 16 h, 16 w), of one of the functions below."""
        coarse = levels.coarse.float().expand(len(masks), -1, -1, -1)
        features, _ = self.weights.memory_encoder(coarse, masks)
        absence = (presences <= 0).float()[:, None, None, None]
        hidden = self.weights.occlusion_spatial_embedding_parameter[..., None, None]
        marked: torch.Tensor = features + absence * hidden
        return marked.to(torch.bfloat16).flatten(2).transpose(1, 2)

    def soften_tracked(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits (K, *answer_size) of objects that were followed into masks for `remember`."""
        return self._enlarge_to_memory(_stretch(self._enlarge_to_square(logits).sigmoid()))

    def harden_prompted(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits (K, *answer_size) of objects that were prompted into masks for `remember`: all or nothing."""
        return self._enlarge_to_memory(_stretch((self._enlarge_to_square(logits) > 0).float()))

    def separate_associated(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn logits (K, *answer_size) of all objects of a concept into masks for `remember`, and their presences.

        An object that others cover for the most part is not remembered there.
        """
        large = _resize(logits[:, None], self.mask_size)
        inside = large > 0
        before, after = (mask.flatten(1).sum(dim=1) for mask in (inside, inside & _find_highest(large)))
        is_covered = after / before.clamp(min=1) < MIN_REMAINING_SHARE
        large = torch.where(is_covered[:, None, None, None], large.clamp(max=MASK_BIAS), large)
        presences = torch.where((large > 0).flatten(1).any(dim=1), -MASK_BIAS, MASK_BIAS)
        return _stretch(large.sigmoid()), presences

    def _enlarge_to_square(self, logits: torch.Tensor) -> torch.Tensor:
        return _resize(logits[:, None], (self.side, self.side))

    def _enlarge_to_memory(self, masks: torch.Tensor) -> torch.Tensor:
        return _resize(masks, self.mask_size, antialias=True)


def _resize(masks: torch.Tensor, size: tuple[int, int], *, antialias: bool = False) -> torch.Tensor:
    return functional.interpolate(masks, size=size, mode="bilinear", align_corners=False, antialias=antialias)


def _find_highest(logits: torch.Tensor) -> torch.Tensor:
    """Return bool, (K, 1, h, w): where each object has the highest logit; of several, the first one has the pixel.

    On a CPU `amax` over the objects takes a fifth of the time of `argmax`, which then only settles ties.
    """
    if logits.device.type == "cpu":
        highest = logits == logits.amax(dim=0, keepdim=True)
        if int(highest.sum()) == highest[0].numel():
            return highest
    order = torch.arange(len(logits), device=logits.device)[:, None, None, None]
    return logits.argmax(dim=0, keepdim=True) == order


def _stretch(masks: torch.Tensor) -> torch.Tensor:
    return masks * MASK_SCALE + MASK_BIAS
