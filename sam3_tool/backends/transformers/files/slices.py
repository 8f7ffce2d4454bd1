"""Weights from a file a slice at a time.

A file of weights is mapped into memory: what was read of it counts as this process's memory until the file is closed.
So it is closed and opened anew while its weights are copied into another number format.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open

SLICE_BYTES = 64 * 2**20
"""How much of a file is in memory while its weights are copied; of an archive twice that, which is slower to open."""


def iterate_slices(
    open_file: Callable[[], Mapping[str, torch.Tensor]], names: Sequence[str], *, slice_bytes: int = SLICE_BYTES
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield weights as they are stored. They are views of the file: copy what is kept.

    Args:
        open_file: Returns the tensors of a file by name, as views of it.
        names: Which of them, in the order in which they lie there for least memory.
        slice_bytes: After how many bytes the file is opened anew.
    """
    waiting = list(reversed(names))
    while waiting:
        tensors, left = open_file(), slice_bytes
        while waiting and left > 0:
            name = waiting.pop()
            tensor = tensors[name]
            left -= tensor.nbytes
            yield name, tensor


def open_safetensors(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file by name. They are views of it."""
    with safe_open(file, "pt") as tensors:
        return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - it is no dictionary


def list_safetensors(file: Path) -> list[str]:
    """Return the names of a safetensors file's tensors."""
    with safe_open(file, "pt") as tensors:
        return list(tensors.keys())
