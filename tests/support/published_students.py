"""What the published code of EfficientSAM3 makes of small vision networks, as numbers that tests hold ours against.

`python -m tests.support.published_students CHECKOUT` writes them anew; CHECKOUT is one of EfficientSAM3's repository.
The weights are those of `draw_weights`, so that no published weight is needed. Nothing here imports torch's own
random numbers, which differ between its releases.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

FILE = Path(__file__).with_name("published_students.json")
SIDE, GRID, WIDTH = 160, 8, 48
"""Pixels of an image, tokens along one side, and channels of what the head gives."""
_EACH = 97
"""How far apart the values are that are kept."""

Shapes = Mapping[str, tuple[int, ...]]


def draw_weights(shapes: Shapes) -> dict[str, np.ndarray]:
    """Return float32 weights by name: the same for the same name and shape, whatever else is there."""
    return {name: _draw_weight(name, tuple(shape)) for name, shape in shapes.items()}


def _draw_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    numbers = np.random.default_rng(crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        numbers = 0.5 + np.abs(numbers)
    elif len(shape) == 1:
        numbers = 0.2 * numbers + name.endswith("weight")
    elif not name.endswith("attention_biases"):
        numbers = numbers * (0.5 / np.prod(shape[1:])) ** 0.5
    return np.asarray(numbers, dtype=np.float32)


def draw_image() -> np.ndarray:
    """Return float32, (1, 3, SIDE, SIDE), in [-1, 1]."""
    return np.random.default_rng(1).uniform(-1, 1, (1, 3, SIDE, SIDE)).astype(np.float32)


def pick_values(features: np.ndarray) -> list[float]:
    """Return some values of features, (C, GRID, GRID)."""
    return [float(value) for value in features.ravel()[::_EACH]]


def read_published() -> dict[str, Any]:
    """Return, for each family, the shapes of its weights by their published names, and the values of its features."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def _build_published() -> dict[str, Any]:
    """Return each family's network in small, as the published code builds it within its trunk."""
    import torch
    from sam3.backbones.efficientvit.efficientvit.backbone import EfficientViTBackbone
    from sam3.backbones.repvit import RepViT
    from sam3.backbones.tiny_vit import TinyViT
    from sam3.model_builder import ImageStudentEncoder

    class Wrapper(torch.nn.Module):
        def __init__(self, model: Any, run: Any) -> None:
            super().__init__()
            self.model, self._run = model, run

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self._run(self.model, image)

    def run_repvit(model: Any, image: torch.Tensor) -> torch.Tensor:
        for part in model.features:
            image = part(image)
        return image

    def run_tinyvit(model: Any, image: torch.Tensor) -> torch.Tensor:
        tokens = model.patch_embed(image)
        for layer in model.layers:
            tokens = layer(tokens)
        side = int(tokens.shape[1] ** 0.5)
        return tokens.view(1, side, side, -1).permute(0, 3, 1, 2).contiguous()

    rows = [(8, 1, 1), (8, 0, 1), (8, 0, 1), (16, 0, 2), (16, 1, 1), (16, 0, 1), (24, 0, 2), (24, 1, 1), (24, 0, 1)]
    cut = {
        "repvit": (RepViT([[3, 2, c, se, 0, s] for c, se, s in rows]), run_repvit, 24),
        "tinyvit": (
            TinyViT(
                img_size=SIDE,
                num_classes=0,
                embed_dims=[8, 16, 24, 32],
                depths=[2, 1, 2, 1],
                num_heads=[1, 2, 3, 4],
                window_sizes=[3, 3, 4, 3],
            ),
            run_tinyvit,
            32,
        ),
        "efficientvit": (
            EfficientViTBackbone(width_list=[4, 8, 8, 16, 24], depth_list=[1, 2, 2, 1, 2], dim=8),
            lambda model, image: model(image)["stage_final"],
            24,
        ),
    }
    return {
        family: ImageStudentEncoder(Wrapper(model, run), width, WIDTH, GRID, SIDE).eval()
        for family, (model, run, width) in cut.items()
    }


def main() -> None:
    sys.path.insert(0, str(Path(sys.argv[1]) / "sam3"))
    warnings.simplefilter("ignore")
    import torch

    published = {}
    for family, network in _build_published().items():
        shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
        weights = draw_weights({name: tuple(shape) for name, shape in shapes.items() if shape})
        network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
        network.train().eval()  # TinyViT works its tables out then
        with torch.inference_mode():
            features = network(torch.from_numpy(draw_image()))[0].numpy()
        published[family] = {"shapes": shapes, "features": pick_values(features)}
    FILE.write_text(json.dumps(published) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
