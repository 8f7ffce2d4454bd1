"""A tracker of random weights that follows objects over frames of random features: fast, and the same everywhere.

The frames are made of a few waves that drift, so that neighbouring frames look alike.
"""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers import Sam3TrackerConfig, Sam3TrackerModel, Sam3TrackerVideoConfig

from sam3_tool.backends.transformers.video.memory import VideoMemory
from sam3_tool.backends.transformers.video.network import FrameLevels, MemoryWeights, VideoNetwork
from sam3_tool.prompts import VisualPrompt

CHANNELS, GRID, SIDE, LENGTH = 128, 8, 64, 22
HEIGHT, WIDTH = 48, 80
"""Of the video, unlike the network's square."""
VISION = {
    "model_type": "sam3_vision_model",
    "fpn_hidden_size": CHANNELS,
    "backbone_feature_sizes": [[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2],
    "scale_factors": [4.0, 2.0, 1.0, 0.5],
    "image_size": SIDE,
    "backbone_config": {
        "model_type": "sam3_vit_model",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "image_size": SIDE,
        "pretrain_image_size": SIDE,
        "patch_size": SIDE // GRID,
        "window_size": GRID,
        "global_attn_indexes": [0],
    },
}
HEADS = {
    "prompt_encoder_config": {"hidden_size": CHANNELS, "image_size": SIDE, "patch_size": SIDE // GRID},
    "mask_decoder_config": {
        "hidden_size": CHANNELS,
        "mlp_dim": 64,
        "num_attention_heads": 4,
        "iou_head_hidden_dim": 32,
    },
}
MEMORY = {
    "memory_attention_hidden_size": CHANNELS,
    "memory_attention_num_layers": 2,
    "memory_attention_feed_forward_hidden_size": 96,
    "memory_attention_rope_feat_sizes": [GRID, GRID],
    "memory_encoder_hidden_size": CHANNELS,
    "mask_downsampler_embed_dim": CHANNELS,
    "memory_fuser_embed_dim": CHANNELS,
    "memory_fuser_intermediate_dim": 96,
    "rope_parameters": {"rope_type": "axial", "rope_theta": 10000.0},
}

Step = tuple[str, int, int, Any]
"""What happens, with which object (or which way), on which frame, and the rest."""


def box_mask(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return mask


SCENARIO: list[Step] = [
    ("prompt", 1, 0, VisualPrompt(mask=box_mask(20, 10, 50, 30))),
    ("prompt", 2, 0, VisualPrompt(((30, 20),))),
    ("prompt", 2, 0, VisualPrompt(((30, 20), (60, 10)), (1, 0))),  # mends what one click gave
    *(("track", +1, frame, None) for frame in range(6)),
    ("prompt", 3, 4, VisualPrompt(box=(10, 5, 50, 40))),  # comes later, on a frame that others have behind them
    ("prompt", 4, 5, VisualPrompt(((70, 40),), (1,), (40, 20, 79, 47))),
    *(("track", +1, frame, None) for frame in range(4, LENGTH)),
    *(("prompt", 1, frame, VisualPrompt(mask=box_mask(20, 10, 40 + frame, 40))) for frame in (6, 9, 13, 17)),
    ("prompt", 2, 8, VisualPrompt(((40, 30),))),  # corrects
    ("prompt", 3, 15, VisualPrompt(mask=box_mask(0, 0, 0, 0))),  # is not there
    *(("track", +1, frame, None) for frame in range(8, LENGTH)),
    *(("track", -1, frame, None) for frame in range(15, -1, -1)),
]
"""Prompts of every kind, objects that come later, corrections, both directions."""
PHRASE_SCENARIO: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = [
    (frame, {0: (1, 2), 3: (3,)}.get(frame, ()), {5: (1,), 8: (1, 3)}.get(frame, ())) for frame in range(13)
]
"""Frame, the objects that a detector begins there, and those that it shows anew."""


def blob(frame: int, object_id: int) -> np.ndarray:
    """Return mask logits, float32, as a detector gives them."""
    y, x = np.indices((4 * GRID, 4 * GRID))
    distance = np.hypot(y - 8 - 3 * object_id, x - 6 - frame - 2 * object_id)
    return np.asarray(6 - distance, np.float32)


def build_video_config() -> Sam3TrackerVideoConfig:
    return Sam3TrackerVideoConfig(vision_config=dict(VISION), image_size=SIDE, **HEADS, **MEMORY)


def build_network() -> VideoNetwork:
    heads: Any = Sam3TrackerModel(Sam3TrackerConfig(vision_config=dict(VISION), **HEADS)).eval()
    weights = MemoryWeights(build_video_config()).eval()
    rng = np.random.default_rng(5)
    for part in (heads.prompt_encoder, heads.mask_decoder, weights):
        for name, parameter in sorted(part.named_parameters()):
            draw_weights(rng, name, parameter)
    with torch.no_grad():
        heads.mask_decoder.pred_obj_score_head.proj_out.bias += 0.35  # objects come and go
        heads.no_memory_embedding.copy_(_draw(rng, heads.no_memory_embedding.shape, 0.3))
        heads.prompt_encoder.shared_embedding.positional_embedding.copy_(_draw(rng, (2, CHANNELS // 2), 1.0))
    # one buffer in two places, as in checkpoints
    heads.shared_image_embedding = heads.prompt_encoder.shared_embedding
    return VideoNetwork(heads, weights)


def draw_weights(rng: np.random.Generator, name: str, parameter: torch.nn.Parameter) -> None:
    """Fill a parameter so that numbers neither vanish nor explode."""
    with torch.no_grad():
        if "norm" in name and name.endswith("weight"):
            parameter.copy_(1 + _draw(rng, parameter.shape, 0.1))
        elif name.endswith("bias"):
            parameter.copy_(_draw(rng, parameter.shape, 0.1))
        elif parameter.dim() > 1 and not name.endswith(("token.weight", "tokens.weight", "embed.weight")):
            fan = parameter.numel() // parameter.shape[0]
            parameter.copy_(_draw(rng, parameter.shape, 1.2 / fan**0.5))
        else:
            parameter.copy_(_draw(rng, parameter.shape, 0.5))


def _draw(rng: np.random.Generator, shape: Any, scale: float) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(tuple(shape)) * scale).float()


def draw_levels(length: int = LENGTH) -> list[FrameLevels]:
    """Return what the tracker reads of each frame."""
    return [
        FrameLevels(*(_draw_level(frame, *size) for size in ((16, 4 * GRID), (32, 2 * GRID), (CHANNELS, GRID))))
        for frame in range(length)
    ]


def _draw_level(frame: int, channels: int, side: int) -> torch.Tensor:
    rng = np.random.default_rng([9, channels])
    waves, drift = rng.standard_normal((4, channels, 1, 1, 2)) * 3, rng.standard_normal((4, 1, 1, 1)) * 0.25
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1) / side
    angles = (waves * places).sum(axis=-1) + drift * frame + rng.uniform(0, 6, (4, channels, 1, 1))
    return torch.from_numpy(np.sin(angles).sum(axis=0)[None] * 0.7).float()


def open_memory(network: VideoNetwork, levels: list[FrameLevels], **options: Any) -> VideoMemory:
    """Make a memory whose embeddings are the numbers of frames."""
    return VideoMemory(
        network,
        (HEIGHT, WIDTH),
        len(levels),
        read_frame=lambda trunk: levels[trunk],
        run_safely=lambda: nullcontext() if torch.is_inference_mode_enabled() else torch.inference_mode(),
        **options,
    )


def embed(frame: int) -> Any:
    return SimpleNamespace(trunk=frame)
