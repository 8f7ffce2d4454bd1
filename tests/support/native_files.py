"""Files with native names, made of a checkpoint in transformers' layout, as Meta's own code saves them.

The names are made here once more, from the right to the left, and not with the product's rules.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint

Weights = dict[str, torch.Tensor]

_PATTERNS = [
    (r"^detector_model\.vision_encoder\.backbone\.", "detector.backbone.vision_backbone.trunk."),
    (r"^detector_model\.vision_encoder\.neck\.fpn_layers\.", "detector.backbone.vision_backbone.convs."),
    (r"^tracker_neck\.fpn_layers\.", "detector.backbone.vision_backbone.sam2_convs."),
    (r"onvs\.(0)\.scale_layers\.0\.", r"onvs.\1.dconv_2x2_0."),
    (r"onvs\.(0)\.scale_layers\.2\.", r"onvs.\1.dconv_2x2_1."),
    (r"onvs\.(1)\.scale_layers\.0\.", r"onvs.\1.dconv_2x2."),
    (r"(onvs\.\d+)\.proj1\.", r"\1.conv_1x1."),
    (r"(onvs\.\d+)\.proj2\.", r"\1.conv_3x3."),
    (r"trunk\.embeddings\.position_embeddings$", "trunk.pos_embed"),
    (r"trunk\.embeddings\.patch_embeddings\.projection\.", "trunk.patch_embed.proj."),
    (r"trunk\.layer_norm\.", "trunk.ln_pre."),
    (r"trunk\.layers\.(\d+)\.layer_norm", r"trunk.blocks.\1.norm"),
    (r"trunk\.layers\.(\d+)\.attention\.o_proj\.", r"trunk.blocks.\1.attn.proj."),
    (r"trunk\.layers\.(\d+)\.attention\.qkv_proj\.", r"trunk.blocks.\1.attn.qkv."),
    (r"trunk\.layers\.(\d+)\.mlp", r"trunk.blocks.\1.mlp"),
    (r"^detector_model\.text_projection\.", "detector.backbone.language_backbone.resizer."),
    (r"^detector_model\.text_encoder\.(text_model\.)?", "LANGUAGE."),
    (r"^LANGUAGE\.text_projection\.weight", "LANGUAGE.text_projection"),
    (r"^LANGUAGE\.embeddings\.token_embedding", "LANGUAGE.token_embedding"),
    (r"^LANGUAGE\.embeddings\.position_embedding\.weight", "LANGUAGE.positional_embedding"),
    (r"^LANGUAGE\.final_layer_norm", "LANGUAGE.ln_final"),
    (r"^LANGUAGE\.encoder\.layers\.", "LANGUAGE.transformer.resblocks."),
    (r"resblocks\.(\d+)\.self_attn\.out_proj", r"resblocks.\1.attn.out_proj"),
    (r"resblocks\.(\d+)\.self_attn\.qkv_proj\.", r"resblocks.\1.attn.in_proj_"),
    (r"resblocks\.(\d+)\.layer_norm", r"resblocks.\1.ln_"),
    (r"resblocks\.(\d+)\.mlp\.fc1", r"resblocks.\1.mlp.c_fc"),
    (r"resblocks\.(\d+)\.mlp\.fc2", r"resblocks.\1.mlp.c_proj"),
    (r"^LANGUAGE", "detector.backbone.language_backbone.encoder"),
    (r"^detector_model\.geometry_encoder\.layers\.", "detector.geometry_encoder.encode."),
    (r"geometry_encoder\.prompt_layer_norm", "geometry_encoder.norm"),
    (r"geometry_encoder\.vision_layer_norm", "geometry_encoder.img_pre_norm"),
    (r"geometry_encoder\.output_layer_norm", "geometry_encoder.encode_norm"),
    (r"^detector_model\.detr_encoder\.", "detector.transformer.encoder."),
    (r"((?:encode|encoder\.layers)\.\d+)\.cross_attn\.", r"\1.cross_attn_image."),
    (r"^detector_model\.detr_decoder\.", "detector.transformer.decoder."),
    (r"decoder\.presence_head\.layer", "decoder.presence_token_head.layers."),
    (r"decoder\.presence_layer_norm", "decoder.presence_token_out_norm"),
    (r"decoder\.output_layer_norm", "decoder.norm"),
    (r"decoder\.box_head\.layer", "decoder.bbox_embed.layers."),
    (r"decoder\.ref_point_head\.layer", "decoder.ref_point_head.layers."),
    (r"decoder\.box_rpb_embed_([xy])\.layer", r"decoder.boxRPB_embed_\1.layers."),
    (r"\.text_cross_attn\.", ".ca_text."),
    (r"\.vision_cross_attn\.", ".cross_attn."),
    (r"\.vision_cross_attn_layer_norm", ".norm1"),
    (r"\.text_cross_attn_layer_norm", ".catext_norm"),
    (r"\.self_attn_layer_norm", ".norm2"),
    (r"\.mlp_layer_norm", ".norm3"),
    (r"^(detector\.(?:geometry_encoder|transformer)\..*)\.mlp\.fc", r"\1.linear"),
    (r"^(detector\.(?:geometry_encoder|transformer)\..*)\.layer_norm", r"\1.norm"),
    (r"^detector_model\.dot_product_scoring\.text_mlp_out_norm", "detector.dot_prod_scoring.prompt_mlp.out_norm"),
    (r"^detector_model\.dot_product_scoring\.text_mlp\.layer", "detector.dot_prod_scoring.prompt_mlp.layers."),
    (r"^detector_model\.dot_product_scoring\.text_proj", "detector.dot_prod_scoring.prompt_proj"),
    (r"^detector_model\.dot_product_scoring\.query_proj", "detector.dot_prod_scoring.hs_proj"),
    (r"^detector_model\.mask_decoder\.mask_embedder\.", "detector.segmentation_head.mask_predictor.mask_embed."),
    (r"^detector_model\.mask_decoder\.instance_projection", "detector.segmentation_head.instance_seg_head"),
    (r"^detector_model\.mask_decoder\.semantic_projection", "detector.segmentation_head.semantic_seg_head"),
    (r"^detector_model\.mask_decoder\.prompt_cross_attn_norm", "detector.segmentation_head.cross_attn_norm"),
    (r"^detector_model\.mask_decoder\.prompt_cross_attn\.", "detector.segmentation_head.cross_attend_prompt."),
    (r"^detector_model\.mask_decoder\.", "detector.segmentation_head."),
    (r"^(detector\..*)\.qkv_proj\.(weight|bias)$", r"\1.in_proj_\2"),
    (r"^(detector\..*)\.o_proj\.", r"\1.out_proj."),
    (r"^detector_model\.", "detector."),
    # ---- the tracker
    (r"^tracker_model\.", "tracker."),
    (r"\.shared_embedding\.positional_embedding", ".pe_layer.positional_encoding_gaussian_matrix"),
    (r"\.mask_embed\.conv1", ".mask_downscaling.0"),
    (r"\.mask_embed\.layer_norm1", ".mask_downscaling.1"),
    (r"\.mask_embed\.conv2", ".mask_downscaling.3"),
    (r"\.mask_embed\.layer_norm2", ".mask_downscaling.4"),
    (r"\.mask_embed\.conv3", ".mask_downscaling.6"),
    (r"^tracker\.prompt_encoder\.", "tracker.sam_prompt_encoder."),
    (r"^tracker\.mask_decoder\.", "tracker.sam_mask_decoder."),
    (r"\.upscale_conv1", ".output_upscaling.0"),
    (r"\.upscale_layer_norm", ".output_upscaling.1"),
    (r"\.upscale_conv2", ".output_upscaling.3"),
    (r"(transformer\.layers\.\d+\.mlp)\.proj_in", r"\1.lin1"),
    (r"(transformer\.layers\.\d+\.mlp)\.proj_out", r"\1.lin2"),
    (r"^tracker\.object_pointer_proj", "tracker.obj_ptr_proj"),
    (r"((?:mlps\.\d+|head|obj_ptr_proj))\.layers\.0\.", r"\1.layers.1."),
    (r"((?:mlps\.\d+|head|obj_ptr_proj))\.proj_in", r"\1.layers.0"),
    (r"((?:mlps\.\d+|head|obj_ptr_proj))\.proj_out", r"\1.layers.2"),
    (r"^tracker\.memory_attention\.", "tracker.transformer.encoder."),
    (r"^tracker\.memory_encoder\.", "tracker.maskmem_backbone."),
    (r"mask_downsampler\.final_conv", "mask_downsampler.encoder.12"),
    (r"backbone\.projection", "backbone.out_proj"),
    (r"feature_projection", "pix_feat_proj"),
    (r"memory_fuser", "fuser"),
    (r"depthwise_conv", "dwconv"),
    (r"pointwise_conv", "pwconv"),
    (r"\.scale$", ".gamma"),
    (r"^tracker\.memory_temporal_positional_encoding", "tracker.maskmem_tpos_enc"),
    (r"^tracker\.no_memory_embedding", "tracker.no_mem_embed"),
    (r"^tracker\.no_memory_positional_encoding", "tracker.no_mem_pos_enc"),
    (r"^tracker\.no_object_pointer", "tracker.no_obj_ptr"),
    (r"^tracker\.occlusion_spatial_embedding_parameter", "tracker.no_obj_embed_spatial"),
    (r"^tracker\.temporal_positional_encoding_projection_layer", "tracker.obj_ptr_tpos_proj"),
    (r"^(tracker\..*)\.o_proj\.", r"\1.out_proj."),
    (r"^(tracker\..*)\.layer_norm", r"\1.norm"),
]


def name_natively(name: str) -> str:
    """Return the native name of a weight of `Sam3VideoModel` whose queries, keys and values are one."""
    if found := re.search(r"mask_downsampler\.layers\.(\d)\.(conv|layer_norm)", name):
        number = 3 * int(found[1]) + (found[2] == "layer_norm")
        name = name.replace(found[0], f"mask_downsampler.encoder.{number}")
    for pattern, replacement in _PATTERNS:
        name = re.sub(pattern, replacement, name)
    steps = r"(presence_token_head|bbox_embed|ref_point_head|boxRPB_embed_[xy]|prompt_mlp)\.layers\.(\d)"
    return re.sub(steps, lambda found: f"{found[1]}.layers.{int(found[2]) - 1}", name)


def copy_companions(folder: Path) -> None:
    """Put beside the weights what the hub has beside them, of the embedded network."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(locate_checkpoint("tiny") / name, folder)


def build_native_weights(folder: Path) -> Weights:
    """Return the weights of a folder as `sam3.pt` would hold them."""
    native = name_weights_natively(load_file(folder / "model.safetensors"))
    text = "detector.backbone.language_backbone.encoder.text_projection"
    return native | {text: native[text].T.contiguous()}


def name_weights_natively(ours: Weights) -> Weights:
    """Return weights of `Sam3VideoModel` as `sam3.pt` would hold them; CLIP's projection is not turned yet."""
    joined: Weights = {}
    for name, value in ours.items():
        is_joined = name.startswith("detector_model.") and re.search(r"\.[qkv]_proj\.", name)
        if not is_joined:
            joined[name] = value
        elif ".q_proj." in name:
            parts = [ours[name.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"]
            joined[name.replace(".q_proj.", ".qkv_proj.")] = torch.cat(parts)
    joined.pop("tracker_model.shared_image_embedding.positional_embedding")
    points = joined.pop("tracker_model.prompt_encoder.point_embed.weight")
    native = {name_natively(name): value for name, value in joined.items()}
    native |= {f"tracker.sam_prompt_encoder.point_embeddings.{row}.weight": points[row : row + 1] for row in range(4)}
    place = "detector.backbone.vision_backbone.trunk.pos_embed"
    native[place] = torch.cat([torch.ones_like(native[place][:, :1]), native[place]], dim=1)
    return native


def add_rotary_tables(native: Weights, *, window: int, grid: int, width: int, whole: set[int], layers: int) -> None:
    """Add what `sam3.pt` has of rotary frequencies: a row per token, a column per two channels of a head."""
    for layer in range(layers):
        rows = grid**2 if layer in whole else window**2
        name = f"detector.backbone.vision_backbone.trunk.blocks.{layer}.attn.freqs_cis"
        native[name] = torch.polar(torch.ones(rows, width // 2), torch.zeros(rows, width // 2))


def to_31(native: Weights) -> Weights:
    """Return the same network's image part as `sam3.1_multiplex.pt` names it, among weights of its own memory."""
    renamed: Weights = {}
    heads = ("sam_prompt_encoder.", "sam_mask_decoder.", "obj_ptr_proj.", "mask_downsample.")
    for name, value in native.items():
        if ".sam2_convs." in name:
            if ".sam2_convs.3." not in name:
                renamed[name.replace(".sam2_convs.", ".interactive_convs.")] = value
                renamed[name.replace(".sam2_convs.", ".propagation_convs.")] = value + 1
        elif name.startswith("detector."):
            if ".vision_backbone.convs.3." not in name:
                renamed[name] = value
        elif name.removeprefix("tracker.").startswith(heads):
            renamed[name.replace("tracker.", "tracker.model.interactive_")] = value
            if "sam_prompt_encoder" not in name and "mask_downsample" not in name:
                renamed[name.replace("tracker.", "tracker.model.")] = value + 1
        elif name == "tracker.no_mem_embed":
            renamed["tracker.model.interactivity_no_mem_embed"] = value
    return renamed | {"tracker.model.output_valid_embed": torch.zeros(16, 8)}
