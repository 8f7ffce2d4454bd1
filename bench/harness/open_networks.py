"""Open models in their published size with random weights: their times are true, their answers mean nothing."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    BertTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
)

from sam3_tool.backends.open_models.backend import OpenBackend
from sam3_tool.backends.open_models.calibration import Calibration
from sam3_tool.backends.open_models.grounding_dino import GroundingDino
from sam3_tool.backends.open_models.segmenter import Segmenter

SWIN_TINY: dict[str, Any] = {
    "model_type": "swin",
    "embed_dim": 96,
    "depths": [2, 2, 6, 2],
    "num_heads": [3, 6, 12, 24],
    "window_size": 7,
    "out_indices": [2, 3, 4],
}
HIERA: Mapping[str, dict[str, Any]] = {
    "tiny": {},
    "small": {"blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]},
    "base-plus": {
        "hidden_size": 112,
        "num_attention_heads": 2,
        "embed_dim_per_stage": [112, 224, 448, 896],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "blocks_per_stage": [2, 3, 16, 3],
        "global_attention_blocks": [12, 16, 20],
        "window_positional_embedding_background_size": [14, 14],
    },
    "large": {
        "hidden_size": 144,
        "num_attention_heads": 2,
        "embed_dim_per_stage": [144, 288, 576, 1152],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "blocks_per_stage": [2, 6, 36, 4],
        "global_attention_blocks": [23, 33, 43],
        "window_size_per_stage": [8, 4, 16, 8],
    },
}
"""Vision encoders of SAM 2.1 by the end of their repositories' names, where they differ from the smallest."""


def build_open_backend(segmenter: str) -> OpenBackend:
    """Make Grounding DINO (tiny) and a SAM 2.1 of random weights, on the CPU and in float32.

    `segmenter`: of `HIERA`.
    """
    torch.manual_seed(0)
    detector = GroundingDino(
        GroundingDinoForObjectDetection(GroundingDinoConfig(backbone_config=dict(SWIN_TINY), text_config={})).eval(),
        _build_tokenizer(),
        GroundingDinoImageProcessor(),
        calibrations={"phrase": Calibration(0.35)},
    )
    return OpenBackend(detector, build_segmenter(segmenter), name=f"open, {segmenter}, random weights")


def build_segmenter(name: str) -> Segmenter:
    """Make a SAM 2.1 of random weights, on the CPU and in float32. `name`: of `HIERA`."""
    backbone = HIERA[name]
    channels = backbone.get("embed_dim_per_stage", [96, 192, 384, 768])
    vision = {
        "backbone_config": {"model_type": "sam2_hiera_det_model", **backbone},
        "backbone_channel_list": channels[::-1],
    }
    return Segmenter(Sam2Model(Sam2Config(vision_config=vision)).eval(), Sam2ImageProcessor())


def _build_tokenizer() -> BertTokenizer:
    """Make a tokenizer that knows single letters, with the numbers of the special tokens that BERT has."""
    numbers = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
    letters = "abcdefghijklmnopqrstuvwxyz"
    numbers |= {letter: 1037 + place for place, letter in enumerate(letters)}
    return BertTokenizer(vocab=numbers | {f"##{letter}": 2000 + place for place, letter in enumerate(letters)})
