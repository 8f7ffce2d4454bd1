"""SA-Co Gold or Silver as a whole, split "all": every number is the plain mean over the seven or ten subsets.

The files of all subsets lie in one folder, as `saco` describes them; their images may lie in a folder for each, named
like the subset. The average of cgF1 is not the average of pmF1 times that of IL_MCC.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from evals.bootstrap import Measure
from evals.datasets import saco
from evals.datasets.formats.files import DataSource
from evals.datasets.loading import dataset_loader
from evals.datasets.saco import SaCo
from evals.errors import ScoringError
from evals.samples import DatasetInfo, Prediction, Sample, Scores

ALL = "all"


@dataset_loader(splits=[ALL, *saco.GOLD_SUBSETS])
def load_gold(data: Path, split: str, *, pictures: str | Path | None = None) -> "SaCo | SaCoAverage":
    """`split`: a subset or "all"; the rest as for `saco.load_gold`."""
    return _load_split("saco-gold", saco.GOLD_SOURCE, saco.load_gold, saco.GOLD_SUBSETS, data, split, pictures)


@dataset_loader(splits=[ALL, *saco.SILVER_SUBSETS])
def load_silver(data: Path, split: str, *, pictures: str | Path | None = None) -> "SaCo | SaCoAverage":
    """Load SA-Co Silver, as `load_gold` loads Gold."""
    return _load_split("saco-silver", saco.SILVER_SOURCE, saco.load_silver, saco.SILVER_SUBSETS, data, split, pictures)


def _load_split(
    name: str,
    source: DataSource,
    load: Callable[..., SaCo],
    subsets: Sequence[str],
    data: Path,
    split: str,
    image_folder: str | Path | None,
) -> "SaCo | SaCoAverage":
    if split != ALL:
        return load(data, split, pictures=image_folder)
    parts = {subset: load(data, subset, pictures=_find_image_folder(data, subset, image_folder)) for subset in subsets}
    return SaCoAverage(name, source, parts)


def _find_image_folder(data: Path, subset: str, image_folder: str | Path | None) -> str | Path | None:
    """A subset's own folder, where there is one."""
    own = (Path(image_folder) if image_folder else data / "images") / subset
    return own if own.is_dir() else image_folder


@dataclass(frozen=True, eq=False)
class SaCoAverage:
    name: str
    source: DataSource
    subsets: Mapping[str, SaCo]

    split = ALL
    version = "1"

    def list_samples(self) -> Sequence[Sample]:
        """One subset after the other; ids are SUBSET/ID."""
        return [
            replace(sample, id=f"{subset}/{sample.id}", group=f"{subset}/{sample.group}", slices={"subset": subset})
            for subset, part in self.subsets.items()
            for sample in part.list_samples()
        ]

    def collect_info(self) -> DatasetInfo:
        parts = [part.collect_info() for part in self.subsets.values()]
        return DatasetInfo(
            samples=sum(part.samples for part in parts),
            images=sum(part.images for part in parts),
            hash=sha256("\n".join(part.hash for part in parts).encode()).hexdigest(),
            published=None,
            licence=self.source.licence,
            source=self.source.location,
            notes=(f"Plain means over {len(parts)} subsets: {', '.join(self.subsets)}.",),
        )

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """A folder for each subset, with the official file in it."""
        return {
            f"{subset}/{name}": content
            for subset, (part, own) in self._split_by_subset(predictions).items()
            for name, content in part.build_submission(own).items()
        }

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """`predictions`: a folder as `build_submission` gives it, with a file for every subset."""
        files = {subset: predictions / subset / saco.SUBMISSION for subset in self.subsets}
        if absent := [path for path in files.values() if not path.is_file()]:
            raise ScoringError(f"there is no {absent[0]}: the mean over all subsets needs a file for each of them")
        return _average_scores({subset: part.score_file(files[subset]) for subset, part in self.subsets.items()})

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Means over the subsets that were asked, and `cgF1 SUBSET` of each."""
        scores = {subset: part.score(own) for subset, (part, own) in self._split_by_subset(predictions).items()}
        alone = {f"{subset}/{id}": own for subset, found in scores.items() for id, own in found.per_sample.items()}
        return Scores("cgF1", _average_scores({subset: found.metrics for subset, found in scores.items()}), alone)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        """The mean over the subsets that were drawn."""
        parts = self._split_by_subset(predictions)
        measures = [part.build_measure(own) for part, own in parts.values()]
        number = {name: place for place, name in enumerate(parts)}
        subset = np.array([number[prediction.id.partition("/")[0]] for prediction in predictions])
        within = np.zeros(len(predictions), int)
        for index in range(len(parts)):
            within[subset == index] = np.arange((subset == index).sum())

        def measure_draw(drawn: Sequence[int]) -> float:
            chosen = np.asarray(drawn, int)
            return float(
                np.mean(
                    [measures[index](within[chosen[subset[chosen] == index]]) for index in np.unique(subset[chosen])]
                )
            )

        return measure_draw

    def _split_by_subset(self, predictions: Sequence[Prediction]) -> dict[str, tuple[SaCo, list[Prediction]]]:
        """The subsets that were asked, with their predictions under the ids that they have there."""
        parts: dict[str, tuple[SaCo, list[Prediction]]] = {}
        for prediction in predictions:
            subset, _, id = prediction.id.partition("/")
            _, own = parts.setdefault(subset, (self.subsets[subset], []))
            own.append(prediction.model_copy(update={"id": id}))
        return parts


def _average_scores(of_subsets: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Column by column; pairs are added up."""
    names = next(iter(of_subsets.values()))
    means = {name: float(np.mean([numbers[name] for numbers in of_subsets.values()])) for name in names}
    pairs = sum(numbers["pairs"] for numbers in of_subsets.values())
    return {**means, "pairs": pairs, **{f"cgF1 {subset}": numbers["cgF1"] for subset, numbers in of_subsets.items()}}
