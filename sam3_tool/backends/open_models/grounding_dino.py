"""Grounding DINO: boxes for a phrase. Its vision backbone runs once per image, and all phrases share what it gives."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sam3_tool.backends.open_models.calibration import Calibration
from sam3_tool.backends.open_models.detector import (
    DetectionRequest,
    Features,
    FoundBoxes,
    choose_boxes,
    prepare_pixels,
)
from sam3_tool.backends.open_models.folders import TRY_TINY
from sam3_tool.errors import CheckpointError
from sam3_tool.image import Image
from sam3_tool.masks.boxes import cxcywh_to_xyxy, to_pixels
from sam3_tool.prompts import ConceptPrompt

MIN_SIDE = 64
"""Pixels of the network's input. An image that is 20 times as long as wide would get fewer, and too few tokens."""
_CPU_ROWS, _GPU_ROWS = 2, 16
"""Phrases in one pass. At 800 x 1333 pixels each has 22,000 image tokens, whose widest layer takes 180 MB."""
_SEPARATORS = (".", "?")
"""End a phrase: what stands on both sides of one would be two concepts."""


class KeptLevels(nn.Module):
    """Stands in the vision backbone's place and hands on the levels that it gave before."""

    def __init__(self, position_embedding: nn.Module) -> None:
        super().__init__()
        self.position_embedding = position_embedding
        self.levels: list[torch.Tensor] = []
        """Each (B, C, h, w), finest first."""

    def forward(
        self, pixel_values: torch.Tensor, pixel_mask: torch.Tensor
    ) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], list[torch.Tensor]]:
        """Return levels with masks, bool (B, h, w), and their positions. No image is padded, so that masks are full."""
        levels = [
            (level, torch.ones(len(level), *level.shape[2:], dtype=torch.bool, device=level.device))
            for level in self.levels
        ]
        return levels, [self.position_embedding(level, mask).to(level.dtype) for level, mask in levels]


class GroundingDino:
    """A `GroundingDinoForObjectDetection` on its device.

    - One phrase is one row of a batch, so that phrases do not see each other. The text is "phrase.", in lower case, as
      the published processor writes it; full stops and question marks inside are left out, for they would split it.
    - Raw score = the highest sigmoid of a box's logits over the tokens, as in the published post-processing.
    - In 16 bits, only the vision backbone and the text encoder are narrow. The other layers work on coordinates, for
      which bfloat16 has steps of 4 pixels in a width of 1333.
    """

    title = "Grounding DINO"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        image_processor: Any,
        *,
        calibrations: dict[str, Calibration],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take over a model in float32, on its device, in evaluation mode.

        Raises CheckpointError if the tokenizer is that of another model.
        """
        _check_tokenizer(tokenizer)
        self.calibrations = calibrations
        inner = model.model
        self._model, self._tokenizer, self._images = model, tokenizer, image_processor
        self._device: torch.device = model.device
        self._dtype = dtype
        self._backbone = inner.backbone.conv_encoder.model.to(dtype)
        inner.text_backbone.to(dtype).register_forward_hook(_widen_state)
        self._projections = inner.input_proj_vision
        self._kept = KeptLevels(inner.backbone.position_embedding)
        inner.backbone = self._kept
        inner.input_proj_vision = nn.ModuleList(nn.Identity() for _ in self._projections)
        self.parts = {
            "vision backbone": self._backbone,
            "text encoder": inner.text_backbone,
            "fusion encoder": inner.encoder,
            "decoder": inner.decoder,
        }

    def check_prompts(self, prompts: Sequence[ConceptPrompt]) -> None:
        if any(prompt.boxes for prompt in prompts):
            raise CheckpointError(
                "Grounding DINO finds phrases and takes no exemplar boxes; `--sam3 open:owlv2` takes those of objects"
                " that are meant, and SAM 3 those of objects that are not, too"
            )

    def encode(self, images: Sequence[Image]) -> list[Features]:
        return [self._encode_image(image) for image in images]

    def _encode_image(self, image: Image) -> Features:
        pixels = prepare_pixels(self._images, image, self._device, **self._choose_size(image))
        maps = [level.float() for level in self._backbone(pixels.to(self._dtype)).feature_maps]
        levels: list[torch.Tensor] = []
        for index, projection in enumerate(self._projections):
            # the levels below the backbone's are made of its coarsest, and then of each other
            source = maps[index] if index < len(maps) else maps[-1] if index == len(maps) else levels[-1]
            levels.append(projection(source))
        return Features(tuple(levels), (pixels.shape[2], pixels.shape[3]))

    def _choose_size(self, image: Image) -> dict[str, Any]:
        """Return a size for an image that is so narrow that the published rule would leave hardly a pixel of a side."""
        longest = self._images.size.get("longest_edge") or 0
        ratio = longest / max(image.height, image.width)
        if ratio == 0 or min(image.height, image.width) * ratio >= MIN_SIDE:
            return {}
        height, width = (max(MIN_SIDE, round(side * ratio)) for side in (image.height, image.width))
        return {"size": {"height": height, "width": width}}

    def detect(self, requests: Sequence[DetectionRequest]) -> list[FoundBoxes]:
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, request in enumerate(requests):
            groups[request.features.size].append(row)  # images of other sizes would need padding, which shows
        most = _GPU_ROWS if self._device.type == "cuda" else _CPU_ROWS
        found: dict[int, FoundBoxes] = {}
        for rows in groups.values():
            for first in range(0, len(rows), most):
                part = rows[first : first + most]
                found |= zip(part, self._detect_pass([requests[row] for row in part]), strict=True)
        return [found[row] for row in range(len(requests))]

    def _detect_pass(self, requests: Sequence[DetectionRequest]) -> list[FoundBoxes]:
        """Detect in images of one size."""
        ids, mask = self._write_phrases([request.prompt.phrase or "" for request in requests])
        self._kept.levels = [
            torch.cat(level) for level in zip(*(request.features.tensors for request in requests), strict=True)
        ]
        try:
            height, width = requests[0].features.size
            blank = torch.zeros(1, device=self._device)  # of which only the shape is read
            output = self._model(
                pixel_values=blank.expand(len(requests), 3, height, width),
                pixel_mask=blank.long().expand(len(requests), height, width),
                input_ids=ids,
                attention_mask=mask,
                token_type_ids=torch.zeros_like(ids),
            )
        finally:
            self._kept.levels = []
        raw = output.logits.sigmoid().amax(dim=-1).float().nan_to_num().cpu().numpy()
        boxes = cxcywh_to_xyxy(output.pred_boxes.float().cpu().numpy())
        return [self._choose_boxes(boxes[row], raw[row], request) for row, request in enumerate(requests)]

    def _choose_boxes(self, fractions: np.ndarray, raw: np.ndarray, request: DetectionRequest) -> FoundBoxes:
        calibration = self.calibrations["phrase"]
        return choose_boxes(
            to_pixels(fractions, *request.size).astype(np.float32),
            raw,
            calibration.to_scores(raw),
            threshold=request.prompt.threshold,
            presence=calibration.to_presence(float(raw.max())),
        )

    def _write_phrases(self, phrases: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids and mask, both int64 (n, L), padded to the longest phrase."""
        start, end, stop = self._tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", "."])
        reserved = {start, end, *self._tokenizer.convert_tokens_to_ids(["[PAD]", "[MASK]", *_SEPARATORS])}
        most = self._model.config.max_text_len - 3
        rows = []
        for phrase in phrases:
            tokens = self._tokenizer(phrase.lower(), add_special_tokens=False, verbose=False)["input_ids"]
            rows.append(torch.tensor([start, *[token for token in tokens if token not in reserved][:most], stop, end]))
        longest = max(len(row) for row in rows)
        padding = self._tokenizer.pad_token_id
        ids = torch.stack([functional.pad(row, (0, longest - len(row)), value=padding) for row in rows])
        mask = torch.stack([(torch.arange(longest) < len(row)).long() for row in rows])
        return ids.to(self._device), mask.to(self._device)


def _check_tokenizer(tokenizer: Any) -> None:
    """Raise CheckpointError unless these are the tokens by whose numbers the network tells where a phrase ends."""
    expected = [101, 102, 1012, 1029]
    found = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", *_SEPARATORS])
    if found != expected:
        raise CheckpointError(
            f"the tokenizer has the numbers {found} for [CLS], [SEP], '.' and '?', but Grounding DINO expects"
            f" {expected}; copy all files of its repository. {TRY_TINY}"
        )


def _widen_state(part: nn.Module, inputs: Any, output: Any) -> Any:
    output.last_hidden_state = output.last_hidden_state.float()
    return output
