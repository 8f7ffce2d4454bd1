"""One query of one's own data, whichever file it is from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.datasets.formats.files import DataSource

SOURCE = DataSource("own data", "where you have it; its format stands at the top of evals/datasets/own.py", "yours")
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


@dataclass(frozen=True, eq=False)
class OwnEntry:
    id: str
    query: str
    image_path: Path
    mask: Callable[[], np.ndarray] | None
    """Reads uint8 (H, W) out of 0, 1 and 255 = ignored, in the image's size; None where no mask is given."""
    mask_file: Path | None
    boxes: tuple[Box, ...] | None
    """None where none are given."""
    place: str = ""
    """Where in its file it stands: "line 3"."""


@dataclass(frozen=True, eq=False)
class OwnFile:
    """What a file of one's own holds."""

    entries: tuple[OwnEntry, ...]
    notes: tuple[str, ...] = ()
    """What in it was not read, in whole sentences."""
