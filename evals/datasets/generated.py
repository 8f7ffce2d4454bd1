"""The generated world as a benchmark: complex queries about drawn scenes, which need no file.

A sample: scene 2**40 + 1_000_009, "the triangles left of the black pentagon", the union of the meant objects' masks.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from evals.datasets.one_mask import OneMask, Target
from evals.datasets.scenes import SceneQuery, scene_queries
from evals.samples import DataError, Facts, Prediction, Sample, Scores
from evals.stats import Measure
from sam3_tool import Picture, rle
from sam3_tool.rle import Rle
from sam3_tool.training.scenes import draw_scene


def load(data: Path, split: str, *, number: int | str = 300, seed: int | str = 0) -> "Scenes":
    """`data` is not read; the only split is "test", of `number` queries, different ones for each `seed`."""
    if split != "test":
        raise DataError(f"the generated scenes have the split test, not {split!r}")
    return Scenes(_whole("number", number, least=1), _whole("seed", seed, least=0))


def _whole(name: str, value: int | str, *, least: int) -> int:
    try:
        number = int(value)
    except ValueError:
        number = least - 1
    if number < least:
        raise DataError(f"the {name} of generated scenes must be a whole number from {least} on, found {value!r}")
    return number


@dataclass(frozen=True)
class _Asked:
    """A query without its picture, which is drawn again when it is needed."""

    scene: int
    """Seed."""
    kind: str
    text: str
    target: Rle

    @classmethod
    def of(cls, query: SceneQuery) -> "_Asked":
        return cls(query.seed, query.kind, query.text, rle.encode(query.target > 0))

    @property
    def id(self) -> str:
        return f"scene-{self.scene}"

    def open(self) -> Picture:
        height, width = self.target.size
        return Picture(draw_scene(self.scene, size=(width, height)).pixels)

    def mask(self) -> np.ndarray:
        """uint8, (H, W)."""
        return rle.decode(self.target).astype(np.uint8)

    def sample(self) -> Sample:
        return Sample(
            id=self.id,
            query=self.text,
            source=self.id,
            open=self.open,
            group=self.id,
            slices={"kind": self.kind},
            target=lambda: self.mask() > 0,
        )


@dataclass(frozen=True)
class Scenes:
    number: int
    seed: int

    name = "scenes"
    split = "test"
    version = "1"

    @cached_property
    def _asked(self) -> list[_Asked]:
        return [_Asked.of(query) for query in scene_queries(self.number, seed=self.seed)]

    def samples(self) -> Sequence[Sample]:
        return [one.sample() for one in self._asked]

    def facts(self) -> Facts:
        asked = [(one.id, one.text, one.target.counts) for one in self._asked]
        return Facts(
            samples=self.number,
            pictures=self.number,
            hash=sha256(json.dumps(asked).encode()).hexdigest(),
            published=None,
            licence="Apache-2.0",
            home="nowhere: they are drawn",
            notes=("Drawn scenes and generated queries: comparable with no published number.",),
        )

    @cached_property
    def _scorer(self) -> OneMask:
        return OneMask({one.id: _target(one) for one in self._asked})

    def submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        return {"scenes.json": self._scorer.submission(predictions)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        return self._scorer.score_file(predictions)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        return self._scorer.score(predictions)

    def resample(self, predictions: Sequence[Prediction]) -> Measure:
        return self._scorer.resample(predictions)


def _target(one: _Asked) -> Target:
    return Target(lambda: one.target.size, one.mask)
