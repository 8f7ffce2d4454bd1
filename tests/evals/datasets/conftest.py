"""A handful of small scenes in every benchmark's own format."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from evals.datasets.synthetic.make_scenes import write_scenes
from evals.samples import Prediction, Sample
from sam3_tool import Instances


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    return write_scenes(tmp_path_factory.mktemp("scenes"), number=20, sizes=((160, 120), (120, 160)))


@pytest.fixture(scope="session")
def predicted():
    """A function: id, masks bool (N, H, W), scores -> the prediction of these instances."""

    def of(id: str, masks: np.ndarray, scores: Sequence[float] | None = None) -> Prediction:
        masks = np.asarray(masks, bool)
        values = np.linspace(0.95, 0.6, len(masks)) if scores is None else np.asarray(scores)
        found = Instances(
            masks, np.array([extent(m) for m in masks]).reshape(-1, 4), values.astype(np.float32), 1.0, ""
        )
        return Prediction.from_instances(id, found, "ok" if len(masks) else "no_mask")

    return of


def extent(mask: np.ndarray) -> np.ndarray:
    """float32, (4,): x0 y0 x1 y1."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.zeros(4, np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


@pytest.fixture(scope="session")
def nothing():
    """A function: samples -> failed predictions for all of them."""

    def of(samples: Sequence[Sample]) -> list[Prediction]:
        return [Prediction.make_failed(sample.id, "it failed") for sample in samples]

    return of
