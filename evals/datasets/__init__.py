"""Benchmarks as data, one file each; `load_dataset` knows them by name."""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from evals.datasets import counting, grefcoco, omnilabel, own, reasonseg, refcoco, saco
from evals.samples import DataError, Dataset

__all__ = ["DATASETS", "load_dataset"]


def _load_scenes(data: Path, split: str, *, number: int | str = 300, seed: int | str = 0) -> Dataset:
    from evals.datasets.generated import load  # draws its scenes with libraries that no other data set needs

    return load(data, split, number=number, seed=seed)


DATASETS: Mapping[str, Callable[..., Dataset]] = {
    "reasonseg": reasonseg.load,
    "omnilabel": omnilabel.load,
    "saco-gold": saco.load_gold,
    "saco-silver": saco.load_silver,
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


def load_dataset(name: str, data: Path, split: str, **options: Any) -> Dataset:
    """The benchmark of that name from its files in `data`; nothing is ever downloaded, and no picture is opened.

    Raises DataError, one sentence, for a name, split or option that there is not, and for files that are missing or
    not as published.
    """
    if name not in DATASETS:
        raise DataError(f"there is no data set {name!r}; there are {', '.join(DATASETS)}")
    load = DATASETS[name]
    known = [option.name for option in signature(load).parameters.values() if option.kind == option.KEYWORD_ONLY]
    if strange := [option for option in options if option not in known]:
        raise DataError(f"{name} has the options {', '.join(known) or 'none'}, not {', '.join(strange)}")
    return load(Path(data), split, **options)
