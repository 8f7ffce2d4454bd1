"""The tracker's memory while it learns: transformers' own layers, run for many objects at once.

Vision trunk, prompt encoder and mask decoder are frozen; memory attention, memory encoder, object pointers and their
embeddings learn. The function is that of the published tracker, as the product runs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import Sam3TrackerVideoModel
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import get_1d_sine_pe

from sam3_tool.training.networks.architecture import GRID, MASK_SIDE, WIDTH

LEARNT_PARTS = (
    "memory_attention.",
    "memory_encoder.",
    "memory_temporal_positional_encoding",
    "no_object_pointer",
    "object_pointer_proj.",
    "temporal_positional_encoding_projection_layer.",
    "occlusion_spatial_embedding_parameter",
)
"""How the names of all weights that learn begin."""
ADDED_PARTS = (*LEARNT_PARTS, "mask_downsample.", "no_memory_positional_encoding")
"""The same for all that the memory adds to a checkpoint: the mask's way into the decoder is known beforehand, and the
last one is read by nothing."""

Levels = list[torch.Tensor]
"""float32, what the mask decoder reads of a frame: (R, 16, 64, 64), (R, 32, 32, 32) and (R, WIDTH, GRID, GRID)."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the mask decoder says of R objects on a frame."""

    logits: torch.Tensor
    """float32, (R, C, MASK_SIDE, MASK_SIDE): three candidates, or one."""
    quality: torch.Tensor
    """float32, (R, C): predicted IoU."""
    tokens: torch.Tensor
    """float32, (R, C, WIDTH)."""
    presence: torch.Tensor
    """float32, (R,): logit of the object being on this frame."""

    @property
    def best(self) -> torch.Tensor:
        """int64, (R,): the candidate predicted to be best, which tracking goes on with."""
        return self.quality.argmax(dim=1)

    @property
    def best_logits(self) -> torch.Tensor:
        """(R, MASK_SIDE, MASK_SIDE)."""
        return self.logits[torch.arange(len(self.logits)), self.best]

    @property
    def best_tokens(self) -> torch.Tensor:
        """(R, WIDTH)."""
        return self.tokens[torch.arange(len(self.tokens)), self.best]

    @property
    def is_sure(self) -> torch.Tensor:
        """bool, (R,): whether later frames may look back at this one (SAM2Long, 2024)."""
        sure = (2 * self.presence.sigmoid() - 1).clamp(min=0)
        return sure * self.quality.amax(dim=1) > SURE


SURE = 0.01
"""Product of presence (above one half) and predicted IoU above which a frame is worth remembering, as published."""


@dataclass(frozen=True, eq=False)
class Memory:
    """What is remembered of R objects on one frame."""

    frame: int
    features: torch.Tensor
    """float32, (GRID * GRID, R, 64)."""
    pointers: torch.Tensor
    """float32, (R, WIDTH)."""
    sure: torch.Tensor
    """bool, (R,)."""

    def detach(self) -> "Memory":
        """Return the same without a gradient: what an earlier step made."""
        return Memory(self.frame, self.features.detach(), self.pointers.detach(), self.sure)

    def __getitem__(self, rows: list[int]) -> "Memory":
        return Memory(self.frame, self.features[:, rows], self.pointers[rows], self.sure[rows])


class LearningMemory(nn.Module):
    """`Sam3TrackerVideoModel` while its memory learns."""

    def __init__(self, sam3: Sam3TrackerVideoModel) -> None:
        super().__init__()
        self.sam3 = sam3
        # the matrix form of attention: SDPA's backward pass on a CPU is several times slower for short keys
        sam3.config.mask_decoder_config._attn_implementation = "eager"
        sam3.config._attn_implementation = "eager"
        for name, parameter in sam3.named_parameters():
            parameter.requires_grad_(name.startswith(LEARNT_PARTS))
        grid = torch.zeros(1, WIDTH, GRID, GRID)
        neck: Any = sam3.vision_encoder.neck
        with torch.no_grad():
            self.image_places = sam3.get_image_wide_positional_embeddings()
            self.frame_places = _to_sequence(neck.position_encoding(grid.shape, grid.device, grid.dtype))
            memory_shape = (1, sam3.mem_dim, GRID, GRID)
            encoding = sam3.memory_encoder.position_encoding(memory_shape, grid.device, grid.dtype)
            self.memory_places = _to_sequence(encoding)

    @torch.no_grad()
    def encode_frames(self, squares: torch.Tensor) -> Levels:
        """Return what the mask decoder reads of each frame. `squares`: float32, (B, 3, IMAGE_SIDE, IMAGE_SIDE)."""
        encoder: Any = self.sam3.vision_encoder
        tokens = encoder.backbone(squares).last_hidden_state
        grid = tokens.view(len(squares), GRID, GRID, -1).permute(0, 3, 1, 2)
        finest, finer, coarse = [level(grid) for level in list(encoder.neck.fpn_layers)[:3]]
        decoder = self.sam3.mask_decoder
        return [decoder.conv_s0(finest), decoder.conv_s1(finer), coarse]

    @torch.no_grad()
    def answer_prompts(
        self,
        levels: Levels,
        points: torch.Tensor,
        labels: torch.Tensor,
        *,
        masks: torch.Tensor | None = None,
    ) -> Answer:
        """Decode clicks without a look at the memory, as published, also where a click corrects what was tracked.

        Args:
            levels: Of the frame.
            points: float32, (R, K, 2), x y in pixels of the square.
            labels: int64, (R, K): 1 or 0; 2 and 3 for the corners of a box.
            masks: float32, (R, 1, MASK_SIDE, MASK_SIDE): logits of the answer so far.
        """
        coarse = levels[2] + self.sam3.no_memory_embedding.view(1, -1, 1, 1)
        return self._decode(levels, coarse, points, labels, masks, several=points.shape[1] < 2)

    def propagate(self, levels: Levels, mixed: torch.Tensor) -> Answer:
        """Find the objects on a frame. `mixed`: what `recall` made of its coarsest level."""
        return self._decode(levels, mixed, *self._point_nowhere(len(mixed)), None, several=True)

    @torch.no_grad()
    def take_masks(self, levels: Levels, masks: torch.Tensor) -> Answer:
        """Return what the decoder makes of masks that are given, of which the pointer is taken.

        `masks`: float32, (R, FINE_SIDE, FINE_SIDE), in [0, 1].
        """
        side = 4 * MASK_SIDE
        large = F.interpolate(masks[:, None], (side, side), mode="bilinear", align_corners=False)
        prompts: torch.Tensor = self.sam3.mask_downsample(large)
        return self._decode(levels, levels[2], *self._point_nowhere(len(masks)), prompts, several=False)

    def _point_nowhere(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(count, 1, 2), torch.full((count, 1), -1)

    def _decode(
        self,
        levels: Levels,
        coarse: torch.Tensor,
        points: torch.Tensor,
        labels: torch.Tensor,
        masks: torch.Tensor | None,
        *,
        several: bool,
    ) -> Answer:
        count = len(coarse)
        sparse, dense = self.sam3.prompt_encoder(
            input_points=points[:, None], input_labels=labels[:, None], input_boxes=None, input_masks=masks
        )
        logits, quality, tokens, presence = self.sam3.mask_decoder(
            image_embeddings=coarse,
            image_positional_embeddings=self.image_places.expand(count, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=levels[:2],
        )
        return Answer(logits[:, 0], quality[:, 0], tokens[:, 0], presence[:, 0, 0])

    def point_at(self, tokens: torch.Tensor, presence: torch.Tensor) -> torch.Tensor:
        """Return the object pointers, (R, WIDTH)."""
        seen = (presence > 0).float()[:, None]
        pointers: torch.Tensor = self.sam3.object_pointer_proj(tokens)
        return torch.as_tensor(seen * pointers + (1 - seen) * self.sam3.no_object_pointer)

    def encode_masks(self, coarse: torch.Tensor, cover: torch.Tensor, presence: torch.Tensor) -> torch.Tensor:
        """Return the memory of a frame, (GRID * GRID, R, 64).

        Args:
            coarse: (R, WIDTH, GRID, GRID), the frame's coarsest level.
            cover: (R, side, side), in [0, 1]: the objects' pixels; a prompt's are exactly 0 or 1.
            presence: (R,), logits.
        """
        config: Any = self.sam3.config
        scaled = cover[:, None] * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        side = 4 * MASK_SIDE
        masks = F.interpolate(scaled, (side, side), mode="bilinear", align_corners=False)
        features, _ = self.sam3.memory_encoder(coarse, masks)
        hidden = (presence <= 0).float()[:, None, None, None]
        features = features + hidden * self.sam3.occlusion_spatial_embedding_parameter[..., None, None]
        return _to_sequence(features)

    def recall(
        self, coarse: torch.Tensor, frame: int, conditioning: Sequence[Memory], past: Sequence[Memory]
    ) -> torch.Tensor:
        """Let the frame's coarsest level look at the memories: (R, WIDTH, GRID, GRID).

        Args:
            coarse: (R, WIDTH, GRID, GRID).
            frame: Its number; frames count in the direction of propagation.
            conditioning: Frames with a prompt, all of which are before `frame`.
            past: Other frames before it, in order; an object looks at those on which it was surely seen, and the last.
        """
        chosen: dict[tuple[int, ...], list[int]] = {}
        for row in range(len(coarse)):
            kept = [index for index, memory in enumerate(past) if memory.sure[row] or index == len(past) - 1]
            chosen.setdefault(tuple(kept[1 - self._most_pointers :]), []).append(row)
        if len(chosen) == 1:
            (kept_by_all,) = chosen
            return self._recall_rows(coarse, frame, conditioning, [past[index] for index in kept_by_all])
        order = [row for rows in chosen.values() for row in rows]
        parts = [
            self._recall_rows(
                coarse[rows], frame, [memory[rows] for memory in conditioning], [past[index][rows] for index in kept]
            )
            for kept, rows in chosen.items()
        ]
        return torch.cat(parts)[torch.tensor(order).argsort()]

    @property
    def _most_pointers(self) -> int:
        config: Any = self.sam3.config
        return int(config.max_object_pointers_in_encoder)

    def _recall_rows(
        self, coarse: torch.Tensor, frame: int, conditioning: Sequence[Memory], kept: Sequence[Memory]
    ) -> torch.Tensor:
        """Do the same for objects that look at the same frames."""
        config: Any = self.sam3.config
        chosen = sorted(conditioning, key=lambda memory: frame - memory.frame)[: config.max_cond_frame_num]
        recent = list(enumerate(reversed(kept), start=1))
        near = recent[: config.num_maskmem - 1][::-1]
        codes = self.sam3.memory_temporal_positional_encoding
        # a prompt's time code is the last one, as published
        times = [*(codes[-1] for _ in chosen), *(codes[rank - 1] for rank, _ in near)]
        features = [memory.features for memory in [*chosen, *(memory for _, memory in near)]]
        pointers = [(frame - memory.frame, memory.pointers) for memory in chosen]
        # the oldest of the frames that are kept gives no pointer, as published
        pointers += [(rank, memory.pointers) for rank, memory in recent[:-1]]
        tokens, token_places = self._place_pointers(pointers)
        places = [(self.memory_places + time).expand(-1, len(coarse), -1) for time in times]
        mixed = self.sam3.memory_attention(
            current_vision_features=_to_sequence(coarse),
            current_vision_position_embeddings=self.frame_places,
            memory=torch.cat([*features, tokens]),
            memory_posision_embeddings=torch.cat([*places, token_places]),
            num_object_pointer_tokens=len(tokens),
        )
        return torch.as_tensor(mixed[0].transpose(1, 2).unflatten(2, (GRID, GRID)))

    def _place_pointers(self, pointers: Sequence[tuple[int, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut pointers into pieces as wide as the memory, (K * pieces, R, 64), and say how long ago each was."""
        offsets = torch.tensor([float(offset) for offset, _ in pointers]) / (self._most_pointers - 1)
        times = self.sam3.temporal_positional_encoding_projection_layer(get_1d_sine_pe(offsets, dim=WIDTH))
        stacked = torch.stack([pointer for _, pointer in pointers])
        count, rows, _ = stacked.shape
        pieces = WIDTH // self.sam3.mem_dim
        tokens = stacked.reshape(count, rows, pieces, -1).permute(0, 2, 1, 3).flatten(0, 1)
        return tokens, times[:, None].repeat_interleave(pieces, dim=0).expand(-1, rows, -1)


def _to_sequence(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, GRID, GRID) -> (GRID * GRID, B, C)."""
    return maps.flatten(2).permute(2, 0, 1)
