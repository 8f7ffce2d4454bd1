"""SAM 3 on transformers by the name of its weights; registered as the backend `transformers`."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from sam3_tool.plugins import import_lock

if TYPE_CHECKING:
    from sam3_tool.backends.transformers.backend import TransformersBackend
    from sam3_tool.backends.transformers.tracker_backend import TrackerBackend

_networks_in_use: "WeakValueDictionary[tuple[object, ...], TransformersBackend | TrackerBackend]" = (
    WeakValueDictionary()
)
"""What was loaded and is not yet let go, by all that it depends on."""


def load_transformers_backend(
    weights: str | Path, *, device: str = "auto", dtype: str = "auto", compile: str | None = None
) -> "TransformersBackend | TrackerBackend":
    """Load a checkpoint by its name, folder or file, or return the network where it is in use already.

    The arguments are those of `Sam3.load`.

    Raises `CheckpointError` if it is missing or is not a SAM 3, and `DeviceError` if the device is missing.
    """
    # The hub's client takes a tenth of a second to import, and no recording or double needs it.
    with import_lock:
        from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint

    path = locate_checkpoint(weights)  # before the next import, which takes seconds
    if sys.platform == "darwin":  # PyTorch looks at it once, and runs on the CPU what it has no code for on Apple's GPU
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    with import_lock:
        import torch

        from sam3_tool.backends.transformers.backend import TransformersBackend
        from sam3_tool.backends.transformers.files.architectures import TRACKERS, read_model_type
        from sam3_tool.backends.transformers.hardware.devices import resolve_device

    name, place = str(weights), torch.empty(0, device=resolve_device(device)).device  # "cuda" is some "cuda:0"
    key = (path.resolve(), _stamp_files(path), name, place, dtype, compile)
    network = _networks_in_use.get(key)
    if network is None:
        if read_model_type(path) in TRACKERS:
            with import_lock:
                from sam3_tool.backends.transformers.tracker_backend import TrackerBackend

            network = TrackerBackend.load(path, name=name, device=str(place), dtype=dtype)
        else:
            network = TransformersBackend.load(path, name=name, device=str(place), dtype=dtype, compile=compile)
        _networks_in_use[key] = network
    return network


def _stamp_files(path: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Name, number, size and time of each file: other ones mean that the checkpoint was written anew."""
    with suppress(OSError):  # which loading says better
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stamps = [(file.name, file.stat()) for file in files if file.exists()]
        return tuple((name, stamp.st_ino, stamp.st_size, stamp.st_mtime_ns) for name, stamp in stamps)
    return ()
