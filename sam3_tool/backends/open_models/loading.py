"""Open models by the name of their weights; registered as the backend `open`."""

from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from sam3_tool.errors import CheckpointError
from sam3_tool.plugins import import_lock

if TYPE_CHECKING:
    from sam3_tool.backends.open_models.backend import OpenBackend

_networks_in_use: "WeakValueDictionary[tuple[object, ...], OpenBackend]" = WeakValueDictionary()
"""What was loaded and is not yet let go, by all that it depends on."""


def load_open_backend(
    weights: str = "", *, device: str = "auto", dtype: str = "auto", compile: str | None = None
) -> "OpenBackend":
    """Load a detector and SAM 2.1, or return the networks where they are in use already.

    Args:
        weights: "" (Grounding DINO and SAM 2.1), "owlv2" (OWLv2 and SAM 2.1), "DETECTOR", or "DETECTOR,SEGMENTER"; the
            last two are folders, or names on the Hugging Face hub.
        device: As for `Sam3.load`.
        dtype: As for `Sam3.load`.
        compile: None. These networks are not compiled.

    Returns:
        A backend; its name is "open" or "open:WEIGHTS".

    Raises:
        CheckpointError: Weights are missing, damaged, or of another model; or `compile` was asked for.
        DeviceError: The device is missing.
        ValueError: `dtype` is no type that networks run in.
    """
    if compile is not None:
        raise CheckpointError(f"open models are not compiled, got compile={compile!r}; leave `compile` out")
    with import_lock:
        from sam3_tool.backends.open_models.folders import locate_open_models

    folders = locate_open_models(weights)  # before the next import, which takes seconds
    with import_lock:
        import torch

        from sam3_tool.backends.open_models.backend import OpenBackend
        from sam3_tool.backends.transformers.hardware.devices import resolve_device

    place = torch.empty(0, device=resolve_device(device)).device  # "cuda" is some "cuda:0"
    name = f"open:{weights}" if weights else "open"
    key = (*(_stamp_folder(folder) for folder in folders), name, place, dtype)
    network = _networks_in_use.get(key)
    if network is None:
        network = OpenBackend.load(folders, name=name, device=place, dtype=dtype)
        _networks_in_use[key] = network
    return network


def _stamp_folder(folder: Path) -> tuple[object, ...]:
    """Folder, and name, size and time of each file: other ones mean that the weights were written anew."""
    files = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.exists()]
    return folder.resolve(), *((name, stamp.st_ino, stamp.st_size, stamp.st_mtime_ns) for name, stamp in files)
