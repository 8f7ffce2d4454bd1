"""SA-Co Gold or Silver as a whole, split "all": every number is the plain mean over the seven or ten subsets.

The files of all subsets lie in one folder, as `saco` describes them; their pictures may lie in a folder for each, named
like the subset. The average of cgF1 is not the average of pmF1 times that of IL_MCC.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from evals.datasets import saco
from evals.datasets.files import Home
from evals.datasets.saco import SaCo
from evals.metrics.entries import ScoringError
from evals.samples import Facts, Prediction, Sample, Scores
from evals.stats import Measure

ALL = "all"


def load_gold(data: Path, split: str, *, pictures: str | Path | None = None) -> "SaCo | Average":
    """`split`: a subset or "all"; the rest as for `saco.load_gold`."""
    return _load("saco-gold", saco.GOLD, saco.load_gold, saco.GOLD_SUBSETS, data, split, pictures)


def load_silver(data: Path, split: str, *, pictures: str | Path | None = None) -> "SaCo | Average":
    """As for Gold."""
    return _load("saco-silver", saco.SILVER, saco.load_silver, saco.SILVER_SUBSETS, data, split, pictures)


def _load(
    name: str,
    home: Home,
    load: Callable[..., SaCo],
    subsets: Sequence[str],
    data: Path,
    split: str,
    pictures: str | Path | None,
) -> "SaCo | Average":
    if split != ALL:
        return load(data, split, pictures=pictures)
    parts = {subset: load(data, subset, pictures=_pictures(data, subset, pictures)) for subset in subsets}
    return Average(name, home, parts)


def _pictures(data: Path, subset: str, pictures: str | Path | None) -> str | Path | None:
    """A subset's own folder, where there is one."""
    own = (Path(pictures) if pictures else data / "images") / subset
    return own if own.is_dir() else pictures


@dataclass(frozen=True, eq=False)
class Average:
    name: str
    home: Home
    subsets: Mapping[str, SaCo]

    split = ALL
    version = "1"

    def samples(self) -> Sequence[Sample]:
        """One subset after the other; ids are SUBSET/ID."""
        return [
            replace(one, id=f"{subset}/{one.id}", group=f"{subset}/{one.group}", slices={"subset": subset})
            for subset, part in self.subsets.items()
            for one in part.samples()
        ]

    def facts(self) -> Facts:
        parts = [part.facts() for part in self.subsets.values()]
        return Facts(
            samples=sum(part.samples for part in parts),
            pictures=sum(part.pictures for part in parts),
            hash=sha256("\n".join(part.hash for part in parts).encode()).hexdigest(),
            published=None,
            licence=self.home.licence,
            home=self.home.where,
            notes=(f"Plain means over {len(parts)} subsets: {', '.join(self.subsets)}.",),
        )

    def submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """A folder for each subset, with the official file in it."""
        return {
            f"{subset}/{name}": content
            for subset, (part, own) in self._parts(predictions).items()
            for name, content in part.submission(own).items()
        }

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """`predictions`: a folder as `submission` gives it, with a file for every subset."""
        files = {subset: predictions / subset / saco.SUBMISSION for subset in self.subsets}
        if absent := [path for path in files.values() if not path.is_file()]:
            raise ScoringError(f"there is no {absent[0]}: the mean over all subsets needs a file for each of them")
        return _mean({subset: part.score_file(files[subset]) for subset, part in self.subsets.items()})

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Means over the subsets that were asked, and `cgF1 SUBSET` of each."""
        scores = {subset: part.score(own) for subset, (part, own) in self._parts(predictions).items()}
        alone = {f"{subset}/{id}": own for subset, found in scores.items() for id, own in found.per_sample.items()}
        return Scores("cgF1", _mean({subset: found.metrics for subset, found in scores.items()}), alone)

    def resample(self, predictions: Sequence[Prediction]) -> Measure:
        """The mean over the subsets that were drawn."""
        parts = self._parts(predictions)
        measures = [part.resample(own) for part, own in parts.values()]
        number = {name: place for place, name in enumerate(parts)}
        subset = np.array([number[prediction.id.partition("/")[0]] for prediction in predictions])
        within = np.zeros(len(predictions), int)
        for one in range(len(parts)):
            within[subset == one] = np.arange((subset == one).sum())

        def measure(drawn: Sequence[int]) -> float:
            chosen = np.asarray(drawn, int)
            return float(
                np.mean([measures[one](within[chosen[subset[chosen] == one]]) for one in np.unique(subset[chosen])])
            )

        return measure

    def _parts(self, predictions: Sequence[Prediction]) -> dict[str, tuple[SaCo, list[Prediction]]]:
        """The subsets that were asked, with their predictions under the ids that they have there."""
        parts: dict[str, tuple[SaCo, list[Prediction]]] = {}
        for prediction in predictions:
            subset, _, id = prediction.id.partition("/")
            _, own = parts.setdefault(subset, (self.subsets[subset], []))
            own.append(prediction.model_copy(update={"id": id}))
        return parts


def _mean(of_subsets: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Column by column; pairs are added up."""
    names = next(iter(of_subsets.values()))
    means = {name: float(np.mean([numbers[name] for numbers in of_subsets.values()])) for name in names}
    pairs = sum(numbers["pairs"] for numbers in of_subsets.values())
    return {**means, "pairs": pairs, **{f"cgF1 {subset}": numbers["cgF1"] for subset, numbers in of_subsets.items()}}
