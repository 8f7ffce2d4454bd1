"""One mask a sample: the union of what was found, scored by gIoU and cIoU against one target."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from evals.datasets.files import once, to_json
from evals.metrics import reasonseg
from evals.metrics.reasonseg import Convention
from evals.samples import DataError, Prediction, Scores
from evals.stats import Measure
from sam3_tool import rle
from sam3_tool.rle import Rle


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be found in one sample, read when it is called for."""

    size: Callable[[], tuple[int, int]]
    """(height, width) of the picture."""
    mask: Callable[[], np.ndarray]
    """uint8, (H, W) out of 0, 1, 255; any other value is in no class."""


@dataclass(frozen=True, eq=False)
class OneMask:
    targets: Mapping[str, Target]
    """By sample id."""
    convention: Convention = "lisa"
    headline: Literal["giou", "ciou"] = "giou"

    @cached_property
    def counts(self) -> Callable[[Sequence[Prediction]], list[tuple[int, int]]]:
        """Pixels of intersection and union, one pair per prediction."""
        return once(lambda predictions: [self._count(prediction) for prediction in predictions])

    def _count(self, prediction: Prediction) -> tuple[int, int]:
        target = target_of(self.targets, prediction).mask()
        return reasonseg.counts(union(prediction, *target.shape), target, convention=self.convention)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        counts = self.counts(predictions)
        metrics = reasonseg.of_counts(counts, convention=self.convention)
        nothing = float(self.convention == "lisa")
        alone = [inside / union if union else nothing for inside, union in counts]
        ids = [prediction.id for prediction in predictions]
        return Scores(self.headline, metrics, dict(zip(ids, alone, strict=True)))

    def resample(self, predictions: Sequence[Prediction]) -> Measure:
        counts = np.array(self.counts(predictions))
        return lambda drawn: reasonseg.of_counts(counts[list(drawn)], convention=self.convention)[self.headline]

    def submission(self, predictions: Sequence[Prediction]) -> bytes:
        """A JSON list of `{"id", "size": [h, w], "counts"}`: the union of each prediction's masks, in COCO's runs."""
        entries: list[dict[str, Any]] = []
        for prediction in predictions:
            height, width = target_of(self.targets, prediction).size()
            entries.append({"id": prediction.id, **union_rle(prediction, height, width).to_coco()})
        return to_json(entries)


def target_of(targets: Mapping[str, Any], prediction: Prediction) -> Any:
    """Raises DataError for a prediction of another data set."""
    try:
        return targets[prediction.id]
    except KeyError:
        raise DataError(f"there is a prediction for {prediction.id!r}, which the data does not have") from None


def union(prediction: Prediction, height: int, width: int) -> np.ndarray:
    """bool, (height, width). Raises DataError for masks of another size than the picture."""
    for mask in prediction.masks:
        if mask.size != (height, width):
            raise DataError(
                f"the masks of {prediction.id!r} are {mask.size[1]} x {mask.size[0]} pixels, its picture is"
                f" {width} x {height}: they are of another picture"
            )
    return prediction.union(height, width)


def union_rle(prediction: Prediction, height: int, width: int) -> Rle:
    return rle.encode(union(prediction, height, width))
