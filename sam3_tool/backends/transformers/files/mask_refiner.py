"""The file with the weights that refine masks in videos, where a checkpoint has one."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from sam3_tool.backends.transformers.files.checkpoint import REFINER_FILE, format_one_line
from sam3_tool.backends.transformers.video.refinement import MaskRefiner
from sam3_tool.errors import CheckpointError


def has_refiner(folder: Path) -> bool:
    return (folder / REFINER_FILE).is_file()


def read_refiner(folder: Path, device: torch.device) -> MaskRefiner:
    """Return the network that refines masks, in evaluation mode and float32.

    Raises CheckpointError if the file is damaged.
    """
    path = folder / REFINER_FILE
    try:
        weights = load_file(path)
        if not all(bool(value.isfinite().all()) for value in weights.values()):
            raise ValueError("some of its weights are no numbers")
        refiner: Any = MaskRefiner(list_widths(weights))
        refiner.load_state_dict({name: value.float() for name, value in weights.items()})
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a mask refiner: {format_one_line(error)}; "
            "install the package anew, or remove the file to follow objects with coarser masks"
        ) from error
    refiner.to(device, memory_format=torch.channels_last)
    found: MaskRefiner = refiner.eval().requires_grad_(False)
    return found


def list_widths(weights: dict[str, torch.Tensor]) -> list[int]:
    """Return the channels of the network's levels, finest first. Raises ValueError if there are none."""
    first = sorted(name for name in weights if name.startswith("down.") and name.endswith(".0.weight"))
    if not first:
        raise ValueError("it has no weights of one")
    return [len(weights[name]) for name in first]
