"""EfficientSAM3 in small: the embedded SAM 3 under native names, with a vision trunk in the published layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from tests.support.native_files import Weights, copy_companions
from tests.support.published_students import draw_weights, read_published

EMBEDDED = locate_checkpoint("tiny")
TRUNK = "detector.backbone.vision_backbone.trunk."
FAMILIES = ("efficientvit", "repvit", "tinyvit")
_HEAD = ("head.0.weight", "head.1.weight", "head.1.bias", "head.1.running_mean", "head.1.running_var")


def list_student_shapes(family: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a small trunk by the names below `trunk.model.`, as wide at its end as the embedded one."""
    config = json.loads((EMBEDDED / "config.json").read_text())
    width = config["detector_config"]["vision_config"]["backbone_config"]["hidden_size"]
    shapes = {name: tuple(shape) for name, shape in read_published()[family]["shapes"].items()}
    for name in _HEAD:
        shapes[name] = (width, *shapes[name][1:])
    return shapes | {"head.3.weight": (width, width, 3, 3), "head.3.bias": (width,)}


def build_student_weights(native: Weights, family: str) -> Weights:
    """Return a file of EfficientSAM3: native weights of the embedded network, with a trunk of random ones."""
    others = {name: value for name, value in native.items() if not name.startswith(TRUNK)}
    drawn = draw_weights(list_student_shapes(family))
    return others | {f"{TRUNK}model.{name}": torch.from_numpy(value) for name, value in drawn.items()}


def save_student(folder: Path, weights: Weights, name: str = "efficientsam3.pt") -> Path:
    """Write a file of weights, and beside it what tells how small the embedded network is."""
    folder.mkdir(exist_ok=True)
    copy_companions(folder)
    torch.save({"model": weights}, folder / name)
    return folder / name
