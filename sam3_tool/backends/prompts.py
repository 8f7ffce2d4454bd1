"""Prompts as SAM 3's network reads them: tokens of the phrase, then those of the boxes, then a CLS token.

The CLS token attends to the picture, and the published model has it even where there is no box. `Sam3Model` leaves it
out there, so that it is put behind the phrase here. Without boxes it depends on the picture alone: `unprompted`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from sam3_tool.boxes import to_fractions, xyxy_to_cxcywh
from sam3_tool.cache import ByteCache
from sam3_tool.prompt import ConceptPrompt

PADDING = -10
"""Label of a box that is not there: the geometry encoder masks it out."""
BOXES_ONLY = "visual"
"""The text that goes with boxes alone."""
CONTEXT = 32
"""Text tokens, start and end included; longer phrases are cut."""

_TEXT_BYTES = 32 * 2**20


class Described(Protocol):
    """What is needed of the picture that boxes lie in."""

    @property
    def coarsest(self) -> torch.Tensor:
        """The coarsest level that the detector reads, (1, C, h, w)."""
        ...

    @property
    def unprompted(self) -> torch.Tensor:
        """The CLS token of a prompt without boxes, (1, 1, C)."""
        ...

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...


class PromptEncoder:
    """The text and the geometry encoder of a `Sam3Model`. Not thread-safe."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._texts: ByteCache[str, torch.Tensor] = ByteCache(_TEXT_BYTES, size=lambda text: text.nbytes)

    def unprompted(self, coarsest: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """(B, 1, C): the CLS token for each picture. Both (B, C, h, w)."""
        boxes, labels = torch.full((len(coarsest), 1, 4), 0.5), torch.full((len(coarsest), 1), PADDING)
        features, _ = self._geometry(boxes, labels, coarsest, positions)
        return features[:, :1]

    def __call__(
        self, prompts: Sequence[ConceptPrompt], examples: Sequence[Described], positions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (n, L, C) and mask (n, L) of the prompts, padded to the longest of them.

        `examples`: of each prompt, the picture that its boxes lie in. `positions`: of the coarsest level, (1, C, h, w).
        Padding never shows in what is not padding: the text encoder is causal, and all later attention is masked.
        """
        phrases = [prompt.phrase or BOXES_ONLY for prompt in prompts]
        texts, shown = self._texts.get_all(phrases, self._read), self._shown(prompts, examples, positions)
        rows = [torch.cat([texts[phrase], boxes]) for phrase, boxes in zip(phrases, shown, strict=True)]
        ones = [torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows]
        return pad_sequence(rows, batch_first=True), pad_sequence(ones, batch_first=True)

    def _read(self, phrases: Sequence[str]) -> list[torch.Tensor]:
        """The text encoder's features of each phrase, (its tokens, C)."""
        context = min(CONTEXT, self._model.config.text_config.max_position_embeddings)
        tokens = self._tokenizer(
            list(phrases), padding=True, truncation=True, max_length=context, return_tensors="pt"
        ).to(self._model.device)
        features = self._model.get_text_features(**tokens).pooler_output
        lengths = tokens["attention_mask"].sum(dim=1).tolist()
        return [text[:length].clone() for text, length in zip(features, lengths, strict=True)]

    def _shown(
        self, prompts: Sequence[ConceptPrompt], examples: Sequence[Described], positions: torch.Tensor
    ) -> list[torch.Tensor]:
        """Of each prompt, the tokens of its boxes and the CLS token, (boxes + 1, C)."""
        shown = [example.unprompted[0] for example in examples]
        boxed = [row for row, prompt in enumerate(prompts) if prompt.boxes]
        if boxed:
            coarsest = torch.cat([examples[row].coarsest for row in boxed])
            boxes, labels = _padded([prompts[row] for row in boxed], [examples[row] for row in boxed])
            features, mask = self._geometry(boxes, labels, coarsest, positions.expand(len(boxed), -1, -1, -1))
            for row, tokens, there in zip(boxed, features, mask, strict=True):
                shown[row] = tokens[there]
        return shown

    def _geometry(
        self, boxes: torch.Tensor, labels: torch.Tensor, coarsest: torch.Tensor, positions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (n, B + 1, C), of the boxes that are there, then of the CLS token, and a mask of these."""
        boxes, labels = boxes.to(coarsest.device), labels.to(coarsest.device)
        there = labels != PADDING
        output = self._model.geometry_encoder(
            box_embeddings=boxes,
            box_mask=there,
            box_labels=labels.where(there, 0),
            img_feats=(coarsest,),
            img_pos_embeds=(positions,),
        )
        return output.last_hidden_state, output.attention_mask.bool()


def _padded(prompts: Sequence[ConceptPrompt], pictures: Sequence[Described]) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes float32 (n, B, 4), cx cy w h as fractions of the picture, and labels (n, B): 1, 0, or `PADDING`."""
    most = max(len(prompt.boxes) for prompt in prompts)
    boxes, labels = torch.full((len(prompts), most, 4), 0.5), torch.full((len(prompts), most), PADDING)
    for row, (prompt, picture) in enumerate(zip(prompts, pictures, strict=True)):
        fractions = to_fractions(np.array(prompt.boxes), picture.height, picture.width)
        boxes[row, : len(prompt.boxes)] = torch.from_numpy(xyxy_to_cxcywh(fractions))
        labels[row, : len(prompt.boxes)] = torch.tensor(prompt.box_labels)
    return boxes, labels
