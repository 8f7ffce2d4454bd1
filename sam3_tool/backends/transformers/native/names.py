"""The names of weights in Meta's own checkpoints and in transformers, as a table of rules.

Left is a native name below its section, right the same weight in a checkpoint of `Sam3VideoModel`. `*` is a number and
keeps its place; what follows a name (`.weight`, `.bias`, a batch norm's mean) stays. `[qkv]` on the right: three
weights that are one on the left, along the first axis.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from sam3_tool.backends.transformers.students.names import is_unread


class Section(NamedTuple):
    """Rules for all native names that begin alike."""

    native: str
    ours: str
    rules: Mapping[str, str]


def _list_attention(native: str, ours: str, out: str = "o_proj") -> dict[str, str]:
    """Return the rules of PyTorch's own multi-head attention."""
    return {
        f"{native}.in_proj_weight": f"{ours}.[qkv]_proj.weight",
        f"{native}.in_proj_bias": f"{ours}.[qkv]_proj.bias",
        f"{native}.out_proj": f"{ours}.{out}",
    }


def _list_steps(native: str, ours: str, count: int) -> dict[str, str]:
    """Return the rules of a perceptron whose steps transformers numbers from 1."""
    return {f"{native}.layers.{step}": f"{ours}.layer{step + 1}" for step in range(count)}


def _list_ends(native: str, ours: str) -> dict[str, str]:
    """Return the rules of a perceptron whose first and last step have names in transformers."""
    steps = {"0": "proj_in", "1": "layers.0", "2": "proj_out"}
    return {f"{native}.layers.{step}": f"{ours}.{name}" for step, name in steps.items()}


_PROJECTIONS = {"q_proj": "q_proj", "k_proj": "k_proj", "v_proj": "v_proj", "out_proj": "o_proj"}
_NECK = {
    "*.dconv_2x2_0": "*.scale_layers.0",
    "*.dconv_2x2_1": "*.scale_layers.2",
    "*.dconv_2x2": "*.scale_layers.0",
    "*.conv_1x1": "*.proj1",
    "*.conv_3x3": "*.proj2",
}
_ENCODER_LAYER = {
    **_list_attention("*.self_attn", "*.self_attn"),
    **_list_attention("*.cross_attn_image", "*.cross_attn"),
    "*.linear1": "*.mlp.fc1",
    "*.linear2": "*.mlp.fc2",
    "*.norm1": "*.layer_norm1",
    "*.norm2": "*.layer_norm2",
    "*.norm3": "*.layer_norm3",
}
_MEMORY_LAYER = {
    **{
        f"*.{attention}.{native}": f"*.{attention}.{ours}"
        for attention in ("self_attn", "cross_attn_image")
        for native, ours in _PROJECTIONS.items()
    },
    "*.linear1": "*.linear1",
    "*.linear2": "*.linear2",
    "*.norm1": "*.layer_norm1",
    "*.norm2": "*.layer_norm2",
    "*.norm3": "*.layer_norm3",
}
_PROMPT_ENCODER = {
    "pe_layer.positional_encoding_gaussian_matrix": "shared_embedding.positional_embedding",
    "point_embeddings.*": "point_embed",
    "not_a_point_embed": "not_a_point_embed",
    "no_mask_embed": "no_mask_embed",
    "mask_downscaling.0": "mask_embed.conv1",
    "mask_downscaling.1": "mask_embed.layer_norm1",
    "mask_downscaling.3": "mask_embed.conv2",
    "mask_downscaling.4": "mask_embed.layer_norm2",
    "mask_downscaling.6": "mask_embed.conv3",
}
_MASK_DECODER = {
    **{
        f"transformer.{attention}.{native}": f"transformer.{attention}.{ours}"
        for attention in (
            "layers.*.self_attn",
            "layers.*.cross_attn_token_to_image",
            "layers.*.cross_attn_image_to_token",
            "final_attn_token_to_image",
        )
        for native, ours in _PROJECTIONS.items()
    },
    "transformer.layers.*.norm1": "transformer.layers.*.layer_norm1",
    "transformer.layers.*.norm2": "transformer.layers.*.layer_norm2",
    "transformer.layers.*.norm3": "transformer.layers.*.layer_norm3",
    "transformer.layers.*.norm4": "transformer.layers.*.layer_norm4",
    "transformer.layers.*.mlp.lin1": "transformer.layers.*.mlp.proj_in",
    "transformer.layers.*.mlp.lin2": "transformer.layers.*.mlp.proj_out",
    "transformer.norm_final_attn": "transformer.layer_norm_final_attn",
    "iou_token": "iou_token",
    "mask_tokens": "mask_tokens",
    "obj_score_token": "obj_score_token",
    "output_upscaling.0": "upscale_conv1",
    "output_upscaling.1": "upscale_layer_norm",
    "output_upscaling.3": "upscale_conv2",
    "conv_s0": "conv_s0",
    "conv_s1": "conv_s1",
    **_list_ends("output_hypernetworks_mlps.*", "output_hypernetworks_mlps.*"),
    **_list_ends("iou_prediction_head", "iou_prediction_head"),
    **_list_ends("pred_obj_score_head", "pred_obj_score_head"),
}
_LITE_TEXT = {
    "embedding_layer": "embeddings.token_embedding",
    "positional_embedding.pos_embed.pos_embed": "embeddings.position_embedding.position_embedding",
    "final_layer_norm": "final_layer_norm",
    "projection_layer": "projection.weight",
    "transformer.*.pre_norm_mha.0": "layers.*.layer_norm1",
    "transformer.*.pre_norm_mha.1.qkv_proj": "layers.*.self_attn.[qkv]_proj",
    "transformer.*.pre_norm_mha.1.out_proj": "layers.*.self_attn.out_proj",
    "transformer.*.pre_norm_ffn.0": "layers.*.layer_norm2",
    "transformer.*.pre_norm_ffn.1": "layers.*.mlp.fc1",
    "transformer.*.pre_norm_ffn.4": "layers.*.mlp.fc2",
    "transformer.*.layer_scale": "layers.*.layer_scale",
    "transformer.*.token_mixer.layer_scale": "layers.*.token_mixer.layer_scale",
    "transformer.*.token_mixer.norm.rbr_skip": "layers.*.token_mixer.reference_batchnorm",
    "transformer.*.token_mixer.mixer.rbr_skip": "layers.*.token_mixer.mixer.batchnorm_skip",
    "transformer.*.token_mixer.mixer.rbr_conv.0.conv": "layers.*.token_mixer.mixer.conv",
    "transformer.*.token_mixer.mixer.rbr_conv.0.bn": "layers.*.token_mixer.mixer.batchnorm_conv",
    "transformer.*.convffn.conv.conv": "layers.*.conv_feed_forward.depthwise_conv",
    "transformer.*.convffn.conv.bn": "layers.*.conv_feed_forward.depthwise_batchnorm",
    "transformer.*.convffn.fc1": "layers.*.conv_feed_forward.mlp.fc1",
    "transformer.*.convffn.fc2": "layers.*.conv_feed_forward.mlp.fc2",
}
"""The text encoder of SAM3-LiteText (`sam3/backbones/mobile_clip.py` of EfficientSAM3)."""

SECTIONS = (
    Section(
        "detector.backbone.vision_backbone.trunk.",
        "detector_model.vision_encoder.backbone.",
        {
            "pos_embed": "embeddings.position_embeddings",
            "patch_embed.proj": "embeddings.patch_embeddings.projection",
            "ln_pre": "layer_norm",
            "blocks.*.norm1": "layers.*.layer_norm1",
            "blocks.*.norm2": "layers.*.layer_norm2",
            "blocks.*.attn.qkv": "layers.*.attention.[qkv]_proj",
            "blocks.*.attn.proj": "layers.*.attention.o_proj",
            "blocks.*.mlp.fc1": "layers.*.mlp.fc1",
            "blocks.*.mlp.fc2": "layers.*.mlp.fc2",
        },
    ),
    Section("detector.backbone.vision_backbone.convs.", "detector_model.vision_encoder.neck.fpn_layers.", _NECK),
    Section("detector.backbone.vision_backbone.sam2_convs.", "tracker_neck.fpn_layers.", _NECK),
    Section("detector.backbone.vision_backbone.interactive_convs.", "tracker_neck.fpn_layers.", _NECK),
    Section(
        "detector.backbone.language_backbone.encoder.",
        "detector_model.text_encoder.",
        {
            "token_embedding": "text_model.embeddings.token_embedding",
            "positional_embedding": "text_model.embeddings.position_embedding.weight",
            "text_projection": "text_projection.weight",
            "ln_final": "text_model.final_layer_norm",
            **_list_attention("transformer.resblocks.*.attn", "text_model.encoder.layers.*.self_attn", out="out_proj"),
            "transformer.resblocks.*.ln_1": "text_model.encoder.layers.*.layer_norm1",
            "transformer.resblocks.*.ln_2": "text_model.encoder.layers.*.layer_norm2",
            "transformer.resblocks.*.mlp.c_fc": "text_model.encoder.layers.*.mlp.fc1",
            "transformer.resblocks.*.mlp.c_proj": "text_model.encoder.layers.*.mlp.fc2",
            **_LITE_TEXT,
        },
    ),
    Section(
        "detector.backbone.language_backbone.",
        "detector_model.",
        {"resizer": "text_projection", "projector": "text_projection"},
    ),
    Section("detector.geometry_encoder.encode.", "detector_model.geometry_encoder.layers.", _ENCODER_LAYER),
    Section(
        "detector.geometry_encoder.",
        "detector_model.geometry_encoder.",
        {
            "label_embed": "label_embed",
            "cls_embed": "cls_embed",
            "boxes_direct_project": "boxes_direct_project",
            "boxes_pool_project": "boxes_pool_project",
            "boxes_pos_enc_project": "boxes_pos_enc_project",
            "final_proj": "final_proj",
            "norm": "prompt_layer_norm",
            "img_pre_norm": "vision_layer_norm",
            "encode_norm": "output_layer_norm",
        },
    ),
    Section("detector.transformer.encoder.layers.", "detector_model.detr_encoder.layers.", _ENCODER_LAYER),
    Section(
        "detector.transformer.decoder.",
        "detector_model.detr_decoder.",
        {
            **_list_attention("layers.*.self_attn", "layers.*.self_attn"),
            **_list_attention("layers.*.ca_text", "layers.*.text_cross_attn"),
            **_list_attention("layers.*.cross_attn", "layers.*.vision_cross_attn"),
            "layers.*.norm1": "layers.*.vision_cross_attn_layer_norm",
            "layers.*.catext_norm": "layers.*.text_cross_attn_layer_norm",
            "layers.*.norm2": "layers.*.self_attn_layer_norm",
            "layers.*.norm3": "layers.*.mlp_layer_norm",
            "layers.*.linear1": "layers.*.mlp.fc1",
            "layers.*.linear2": "layers.*.mlp.fc2",
            "norm": "output_layer_norm",
            "query_embed": "query_embed",
            "reference_points": "reference_points",
            "presence_token": "presence_token",
            "presence_token_out_norm": "presence_layer_norm",
            **_list_steps("presence_token_head", "presence_head", 3),
            **_list_steps("bbox_embed", "box_head", 3),
            **_list_steps("ref_point_head", "ref_point_head", 2),
            **_list_steps("boxRPB_embed_x", "box_rpb_embed_x", 2),
            **_list_steps("boxRPB_embed_y", "box_rpb_embed_y", 2),
        },
    ),
    Section(
        "detector.segmentation_head.",
        "detector_model.mask_decoder.",
        {
            "pixel_decoder.conv_layers.*": "pixel_decoder.conv_layers.*",
            "pixel_decoder.norms.*": "pixel_decoder.norms.*",
            "mask_predictor.mask_embed.layers.*": "mask_embedder.layers.*",
            **_list_attention("cross_attend_prompt", "prompt_cross_attn"),
            "cross_attn_norm": "prompt_cross_attn_norm",
            "instance_seg_head": "instance_projection",
            "semantic_seg_head": "semantic_projection",
        },
    ),
    Section(
        "detector.dot_prod_scoring.",
        "detector_model.dot_product_scoring.",
        {
            **_list_steps("prompt_mlp", "text_mlp", 2),
            "prompt_mlp.out_norm": "text_mlp_out_norm",
            "prompt_proj": "text_proj",
            "hs_proj": "query_proj",
        },
    ),
    Section("tracker.sam_prompt_encoder.", "tracker_model.prompt_encoder.", _PROMPT_ENCODER),
    Section("tracker.sam_mask_decoder.", "tracker_model.mask_decoder.", _MASK_DECODER),
    Section("tracker.transformer.encoder.layers.", "tracker_model.memory_attention.layers.", _MEMORY_LAYER),
    Section(
        "tracker.maskmem_backbone.",
        "tracker_model.memory_encoder.",
        {
            **{
                f"mask_downsampler.encoder.{3 * step + place}": f"mask_downsampler.layers.{step}.{name}"
                for step in range(4)
                for place, name in enumerate(("conv", "layer_norm"))
            },
            "mask_downsampler.encoder.12": "mask_downsampler.final_conv",
            "pix_feat_proj": "feature_projection",
            "out_proj": "projection",
            "fuser.layers.*.gamma": "memory_fuser.layers.*.scale",
            "fuser.layers.*.dwconv": "memory_fuser.layers.*.depthwise_conv",
            "fuser.layers.*.norm": "memory_fuser.layers.*.layer_norm",
            "fuser.layers.*.pwconv1": "memory_fuser.layers.*.pointwise_conv1",
            "fuser.layers.*.pwconv2": "memory_fuser.layers.*.pointwise_conv2",
        },
    ),
    Section(
        "tracker.",
        "tracker_model.",
        {
            "transformer.encoder.norm": "memory_attention.layer_norm",
            "maskmem_tpos_enc": "memory_temporal_positional_encoding",
            "no_mem_embed": "no_memory_embedding",
            "no_mem_pos_enc": "no_memory_positional_encoding",
            "no_obj_ptr": "no_object_pointer",
            "no_obj_embed_spatial": "occlusion_spatial_embedding_parameter",
            "mask_downsample": "mask_downsample",
            **_list_ends("obj_ptr_proj", "object_pointer_proj"),
            "obj_ptr_tpos_proj": "temporal_positional_encoding_projection_layer",
        },
    ),
)
"""The first section whose beginning fits decides."""

_BEGINNINGS = {
    # as Meta names them in house
    "sam3_model.": "detector.",
    "sam2_predictor.": "tracker.",
    # as the image model names them, which is what a training run saves
    "inst_interactive_predictor.model.": "tracker.",
    **{
        f"{part}.": f"detector.{part}."
        for part in ("backbone", "geometry_encoder", "transformer", "segmentation_head", "dot_prod_scoring")
    },
}
_MULTIPLEX_BEGINNINGS = {
    # of SAM 3.1's two heads, the one for clicks does what SAM 3's does
    "tracker.model.interactive_": "tracker.",
    "tracker.model.interactivity_no_mem_embed": "tracker.no_mem_embed",
    "tracker.model.": "tracker.multiplex.",
}
"""How names may begin -> how they begin in `sam3.pt`."""

_LEFT_OUT = tuple(
    re.compile(pattern)
    for pattern in (
        # follow from the image's size
        r"detector\.backbone\.vision_backbone\.trunk\.blocks\.\d+\.attn\.freqs_cis$",
        # how many batches a training of SAM3-LiteText took
        r"detector\.backbone\.language_backbone\.encoder\..*\.num_batches_tracked$",
        # exemplars that are points: nobody asks for them
        r"detector\.geometry_encoder\.points_(direct|pool|pos_enc)_project\.",
        # of SAM 3.1's memory
        r"detector\.backbone\.vision_backbone\.propagation_convs\.",
        r"tracker\.multiplex\.",
    )
)
"""Known weights that are not read."""

TRUNK = "detector.backbone.vision_backbone.trunk."
"""How the names of the vision trunk begin; no SAM 3 is without it."""
STUDENT_TRUNK = f"{TRUNK}model."
"""How those of EfficientSAM3's begin, which is another network (see `students`)."""
STUDENT = "student."
"""What they begin with here instead, the rest as it is: `Sam3VideoModel` has no such part."""
LITE_TEXT = "detector.backbone.language_backbone.encoder.embedding_layer."
"""How a name begins that no text encoder but that of SAM3-LiteText has."""


def normalize_names(names: Iterable[str]) -> dict[str, str]:
    """Return the name of each weight as `sam3.pt` has it, by the name that it has in a file.

    Weights of SAM 3.1 that do the same work get the name of SAM 3's. What only its memory needs begins with
    `tracker.multiplex.`.

    >>> normalize_names(["module.backbone.vision_backbone.trunk.ln_pre.bias"])
    {'module.backbone.vision_backbone.trunk.ln_pre.bias': 'detector.backbone.vision_backbone.trunk.ln_pre.bias'}
    """
    stored = list(names)
    # some runs of EfficientSAM3 save its trunk within another module
    bare = {name: name.removeprefix("module.").replace("student_trunk.", "") for name in stored}
    plain = {name: _replace_beginning(short, _BEGINNINGS) for name, short in bare.items()}
    is_31 = is_multiplex(plain.values())
    tracker = _MULTIPLEX_BEGINNINGS if is_31 else {"tracker.model.": "tracker."}
    return {name: _replace_beginning(normal, tracker) for name, normal in plain.items()}


def is_multiplex(names: Iterable[str]) -> bool:
    """Return whether these are names of SAM 3.1, whose tracker takes several objects at once.

    >>> is_multiplex(["tracker.model.interactive_sam_mask_decoder.iou_token.weight"])
    True
    """
    marks = ("tracker.model.interactive_", "tracker.multiplex.")
    return any(name.startswith(marks) for name in names)


def translate_name(native: str) -> tuple[str, ...] | None:
    """Return the names that a weight has in `Sam3VideoModel`.

    Args:
        native: Its name in `sam3.pt`; see `normalize_names`.

    Returns:
        One name, which begins with `student.` for EfficientSAM3's trunk; or three, of a projection to queries, keys
        and values; or none for a weight that is not read. `None` for a name that is not SAM 3's.

    >>> translate_name("detector.backbone.vision_backbone.trunk.blocks.3.attn.qkv.bias")[0]
    'detector_model.vision_encoder.backbone.layers.3.attention.q_proj.bias'
    >>> translate_name("detector.backbone.vision_backbone.trunk.blocks.3.attn.freqs_cis")
    ()
    >>> translate_name("image_encoder.trunk.pos_embed") is None
    True
    """
    if any(pattern.match(native) for pattern in _LEFT_OUT):
        return ()
    if native.startswith(STUDENT_TRUNK):
        own = native.removeprefix(STUDENT_TRUNK)
        return () if is_unread(own) else (STUDENT + own,)
    section = next((section for section in SECTIONS if native.startswith(section.native)), None)
    if section is None:
        return None
    for pattern, ours in _compile_rules(section.native):
        if found := pattern.match(native, len(section.native)):
            name = section.ours + ours.replace("*", "{}").format(*found.groups()) + native[found.end() :]
            return tuple(name.replace("[qkv]", letter) for letter in "qkv") if "[qkv]" in name else (name,)
    return None


def _replace_beginning(name: str, beginnings: Mapping[str, str]) -> str:
    old = next((old for old in beginnings if name.startswith(old)), "")
    return beginnings[old] + name.removeprefix(old) if old else name


@cache
def _compile_rules(beginning: str) -> list[tuple[re.Pattern[str], str]]:
    """Return a section's rules with their left sides as patterns."""
    [rules] = [section.rules for section in SECTIONS if section.native == beginning]
    return [
        (
            re.compile(
                re.escape(native).replace(r"\*", r"(\d+)") + r"(?=(?:\.weight|\.bias|\.running_mean|\.running_var)?$)"
            ),
            ours,
        )
        for native, ours in rules.items()
    ]
