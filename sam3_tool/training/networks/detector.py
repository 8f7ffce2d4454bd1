"""SAM 3 while it learns: the published network's own layers, plus heads and queries that only training needs."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import Sam3Model
from transformers.models.sam3.modeling_sam3 import inverse_sigmoid

from sam3_tool.training.batch import ATTRIBUTES, PAD_LABEL, ImageBatch, Questions
from sam3_tool.training.networks.architecture import GRID, WIDTH

SILHOUETTE = 12
"""Side of the silhouettes that patches draw of their objects."""


@dataclass(frozen=True, eq=False)
class VisionFeatures:
    """A batch of images behind the vision encoder."""

    tokens: torch.Tensor
    """(B, GRID * GRID, trunk width): the vision trunk's last state."""
    levels: tuple[torch.Tensor, ...]
    """The neck's levels, finest first, (B, WIDTH, side, side); the finer ones perhaps for the first images only."""
    positions: tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class Detections:
    """What the detector says to N questions, from each of its L decoder layers, about Q queries."""

    logits: torch.Tensor
    """(L, N, Q): does this query show the concept?"""
    boxes: torch.Tensor
    """(L, N, Q, 4), cx cy w h in [0, 1]."""
    presence: torch.Tensor
    """(L, N): logit of the concept being in the image at all."""
    queries: torch.Tensor
    """(N, Q, WIDTH): the last layer's."""
    encoded: torch.Tensor
    """(N, GRID * GRID, WIDTH): image tokens that have read the prompt."""
    prompt: torch.Tensor
    prompt_mask: torch.Tensor
    hint_logits: torch.Tensor
    """(L, N, M): as `logits`, for the queries that were given a noisy box of each object."""
    hint_boxes: torch.Tensor
    """(L, N, M, 4)."""


class LearningSam3(nn.Module):
    """The small SAM 3 while it learns. `half`: its large layers compute in bfloat16 (weights stay float32)."""

    def __init__(self, sam3: Sam3Model, *, half: bool = False) -> None:
        super().__init__()
        self.half_precision = half
        trunk = sam3.config.vision_config.backbone_config.hidden_size
        values = [len(names) for _, names in ATTRIBUTES]
        self.sam3 = sam3
        self.patch_head = nn.Sequential(nn.LayerNorm(trunk), nn.Linear(trunk, 1 + sum(values) + 4))
        """Per patch: is there an object, its attributes, distances to its four edges."""
        self.attribute_head = nn.Linear(WIDTH, sum(values))
        """The same attributes from the neck's coarsest level, raw: a norm here would hide a level that blows up."""
        self.concept_head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1 + 4))
        """Per image token that has read the prompt: is it the concept, and the box of what is there."""
        self.hint_query = nn.Parameter(torch.randn(WIDTH) * 0.5)
        self.silhouette_head = nn.Sequential(nn.LayerNorm(trunk), nn.Linear(trunk, SILHOUETTE**2))
        """Per patch: the whole outline of the object that covers it, stretched to a square."""

    def encode_images(self, pixels: torch.Tensor, *, fine: int) -> VisionFeatures:
        """Encode images. Only masks need the neck's two finer levels: the first `fine` images get them."""
        encoder = self.sam3.vision_encoder
        finest, finer, coarse, _ = encoder.neck.fpn_layers
        with self._get_autocast():
            tokens = encoder.backbone(pixels).last_hidden_state.float()
            grid = tokens.view(len(pixels), GRID, GRID, -1).permute(0, 3, 1, 2)
            levels = (*((finest(grid[:fine]), finer(grid[:fine])) if fine else ()), coarse(grid))
        levels = tuple(level.float() for level in levels)
        positions = tuple(encoder.neck.position_encoding(x.shape, x.device, x.dtype) for x in levels)
        return VisionFeatures(tokens, levels, positions)

    def _get_autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.half_precision)

    def encode_phrases(self, questions: Questions) -> torch.Tensor:
        """Return the text encoder's projected states, (N, T, WIDTH)."""
        states = self.sam3.get_text_features(questions.tokens, questions.token_mask.long()).pooler_output
        return torch.as_tensor(states)

    def detect(self, features: VisionFeatures, questions: Questions, hints: torch.Tensor) -> Detections:
        """Ask every question about its image. `hints`: (N, M, 4), noisy boxes of each image's objects (DN-DETR)."""
        coarse, position = (x[-1][questions.image_index] for x in (features.levels, features.positions))
        prompt, mask = self._encode_prompt(coarse, position, questions)
        with self._get_autocast():
            encoded = self.sam3.detr_encoder(
                vision_features=[coarse], text_features=prompt, vision_pos_embeds=[position], text_mask=mask
            )
        encoded.last_hidden_state = encoded.last_hidden_state.float()
        states, boxes, presence = self._decode_queries(encoded, prompt, mask, hints)
        logits = self.sam3.dot_product_scoring(states, prompt, mask).squeeze(-1)
        count = self.sam3.config.detr_decoder_config.num_queries
        return Detections(
            logits=logits[..., :count],
            boxes=boxes[..., :count, :],
            presence=presence,
            queries=states[-1][:, :count],
            encoded=encoded.last_hidden_state,
            prompt=prompt,
            prompt_mask=mask,
            hint_logits=logits[..., count:],
            hint_boxes=boxes[..., count:, :],
        )

    def _encode_prompt(
        self, coarse: torch.Tensor, position: torch.Tensor, questions: Questions
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode words, then the geometry encoder's boxes and its CLS token, which text-only prompts have too."""
        labels = questions.box_labels
        geometry = self.sam3.geometry_encoder(
            box_embeddings=questions.boxes,
            box_mask=labels != PAD_LABEL,
            box_labels=labels.clamp(min=0),
            img_feats=(coarse,),
            img_pos_embeds=(position,),
        )
        prompt = torch.cat([self.encode_phrases(questions), geometry.last_hidden_state], dim=1)
        return prompt, torch.cat([questions.token_mask, geometry.attention_mask], dim=1)

    def _decode_queries(
        self, encoded: Any, prompt: torch.Tensor, mask: torch.Tensor, hints: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run `Sam3DetrDecoder.forward` with more queries: those with hints see each other, never the ordinary ones."""
        decoder: Any = self.sam3.detr_decoder
        image_tokens, position = encoded.last_hidden_state, encoded.pos_embeds_flattened
        n, count = len(image_tokens), decoder.config.num_queries
        boxes = torch.cat([decoder.reference_points.weight.sigmoid().expand(n, -1, -1), hints], dim=1)
        ordinary = torch.cat([decoder.presence_token.weight, decoder.query_embed.weight])
        hs = torch.cat([ordinary.expand(n, -1, -1), self.hint_query.expand(n, hints.shape[1], -1)], dim=1)
        # ordinary queries must not see the hints, which are not there at inference (DN-DETR)
        hinted = torch.arange(hs.shape[1]) > count
        apart = torch.zeros(len(hinted), len(hinted)).masked_fill(hinted[:, None] != hinted[None], -1e9)
        words = torch.zeros(mask.shape).masked_fill(~mask, -1e9)[:, None, None]
        states, all_boxes, presence = [], [], []
        for layer in decoder.layers:
            query_pos = F.pad(decoder.ref_point_head(decoder.position_encoding.encode_boxes(boxes)), (0, 0, 1, 0))
            near_box = F.pad(decoder._get_rpb_matrix(boxes, (GRID, GRID)), (0, 0, 1, 0))
            positioned = hs + query_pos
            hs = layer.self_attn_layer_norm(hs + layer.self_attn(positioned, positioned, hs, apart)[0])
            hs = layer.text_cross_attn_layer_norm(hs + layer.text_cross_attn(hs + query_pos, prompt, prompt, words)[0])
            looked = layer.vision_cross_attn(hs + query_pos, image_tokens + position, image_tokens, near_box)[0]
            hs = layer.vision_cross_attn_layer_norm(hs + looked)
            hs = layer.mlp_layer_norm(hs + layer.mlp(hs))
            states.append(decoder.output_layer_norm(hs[:, 1:]))
            all_boxes.append((decoder.box_head(states[-1]) + inverse_sigmoid(boxes)).sigmoid())
            presence.append(decoder.presence_head(decoder.presence_layer_norm(hs[:, 0])).squeeze(-1).clamp(-10, 10))
            # each layer refines the boxes of the one before, without a gradient through them, as Deformable DETR does
            boxes = all_boxes[-1].detach()
        return torch.stack(states), torch.stack(all_boxes), torch.stack(presence)

    def draw_masks(
        self,
        features: VisionFeatures,
        image_index: torch.Tensor,
        found: Detections,
        rows: torch.Tensor,
        queries: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mask logits (R, K, side, side) of K queries of R questions, and semantic logits (R, 1, side, side).

        `rows`: (R,) question indices; `image_index`: (R,) their images; `queries`: (R, K) query indices.
        """
        decoder = self.sam3.mask_decoder
        encoded, prompt, mask = found.encoded[rows], found.prompt[rows], found.prompt_mask[rows]
        words = torch.zeros(mask.shape).masked_fill(~mask, -1e9)[:, None, None]
        read = decoder.prompt_cross_attn(decoder.prompt_cross_attn_norm(encoded), prompt, prompt, words)[0]
        with self._get_autocast():
            pixels = decoder._embed_pixels([level[image_index] for level in features.levels], encoded + read).float()
        chosen = found.queries[rows].gather(1, queries[..., None].expand(-1, -1, WIDTH))
        embedded = decoder.mask_embedder(chosen)
        masks = torch.einsum("rkc,rchw->rkhw", embedded, decoder.instance_projection(pixels))
        return masks, decoder.semantic_projection(pixels)


def draw_noisy_boxes(images: ImageBatch, questions: Questions, shift: float, stretch: float) -> torch.Tensor:
    """Return (N, M, 4): every object's box, moved by up to `shift / 2` of its size, stretched by e^(+-stretch / 2)."""
    boxes = images.boxes[questions.image_index]
    noise = torch.rand(*boxes.shape) - 0.5
    centre = boxes[..., :2] + noise[..., :2] * boxes[..., 2:] * shift
    size = boxes[..., 2:] * torch.exp(noise[..., 2:] * stretch)
    return torch.cat([centre, size], dim=-1).clamp(0.02, 0.98)
