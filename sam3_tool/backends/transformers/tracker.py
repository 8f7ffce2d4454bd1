"""One object by clicks, a box or an earlier mask: transformers' `Sam3TrackerModel` on the detector's vision trunk."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch

from sam3_tool.backends.transformers.earlier_masks import EarlierMasks
from sam3_tool.backends.transformers.layers.holes import fill_small_holes
from sam3_tool.backends.transformers.layers.stability import keep_stable_masks
from sam3_tool.backends.transformers.layers.upsampling import build_instances
from sam3_tool.instances import Instances
from sam3_tool.masks import rle
from sam3_tool.prompts import PointsPrompt, VisualPrompt

EXACT_PARTS = ("prompt_encoder", "shared_image_embedding", "mask_downsample")
"""Parts that stay in float32 in a 16-bit network: bfloat16 has steps of 4 pixels in a square of 1008."""


class TrunkEmbedding(Protocol):
    """An image behind the vision trunk that detector and tracker share."""

    @property
    def key(self) -> str:
        """The image's."""
        ...

    @property
    def trunk(self) -> torch.Tensor:
        """The trunk's last state, (1, tokens, C)."""
        ...

    @property
    def height(self) -> int:
        """Height of the image in pixels."""
        ...

    @property
    def width(self) -> int: ...


class Tracker:
    """The tracker head. Not safe between threads.

    - Places are scaled to the network's square as `Sam3TrackerProcessor` does, and padded as by itself.
    - Prompts of one kind share a pass; padding one kind to another would change its answer.
    - A mask goes in as the published code gives it: see `EarlierMasks`. One that comes without a place has no token.
    - Mask logits are upsampled to the image (bilinear, corners not aligned) and cut at 0 after that.
    """

    def __init__(self, model: Any) -> None:
        """Take over a `Sam3TrackerModel` on its device, in evaluation mode."""
        self._dtype: torch.dtype = model.mask_decoder.conv_s0.weight.dtype
        self.model = model if self._dtype == torch.float32 else _keep_coordinates_float32(model, self._dtype)
        self._side: int = model.config.prompt_encoder_config.image_size
        self._levels: WeakKeyDictionary[TrunkEmbedding, list[torch.Tensor]] = WeakKeyDictionary()
        self._earlier = EarlierMasks(model.prompt_encoder.mask_input_size, getattr(model, "mask_downsample", None))

    def refine(self, embeddings: Sequence[TrunkEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        """Return the candidates of each prompt, best predicted quality first; ties keep the network's order."""
        kinds: dict[tuple[int, bool, bool, bool], list[int]] = defaultdict(list)
        for row, prompt in enumerate(prompts):
            kinds[len(prompt.points), prompt.box is None, prompt.mask is None, prompt.multimask].append(row)
        found: dict[int, Instances] = {}
        for rows in kinds.values():
            found |= zip(
                rows, self._refine_group([embeddings[row] for row in rows], [prompts[row] for row in rows]), strict=True
            )
        return [found[row] for row in range(len(prompts))]

    def _refine_group(self, embeddings: Sequence[TrunkEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        """Refine prompts of one kind."""
        logits, scores, presences = self._predict_masks(embeddings, prompts)
        return [
            self._build_candidates(logits[row], scores[row], presences[row], embedding, prompt)
            for row, (embedding, prompt) in enumerate(zip(embeddings, prompts, strict=True))
        ]

    def segment_points(self, embedding: TrunkEmbedding, prompt: PointsPrompt, *, batch_size: int) -> Instances:
        """Return the good ones of the three candidates under each point, in the order of points and candidates."""
        clicks = [VisualPrompt(points=((x, y),)) for x, y in prompt.points.tolist()]
        rles, kept_scores, presence = [], [np.zeros(0, np.float32)], 0.0
        for first in range(0, len(clicks), batch_size):
            batch = clicks[first : first + batch_size]
            logits, scores, presences = self._predict_masks([embedding] * len(batch), batch)
            good = scores.flatten() > prompt.min_score
            stable, masks = keep_stable_masks(
                logits.flatten(0, 1)[good.to(logits.device)],
                embedding.height,
                embedding.width,
                offset=prompt.stability_offset,
                least=prompt.min_stability,
            )
            rles += masks
            kept_scores.append(scores.flatten()[good].numpy()[stable])
            presence = max(presence, *presences)
        return Instances.from_rles(
            rles,
            (embedding.height, embedding.width),
            boxes=rle.compute_boxes(rles),
            scores=np.concatenate(kept_scores),
            presence=presence,
            phrase="",
        )

    def _predict_masks(
        self, embeddings: Sequence[TrunkEmbedding], prompts: Sequence[VisualPrompt]
    ) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
        """Decode prompts of one kind in one pass.

        Returns mask logits, (N, C, h, w), predicted IoUs, float32 (N, C) on the CPU, and N presences in [0, 1].
        """
        levels = zip(*(self._get_levels(embedding) for embedding in embeddings), strict=True)
        *fine, coarse = (torch.cat(level) for level in levels)
        # The published model marks the level that the prompts attend to as that of an image without a past.
        coarse = coarse + self.model.no_memory_embedding.view(1, -1, 1, 1)
        sparse, dense = self._encode_prompts(embeddings, prompts)
        masks, quality, _, presence = self.model.mask_decoder(
            image_embeddings=coarse,
            image_positional_embeddings=self.model.get_image_wide_positional_embeddings().repeat(len(prompts), 1, 1, 1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=prompts[0].multimask,
            high_resolution_features=fine,
        )
        scores, presences = quality[:, 0].float().clamp(0, 1).cpu(), presence[:, 0, 0].float().sigmoid().tolist()
        return masks[:, 0], scores, presences

    def _encode_prompts(
        self, embeddings: Sequence[TrunkEmbedding], prompts: Sequence[VisualPrompt]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens of each prompt's places, (n, 1, T, C), and what its mask adds to the image, (n, C, h, w).

        A mask without a place has no token, as in the published image predictor; `Sam3TrackerModel.forward` would add
        two that say "no point".
        """
        encoder = self.model.prompt_encoder
        device = encoder.no_mask_embed.weight.device
        inputs: dict[str, torch.Tensor | None] = dict.fromkeys(
            ("input_points", "input_labels", "input_boxes", "input_masks")
        )
        inputs |= {name: value.to(device) for name, value in self._build_places(embeddings, prompts).items()}
        if prompts[0].mask is not None:
            rows = [
                self._earlier.to_logits(embedding.key, prompt.mask, device)
                for embedding, prompt in zip(embeddings, prompts, strict=True)
                if prompt.mask is not None
            ]
            inputs["input_masks"] = torch.cat(rows)
        sparse, dense = encoder(**inputs)
        return dense.new_zeros(len(prompts), 1, 0, dense.shape[1]) if sparse is None else sparse, dense

    def _build_places(
        self, embeddings: Sequence[TrunkEmbedding], prompts: Sequence[VisualPrompt]
    ) -> dict[str, torch.Tensor]:
        """Return points and boxes as the prompt encoder takes them: one object per row."""
        first, inputs = prompts[0], {}
        # the network's square is stretched from the image, so that x and y scale differently
        steps = torch.tensor(
            [[self._side / embedding.width, self._side / embedding.height] for embedding in embeddings]
        )
        if first.points:
            points = torch.tensor([prompt.points for prompt in prompts], dtype=torch.float32)
            inputs["input_points"] = (points * steps[:, None])[:, None]
            inputs["input_labels"] = torch.tensor([prompt.labels for prompt in prompts])[:, None]
        if first.box is not None:
            boxes = torch.tensor([prompt.box for prompt in prompts], dtype=torch.float32)
            inputs["input_boxes"] = (boxes * steps.repeat(1, 2))[:, None]
        return inputs

    def _build_candidates(
        self,
        logits: torch.Tensor,
        quality: torch.Tensor,
        presence: float,
        embedding: TrunkEmbedding,
        prompt: VisualPrompt,
    ) -> Instances:
        """Make instances of the candidates. `logits`: (C, h, w); `quality`: (C,)."""
        order = quality.argsort(descending=True, stable=True)
        ordered = logits[order.to(logits.device)]
        size = prompt.choose_mask_size(embedding.height, embedding.width)
        found = build_instances(
            fill_small_holes(ordered) if prompt.fill_holes else ordered,
            *size,
            scores=quality[order].numpy(),
            presence=presence,
        )
        if size == (embedding.height, embedding.width):  # nobody asks to mend a reduced mask
            self._earlier.remember(embedding.key, found.rles, ordered)
        return found

    def _get_levels(self, embedding: TrunkEmbedding) -> list[torch.Tensor]:
        """Return what the mask decoder reads of an image, finest level first; kept as long as the embedding is."""
        if embedding not in self._levels:
            self._levels[embedding] = self.compute_levels(embedding.trunk)
        return self._levels[embedding]

    def compute_levels(self, trunk: torch.Tensor) -> list[torch.Tensor]:
        """Return the levels that the mask decoder reads, finest first, each (1, C, h, w), of the trunk's last state."""
        sizes, decoder = self.model.backbone_feature_sizes, self.model.mask_decoder
        grid = trunk.transpose(1, 2).reshape(1, -1, *sizes[-1])
        finest, finer, coarse = (level(grid) for level in self.model.vision_encoder.neck.fpn_layers[: len(sizes)])
        return [decoder.conv_s0(finest), decoder.conv_s1(finer), coarse]


def _keep_coordinates_float32(model: Any, narrow: torch.dtype) -> Any:
    """Change a 16-bit model so that it knows places, and masks that it is given, in float32."""

    def narrow_output(part: torch.nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):  # a prompt without places has no tensor of them
            return tuple(None if tensor is None else tensor.to(narrow) for tensor in output)
        return output.to(narrow)

    for part in (model.prompt_encoder, model.shared_image_embedding):
        part.float().register_forward_hook(narrow_output)
    return model
