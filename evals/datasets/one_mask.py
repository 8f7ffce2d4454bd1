"""One mask a sample: the union of what was found, scored by gIoU and cIoU against one target."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evals.datasets.files import once, to_json
from evals.metrics import reasonseg
from evals.metrics.entries import Entry, ScoringError, identity, listed, read
from evals.metrics.reasonseg import Convention
from evals.metrics.segments import check, to_rle
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

    def score_file(self, path: Path) -> dict[str, float]:
        """The numbers of a file as `submission` writes it, and how many samples it lacks: they count as empty masks."""
        entries = by_id(path, self.targets)
        scores = self.score([_predicted(id, entries.get(id)) for id in self.targets])
        rest = {name: value for name, value in scores.metrics.items() if name != self.headline}
        return {self.headline: scores.metrics[self.headline], **rest, "absent": len(self.targets) - len(entries)}


def by_id(path: Path, ids: Collection[str]) -> dict[str, Entry]:
    """The entries of a file of predictions, by `id`. Raises ScoringError for ids that are unknown or there twice."""
    found: dict[str, Entry] = {}
    for index, entry in enumerate(listed(read(path, "predictions"), "predictions")):
        id = identity(entry, "id", f"prediction {index}")
        if id not in ids or id in found:
            what = "is there twice" if id in found else f"is not in the data, whose first one is {next(iter(ids))!r}"
            raise ScoringError(f"prediction {index}: the id {id!r} {what}")
        found[id] = entry
    return found


def _predicted(id: str, entry: Entry | None) -> Prediction:
    if entry is None:
        return Prediction.empty(id, "")
    mask = to_rle(entry, {}, lambda: f"prediction {id!r}")
    check(mask, lambda: f"prediction {id!r}")
    return Prediction(id=id, status="ok", masks=(mask,))


def target_of(targets: Mapping[str, Any], prediction: Prediction) -> Any:
    """Raises DataError for a prediction of another data set."""
    try:
        return targets[prediction.id]
    except KeyError:
        raise DataError(f"there is a prediction for {prediction.id!r}, which the data does not have") from None


def union(prediction: Prediction, height: int, width: int) -> np.ndarray:
    """bool, (height, width). Raises DataError for masks of another size than the picture."""
    check_sizes(prediction, height, width)
    return prediction.union(height, width)


def check_sizes(prediction: Prediction, height: int, width: int) -> None:
    """Raises DataError for masks of another size than the picture."""
    for mask in prediction.masks:
        if mask.size != (height, width):
            raise DataError(
                f"the masks of {prediction.id!r} are {mask.size[1]} x {mask.size[0]} pixels, its picture is"
                f" {width} x {height}: they are of another picture"
            )


def union_rle(prediction: Prediction, height: int, width: int) -> Rle:
    return rle.encode(union(prediction, height, width))
