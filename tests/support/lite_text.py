"""SAM3-LiteText in small: the embedded SAM 3 with a text encoder of random weights, in the published layout."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import Sam3LiteTextConfig, Sam3LiteTextModel

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint

EMBEDDED = locate_checkpoint("tiny")
READERS = ("processor_config.json", "tokenizer.json", "tokenizer_config.json")
CONTEXT = 16
"""Tokens that the published text encoders read."""


def build_lite_text(*, context: int = CONTEXT) -> Any:
    """Return a `Sam3LiteTextModel` whose other parts are those of the embedded checkpoint."""
    torch.manual_seed(7)
    model = Sam3LiteTextModel(Sam3LiteTextConfig(**_describe_detector(context)))
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


def _describe_detector(context: int) -> dict[str, Any]:
    detector = json.loads((EMBEDDED / "config.json").read_text())["detector_config"]
    parts = ("geometry_encoder_config", "detr_encoder_config", "detr_decoder_config", "mask_decoder_config")
    text = {
        "vocab_size": detector["text_config"]["vocab_size"],
        "hidden_size": 32,
        "intermediate_size": 64,
        "projection_dim": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "max_position_embeddings": context,
    }
    own = {name: {key: value for key, value in detector[name].items() if key != "model_type"} for name in parts}
    return {"vision_config": detector["vision_config"], "text_config": text} | own
