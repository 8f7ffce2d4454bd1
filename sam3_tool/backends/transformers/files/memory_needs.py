"""What a checkpoint needs of a device's memory, told from its files before any weight is read."""

import json
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch

from sam3_tool.backends.transformers.files.architectures import read_image_tokens
from sam3_tool.backends.transformers.files.checkpoint import REFINER_FILE
from sam3_tool.backends.transformers.hardware.devices import read_free_bytes
from sam3_tool.errors import DeviceError

GIB = 2**30
_TOKEN_BYTES = 125_000
"""Of one image token in one pass: SAM 3 of full size takes 0.60 GiB for the 72 x 72 of an image on a CPU in bfloat16,
and 0.52 in float32."""
_MAX_HEADER_BYTES = 100 * 2**20
"""A longer header is that of no safetensors file (the format's own limit)."""


class MemoryNeed(NamedTuple):
    """What loading a network and asking it about one image takes, in bytes."""

    weights: int
    image: int

    @property
    def total(self) -> int:
        return self.weights + self.image


def sum_weight_bytes(path: Path) -> int:
    """Return the size of the weights of a folder, or of one file, in bytes."""
    return sum(file.stat().st_size for file in _list_weight_files(path))


def estimate_need(path: Path, dtype: torch.dtype) -> MemoryNeed:
    """Estimate what a checkpoint takes in a number format.

    Args:
        path: A folder with safetensors files, or one file of weights in float32.
        dtype: The format that its numbers get.

    Returns:
        The need. Weights that a header does not tell count as nothing.

    >>> from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
    >>> need = estimate_need(locate_checkpoint("tiny"), torch.float32)
    >>> round(need.weights / 1e6), round(need.image / 1e6)
    (31, 32)
    """
    weights = sum(_count_numbers(file) for file in _list_weight_files(path)) * dtype.itemsize
    return MemoryNeed(weights, read_image_tokens(path) * _TOKEN_BYTES)


def require_memory(path: Path, *, name: str, device: torch.device, dtype: torch.dtype) -> None:
    """Do nothing if a checkpoint fits into what is free.

    On its way to a GPU it passes through the host's memory.

    Raises `DeviceError` if it does not fit.
    """
    need = estimate_need(path, dtype)
    if message := describe_shortage(need, read_free_bytes(device), name=name, device=str(device), dtype=dtype):
        raise DeviceError(message)
    if device.type != "cpu":
        free = read_free_bytes(torch.device("cpu"))
        if message := describe_shortage(MemoryNeed(need.weights, 0), free, name=name, device="cpu", dtype=dtype):
            raise DeviceError(message)


def describe_shortage(need: MemoryNeed, free: int | None, *, name: str, device: str, dtype: torch.dtype) -> str:
    """Say in one sentence what does not fit and what to change; "" if it fits, or nobody knows what is free.

    >>> said = describe_shortage(MemoryNeed(4 * GIB, GIB), 3 * GIB, name="m", device="cuda:0", dtype=torch.float32)
    >>> said.partition(";")[0]
    "SAM 3 'm' needs about 5.0 GiB on device 'cuda:0' (weights in float32: 4.0, one image: 1.0), and 3.0 GiB are free"
    >>> describe_shortage(MemoryNeed(GIB, 0), 2 * GIB, name="m", device="cpu", dtype=torch.float32)
    ''
    """
    if free is None or need.total <= free:
        return ""
    where = "in the host's memory" if device == "cpu" else f"on device {device!r}"
    parts = f"weights in {str(dtype).removeprefix('torch.')}: {need.weights / GIB:.1f}"
    parts += f", one image: {need.image / GIB:.1f}" if need.image else ""
    advice = ["end other programs"]
    if dtype == torch.float32:
        advice.append("load it in Python with dtype='bfloat16' (`Sam3.load`)")
    if device != "cpu":
        advice.append("run with --device cpu")
    advice.append("take one that is smaller: `--sam3 vil-uob/sam3-litetext-s0` (529 M parameters) or `--sam3 tiny`")
    return (
        f"SAM 3 {name!r} needs about {need.total / GIB:.1f} GiB {where} ({parts}), and {free / GIB:.1f} GiB are free; "
        f"{', '.join(advice[:-1])}, or {advice[-1]}"
    )


def _list_weight_files(path: Path) -> Iterator[Path]:
    """Yield files of weights that are read at once; what refines masks in videos is small, and read when one comes."""
    files = path.glob("*.safetensors") if path.is_dir() else [path]
    yield from (file for file in files if file.name != REFINER_FILE)


def _count_numbers(file: Path) -> int:
    """Return how many numbers a file of weights holds: by its header, or by its size in float32."""
    if file.suffix != ".safetensors":
        return file.stat().st_size // 4
    with suppress(OSError, ValueError, AttributeError, TypeError):  # a damaged file is told of by who reads all of it
        with file.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
            header = json.loads(content.read(length) if length <= _MAX_HEADER_BYTES else b"{}")
        header.pop("__metadata__", None)
        return sum(prod(map(int, tensor["shape"])) for tensor in header.values())
    return 0
