"""The tracker head while it learns: a frozen trunk, the head's own layers, and the losses of its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import Sam3TrackerModel

from sam3_tool.training.networks.architecture import FINE_SIDE, GRID, MASK_SIDE, WIDTH

CERTAIN_LOGIT = 10.0
"""Logit that stands for a pixel of a mask that is given, not predicted."""

_MASK_TOKENS = slice(2, 6)
"""Where they stand among the mask decoder's tokens: after presence and quality."""

Losses = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class TrackerPrompts:
    """R prompts for one object each, in pixels of the square that the network sees."""

    image_index: torch.Tensor
    """int64, (R,): which image."""
    points: torch.Tensor | None = None
    """float32, (R, K, 2), x y."""
    labels: torch.Tensor | None = None
    """int64, (R, K): 1 or 0."""
    boxes: torch.Tensor | None = None
    """float32, (R, 4), x0 y0 x1 y1."""
    masks: torch.Tensor | None = None
    """float32, (R, 1, MASK_SIDE, MASK_SIDE): logits."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """C masks for each of R prompts: three, or the one that video asks for."""

    logits: torch.Tensor
    """float32, (R, C, MASK_SIDE, MASK_SIDE)."""
    quality: torch.Tensor
    """float32, (R, C): predicted IoU."""
    presence: torch.Tensor
    """float32, (R,): logit of there being an object where the prompt points."""
    patches: torch.Tensor
    """float32, (L, R, GRID * GRID): logits of each patch being the object's, after each layer; for training only."""
    gaze: torch.Tensor
    """float32, (G, R, GRID * GRID): share of the mask tokens' attention that each patch gets, wherever they look."""

    @property
    def best(self) -> torch.Tensor:
        """(R, 1, MASK_SIDE, MASK_SIDE): the candidate predicted to be best, cut loose from its gradient."""
        rows = torch.arange(len(self.quality))
        return self.logits[rows, self.quality.argmax(dim=1)].detach()[:, None]


class LearningTracker(nn.Module):
    """The tracker while it learns. `half`: its large layers compute in bfloat16 (weights stay float32)."""

    def __init__(self, tracker: Sam3TrackerModel, *, half: bool = False) -> None:
        super().__init__()
        # the matrix form of attention: SDPA's backward pass on a CPU is several times slower for short keys
        tracker.config.mask_decoder_config._attn_implementation = "eager"
        tracker.vision_encoder.requires_grad_(False)  # the neck, too: it was learnt for the detector's masks
        tracker.no_memory_embedding.requires_grad_(False)  # stays zero: images have no past
        self.half_precision = half
        self.sam3 = tracker
        layers = tracker.mask_decoder.transformer.layers
        self.patch_heads = nn.ModuleList(nn.Linear(WIDTH, 1) for _ in layers)
        """After each layer, is the patch the object's? A short way for the gradient, while masks are still noise."""
        self._states: list[torch.Tensor] = []
        self._gazes: list[torch.Tensor] = []
        for layer in layers:
            layer.register_forward_hook(lambda part, inputs, output: self._states.append(output[1]))
        looking = [*(layer.cross_attn_token_to_image for layer in layers[1:])]
        for attention in [*looking, tracker.mask_decoder.transformer.final_attn_token_to_image]:
            attention.register_forward_hook(lambda part, inputs, output: self._gazes.append(output[1]))

    @torch.no_grad()
    def encode_images(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Return the neck's three levels, finest first, (B, WIDTH, side, side)."""
        encoder = self.sam3.vision_encoder
        with self._get_autocast():
            tokens = encoder.backbone(pixels).last_hidden_state
            grid = tokens.view(len(pixels), GRID, GRID, -1).permute(0, 3, 1, 2)
            return [level(grid).float() for level in list(encoder.neck.fpn_layers)[:3]]

    def predict_masks(self, levels: list[torch.Tensor], prompts: TrackerPrompts, *, several: bool = True) -> Candidates:
        """Run `Sam3TrackerModel.forward` for one prompt per row."""
        decoder, rows = self.sam3.mask_decoder, prompts.image_index
        sparse, dense = self._embed_prompts(prompts)
        self._states, self._gazes = [], []
        with self._get_autocast():
            fine = [decoder.conv_s0(levels[0]), decoder.conv_s1(levels[1])]
            logits, quality, _, presence = decoder(
                image_embeddings=levels[2][rows],
                image_positional_embeddings=self.sam3.get_image_wide_positional_embeddings().expand(
                    len(rows), -1, -1, -1
                ),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=several,
                high_resolution_features=[level[rows] for level in fine],
            )
        patches = [head(state.float())[:, 0, :, 0] for head, state in zip(self.patch_heads, self._states, strict=True)]
        gazes = [weights[:, :, _MASK_TOKENS].float().mean((1, 2)) for weights in self._gazes]
        return Candidates(
            logits[:, 0].float(),
            quality[:, 0].float(),
            presence[:, 0, 0].float(),
            torch.stack(patches),
            torch.stack(gazes),
        )

    def _embed_prompts(self, prompts: TrackerPrompts) -> tuple[torch.Tensor, torch.Tensor]:
        """Return sparse and dense embeddings in full precision: a position's sine has no bits to spare."""
        points, labels, count = prompts.points, prompts.labels, len(prompts.image_index)
        if points is None and prompts.boxes is None:
            points, labels = torch.zeros(count, 1, 2), torch.full((count, 1), -1)
        embedded: tuple[torch.Tensor, torch.Tensor] = self.sam3.prompt_encoder(
            input_points=None if points is None else points[:, None],
            input_labels=None if labels is None else labels[:, None],
            input_boxes=None if prompts.boxes is None else prompts.boxes[:, None],
            input_masks=prompts.masks,
        )
        return embedded

    def _get_autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.half_precision)


def upsample_logits(logits: torch.Tensor) -> torch.Tensor:
    """Return (R, C, FINE_SIDE, FINE_SIDE), as masks are compared with the truth."""
    return F.interpolate(logits, size=(FINE_SIDE, FINE_SIDE), mode="bilinear", align_corners=False)


def to_mask_prompt(masks: torch.Tensor) -> torch.Tensor:
    """Return logits of certain masks, (R, 1, MASK_SIDE, MASK_SIDE): +-CERTAIN_LOGIT, and between at the edges."""
    cover = F.interpolate(masks.float(), size=(MASK_SIDE, MASK_SIDE), mode="bilinear", antialias=True)
    return (2 * cover - 1) * CERTAIN_LOGIT


def compute_click_losses(found: Candidates, truth: torch.Tensor, real: torch.Tensor) -> Losses:
    """Let the best candidate of each prompt learn the mask, and all say how good they are (SAM, 2023).

    The other candidates learn a little of the mask too, so that none dies. "iou" is no loss: it is what the candidate
    predicted to be best achieves.

    `truth`: float32, (R, FINE_SIDE, FINE_SIDE); `real`: bool (R,), False where the click was on no object.
    """
    losses = {"presence": F.binary_cross_entropy_with_logits(found.presence, real.float())}
    logits, quality, truth = found.logits[real], found.quality[real], truth[real]
    rough = F.avg_pool2d(truth[:, None], FINE_SIDE // MASK_SIDE)
    # the candidate that fits best is chosen by the loss itself, as in SAM's training
    with torch.no_grad():
        wrong = 6 * compute_cross_entropy(logits, rough) + 5 * compute_dice_loss(logits, rough)
        overlap = compute_iou(upsample_logits(logits) > 0, truth[:, None] > 0.5)
    rows, best = torch.arange(len(logits)), wrong.argmin(dim=1)
    chosen = upsample_logits(logits[rows, best][:, None])
    others = F.binary_cross_entropy_with_logits(logits, rough.expand_as(logits))
    return losses | {
        "mask": 6 * compute_cross_entropy(chosen, truth[:, None]).mean(),
        "dice": 5 * compute_dice_loss(chosen, truth[:, None]).mean(),
        "others": 0.3 * others,
        **_compute_hint_losses(found.patches[:, real], found.gaze[:, real], truth),
        "quality": 2 * (quality - overlap).abs().mean(),
        "iou": overlap[rows, quality.argmax(dim=1)].mean(),
    }


def _compute_hint_losses(patches: torch.Tensor, gaze: torch.Tensor, truth: torch.Tensor) -> Losses:
    """Supervise deeply, so that training starts: patches know whose they are, and mask tokens look at the object."""
    cover = F.avg_pool2d(truth[:, None], FINE_SIDE // GRID)  # (R, 1, GRID, GRID)
    maps = patches.transpose(0, 1).reshape(len(truth), -1, GRID, GRID)
    on = ((gaze * cover.flatten(1)).sum(2) / cover.flatten(1).amax(1)).clamp(min=1e-4)
    return {
        "patches": 2 * F.binary_cross_entropy_with_logits(maps, cover.expand_as(maps))
        + compute_dice_loss(maps, cover).mean(),
        "gaze": -0.2 * on.log().mean(),
    }


def compute_cross_entropy(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return (R, C). Pixels in and near the object weigh seven times those far away."""
    touched = F.max_pool2d(F.adaptive_max_pool2d(truth, GRID), 3, stride=1, padding=1) > 0
    weight = 0.15 + 0.85 * F.interpolate(touched.float(), size=truth.shape[-2:])
    wrong = F.binary_cross_entropy_with_logits(logits, truth.expand_as(logits), reduction="none")
    return (wrong * weight).sum((2, 3)) / weight.sum((2, 3))


def compute_dice_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return (R, C)."""
    likely = logits.sigmoid()
    both = (likely * truth).sum((2, 3))
    return 1 - (2 * both + 1) / (likely.sum((2, 3)) + truth.sum((2, 3)) + 1)


def compute_iou(masks: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return (R, C), of bool masks."""
    union = (masks | truth).sum((2, 3)).clamp(min=1)
    return (masks & truth).sum((2, 3)) / union


def to_points(clicks: Sequence[tuple[int, int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (R, 1, 2) and (R, 1) of one click (column, row, label) per row, in pixels of the FINE_SIDE square."""
    rows = torch.from_numpy(np.array(clicks, np.float32))
    return rows[:, None, :2], rows[:, None, 2].long()
