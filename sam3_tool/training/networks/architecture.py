"""The small SAM 3: transformers' own `Sam3Model` with narrow layers, and weights to start from."""

import math
from typing import Any

import torch
from torch import nn
from transformers import Sam3Config, Sam3Model, Sam3TrackerModel, Sam3TrackerVideoConfig, Sam3VideoConfig

from sam3_tool.training.tokenizer import CONTEXT

IMAGE_SIDE = 128
PATCH = 8
GRID = IMAGE_SIDE // PATCH
"""Patches along one side of the image."""
MASK_SIDE = 4 * GRID
"""Side of the mask logits: the neck's finest level is four times the patch grid."""
FINE_SIDE = 2 * MASK_SIDE
"""Side at which masks are compared with the truth: they are cut after upsampling, and half a cell decides."""
WIDTH = 128
"""Channels of everything behind the vision trunk. It is a multiple of 64, which the video tracker's memory asks for."""
HEADS = 4


def build_tiny_config(vocabulary_size: int) -> Sam3Config:
    """Describe a network of about 5.3 million parameters: 10.7 MB in half precision."""
    block = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "intermediate_size": 3 * WIDTH, "dropout": 0.0}
    return Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model",
                "hidden_size": 192,
                "intermediate_size": 384,
                "num_hidden_layers": 6,
                "num_attention_heads": 6,
                "image_size": IMAGE_SIDE,
                "pretrain_image_size": IMAGE_SIDE,
                "patch_size": PATCH,
                "window_size": 8,
                "global_attn_indexes": [1, 3, 5],
            },
            "fpn_hidden_size": WIDTH,
            "backbone_feature_sizes": [[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2],
            "scale_factors": [4.0, 2.0, 1.0, 0.5],
        },
        text_config={
            "model_type": "clip_text_model",
            "vocab_size": vocabulary_size,
            "hidden_size": 96,
            "intermediate_size": 288,
            "projection_dim": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
            "hidden_act": "gelu",
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
        },
        geometry_encoder_config={**block, "num_layers": 1, "roi_size": 3},
        detr_encoder_config={**block, "num_layers": 2},
        detr_decoder_config={**block, "num_layers": 3, "num_queries": 30},
        mask_decoder_config={"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_upsampling_stages": 2},
    )


def build_video_config(detector: Sam3Config) -> Sam3VideoConfig:
    """Describe the detector with its tracker, so that one folder serves the detector, tracker and video classes.

    64 memory channels and a mask stride of 16 are what transformers' memory attention has wired in.
    """
    tracker = Sam3TrackerVideoConfig(
        vision_config=detector.vision_config.to_dict(),
        prompt_encoder_config={"hidden_size": WIDTH, "image_size": IMAGE_SIDE, "patch_size": PATCH},
        mask_decoder_config={
            "hidden_size": WIDTH,
            "mlp_dim": 192,
            "num_attention_heads": HEADS,
            "iou_head_hidden_dim": WIDTH,
        },
        image_size=IMAGE_SIDE,
        memory_attention_hidden_size=WIDTH,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=192,
        memory_attention_rope_feat_sizes=[GRID, GRID],
        memory_encoder_hidden_size=WIDTH,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=WIDTH,
        mask_downsampler_total_stride=16,
        memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=192,
    )
    return Sam3VideoConfig(
        detector_config=detector.to_dict(),
        tracker_config=tracker.to_dict(),
        low_res_mask_size=MASK_SIDE,
        hotstart_delay=0,
    )


def create_model(vocabulary_size: int) -> Sam3Model:
    """Create a model with weights that training can start from.

    transformers' normal(0, 0.02) is too faint at this width.
    """
    model = Sam3Model(build_tiny_config(vocabulary_size))
    # the matrix form of attention: SDPA's backward pass on a CPU is several times slower for short keys
    model.set_attn_implementation("eager")
    _initialize_layers(model)
    with torch.no_grad():
        _initialize_detector(model)
    return model


def _initialize_layers(part: nn.Module) -> None:
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.weight.shape[0]))


def create_tracker(detector: Sam3Model) -> Sam3TrackerModel:
    """Create a tracker head to train on the detector's trunk, which both share; its neck starts as the detector's."""
    # through a dictionary, because the model changes the config it is given
    tracker = Sam3TrackerModel(type(whole := build_video_config(detector.config)).from_dict(whole.to_dict()))
    _initialize_layers(tracker.prompt_encoder)
    _initialize_layers(tracker.mask_decoder)
    for module in tracker.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
    _initialize_click_attention(tracker)
    # clicks and pixels are told where they are in the same code
    code = tracker.shared_image_embedding.positional_embedding
    tracker.prompt_encoder.shared_embedding.positional_embedding = code.clone()
    tracker.vision_encoder.backbone = detector.vision_encoder.backbone
    tracker.vision_encoder.neck.load_state_dict(detector.vision_encoder.neck.state_dict())
    return tracker


@torch.no_grad()
def _initialize_click_attention(tracker: Sam3TrackerModel) -> None:
    """Start queries and keys between prompt and image as one projection, and hand what is read on unturned.

    The code of a place is then most like itself and like that of places nearby, so that a click reads the image where
    it is; and having read it, it is most like the pixels that look the same. Clicks find their objects' pixels before
    anything is learnt.
    """
    transformer = tracker.mask_decoder.transformer
    both_ways = [(layer.cross_attn_token_to_image, layer.cross_attn_image_to_token) for layer in transformer.layers]
    for attention in [*(block for pair in both_ways for block in pair), transformer.final_attn_token_to_image]:
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.o_proj.weight.copy_(attention.v_proj.weight.T)


def _initialize_detector(model: Sam3Model) -> None:
    decoder = model.detr_decoder
    for embedding in (
        decoder.query_embed,
        decoder.presence_token,
        model.text_encoder.text_model.embeddings.token_embedding
        if hasattr(model.text_encoder, "text_model")
        else model.text_encoder.embeddings.token_embedding,
        model.geometry_encoder.label_embed,
        model.geometry_encoder.cls_embed,
    ):
        nn.init.normal_(embedding.weight, std=0.5)
    decoder.reference_points.weight.copy_(_spread_boxes(decoder.config.num_queries))
    nn.init.zeros_(decoder.box_head.layer3.weight)  # the first boxes are the reference points
    model.mask_decoder.mask_embedder.layers[2].weight.mul_(0.1)
    model.dot_product_scoring.query_proj.weight.mul_(0.3)
    _initialize_box_bias(model)


def _spread_boxes(count: int) -> torch.Tensor:
    """Return float, (count, 4): logits of cx cy w h; centres on a grid over the image, a quarter of it large."""
    columns = round(math.sqrt(count))
    rows = math.ceil(count / columns)
    boxes = [((k % columns + 0.5) / columns, (k // columns + 0.5) / rows, 0.25, 0.25) for k in range(count)]
    return torch.logit(torch.tensor(boxes))


def _initialize_box_bias(model: Sam3Model, steepness: tuple[float, ...] = (12.0, 12.0, 6.0, 2.0)) -> None:
    """Make the box-relative bias local: 0 inside the reference box, falling with the log distance outside, per head.

    The bias reads the signed log distances to the box's near and far edge (`Sam3DetrDecoder._get_rpb_matrix`).
    """
    for axis in (model.detr_decoder.box_rpb_embed_x, model.detr_decoder.box_rpb_embed_y):
        axis.layer1.weight[0] = torch.tensor([-1.0, 0.0])
        axis.layer1.weight[1] = torch.tensor([0.0, 1.0])
        axis.layer1.bias[:2] = 0
        for head, slope in enumerate(steepness):
            axis.layer2.weight[head, :2] = -slope
            axis.layer2.weight[head, 2:] *= 0.2


@torch.no_grad()
def normalize_neck(model: Sam3Model | Sam3TrackerModel, pixels: torch.Tensor, *, coarse: float = 1.0) -> None:
    """Fold mean and spread of every level of the neck into its last convolution: levels come out with mean 0, std 1.

    Nothing behind the neck normalises it, and the decoder's attention reads it raw: at a std of 80 its softmax is
    one-hot and nothing can be learnt. Exact, since the convolution is linear. `pixels`: float (B, 3, side, side);
    `coarse`: std of the level of the patch grid.
    """
    tokens = model.vision_encoder.backbone(pixels).last_hidden_state
    grid = tokens.view(len(pixels), GRID, GRID, -1).permute(0, 3, 1, 2)
    levels: Any = model.vision_encoder.neck.fpn_layers
    for index, level in enumerate(levels):
        out = level(grid)
        mean = out.mean(dim=(0, 2, 3))
        spread = (out - mean[None, :, None, None]).std() / (coarse if index == 2 else 1.0)
        level.proj2.bias.copy_((level.proj2.bias - mean) / spread)
        level.proj2.weight.div_(spread)
