"""Where a training stands, in one file: written whole or not at all, so that a run may be killed at any time."""

from pathlib import Path
from typing import Any

import torch

_FILE = "state.pt"


def save_state(folder: Path, **state: Any) -> None:
    """Save tensors, numbers, and dictionaries of them, in place of what was saved before."""
    torch.save(state, (folder / _FILE).with_suffix(".new"))
    (folder / _FILE).with_suffix(".new").replace(folder / _FILE)


def load_state(folder: Path) -> dict[str, Any] | None:
    """Load what was saved; None at the beginning."""
    path = folder / _FILE
    return torch.load(path, weights_only=True) if path.exists() else None
