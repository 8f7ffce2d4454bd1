"""Prompts as SAM 3's network reads them: tokens of the phrase, then those of the boxes, then a CLS token.

The CLS token attends to the image, and the published model has it even where there is no box. `Sam3Model` leaves it
out there, so that it is put behind the phrase here. Without boxes it depends on the image alone: `compute_cls_tokens`.
"""

import html
import re
from collections.abc import Sequence
from typing import Any, Protocol

import ftfy
import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from sam3_tool.cache import ByteCache
from sam3_tool.concepts.concept import Concept
from sam3_tool.masks.boxes import to_fractions, xyxy_to_cxcywh
from sam3_tool.prompts import ConceptPrompt

PAD_LABEL = -10
"""Label of a box that is not there: the geometry encoder masks it out."""
BOXES_ONLY_PHRASE = "visual"
"""The text that goes with boxes alone."""
CONTEXT = 32
"""Text tokens that SAM 3 reads, start and end included; longer phrases are cut. SAM3-LiteText reads its positions."""
LITE_TEXT_ENCODER = "sam3_lite_text_text_model"
"""`model_type` of a text encoder that is not causal."""

_TEXT_BYTES = 32 * 2**20
_SPECIAL_TOKENS = re.compile(r"<\|(startoftext|endoftext)\|>")


def clean_phrase(phrase: str) -> str:
    r"""Clean a phrase as the published code does before it makes tokens of it (`sam3/model/tokenizer_ve.py`).

    Typographic quotes become straight ones, ligatures letters, HTML entities their characters, mojibake what it was.
    The tokenizer's own names for start and end are text to the published one: with a space inside they are here, too.

    >>> clean_phrase("The  dog\u2019s &amp;amp; cat\u2019s  \u201cbowl\u201d")
    'the dog\'s & cat\'s "bowl"'
    >>> clean_phrase("cup<|endoftext|>")
    'cup<| endoftext |>'
    """
    text = html.unescape(html.unescape(ftfy.fix_text(phrase)))
    return _SPECIAL_TOKENS.sub(r"<| \1 |>", " ".join(text.split()).lower())


def pad_with_zeros(tokens: torch.Tensor, mask: torch.Tensor, length: int) -> torch.Tensor:
    """Pad tokens as the encoder of SAM3-LiteText was trained: with zeros to its whole context, which it reads, too.

    transformers' `Sam3Processor` pads to 32 tokens and hides them, so that the 16 positions of the published encoders
    are stretched over 32 tokens. The published code (`sam3/model/text_encoder_student.py` of EfficientSAM3) does not.

    Args:
        tokens: int64, (n, L).
        mask: int64, (n, L): 1 where there is a token.
        length: What they are padded to, L or more.

    Returns:
        int64, (n, length).

    >>> pad_with_zeros(torch.tensor([[5, 7, 9]]), torch.tensor([[1, 1, 0]]), 4).tolist()
    [[5, 7, 0, 0]]
    """
    return functional.pad(tokens * mask, (0, length - tokens.shape[1]))


class ExemplarSource(Protocol):
    """What is needed of the image that boxes lie in."""

    @property
    def coarsest(self) -> torch.Tensor:
        """The coarsest level that the detector reads, (1, C, h, w)."""
        ...

    @property
    def cls_token(self) -> torch.Tensor:
        """The CLS token of a prompt without boxes, (1, 1, C)."""
        ...

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...


class PromptEncoder:
    """The text and the geometry encoder of a `Sam3Model` or a `Sam3LiteTextModel`. Not thread-safe."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._reads_padding: bool = model.config.text_config.model_type == LITE_TEXT_ENCODER
        self._texts: ByteCache[str, torch.Tensor] = ByteCache(_TEXT_BYTES, size=lambda text: text.nbytes)

    def compute_cls_tokens(self, coarsest: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Compute the CLS token of each image, (B, 1, C), from levels and positions, both (B, C, h, w)."""
        boxes, labels = torch.full((len(coarsest), 1, 4), 0.5), torch.full((len(coarsest), 1), PAD_LABEL)
        features, _ = self._run_geometry_encoder(boxes, labels, coarsest, positions)
        return features[:, :1]

    def __call__(
        self, prompts: Sequence[ConceptPrompt], sources: Sequence[ExemplarSource], positions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features (n, L, C) and mask (n, L) of the prompts, padded to the longest of them.

        `sources`: of each prompt, the image that its boxes lie in. `positions`: of the coarsest level, (1, C, h, w).
        Padding never shows in what is not padding: the text encoder is causal or pads every phrase to one length, and
        all later attention is masked.
        """
        phrases = [_get_text(prompt) for prompt in prompts]
        texts, box_tokens = (
            self._texts.get_or_compute(phrases, self._encode_phrases),
            self._encode_boxes(prompts, sources, positions),
        )
        rows = [torch.cat([texts[phrase], boxes]) for phrase, boxes in zip(phrases, box_tokens, strict=True)]
        ones = [torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows]
        return pad_sequence(rows, batch_first=True), pad_sequence(ones, batch_first=True)

    def _encode_phrases(self, phrases: Sequence[str]) -> list[torch.Tensor]:
        """Return the text encoder's features of each phrase, (its tokens, C)."""
        positions: int = self._model.config.text_config.max_position_embeddings
        context = positions if self._reads_padding else min(CONTEXT, positions)
        texts = [clean_phrase(phrase) for phrase in phrases]
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=context, return_tensors="pt")
        if self._reads_padding:
            inputs = {"input_ids": pad_with_zeros(tokens["input_ids"], tokens["attention_mask"], context)}
        else:
            inputs = dict(tokens)
        device = self._model.device
        features = self._model.get_text_features(
            **{name: value.to(device) for name, value in inputs.items()}
        ).pooler_output
        lengths = tokens["attention_mask"].sum(dim=1).tolist()
        return [text[:length].clone() for text, length in zip(features, lengths, strict=True)]

    def _encode_boxes(
        self, prompts: Sequence[ConceptPrompt], sources: Sequence[ExemplarSource], positions: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return the tokens of each prompt's boxes and its CLS token, (boxes + 1, C)."""
        # a prompt without boxes is its CLS token, which the image's embedding already holds
        box_tokens = [
            source.cls_token[0] if prompt.concept is None else join_concept(prompt.concept).to(source.cls_token)
            for prompt, source in zip(prompts, sources, strict=True)
        ]
        boxed = [row for row, prompt in enumerate(prompts) if prompt.boxes]
        if boxed:
            coarsest = torch.cat([sources[row].coarsest for row in boxed])
            boxes, labels = _pad_boxes([prompts[row] for row in boxed], [sources[row] for row in boxed])
            features, mask = self._run_geometry_encoder(
                boxes, labels, coarsest, positions.expand(len(boxed), -1, -1, -1)
            )
            for row, tokens, is_token in zip(boxed, features, mask, strict=True):
                box_tokens[row] = tokens[is_token]
        return box_tokens

    def describe_examples(
        self, prompt: ConceptPrompt, source: ExemplarSource, positions: torch.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what the network reads of a prompt's boxes, float32 (boxes, C), and of their image, (1, C)."""
        [tokens] = self._encode_boxes([prompt], [source], positions)
        rows = tokens.float().cpu().numpy()
        return rows[:-1], rows[-1:]

    def _run_geometry_encoder(
        self, boxes: torch.Tensor, labels: torch.Tensor, coarsest: torch.Tensor, positions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features (n, B + 1, C), of the boxes that are there, then of the CLS token, and a mask of these."""
        boxes, labels = boxes.to(coarsest.device), labels.to(coarsest.device)
        is_box = labels != PAD_LABEL
        output = self._model.geometry_encoder(
            box_embeddings=boxes,
            box_mask=is_box,
            box_labels=labels.where(is_box, 0),
            img_feats=(coarsest,),
            img_pos_embeds=(positions,),
        )
        return output.last_hidden_state, output.attention_mask.bool()


def _get_text(prompt: ConceptPrompt) -> str:
    """Return the text that is read along with a prompt's boxes or concept."""
    phrase = prompt.phrase if prompt.concept is None else prompt.concept.phrase
    return phrase or BOXES_ONLY_PHRASE


def join_concept(concept: Concept) -> torch.Tensor:
    """Return the tokens of a concept, (examples + 1, C): those of its examples, then one of where they were seen.

    The network was trained with one such token, so that those of several images become their mean.
    """
    surroundings = concept.surroundings.mean(axis=0, keepdims=True, dtype=np.float32)
    return torch.from_numpy(np.concatenate([concept.examples, surroundings]))


def _pad_boxes(
    prompts: Sequence[ConceptPrompt], sources: Sequence[ExemplarSource]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return boxes float32 (n, B, 4), cx cy w h as fractions of the image, and labels (n, B): 1, 0, or `PAD_LABEL`."""
    most = max(len(prompt.boxes) for prompt in prompts)
    boxes, labels = torch.full((len(prompts), most, 4), 0.5), torch.full((len(prompts), most), PAD_LABEL)
    for row, (prompt, source) in enumerate(zip(prompts, sources, strict=True)):
        fractions = to_fractions(np.array(prompt.boxes), source.height, source.width)
        boxes[row, : len(prompt.boxes)] = torch.from_numpy(xyxy_to_cxcywh(fractions))
        labels[row, : len(prompt.boxes)] = torch.tensor(prompt.box_labels)
    return boxes, labels
