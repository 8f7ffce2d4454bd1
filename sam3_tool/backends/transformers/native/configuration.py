"""The configuration of a network from the shapes of its weights: native checkpoints have none.

What shapes cannot tell (numbers of heads, constants) comes from `config.json` beside the file if it is one of SAM 3,
and is as published otherwise.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from sam3_tool.backends.transformers.native.names import STUDENT_TRUNK, TRUNK
from sam3_tool.backends.transformers.students.layout import describe_student

Shapes = Mapping[str, tuple[int, ...]]
_HEAD, _ENCODER_HEAD = 32, 64
"""Channels of an attention head, in the detector and the tracker, and in the two big encoders."""
_TEXT = "detector.backbone.language_backbone.encoder."
_NECK = "detector.backbone.vision_backbone.convs."
_MASKS = "tracker.sam_mask_decoder."
_MEMORY = "tracker.maskmem_backbone."


def describe_detector(
    shapes: Shapes, known: Mapping[str, Any], *, text: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the arguments of a `Sam3Config`, or of a `Sam3LiteTextConfig`.

    Args:
        shapes: Of each weight, by its name in `sam3.pt`.
        known: `detector_config` of a `config.json`, or {}.
        text: The arguments of the text encoder's configuration, where it is not CLIP's.

    Raises:
        KeyError, ValueError or IndexError: A weight is missing, or has no shape that it could have in SAM 3.
    """
    return {
        "vision_config": describe_vision(shapes, known.get("vision_config") or {}),
        "text_config": _describe_text(shapes, known.get("text_config") or {}) if text is None else dict(text),
        "geometry_encoder_config": _describe_layers(
            shapes,
            "detector.geometry_encoder.encode.",
            known.get("geometry_encoder_config"),
            roi_size=shapes["detector.geometry_encoder.boxes_pool_project.weight"][-1],
        ),
        "detr_encoder_config": _describe_layers(
            shapes, "detector.transformer.encoder.layers.", known.get("detr_encoder_config")
        ),
        "detr_decoder_config": _describe_layers(
            shapes,
            "detector.transformer.decoder.layers.",
            known.get("detr_decoder_config"),
            num_queries=shapes["detector.transformer.decoder.query_embed.weight"][0],
        ),
        "mask_decoder_config": _describe_pixels(shapes, known.get("mask_decoder_config") or {}),
    }


def describe_vision(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Sam3VisionConfig`; see `describe_detector`."""
    student = select_student(shapes)
    describe = _describe_student if student else _describe_trunk
    trunk = describe(student or shapes, known.get("backbone_config") or {})
    grid = trunk["image_size"] // trunk["patch_size"]
    return {
        **known,
        "model_type": "sam3_vision_model",
        "fpn_hidden_size": shapes[f"{_NECK}2.conv_1x1.weight"][0],
        "backbone_feature_sizes": [[scale * grid] * 2 for scale in (4, 2, 1)],
        "scale_factors": [4.0, 2.0, 1.0, 0.5],
        "backbone_config": trunk,
    }


def describe_tracker(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a `Sam3TrackerConfig` and a `Sam3TrackerVideoConfig` have in common; see `describe_detector`."""
    vision = describe_vision(shapes, known.get("vision_config") or {})
    levels = sum(bool(re.fullmatch(rf"{re.escape(_NECK)}\d+\.conv_1x1\.weight", name)) for name in shapes)
    trunk = vision["backbone_config"]
    hidden = shapes[f"{_MASKS}iou_token.weight"][1]
    masks = known.get("mask_decoder_config") or {}
    return {
        "vision_config": vision | {"scale_factors": vision["scale_factors"][:levels]},
        "prompt_encoder_config": {
            **(known.get("prompt_encoder_config") or {}),
            "hidden_size": hidden,
            "image_size": trunk["image_size"],
            "patch_size": trunk["patch_size"],
            "mask_input_channels": shapes["tracker.sam_prompt_encoder.mask_downscaling.3.weight"][0],
        },
        "mask_decoder_config": {
            "num_attention_heads": max(1, hidden // _HEAD),
            **masks,
            "hidden_size": hidden,
            "mlp_dim": shapes[f"{_MASKS}transformer.layers.0.mlp.lin1.weight"][0],
            "num_hidden_layers": _count(shapes, f"{_MASKS}transformer.layers."),
            "attention_downsample_rate": hidden
            // shapes[f"{_MASKS}transformer.final_attn_token_to_image.q_proj.weight"][0],
            "num_multimask_outputs": shapes[f"{_MASKS}mask_tokens.weight"][0] - 1,
            "iou_head_depth": _count(shapes, f"{_MASKS}iou_prediction_head.layers."),
            "iou_head_hidden_dim": shapes[f"{_MASKS}iou_prediction_head.layers.0.weight"][0],
        },
    }


def describe_memory(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Sam3TrackerVideoConfig`; see `describe_detector`."""
    tracker = describe_tracker(shapes, known)
    trunk = tracker["vision_config"]["backbone_config"]
    attention, fuser = "tracker.transformer.encoder.layers.", f"{_MEMORY}fuser.layers."
    kernel = shapes[f"{fuser}0.dwconv.weight"][-1]
    return {
        **known,
        **tracker,
        "image_size": trunk["image_size"],
        "num_maskmem": shapes["tracker.maskmem_tpos_enc"][0],
        "memory_attention_hidden_size": shapes[f"{attention}0.norm1.weight"][0],
        "memory_attention_num_layers": _count(shapes, attention),
        "memory_attention_feed_forward_hidden_size": shapes[f"{attention}0.linear1.weight"][0],
        "memory_attention_rope_feat_sizes": [trunk["image_size"] // trunk["patch_size"]] * 2,
        "memory_encoder_hidden_size": shapes[f"{_MEMORY}pix_feat_proj.weight"][0],
        "memory_encoder_output_channels": shapes[f"{_MEMORY}out_proj.weight"][0],
        "mask_downsampler_embed_dim": shapes[f"{_MEMORY}mask_downsampler.encoder.12.weight"][0],
        "memory_fuser_num_layers": _count(shapes, fuser),
        "memory_fuser_embed_dim": shapes[f"{fuser}0.norm.weight"][0],
        "memory_fuser_intermediate_dim": shapes[f"{fuser}0.pwconv1.weight"][0],
        "memory_fuser_kernel_size": kernel,
        "memory_fuser_padding": kernel // 2,
    }


def select_student(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Return the shapes of EfficientSAM3's trunk by the names below it; {} where the trunk is SAM 3's own."""
    return {name.removeprefix(STUDENT_TRUNK): shape for name, shape in shapes.items() if name.startswith(STUDENT_TRUNK)}


def _describe_student(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Sam3ViTConfig` without layers, for the trunk that a student takes the place of."""
    return {
        "model_type": "sam3_vit_model",
        "hidden_size": describe_student(shapes).features,
        "num_hidden_layers": 0,
        "global_attn_indexes": [],
        "image_size": known.get("image_size", 1008),
        "patch_size": known.get("patch_size", 14),
    }


def _describe_trunk(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Sam3ViTConfig`.

    A checkpoint's table of rotary frequencies has a row per token that attention reaches, and a column per pair of
    channels of a head. Without the tables (safetensors has no complex numbers) windows and image are as published.
    """
    hidden, channels, _, patch = shapes[f"{TRUNK}patch_embed.proj.weight"]
    layers = _count(shapes, f"{TRUNK}blocks.")
    pretrained = math.isqrt(shapes[f"{TRUNK}pos_embed"][1]) * patch
    trunk = {
        "num_attention_heads": max(1, hidden // _ENCODER_HEAD),
        **known,
        "model_type": "sam3_vit_model",
        "hidden_size": hidden,
        "num_channels": channels,
        "patch_size": patch,
        "intermediate_size": shapes[f"{TRUNK}blocks.0.mlp.fc1.weight"][0],
        "num_hidden_layers": layers,
        "pretrain_image_size": pretrained,
    }
    tables = [shapes.get(f"{TRUNK}blocks.{layer}.attn.freqs_cis") for layer in range(layers)]
    found = [table for table in tables if table]
    if len(found) == layers:
        window, whole = min(rows for rows, _ in found), max(rows for rows, _ in found)
        trunk |= {
            "num_attention_heads": hidden // (2 * found[0][1]),
            "window_size": math.isqrt(window),
            "image_size": math.isqrt(whole) * patch,
            "global_attn_indexes": [layer for layer, (rows, _) in enumerate(found) if rows == whole],
        }
    return {"image_size": 1008, **trunk}


def _describe_text(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `CLIPTextConfig`."""
    words, width = shapes[f"{_TEXT}token_embedding.weight"]
    return {
        "hidden_act": "gelu",
        "num_attention_heads": max(1, width // _ENCODER_HEAD),
        **known,
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": shapes[f"{_TEXT}transformer.resblocks.0.mlp.c_fc.weight"][0],
        "projection_dim": shapes[f"{_TEXT}text_projection"][1],
        "num_hidden_layers": _count(shapes, f"{_TEXT}transformer.resblocks."),
        "max_position_embeddings": shapes[f"{_TEXT}positional_embedding"][0],
    }


def _describe_layers(shapes: Shapes, beginning: str, known: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    """Return what all stacks of the detector are described by."""
    inner, hidden = shapes[f"{beginning}0.linear1.weight"]
    return {
        "num_attention_heads": max(1, hidden // _HEAD),
        **(known or {}),
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_layers": _count(shapes, beginning),
        **more,
    }


def _describe_pixels(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Sam3MaskDecoderConfig`."""
    convolutions = "detector.segmentation_head.pixel_decoder.conv_layers."
    hidden = shapes[f"{convolutions}0.weight"][0]
    return {
        "num_attention_heads": max(1, hidden // _HEAD),
        **known,
        "hidden_size": hidden,
        "num_upsampling_stages": _count(shapes, convolutions),
    }


def _count(shapes: Shapes, beginning: str) -> int:
    """Count the numbers that follow this beginning."""
    return len({name[len(beginning) :].split(".", 1)[0] for name in shapes if name.startswith(beginning)})
