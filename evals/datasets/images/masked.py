"""Queries with one mask each, which is an image beside the photograph: scored by gIoU and cIoU."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import PIL.Image

from evals.datasets.formats.files import DataSource, find_file, hash_files, make_image_opener, read_upright_size
from evals.datasets.formats.one_mask import OneMaskBenchmark, OneMaskScorer, Target
from evals.datasets.formats.own.masks import UNREADABLE
from evals.errors import DatasetError
from evals.metrics.reasonseg import Convention
from evals.samples import DatasetInfo, Sample

ReadTarget = Callable[[PIL.Image.Image], np.ndarray]
"""Reads the target out of a mask's image: bool, (H, W)."""


@dataclass(frozen=True, eq=False)
class MaskedQuery:
    """One query with the files of its image and its mask."""

    id: str
    text: str
    image_path: Path
    mask_path: Path
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class MaskedDataset(OneMaskBenchmark):
    """A split of such a benchmark."""

    name: str
    source: DataSource
    split: str
    file: Path
    """The list of queries."""
    queries: Sequence[MaskedQuery]
    read_target: ReadTarget
    convention: Convention
    published: int | None = None
    notes: tuple[str, ...] = ()

    version = "1"

    def list_samples(self) -> Sequence[Sample]:
        return [self._build_sample(query) for query in self.queries]

    def _build_sample(self, query: MaskedQuery) -> Sample:
        target = self._targets[query.id]
        return Sample(
            id=query.id,
            query=query.text,
            source=query.image_path.name,
            open_image=make_image_opener(query.image_path),
            group=str(query.image_path),
            slices=query.slices,
            target=lambda: target.mask() == 1,
        )

    def collect_info(self) -> DatasetInfo:
        masks = dict.fromkeys(query.mask_path for query in self.queries)
        return DatasetInfo(
            samples=len(self.queries),
            images=len({query.image_path for query in self.queries}),
            hash=hash_files([self.file, *masks], self.file.parent),
            published=self.published,
            licence=self.source.licence,
            source=self.source.location,
            notes=self.notes,
        )

    @cached_property
    def _targets(self) -> dict[str, Target]:
        return {query.id: self._make_target(query) for query in self.queries}

    def _make_target(self, query: MaskedQuery) -> Target:
        def read_size() -> tuple[int, int]:
            return read_upright_size(query.image_path)

        def read_mask() -> np.ndarray:
            mask = read_mask_image(self.source, query.mask_path, self.read_target)
            if mask.shape != (size := read_size()):
                found = f"{mask.shape[1]} x {mask.shape[0]} pixels, its image {query.image_path} {size[1]} x {size[0]}"
                raise self.source.build_broken_error(query.mask_path, f"is {found}")
            return mask.astype(np.uint8)

        return Target(read_size, read_mask)

    @cached_property
    def _scorer(self) -> OneMaskScorer:
        return OneMaskScorer(self._targets, self.convention)

    @property
    def _submission_name(self) -> str:
        return f"{self.name}_{self.split}.json"


def read_mask_image(source: DataSource, path: Path, read_target: ReadTarget) -> np.ndarray:
    """Read the target of a mask's image: bool, (H, W). Raises DatasetError."""
    try:
        with PIL.Image.open(path) as image:
            return read_target(image)
    except UNREADABLE as error:
        raise source.build_broken_error(path, f"cannot be read as a mask ({error})") from error


def find_named(source: DataSource, folders: Sequence[Path], name: str, whose: str) -> Path:
    """The first file of this name in these folders. Raises DatasetError, in which `whose` names the entry."""
    for folder in folders:
        found = find_file(folder, name)
        if found is not None:
            return found
    tried = " and ".join(str(folder) for folder in folders)
    raise source.build_missing_error(f"{whose} names {name}, which is not in {tried}", "every file that is named")


def check_queries(source: DataSource, file: Path, queries: Sequence[MaskedQuery]) -> Sequence[MaskedQuery]:
    """The queries. Raises DatasetError where there is none."""
    if not queries:
        raise DatasetError(f"{source.name}: {file} holds no query; get a fresh copy from {source.location}")
    return queries
