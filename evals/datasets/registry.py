"""Benchmarks as data, one file each; `load_benchmark` knows them by name."""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

from agent.core.text import make_encodable
from evals.datasets import counting, davis, grefcoco, omnilabel, own, reasonseg, refcoco, saco_average, sav, veval
from evals.datasets.formats.videos import ONLY_SCORED, VideoBenchmark
from evals.errors import DatasetError
from evals.samples import Benchmark, Dataset

T = TypeVar("T", bound=Benchmark)

__all__ = ["DATASETS", "VIDEOS", "load_benchmark", "load_dataset"]


def _load_scenes(data: Path, split: str, *, number: int | str = 300, seed: int | str = 0) -> Dataset:
    from evals.datasets.synthetic.generated import load  # draws its scenes with libraries that no other data set needs

    return load(data, split, number=number, seed=seed)


DATASETS: Mapping[str, Callable[..., Dataset]] = {
    "reasonseg": reasonseg.load,
    "omnilabel": omnilabel.load,
    "saco-gold": saco_average.load_gold,
    "saco-silver": saco_average.load_silver,
    "refcoco": partial(refcoco.load, "refcoco"),
    "refcoco+": partial(refcoco.load, "refcoco+"),
    "refcocog": partial(refcoco.load, "refcocog"),
    "grefcoco": grefcoco.load,
    "countbench": counting.load_countbench,
    "pixmo-count": counting.load_pixmo,
    "own": own.load,
    "scenes": _load_scenes,
}
"""Name -> `load(data, split, **options)`."""


VIDEOS: Mapping[str, Callable[..., VideoBenchmark]] = {"saco-veval": veval.load, "davis": davis.load, "sav": sav.load}
"""The same of videos, which are only scored."""


def load_dataset(name: str, data: Path, split: str, **options: Any) -> Dataset:
    """The benchmark of that name from its files in `data`; nothing is ever downloaded, and no picture is opened.

    Raises DatasetError, one sentence, for a name, split or option that there is not, for files that are missing or not
    as published, for an id that no file can hold, and for videos.
    """
    if name in VIDEOS:
        raise DatasetError(f"{name} cannot be run: {ONLY_SCORED.format(name=name, split=split or 'SPLIT')}")
    return _load_checked(DATASETS, name, data, split, options)


def load_benchmark(name: str, data: Path, split: str, **options: Any) -> Benchmark:
    """As `load_dataset`, videos too."""
    return _load_checked({**DATASETS, **VIDEOS}, name, data, split, options)


def _load_checked(
    known: Mapping[str, Callable[..., T]], name: str, data: Path, split: str, options: Mapping[str, Any]
) -> T:
    if name not in known:
        raise DatasetError(f"there is no data set {name!r}; there are {', '.join(known)}")
    load = known[name]
    taken = [option.name for option in signature(load).parameters.values() if option.kind == option.KEYWORD_ONLY]
    if strange := [option for option in options if option not in taken]:
        raise DatasetError(f"{name} has the options {', '.join(taken) or 'none'}, not {', '.join(strange)}")
    loaded = load(Path(data), split, **options)
    if unwritable := [sample.id for sample in loaded.list_samples() if make_encodable(sample.id) != sample.id]:
        raise DatasetError(
            f"{name} has the id {unwritable[0]!r}, which is no Unicode text; give that sample another one"
        )
    return loaded
