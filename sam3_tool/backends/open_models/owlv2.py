"""OWLv2: boxes for a phrase, or for what exemplar boxes show. Its vision encoder runs once per image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchvision.ops import box_iou, generalized_box_iou

from sam3_tool.backends.open_models.calibration import Calibration
from sam3_tool.backends.open_models.detector import (
    DetectionRequest,
    Features,
    FoundBoxes,
    choose_boxes,
    prepare_pixels,
)
from sam3_tool.cache import ByteCache
from sam3_tool.errors import CheckpointError
from sam3_tool.image import Image
from sam3_tool.masks.boxes import cxcywh_to_xyxy
from sam3_tool.prompts import ConceptPrompt

TEMPLATE = "a photo of a {}"
"""What a phrase stands in, as in the published examples."""
MAX_SHRINK = 2
"""Larger images are shrunk to so many times the network's side, 1920 pixels, before the published processor squares and
blurs them: a panorama of 20,000 pixels would take 4.8 GB there."""
_TEXT_BYTES = 8 * 2**20


class Owlv2:
    """An `Owlv2ForObjectDetection` on its device.

    - The text is "a photo of a PHRASE", at most 16 tokens. Raw score = sigmoid of a box's logit for it.
    - An exemplar stands for itself by the class embedding of the predicted box that overlaps it most, as in
      image-guided detection; the mean of several is taken. With a phrase, the higher score of the two counts.
    - In 16 bits, the heads for boxes and classes stay in float32.
    """

    title = "OWLv2"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        image_processor: Any,
        *,
        calibrations: dict[str, Calibration],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take over a model in float32, on its device, in evaluation mode."""
        self.calibrations = calibrations
        self._model, self._tokenizer, self._images = model, tokenizer, image_processor
        self._device: torch.device = model.device
        self._dtype = dtype
        self._encoder = model.owlv2
        for part in (self._encoder.vision_model, self._encoder.text_model, self._encoder.text_projection):
            part.to(dtype)
        self._texts: ByteCache[str, torch.Tensor] = ByteCache(_TEXT_BYTES, size=lambda text: text.nbytes)
        self.parts = {"vision encoder": self._encoder.vision_model, "text encoder": self._encoder.text_model}

    def check_prompts(self, prompts: Sequence[ConceptPrompt]) -> None:
        if any(0 in prompt.box_labels for prompt in prompts):
            raise CheckpointError(
                "OWLv2 takes exemplar boxes of objects that are meant, and none of objects that are not; SAM 3 takes"
                " both: `--sam3 facebook/sam3`"
            )

    def encode(self, images: Sequence[Image]) -> list[Features]:
        return [self._encode_image(image) for image in images]

    def _encode_image(self, image: Image) -> Features:
        pixels = prepare_pixels(self._images, self._shrink_image(image), self._device)
        states = self._encoder.vision_model(pixel_values=pixels.to(self._dtype)).last_hidden_state
        normed = self._encoder.vision_model.post_layernorm(states).float()
        patches = self._model.layer_norm(normed[:, 1:] * normed[:, :1])
        boxes = self._model.box_predictor(patches, patches)
        return Features((patches, boxes), (pixels.shape[2], pixels.shape[3]))

    def _shrink_image(self, image: Image) -> Image:
        longest, most = max(image.height, image.width), MAX_SHRINK * self._images.size["height"]
        if longest <= most:
            return image
        width, height = (max(1, round(side * most / longest)) for side in (image.width, image.height))
        return Image(np.asarray(image.to_pil().resize((width, height))))

    def detect(self, requests: Sequence[DetectionRequest]) -> list[FoundBoxes]:
        texts = self._texts.get_or_compute(
            [request.prompt.phrase for request in requests if request.prompt.phrase], self._encode_phrases
        )
        return [self._detect_one(request, texts) for request in requests]

    def _detect_one(self, request: DetectionRequest, texts: Any) -> FoundBoxes:
        patches, boxes = request.features.tensors
        queries = {}
        if request.prompt.phrase:
            queries["phrase"] = texts[request.prompt.phrase]
        if request.prompt.boxes:
            queries["exemplar"] = self._describe_exemplars(request)
        raw = {kind: self._score_patches(patches, query) for kind, query in queries.items()}
        scores = np.max([self.calibrations[kind].to_scores(row) for kind, row in raw.items()], axis=0)
        presences = [self.calibrations[kind].to_presence(float(row.max())) for kind, row in raw.items()]
        side = max(request.size)  # the square is padded, not stretched
        return choose_boxes(
            cxcywh_to_xyxy(boxes[0].cpu().numpy() * np.float32(side)),
            scores if len(raw) > 1 else next(iter(raw.values())),
            scores,
            threshold=request.prompt.threshold,
            presence=max(presences),
        )

    def _score_patches(self, patches: torch.Tensor, query: torch.Tensor) -> np.ndarray:
        """Return raw scores, float32 (P,), of patches (1, P, C) for a query (D,)."""
        logits: torch.Tensor = self._model.class_predictor(patches, query[None, None])[0]
        return logits[0, :, 0].sigmoid().nan_to_num().cpu().numpy()

    def _describe_exemplars(self, request: DetectionRequest) -> torch.Tensor:
        """Return what the exemplar boxes show, float32 (D,)."""
        patches, boxes = request.exemplar.tensors
        _, embeddings = self._model.class_predictor(patches)
        predicted = torch.from_numpy(cxcywh_to_xyxy(boxes[0].cpu().numpy()))
        shown = torch.tensor(request.prompt.boxes, dtype=torch.float32) / max(request.exemplar_size)
        overlaps = box_iou(shown, predicted)
        nearest = torch.where(overlaps.amax(1, keepdim=True) > 0, overlaps, generalized_box_iou(shown, predicted))
        chosen = embeddings[0, nearest.argmax(dim=1).to(self._device)]
        mean: torch.Tensor = torch.nn.functional.normalize(chosen, dim=-1).mean(dim=0)
        return mean

    def _encode_phrases(self, phrases: Sequence[str]) -> list[torch.Tensor]:
        """Return the text encoder's embedding of each phrase, float32 (D,)."""
        texts = [TEMPLATE.format(phrase.strip().lower()) for phrase in phrases]
        length = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        pooled = self._encoder.text_model(
            input_ids=tokens["input_ids"].to(self._device), attention_mask=tokens["attention_mask"].to(self._device)
        ).pooler_output
        embedded = self._encoder.text_projection(pooled).float()
        return list((embedded / embedded.norm(dim=-1, keepdim=True)).unbind())
