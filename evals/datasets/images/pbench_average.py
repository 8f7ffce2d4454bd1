"""PBench: all instances that an expression means, in six splits; "all" is their plain mean, as officially."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.images import pbench
from evals.datasets.images.pbench import PUBLISHED, SOURCE, PBench
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, ScoringError
from evals.samples import DatasetInfo, Prediction, Sample, Scores

ALL = "all"


@dataset_loader(splits=[ALL, *PUBLISHED])
def load(data: Path, split: str) -> "PBench | PBenchAverage":
    """`data`: the folder of the parquet files of that split, or of all."""
    if split not in (ALL, *PUBLISHED):
        raise DatasetError(f"PBench has the splits {', '.join(PUBLISHED)}, and {ALL}, not {split!r}")
    if split != ALL:
        return pbench.load_split(data, split)
    return PBenchAverage({part: pbench.load_split(data, part) for part in PUBLISHED})


@dataclass(frozen=True, eq=False)
class PBenchAverage:
    parts: Mapping[str, PBench]

    name = "pbench"
    version = "1"
    split = ALL

    def list_samples(self) -> Sequence[Sample]:
        """One split after the other; ids are SPLIT/ID."""
        return [
            replace(sample, id=f"{split}/{sample.id}", slices={"split": split, **sample.slices})
            for split, part in self.parts.items()
            for sample in part.list_samples()
        ]

    def collect_info(self) -> DatasetInfo:
        facts = [part.collect_info() for part in self.parts.values()]
        return DatasetInfo(
            samples=sum(part.samples for part in facts),
            images=sum(part.images for part in facts),
            hash=sha256("\n".join(part.hash for part in facts).encode()).hexdigest(),
            published=sum(PUBLISHED.values()),
            licence=SOURCE.licence,
            source=SOURCE.location,
            notes=(f"The plain mean over {len(facts)} splits: {', '.join(self.parts)}.",),
        )

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """A file for each split."""
        return {
            name: content
            for split, own in _split_predictions(predictions).items()
            for name, content in self.parts[split].build_submission(own).items()
        }

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """`predictions`: a folder as `build_submission` gives it, with a file for every split."""
        files = {split: predictions / pbench.SUBMISSION.format(split=split) for split in self.parts}
        if absent := [path for path in files.values() if not path.is_file()]:
            raise ScoringError(f"there is no {absent[0]}: the mean over all splits needs a file for each of them")
        return _average_scores({split: part.score_file(files[split]) for split, part in self.parts.items()})

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """The mean over the splits that were asked, and `f1 SPLIT` of each."""
        scores = {split: self.parts[split].score(own) for split, own in _split_predictions(predictions).items()}
        alone = {f"{split}/{id}": own for split, found in scores.items() for id, own in found.per_sample.items()}
        return Scores("f1", _average_scores({split: found.metrics for split, found in scores.items()}), alone)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        """The mean over the splits that were drawn, in the order of the metric, so that they are equal bit for bit."""
        split_of = np.array([prediction.id.partition("/")[0] for prediction in predictions])
        place = np.zeros(len(predictions), int)
        measures = {}
        for split, own in _split_predictions(predictions).items():
            place[split_of == split] = np.arange(len(own))
            measures[split] = self.parts[split].build_measure(own)

        def measure_draw(drawn: Sequence[int]) -> float:
            chosen = np.asarray(drawn, int)
            of_splits = {split: place[chosen[split_of[chosen] == split]] for split in measures}
            return float(np.mean([measures[split](own) for split, own in of_splits.items() if len(own)]))

        return measure_draw


def _split_predictions(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """The predictions of each split, in the order of the splits, under the ids that they have there."""
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        split, _, id = prediction.id.partition("/")
        found.setdefault(split, []).append(prediction.model_copy(update={"id": id}))
    if strange := found.keys() - PUBLISHED.keys():
        raise DatasetError(f"there is a prediction for {min(strange)!r}, which is no split of PBench")
    return {split: found[split] for split in PUBLISHED if split in found}


def _average_scores(of_splits: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The mean of F1; the counts are added up."""
    names = [name for name in next(iter(of_splits.values())) if name != "f1"]
    f1 = {split: numbers["f1"] for split, numbers in of_splits.items()}
    sums = {name: sum(numbers[name] for numbers in of_splits.values()) for name in names}
    return {"f1": float(np.mean(list(f1.values()))), **sums, **{f"f1 {split}": own for split, own in f1.items()}}
