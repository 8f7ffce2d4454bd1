"""SAM 3 on transformers by the name of its weights; registered as the backend `transformers`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sam3_tool.backends.transformers.backend import TransformersBackend


def load_transformers_backend(
    weights: str | Path, *, device: str = "auto", dtype: str = "auto", compile: str | None = None
) -> "TransformersBackend":
    """Load a checkpoint by its name or folder. The arguments are those of `Sam3.load`.

    Raises `CheckpointError` if it is missing or is not a SAM 3, and `DeviceError` if the device is missing.
    """
    # The hub's client takes a tenth of a second to import, and no recording or double needs it.
    from sam3_tool.backends.transformers.checkpoint import locate_checkpoint

    folder = locate_checkpoint(weights)  # before the next import, which takes seconds
    from sam3_tool.backends.transformers.backend import TransformersBackend

    return TransformersBackend.load(folder, name=str(weights), device=device, dtype=dtype, compile=compile)
