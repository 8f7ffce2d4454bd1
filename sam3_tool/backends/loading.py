"""Backends by name: the published network, or one that another installed package adds."""

from pathlib import Path

from sam3_tool.backends.base import Backend
from sam3_tool.backends.catalog import OPEN_NAME
from sam3_tool.backends.transformers.loading import load_transformers_backend
from sam3_tool.plugins import find_plugins, load_plugin

BARE_NAMES = (OPEN_NAME, "hosted")
"""Backends that have weights, or a model, of their own where none are named."""


def load_backend(name_or_path: str | Path, *, device: str, dtype: str, compile: str | None) -> Backend:
    """Load the backend that "NAME:WEIGHTS" names, or the open models, or else SAM 3 on transformers.

    Raises what the backend's own loader raises; for transformers that is `CheckpointError` or `DeviceError`.
    """
    name, colon, weights = str(name_or_path).partition(":")
    # a path is never the name of a backend, and without a colon no installed package needs to be looked at
    if isinstance(name_or_path, str) and (colon or name in BARE_NAMES) and name in find_plugins("backends"):
        backend: Backend = load_plugin("backends", name)(weights, device=device, dtype=dtype, compile=compile)
        return backend
    return load_transformers_backend(name_or_path, device=device, dtype=dtype, compile=compile)
