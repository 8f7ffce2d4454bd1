"""One query of one's own data, whichever file it is from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.datasets.formats.files import DataSource
from evals.errors import DatasetError


class OwnSource(DataSource):
    """Data of one's own, which nobody else has."""

    def build_missing_error(self, found: str, expected: str) -> DatasetError:
        return DatasetError(f"{self.name}: {found}, expected {expected}")

    def build_broken_error(self, path: Path, what: str) -> DatasetError:
        return DatasetError(f"{self.name}: {path} {what}")


SOURCE = OwnSource("own data", "where you have it; its format stands at the top of evals/datasets/own.py", "yours")
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


def are_shares(coordinates: Sequence[float]) -> bool:
    """Tell whether coordinates are shares of the image, as some label tools store them, and no pixels.

    >>> are_shares([0.1, 0.2, 0.5, 1]), are_shares([0, 0, 1, 1])
    (True, False)
    """
    return all(0 <= value <= 1 for value in coordinates) and not all(float(value).is_integer() for value in coordinates)


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
