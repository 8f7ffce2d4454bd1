"""SAM3-LiteText in small: the embedded SAM 3 with a text encoder of random weights, in the published layout."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import Sam3LiteTextConfig, Sam3LiteTextModel

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from tests.support.native_files import Weights, name_weights_natively

EMBEDDED = locate_checkpoint("tiny")
READERS = ("processor_config.json", "tokenizer.json", "tokenizer_config.json")
CONTEXT = 16
"""Tokens that the published text encoders read."""
POSITIONS = 77
"""Tokens that the authors' files have positions for."""

_AUTHORS_NAMES = [
    (r"^embeddings\.token_embedding", "embedding_layer"),
    (r"^embeddings\.position_embedding\.position_embedding$", "positional_embedding.pos_embed.pos_embed"),
    (r"^projection\.weight$", "projection_layer"),
    (r"^layers\.", "transformer."),
    (r"\.layer_norm1\.", ".pre_norm_mha.0."),
    (r"\.self_attn\.", ".pre_norm_mha.1."),
    (r"\.layer_norm2\.", ".pre_norm_ffn.0."),
    (r"\.conv_feed_forward\.depthwise_conv\.", ".convffn.conv.conv."),
    (r"\.conv_feed_forward\.depthwise_batchnorm\.", ".convffn.conv.bn."),
    (r"\.conv_feed_forward\.mlp\.", ".convffn."),
    (r"(transformer\.\d+)\.mlp\.fc1\.", r"\1.pre_norm_ffn.1."),
    (r"(transformer\.\d+)\.mlp\.fc2\.", r"\1.pre_norm_ffn.4."),
    (r"\.reference_batchnorm\.", ".norm.rbr_skip."),
    (r"\.batchnorm_skip\.", ".rbr_skip."),
    (r"\.mixer\.conv\.", ".mixer.rbr_conv.0.conv."),
    (r"\.batchnorm_conv\.", ".rbr_conv.0.bn."),
]


def build_lite_text(*, has_mixers: bool = True) -> Any:
    """Return a `Sam3LiteTextModel` whose other parts are those of the embedded checkpoint.

    `has_mixers`: whether the text encoder is built as S0 is, and not as S1 and L are.
    """
    torch.manual_seed(7)
    model = Sam3LiteTextModel(Sam3LiteTextConfig(**_describe_detector(has_mixers)))
    embedded = load_file(EMBEDDED / "model.safetensors")
    whole = {
        name.removeprefix("detector_model."): value.float()
        for name, value in embedded.items()
        if name.startswith("detector_model.") and "text_" not in name.split(".")[1]
    }
    missing, unexpected = model.load_state_dict(whole, strict=False)
    assert not unexpected
    assert {name.partition(".")[0] for name in missing} == {"text_encoder", "text_projection"}
    for part in model.text_encoder.modules():  # as after a training, so that padding and norms show
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(std=0.3)
            part.running_var.uniform_(0.5, 2)
    with torch.no_grad():
        for name, weight in model.text_encoder.named_parameters():
            if name.endswith("layer_scale"):
                weight.uniform_(0.3, 1)
        model.text_encoder.embeddings.token_embedding.weight.normal_()
        model.text_projection.weight.mul_(8)
        model.detr_decoder.presence_head.layer3.bias.add_(5)
    return model.eval()


def save_lite_text(folder: Path, model: Any, *, with_tracker: bool = False) -> Path:
    """Write a model as the hub has it, or with the tracker of the embedded checkpoint beside it."""
    folder.mkdir()
    for name in READERS:
        shutil.copy(EMBEDDED / name, folder)
    config, weights = model.config.to_dict(), dict(model.state_dict())
    if with_tracker:
        embedded = json.loads((EMBEDDED / "config.json").read_text())
        config = embedded | {"model_type": "sam3_lite_text_video", "detector_config": config}
        weights = {f"detector_model.{name}": value for name, value in weights.items()}
        weights |= {
            name: value
            for name, value in load_file(EMBEDDED / "model.safetensors").items()
            if name.startswith("tracker_")
        }
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    return folder


def name_as_authors(model: Any) -> Weights:
    """Return a model's weights, and the embedded tracker's, as the authors of SAM3-LiteText save them."""
    ours = {f"detector_model.{name}": value for name, value in model.state_dict().items()}
    text = "detector_model.text_encoder."
    others = {name: ours[name] for name in ours if not name.startswith((text, "detector_model.text_projection."))}
    tracker = load_file(EMBEDDED / "model.safetensors")
    native = name_weights_natively(others | {name: tracker[name] for name in tracker if name.startswith("tracker_")})
    language = "detector.backbone.language_backbone."
    for name in ("weight", "bias"):
        native[f"{language}projector.{name}"] = ours[f"detector_model.text_projection.{name}"]
    for name, value in ours.items():
        if name.startswith(text) and not re.search(r"\.[kv]_proj\.", name):
            native[f"{language}encoder.{_name_as_author(name.removeprefix(text))}"] = _join(ours, name, value)
    place = f"{language}encoder.positional_embedding.pos_embed.pos_embed"
    unread = torch.full((1, 1, POSITIONS - CONTEXT, native[place].shape[-1]), 9.0)
    native[place] = torch.cat([native[place], unread], dim=2)
    native[f"{language}encoder.projection_layer"] = native[f"{language}encoder.projection_layer"].T.contiguous()
    return native


def _name_as_author(name: str) -> str:
    for pattern, replacement in _AUTHORS_NAMES:
        name = re.sub(pattern, replacement, name)
    return name.replace(".q_proj.", ".qkv_proj.")


def _join(ours: Weights, name: str, value: torch.Tensor) -> torch.Tensor:
    """Return queries, keys and values of a layer as one weight; any other weight as it is."""
    if ".q_proj." not in name:
        return value
    return torch.cat([ours[name.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"])


def _describe_detector(has_mixers: bool) -> dict[str, Any]:
    detector = json.loads((EMBEDDED / "config.json").read_text())["detector_config"]
    parts = ("geometry_encoder_config", "detr_encoder_config", "detr_decoder_config", "mask_decoder_config")
    text = {
        "vocab_size": detector["text_config"]["vocab_size"],
        "hidden_size": 128,
        "intermediate_size": 256,
        "projection_dim": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "max_position_embeddings": CONTEXT,
        "use_repmixer_blocks": has_mixers,
    }
    own = {name: {key: value for key, value in detector[name].items() if key != "model_type"} for name in parts}
    return {"vision_config": detector["vision_config"], "text_config": text} | own
