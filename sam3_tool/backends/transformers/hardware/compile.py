"""The costly parts of the network compiled by PyTorch: minutes at the start, less for every answer after them."""

import os
import shutil
from typing import Any

from sam3_tool.errors import DeviceError

COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")
"""Modes of `torch.compile`: reduce-overhead records CUDA graphs, max-autotune tries several ways first."""
_ENCODER, _FUSION = ("vision_encoder",), ("detr_encoder",)
"""Names in `Sam3Model`. On a CPU the fusion encoder gains nothing and takes a minute for every number of phrases; it is
more than half of a phrase's operations, so that a GPU gets it compiled, which nobody has measured. The decoder cannot
be compiled as it is: it asks for the size of its grid by a tensor's value."""


def compile_parts(model: Any, mode: str) -> None:
    """Change a `Sam3Model` so that its costly parts are compiled when they first run.

    They are compiled again for other numbers of images and phrases, until they are compiled for any.

    Raises ValueError for a mode that is not one of `COMPILE_MODES`, and `DeviceError` without a C++ compiler.
    """
    if mode not in COMPILE_MODES:
        raise ValueError(f"`compile` must be one of {', '.join(COMPILE_MODES)}, got {mode!r}")
    compilers = (os.environ.get("CXX", "g++"), "clang++")
    if not any(map(shutil.which, compilers)):
        raise DeviceError(
            f"compiling the network needs a C++ compiler, and {' and '.join(compilers)} were not found; install one"
            " (apt install g++) or leave `compile` out"
        )
    for part in _ENCODER if model.device.type == "cpu" else _ENCODER + _FUSION:
        getattr(model, part).compile(mode=mode)
