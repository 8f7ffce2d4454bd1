"""A dataset: `NAME.png` is asked for `NAME`, and `NAME.mask.png` holds what is to be found."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from evals import DatasetError, DatasetInfo, Measure, Prediction, Sample, Scores, ScoringError
from evals.datasets.loading import dataset_loader
from sam3_tool import Image


@dataclass(frozen=True, eq=False)
class NamedImages:
    """Every image of a folder, scored by the IoU of the union of all masks."""

    folder: Path
    split: str

    name = "mine"
    version = "1"

    def list_samples(self) -> Sequence[Sample]:
        images = sorted(path for path in self.folder.glob("*.png") if not path.name.endswith(".mask.png"))
        return [
            Sample(
                id=path.stem,
                query=path.stem.replace("-", " "),
                source=path.name,
                open_image=partial(Image.open, path),
                group=path.stem,
                target=partial(self._read_target, path.stem),
            )
            for path in images
        ]

    def collect_info(self) -> DatasetInfo:
        count = len(self.list_samples())
        content = b"".join(path.read_bytes() for path in sorted(self.folder.glob("*.png")))
        digest = hashlib.sha256(content).hexdigest()
        return DatasetInfo(count, count, digest, published=None, licence="your own", source=str(self.folder))

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        areas = {prediction.id: len(prediction.masks) for prediction in predictions}
        return {"counts.json": json.dumps(areas).encode()}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        raise ScoringError("the dataset 'mine' scores runs only")

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        ious = {prediction.id: self._compute_iou(prediction) for prediction in predictions}
        return Scores("iou", {"iou": float(np.mean(list(ious.values())))}, ious)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        ious = np.array([self._compute_iou(prediction) for prediction in predictions])
        return lambda drawn: float(ious[list(drawn)].mean())

    def _read_target(self, stem: str) -> np.ndarray:
        return Image.open(self.folder / f"{stem}.mask.png").pixels[..., 0] > 127

    def _compute_iou(self, prediction: Prediction) -> float:
        target = self._read_target(prediction.id)
        found = prediction.merge_masks(*target.shape)
        union = np.count_nonzero(found | target)
        return float(np.count_nonzero(found & target) / union) if union else 1.0


@dataset_loader(splits=("all",))
def load(path: Path, split: str = "all") -> NamedImages:
    """Read a folder of images."""
    dataset = NamedImages(Path(path), split)
    if not dataset.list_samples():
        raise DatasetError(f"{path} holds no PNG image; expected NAME.png with NAME.mask.png beside it")
    return dataset
