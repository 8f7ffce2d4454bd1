"""One mask a sample: the union of what was found, scored by gIoU and cIoU against one target."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.files import memoize_by_prediction, to_json
from evals.errors import DatasetError, ScoringError
from evals.metrics import reasonseg
from evals.metrics.inputs.entries import Entry, get_key, read_json, require_list
from evals.metrics.inputs.segments import to_rle
from evals.metrics.reasonseg import Convention
from evals.samples import Prediction, Scores
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask


@dataclass(frozen=True, eq=False)
class Target:
    """The mask to be found in one sample, read when it is called for."""

    size: Callable[[], tuple[int, int]]
    """(height, width) of the image."""
    mask: Callable[[], np.ndarray]
    """uint8, (H, W) out of 0, 1, 255; any other value is in no class."""


@dataclass(frozen=True, eq=False)
class OneMaskScorer:
    targets: Mapping[str, Target]
    """Sample id -> target."""
    convention: Convention = "lisa"
    headline: Literal["giou", "ciou"] = "giou"

    @cached_property
    def count_predictions(self) -> Callable[[Sequence[Prediction]], list[tuple[int, int]]]:
        """Pixels of intersection and union, one pair per prediction."""
        return memoize_by_prediction(
            lambda predictions: [self._count_prediction(prediction) for prediction in predictions]
        )

    def _count_prediction(self, prediction: Prediction) -> tuple[int, int]:
        target = get_target(self.targets, prediction).mask()
        return reasonseg.count_pixels(merge_masks(prediction, *target.shape), target, convention=self.convention)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        counts = self.count_predictions(predictions)
        metrics = reasonseg.score_counts(counts, convention=self.convention)
        nothing = float(self.convention != "hf-bool")
        alone = [inside / joined if joined else nothing for inside, joined in counts]
        ids = [prediction.id for prediction in predictions]
        return Scores(self.headline, metrics, dict(zip(ids, alone, strict=True)))

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        counts = np.array(self.count_predictions(predictions))
        return lambda drawn: reasonseg.score_counts(counts[list(drawn)], convention=self.convention)[self.headline]

    def build_submission(self, predictions: Sequence[Prediction]) -> bytes:
        """A JSON list of `{"id", "size": [h, w], "counts"}`: the union of each prediction's masks, in COCO's runs."""
        entries: list[dict[str, Any]] = []
        for prediction in predictions:
            height, width = get_target(self.targets, prediction).size()
            entries.append({"id": prediction.id, **merge_masks_rle(prediction, height, width).to_coco()})
        return to_json(entries)

    def score_file(self, path: Path) -> dict[str, float]:
        """The numbers of a file as `build_submission` writes it. The samples it lacks are `absent`, and empty masks."""
        entries = read_by_id(path, self.targets)
        scores = self.score([_parse_prediction(id, entries.get(id)) for id in self.targets])
        rest = {name: value for name, value in scores.metrics.items() if name != self.headline}
        return {self.headline: scores.metrics[self.headline], **rest, "absent": len(self.targets) - len(entries)}


class OneMaskBenchmark(ABC):
    """The scoring of a data set that has one mask a sample: the part of a `Benchmark` which these share."""

    @cached_property
    @abstractmethod
    def _scorer(self) -> OneMaskScorer:
        """Its targets, and how they are counted."""

    @property
    @abstractmethod
    def _submission_name(self) -> str:
        """Name of the file of predictions."""

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """There is no official file: one mask a sample, in COCO's run lengths."""
        return {self._submission_name: self._scorer.build_submission(predictions)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        return self._scorer.score_file(predictions)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        return self._scorer.score(predictions)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        return self._scorer.build_measure(predictions)


def read_by_id(path: Path, ids: Collection[str]) -> dict[str, Entry]:
    """The entries of a file of predictions, by `id`. Raises ScoringError for ids that are unknown or there twice."""
    found: dict[str, Entry] = {}
    for index, entry in enumerate(require_list(read_json(path, "predictions"), "predictions")):
        id = get_key(entry, "id", f"prediction {index}")
        if id not in ids or id in found:
            what = "is there twice" if id in found else f"is not in the data, whose first one is {next(iter(ids))!r}"
            raise ScoringError(f"prediction {index}: the id {id!r} {what}")
        found[id] = entry
    return found


def _parse_prediction(id: str, entry: Entry | None) -> Prediction:
    if entry is None:
        return Prediction.make_failed(id, "")
    mask = to_rle(entry, {}, lambda: f"prediction {id!r}")
    return Prediction(id=id, status="ok", masks=(mask,))


def get_target(targets: Mapping[str, Any], prediction: Prediction) -> Any:
    """Raises DatasetError for a prediction of another data set."""
    try:
        return targets[prediction.id]
    except KeyError:
        raise DatasetError(f"there is a prediction for {prediction.id!r}, which the data does not have") from None


def merge_masks(prediction: Prediction, height: int, width: int) -> np.ndarray:
    """bool, (height, width). Raises DatasetError for masks of another size than the image."""
    check_mask_sizes(prediction, height, width)
    return prediction.merge_masks(height, width)


def check_mask_sizes(prediction: Prediction, height: int, width: int) -> None:
    """Raises DatasetError for masks of another size than the image."""
    for mask in prediction.masks:
        if mask.size != (height, width):
            raise DatasetError(
                f"the masks of {prediction.id!r} are {mask.size[1]} x {mask.size[0]} pixels, its image is"
                f" {width} x {height}: they are of another image"
            )


def merge_masks_rle(prediction: Prediction, height: int, width: int) -> RleMask:
    return rle.encode_mask(merge_masks(prediction, height, width))
