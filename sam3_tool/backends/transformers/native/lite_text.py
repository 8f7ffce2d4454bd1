"""The text encoder of SAM3-LiteText in its authors' files: how many tokens it reads, and its configuration."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
_HEAD = 64
"""Channels of an attention head, in all of its sizes."""
_ENCODER = "detector.backbone.language_backbone.encoder."
_CONTEXT_IN_NAME = re.compile(r"ctx_?(\d+)", re.IGNORECASE)


def choose_context(shapes: Shapes, file: Path, noted: object) -> int:
    """Return how many tokens the encoder reads, start and end included.

    Files hold positions for 77 tokens, whatever the encoder was trained with; the first ones are used, as in the
    published code (`set_context_length` in `sam3/model/text_encoder_student.py` of EfficientSAM3).

    Args:
        shapes: Of each weight, by its native name.
        file: The checkpoint, whose name tells it in the published ones: `sam3_litetext_mobileclip_s0_ctx16.pt`.
        noted: What the checkpoint itself says under `meta`; it comes first.

    Returns:
        That number; all positions where nothing is said.

    Raises:
        KeyError or IndexError: There are no positions, or they have no shape that they could have.

    >>> place = "detector.backbone.language_backbone.encoder.positional_embedding.pos_embed.pos_embed"
    >>> [choose_context({place: (1, 1, 77, 8)}, Path(name), None) for name in ("sam3_litetext_ctx16.pt", "sam3.pt")]
    [16, 77]
    """
    rows = shapes[f"{_ENCODER}positional_embedding.pos_embed.pos_embed"][2]
    named = _CONTEXT_IN_NAME.search(file.stem)
    if isinstance(noted, int) and noted > 0:
        return min(rows, noted)
    return min(rows, int(named[1])) if named and int(named[1]) > 0 else rows


def describe_lite_text(shapes: Shapes, context: int) -> dict[str, Any]:
    """Return the arguments of a `Sam3LiteTextTextConfig`.

    Args:
        shapes: Of each weight, by its native name.
        context: How many tokens it reads.

    Raises:
        KeyError, ValueError or IndexError: A weight is missing, or has no shape that it could have.
    """
    words, width = shapes[f"{_ENCODER}embedding_layer.weight"]
    layers = {name.removeprefix(f"{_ENCODER}transformer.").split(".", 1)[0] for name in shapes if _is_layer(name)}
    kernel = shapes.get(f"{_ENCODER}transformer.0.convffn.conv.conv.weight")
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": shapes[f"{_ENCODER}transformer.1.pre_norm_ffn.1.weight"][0],
        "projection_dim": shapes[f"{_ENCODER}projection_layer"][1],
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, width // _HEAD),
        "max_position_embeddings": context,
        "use_repmixer_blocks": kernel is not None,
        **({"repmixer_kernel_size": kernel[-1]} if kernel else {}),
    }


def _is_layer(name: str) -> bool:
    return name.startswith(f"{_ENCODER}transformer.")
