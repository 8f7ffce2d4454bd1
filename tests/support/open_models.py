"""Folders of Grounding DINO, OWLv2 and SAM 2.1 in their real architectures, small, with random weights."""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    BertTokenizer,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Sam2ImageProcessor,
    Sam2VideoConfig,
    Sam2VideoMaskDecoderConfig,
    Sam2VideoModel,
)

GROUNDING_DINO: dict[str, Any] = {
    "backbone_config": {
        "model_type": "swin",
        "embed_dim": 8,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 4,
        "out_indices": [2, 3, 4],
    },
    "text_config": {
        "model_type": "bert",
        "vocab_size": 1100,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 32,
    },
    "d_model": 32,
    "num_queries": 40,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_text_len": 24,
}
SHORTEST, LONGEST = 96, 160
"""Pixels of the small Grounding DINO's input."""
OWLV2: dict[str, Any] = {
    "text_config": {
        "vocab_size": 80,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
    },
    "vision_config": {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 96,
        "patch_size": 16,
    },
    "projection_dim": 16,
}
SAM2_SIDE = 128
SAM2: dict[str, Any] = {
    "vision_config": {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "num_attention_heads": 1,
            "image_size": [SAM2_SIDE, SAM2_SIDE],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2],
            "window_size_per_stage": [8, 4, 4, 2],
            "global_attention_blocks": [3],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "fpn_hidden_size": 128,
    },
    "prompt_encoder_config": {"hidden_size": 128, "image_size": SAM2_SIDE, "patch_size": 16},
    "mask_decoder_config": {
        "hidden_size": 128,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    },
    "image_size": SAM2_SIDE,
    "memory_attention_hidden_size": 128,
    "memory_attention_num_layers": 1,
    "memory_attention_feed_forward_hidden_size": 32,
    "memory_attention_rope_feat_sizes": [8, 8],
    "memory_encoder_hidden_size": 128,
    "mask_downsampler_embed_dim": 128,
    "memory_fuser_embed_dim": 128,
    "memory_fuser_intermediate_dim": 32,
}


def write_grounding_dino(folder: Path) -> Path:
    """Write a detector whose scores differ from box to box and from phrase to phrase."""
    model: Any = GroundingDinoForObjectDetection(GroundingDinoConfig(**GROUNDING_DINO))
    _draw_weights(model, 7)
    model.save_pretrained(folder)
    _build_bert_tokenizer(folder).save_pretrained(folder)
    GroundingDinoImageProcessor(size={"shortest_edge": SHORTEST, "longest_edge": LONGEST}).save_pretrained(folder)
    return folder


def write_owlv2(folder: Path) -> Path:
    model: Any = Owlv2ForObjectDetection(Owlv2Config(**OWLV2))
    _draw_weights(model, 8)
    model.save_pretrained(folder)
    _build_clip_tokenizer().save_pretrained(folder)
    Owlv2ImageProcessor(size={"height": 96, "width": 96}).save_pretrained(folder)
    return folder


def write_sam2(folder: Path) -> Path:
    """Write SAM 2.1 as it is published: with its memory for videos."""
    # transformers 5.19 would make another kind of configuration of a dictionary
    heads = Sam2VideoMaskDecoderConfig(**SAM2["mask_decoder_config"])
    model: Any = Sam2VideoModel(Sam2VideoConfig(**SAM2 | {"mask_decoder_config": heads}))
    _draw_weights(model, 9)
    with torch.no_grad():
        model.mask_decoder.pred_obj_score_head.proj_out.bias += 3  # objects are mostly there
    model.save_pretrained(folder)
    Sam2ImageProcessor(size={"height": SAM2_SIDE, "width": SAM2_SIDE}).save_pretrained(folder)
    return folder


def _build_bert_tokenizer(folder: Path) -> BertTokenizer:
    """Make a tokenizer of letters and a few words, with the numbers of the special tokens that BERT has."""
    words = [f"[unused{number}]" for number in range(1100)]
    words[0], words[100:104] = "[PAD]", ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words[1012], words[1029] = ".", "?"
    known = ["red", "cup", "dog", "cat", "striped", "a", "the", *string.ascii_lowercase[1:], *string.digits]
    words[200 : 200 + len(known)] = known
    words[400:426] = [f"##{letter}" for letter in string.ascii_lowercase]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "vocab.txt"
    file.write_text("\n".join(words), encoding="utf-8")
    return BertTokenizer(vocab=str(file))


def _build_clip_tokenizer() -> CLIPTokenizer:
    """Make a tokenizer of letters. Its padding alone has the number 0: OWLv2 masks what begins with it."""
    letters = [letter + end for letter in string.ascii_lowercase + string.digits for end in ("", "</w>")]
    tokens = ["!", *letters, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], pad_token="!")


def _draw_weights(model: torch.nn.Module, seed: int) -> None:
    """Fill a model so that numbers neither vanish nor explode, and so that prompts make a difference."""
    rng = np.random.default_rng(seed)
    places = {name: value for name, value in model.named_buffers() if name.endswith("positional_embedding")}
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            drawn = torch.from_numpy(rng.standard_normal(tuple(parameter.shape))).float()
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.1 * drawn)
            elif "point_embed" in name:
                parameter.copy_(drawn)
            elif "mask_decoder" in name and "token" in name:
                parameter.copy_(0.05 * drawn)  # or else places would hardly count beside them
            elif "mask_decoder.transformer" in name and parameter.dim() > 1:
                parameter.copy_(drawn / (parameter.numel() // parameter.shape[0]) ** 0.5)
            elif "embed" in name or "token" in name:
                parameter.copy_(0.3 * drawn)
            elif parameter.dim() > 1:
                parameter.copy_(drawn * 1.2 / (parameter.numel() // parameter.shape[0]) ** 0.5)
            else:
                parameter.copy_(0.1 * drawn)
        for buffer in places.values():  # one buffer in two places, as in checkpoints
            buffer.copy_(torch.from_numpy(np.random.default_rng(seed).standard_normal(tuple(buffer.shape))).float())


def change_config(folder: Path, **numbers: Any) -> None:
    """Write other numbers into a folder's config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | numbers), encoding="utf-8")
