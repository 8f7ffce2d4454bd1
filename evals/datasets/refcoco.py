"""RefCOCO, RefCOCO+ and RefCOCOg: every sentence about one object is a sample.

`refcoco/refs(unc).p`, a pickle of Python 2, and `refcoco/instances.json` of COCO, with the images of COCO train2014:

    [{"ref_id": 0, "ann_id": 1719310, "image_id": 581857, "category_id": 1, "split": "testA", "sent_ids": [0],
      "file_name": "COCO_train2014_000000581857_16.jpg",
      "sentences": [{"sent_id": 0, "sent": "the lady with the blue shirt", "raw": "THE LADY...", "tokens": ["the"]}]}]

Papers of LISA's line quote cIoU, VisionReasoner gIoU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from evals.datasets.formats.files import DataSource, hash_files, make_image_opener, name_file
from evals.datasets.formats.one_mask import OneMaskBenchmark, OneMaskScorer, Target
from evals.datasets.formats.referring import Refs, Sentence, check_split, read_refs
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, ScoringError
from evals.metrics import refcoco
from evals.metrics.inputs.segments import read_image_size
from evals.samples import DatasetInfo, Sample

SOURCES = {
    name: DataSource(
        title,
        "the links in the README of github.com/dvlab-research/LISA under Training Data Preparation, and the images"
        " of COCO train2014 from cocodataset.org",
        "Apache-2.0 for the expressions; the images are under COCO's terms of use",
    )
    for name, title in (("refcoco", "RefCOCO"), ("refcoco+", "RefCOCO+"), ("refcocog", "RefCOCOg"))
}
SPLITS = {"unc": ("val", "testA", "testB", "train"), "umd": ("val", "test", "train"), "google": ("val", "train")}
PUBLISHED = {
    ("refcoco", "unc", "val"): 10834,
    ("refcoco", "unc", "testA"): 5657,
    ("refcoco", "unc", "testB"): 5095,
    ("refcoco+", "unc", "val"): 10758,
    ("refcoco+", "unc", "testA"): 5726,
    ("refcoco+", "unc", "testB"): 4889,
    ("refcocog", "umd", "val"): 4896,
    ("refcocog", "umd", "test"): 9602,
}
"""Sentences."""


@dataset_loader(splits=SPLITS["unc"])
def load_refcoco(data: Path, split: str, *, split_by: str = "unc", pictures: str | Path | None = None) -> "RefCoco":
    """Load RefCOCO.

    Args:
        data: The folder `refcoco`, or the one above.
        split: One of SPLITS[split_by].
        split_by: Who made the splits.
        pictures: The folder train2014, if it does not lie where LISA's instructions put it.

    Raises:
        DatasetError: There is no such split, or files are missing or not as published.
    """
    return _load("refcoco", data, split, split_by, pictures)


@dataset_loader(splits=SPLITS["unc"])
def load_refcoco_plus(
    data: Path, split: str, *, split_by: str = "unc", pictures: str | Path | None = None
) -> "RefCoco":
    """Load RefCOCO+, as `load_refcoco` loads RefCOCO."""
    return _load("refcoco+", data, split, split_by, pictures)


@dataset_loader(splits=SPLITS["umd"])
def load_refcocog(data: Path, split: str, *, split_by: str = "umd", pictures: str | Path | None = None) -> "RefCoco":
    """Load RefCOCOg, as `load_refcoco` loads RefCOCO. Its splits are by umd, unless "google" is said."""
    return _load("refcocog", data, split, split_by, pictures)


def _load(name: str, data: Path, split: str, split_by: str, pictures: str | Path | None) -> "RefCoco":
    source = SOURCES[name]
    if split_by not in SPLITS:
        raise DatasetError(f"{source.name} is split by {', '.join(SPLITS)}, not {split_by!r}")
    check_split(source, split, SPLITS[split_by])
    file = f"refs({split_by}).p"
    found = source.find_first(
        [data / file, data / name / file], f"the file {name}/{file} with instances.json beside it"
    )
    return RefCoco(name, source, split, split_by, read_refs(source, data, found, split, pictures))


@dataclass(frozen=True, eq=False)
class RefCoco(OneMaskBenchmark):
    name: str
    source: DataSource
    split: str
    split_by: str
    refs: Refs

    version = "1"

    def list_samples(self) -> Sequence[Sample]:
        return [_build_sample(sentence) for sentence in self.refs.sentences]

    def collect_info(self) -> DatasetInfo:
        sentences = self.refs.sentences
        return DatasetInfo(
            samples=len(sentences),
            images=len({sentence.path for sentence in sentences}),
            hash=hash_files(self.refs.files, self.refs.files[0].parent),
            published=PUBLISHED.get((self.name, self.split_by, self.split)),
            licence=self.source.licence,
            source=self.source.location,
            notes=(f"Split by {self.split_by}; every sentence is a sample.",),
        )

    @cached_property
    def _scorer(self) -> OneMaskScorer:
        return OneMaskScorer({sentence.id: _make_target(sentence) for sentence in self.refs.sentences}, headline="ciou")

    @property
    def _submission_name(self) -> str:
        return f"{self.name}_{self.split_by}_{self.split}.json"


def _build_sample(sentence: Sentence) -> Sample:
    return Sample(
        id=sentence.id,
        query=sentence.text,
        source=sentence.path.name,
        open_image=make_image_opener(sentence.path),
        group=sentence.path.name,
        target=lambda: _make_target(sentence).mask() > 0,
    )


def _make_target(sentence: Sentence) -> Target:
    def read_size() -> tuple[int, int]:
        with name_file(sentence.instances, sentence.of):
            return read_image_size(sentence.image, f"image {sentence.image['id']!r}")

    def build_mask() -> np.ndarray:
        height, width = read_size()
        with name_file(sentence.instances, sentence.of):
            if len(sentence.annotations) != 1:
                raise ScoringError(f"sentence {sentence.id} is of {len(sentence.annotations)} annotations, not of one")
            return refcoco.build_target(sentence.annotations[0], height, width)

    return Target(read_size, build_mask)
