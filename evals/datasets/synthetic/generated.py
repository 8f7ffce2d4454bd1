"""The generated world as a benchmark: complex queries about drawn scenes, which need no file.

A sample: scene 2**40 + 1_000_009, "the triangles left of the black pentagon", the union of the meant objects' masks.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from evals.datasets.formats.one_mask import OneMaskBenchmark, OneMaskScorer, Target
from evals.datasets.loading import dataset_loader
from evals.datasets.synthetic.scenes import SIZES, SceneQuery, generate_queries
from evals.errors import DatasetError
from evals.samples import DatasetInfo, Sample
from sam3_tool import Image
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask
from sam3_tool.synthetic.scenes import draw_scene

MIN_SIDE, MAX_SIDE = 72, 4096
"""Pixels. A smaller scene has no room for its objects."""


@dataset_loader(splits=["test"])
def load(
    data: Path = Path(), split: str = "test", *, number: int | str = 300, seed: int | str = 0, size: str = ""
) -> "GeneratedScenes":
    """Generate scenes with queries.

    Args:
        data: Not read.
        split: "test".
        number: Queries, at least 1.
        seed: Other seeds give other queries, at least 0.
        size: Pixels of every scene, "WIDTHxHEIGHT"; empty = four sizes of about 640 x 480 in turn.

    Raises:
        DatasetError: An option is none of these.
    """
    if split != "test":
        raise DatasetError(f"the generated scenes have the split test, not {split!r}")
    return GeneratedScenes(
        _parse_whole_number("number", number, least=1),
        _parse_whole_number("seed", seed, least=0),
        (_parse_size(size),) if size else SIZES,
    )


def _parse_size(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    if sides is None or not all(MIN_SIDE <= int(side) <= MAX_SIDE for side in sides.groups()):
        raise DatasetError(
            f"the size of generated scenes must be WIDTHxHEIGHT, each from {MIN_SIDE} to {MAX_SIDE}, found {text!r}"
        )
    return int(sides[1]), int(sides[2])


def _parse_whole_number(name: str, value: int | str, *, least: int) -> int:
    try:
        number = int(value)
    except ValueError:
        number = least - 1
    if number < least:
        raise DatasetError(f"the {name} of generated scenes must be a whole number from {least} on, found {value!r}")
    return number


@dataclass(frozen=True)
class _StoredQuery:
    """A query without its image, which is drawn again when it is needed."""

    scene: int
    """Seed."""
    kind: str
    text: str
    target: RleMask

    @classmethod
    def from_query(cls, query: SceneQuery) -> "_StoredQuery":
        return cls(query.seed, query.kind, query.text, rle.encode_mask(query.target > 0))

    @property
    def id(self) -> str:
        return f"scene-{self.scene}"

    def draw_image(self) -> Image:
        height, width = self.target.size
        return Image(draw_scene(self.scene, size=(width, height)).pixels)

    def decode_mask(self) -> np.ndarray:
        """uint8, (H, W)."""
        return rle.decode_mask(self.target).astype(np.uint8)

    def to_sample(self) -> Sample:
        return Sample(
            id=self.id,
            query=self.text,
            source=self.id,
            open_image=self.draw_image,
            group=self.id,
            slices={"kind": self.kind},
            target=lambda: self.decode_mask() > 0,
        )


@lru_cache(maxsize=8)  # a run loads its data set again to score it, and drawing takes 0.2 s a query
def _store_queries(number: int, seed: int, sizes: tuple[tuple[int, int], ...]) -> tuple[_StoredQuery, ...]:
    return tuple(_StoredQuery.from_query(query) for query in generate_queries(number, seed=seed, sizes=sizes))


@dataclass(frozen=True)
class GeneratedScenes(OneMaskBenchmark):
    """Queries about drawn scenes."""

    number: int
    seed: int
    sizes: tuple[tuple[int, int], ...] = SIZES
    """(width, height) of the scenes, in turn."""

    name = "scenes"
    split = "test"
    version = "1"

    @cached_property
    def _queries(self) -> Sequence[_StoredQuery]:
        return _store_queries(self.number, self.seed, self.sizes)

    def list_samples(self) -> Sequence[Sample]:
        return [query.to_sample() for query in self._queries]

    def collect_info(self) -> DatasetInfo:
        asked = [(query.id, query.text, query.target.counts) for query in self._queries]
        return DatasetInfo(
            samples=self.number,
            images=self.number,
            hash=sha256(json.dumps(asked).encode()).hexdigest(),
            published=None,
            licence="Apache-2.0",
            source="nowhere: they are drawn",
            notes=("Drawn scenes and generated queries: comparable with no published number.",),
        )

    @cached_property
    def _scorer(self) -> OneMaskScorer:
        return OneMaskScorer({query.id: _make_target(query) for query in self._queries})

    @property
    def _submission_name(self) -> str:
        return "scenes.json"


def _make_target(query: _StoredQuery) -> Target:
    return Target(lambda: query.target.size, query.decode_mask)
