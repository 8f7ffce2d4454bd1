"""Numbers of the published code that transformers or the converted configuration has otherwise."""

from math import inf
from typing import Any

from sam3_tool.backends.transformers.students.trunk import is_student

TRUNK_EPSILON = 1e-5
"""Of every norm of the vision trunk (`sam3/model/vitdet.py`); the converted configuration says 1e-6."""


def match_published_numbers(model: Any) -> None:
    """Change a `Sam3Model` to the function of the published code.

    - The norms of the trunk have the published epsilon, whatever the configuration says.
    - Presence logits have no bounds. The published decoder computes them cut at 10 and drops the result
      (`sam3/model/decoder.py`), so that its scores, and what it was trained with, are those of the logits themselves.
    """
    if not is_student(model.vision_encoder.backbone):
        match_trunk_norms(model.vision_encoder.backbone)
    model.detr_decoder.clamp_presence_logit_max_val = inf


def match_trunk_norms(trunk: Any) -> None:
    """Give the norms of a vision trunk the published epsilon."""
    layers = (norm for layer in trunk.layers for norm in (layer.layer_norm1, layer.layer_norm2))
    for norm in (trunk.layer_norm, *layers):
        norm.eps = TRUNK_EPSILON
