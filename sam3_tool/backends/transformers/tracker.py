"""One object by clicks, a box or an earlier mask: transformers' `Sam3TrackerModel` on the detector's vision trunk."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.nn import functional

from sam3_tool.backends.transformers.layers.upsampling import build_instances
from sam3_tool.instances import Instances
from sam3_tool.prompts import VisualPrompt

CERTAIN_LOGIT = 10.0
"""Logit of a pixel in a mask that is given as a prompt, as the published video model has it; minus that outside."""


class TrunkEmbedding(Protocol):
    """An image behind the vision trunk that detector and tracker share."""

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
    - Mask logits are upsampled to the image (bilinear, corners not aligned) and cut at 0 after that.
    """

    def __init__(self, model: Any) -> None:
        """Take over a `Sam3TrackerModel` on its device, in evaluation mode."""
        self.model = model if model.dtype == torch.float32 else _keep_coordinates_float32(model)
        self._side: int = model.config.prompt_encoder_config.image_size
        self._levels: WeakKeyDictionary[TrunkEmbedding, list[torch.Tensor]] = WeakKeyDictionary()

    def refine(self, embeddings: Sequence[TrunkEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        """Return the three candidates of each prompt, best predicted quality first; ties keep the network's order."""
        kinds: dict[tuple[int, bool, bool], list[int]] = defaultdict(list)
        for row, prompt in enumerate(prompts):
            kinds[len(prompt.points), prompt.box is None, prompt.mask is None].append(row)
        found: dict[int, Instances] = {}
        for rows in kinds.values():
            found |= zip(
                rows, self._refine_group([embeddings[row] for row in rows], [prompts[row] for row in rows]), strict=True
            )
        return [found[row] for row in range(len(prompts))]

    def _refine_group(self, embeddings: Sequence[TrunkEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        """Refine prompts of one kind."""
        levels = zip(*(self._get_levels(embedding) for embedding in embeddings), strict=True)
        output = self.model(
            image_embeddings=[torch.cat(level) for level in levels],
            **{name: value.to(self.model.device) for name, value in self._build_inputs(embeddings, prompts).items()},
        )
        quality = output.iou_scores[:, 0].float().clamp(0, 1).cpu()
        presence = output.object_score_logits[:, 0, 0].float().sigmoid().tolist()
        return [
            _build_candidates(output.pred_masks[row, 0], quality[row], presence[row], embedding)
            for row, embedding in enumerate(embeddings)
        ]

    def _build_inputs(
        self, embeddings: Sequence[TrunkEmbedding], prompts: Sequence[VisualPrompt]
    ) -> dict[str, torch.Tensor]:
        """Return what `Sam3TrackerModel.forward` takes: one object per row."""
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
        if first.mask is not None:
            inputs["input_masks"] = torch.cat([self._to_logits(prompt.mask) for prompt in prompts])
        return inputs

    def _to_logits(self, mask: np.ndarray | None) -> torch.Tensor:
        """Return (1, 1, h, w), in the size of the network's own mask logits."""
        certain = (2 * torch.tensor(mask)[None, None].float() - 1) * CERTAIN_LOGIT
        size = self.model.prompt_encoder.mask_input_size
        small = functional.interpolate(certain, size=size, mode="bilinear", align_corners=False, antialias=True)
        return small.to(self.model.mask_decoder.conv_s0.weight.dtype)

    def _get_levels(self, embedding: TrunkEmbedding) -> list[torch.Tensor]:
        """Return what the mask decoder reads of an image, finest level first; kept as long as the embedding is."""
        if embedding not in self._levels:
            self._levels[embedding] = self._compute_levels(embedding.trunk)
        return self._levels[embedding]

    def _compute_levels(self, trunk: torch.Tensor) -> list[torch.Tensor]:
        sizes, decoder = self.model.backbone_feature_sizes, self.model.mask_decoder
        grid = trunk.transpose(1, 2).reshape(1, -1, *sizes[-1])
        finest, finer, coarse = (level(grid) for level in self.model.vision_encoder.neck.fpn_layers[: len(sizes)])
        # The published model marks the level that the prompts attend to as that of an image without a past.
        past = self.model.no_memory_embedding.view(1, -1, 1, 1)
        return [decoder.conv_s0(finest), decoder.conv_s1(finer), coarse + past]


def _build_candidates(
    logits: torch.Tensor, quality: torch.Tensor, presence: float, embedding: TrunkEmbedding
) -> Instances:
    """Make instances of three candidates. `logits`: (3, h, w); `quality`: (3,)."""
    order = quality.argsort(descending=True, stable=True)
    ordered = logits[order.to(logits.device)]
    return build_instances(ordered, embedding.height, embedding.width, scores=quality[order].numpy(), presence=presence)


def _keep_coordinates_float32(model: Any) -> Any:
    """Change a 16-bit model so that it knows places in float32: bfloat16 has steps of 4 pixels in a square of 1008."""
    narrow = model.dtype

    def narrow_output(part: torch.nn.Module, inputs: Any, output: Any) -> Any:
        return tuple(tensor.to(narrow) for tensor in output) if isinstance(output, tuple) else output.to(narrow)

    for part in (model.prompt_encoder, model.shared_image_embedding):
        part.float().register_forward_hook(narrow_output)
    return model
