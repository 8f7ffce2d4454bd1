"""gRefCOCO: expressions that refer to none, one or several objects.

`grefcoco/grefs(unc).json` and `grefcoco/instances.json` of COCO, with the images of COCO train2014. `ann_id` and
`category_id` are lists; [-1] is no target:

    [{"ref_id": 0, "ann_id": [1719310, 1719311], "image_id": 581857, "category_id": [1, 1], "split": "val",
      "sent_ids": [0], "file_name": "COCO_train2014_000000581857_0.jpg",
      "sentences": [{"sent_id": 0, "sent": "two people on the right", "raw": "...", "tokens": ["two"]}]}]

"No target" is declared by answering without a mask. There are two conventions, "rela" (the official one) and "gsva".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.files import (
    DataSource,
    hash_files,
    make_image_opener,
    memoize_by_prediction,
    name_file,
    to_json,
)
from evals.datasets.formats.one_mask import get_target, merge_masks, merge_masks_rle, read_by_id
from evals.datasets.formats.referring import Refs, Sentence, check_split, read_refs
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, ScoringError
from evals.metrics import grec, gres, refcoco
from evals.metrics.gres import Convention, PixelCounts
from evals.metrics.inputs.boxes import check_box
from evals.metrics.inputs.entries import Entry, get_field
from evals.metrics.inputs.segments import read_image_size, to_rle
from evals.samples import DatasetInfo, Prediction, Sample, Scores
from sam3_tool.masks import rle
from sam3_tool.masks.checks import shorten_value

SOURCE = DataSource(
    "gRefCOCO",
    "the links in the README of github.com/henghuiding/gRefCOCO, and the images of COCO train2014 from cocodataset.org",
    "none stated for the expressions; the images are under COCO's terms of use",
)
SPLITS = ("val", "testA", "testB", "train")


@dataset_loader(splits=SPLITS)
def load(data: Path, split: str, *, convention: str = "rela", pictures: str | Path | None = None) -> "GRefCoco":
    """`data`: the folder of `grefs(unc).json`, or the one above; `pictures`: the folder train2014."""
    check_split(SOURCE, split, SPLITS)
    if convention not in ("rela", "gsva"):
        raise DatasetError(
            f"gRefCOCO is scored in the convention 'rela' (the official one) or 'gsva', not {convention!r}"
        )
    places = [folder / f"grefs(unc){ending}" for ending in (".json", ".p") for folder in (data, data / "grefcoco")]
    file = SOURCE.find_first(places, "the file grefs(unc).json with instances.json beside it")
    return GRefCoco(split, "rela" if convention == "rela" else "gsva", read_refs(SOURCE, data, file, split, pictures))


@dataclass(frozen=True, eq=False)
class GRefCoco:
    split: str
    convention: Convention
    refs: Refs

    name = "grefcoco"

    @property
    def version(self) -> str:
        return f"2-{self.convention}"

    def list_samples(self) -> Sequence[Sample]:
        return [_build_sample(sentence) for sentence in self.refs.sentences]

    def collect_info(self) -> DatasetInfo:
        sentences = self.refs.sentences
        empty = sum(not sentence.annotations for sentence in sentences)
        return DatasetInfo(
            samples=len(sentences),
            images=len({sentence.path for sentence in sentences}),
            hash=hash_files(self.refs.files, self.refs.files[0].parent),
            published=None,
            licence=SOURCE.licence,
            source=SOURCE.location,
            notes=(
                f"Convention {self.convention}; no target is declared by answering without a mask.",
                f"{empty} of {len(sentences)} sentences have no target.",
            ),
        )

    @cached_property
    def _sentences_by_id(self) -> dict[str, Sentence]:
        return {sentence.id: sentence for sentence in self.refs.sentences}

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """There is no official file: one mask a sentence, in COCO's run lengths, and whether it has a target."""
        entries = []
        for prediction in predictions:
            mask = merge_masks_rle(prediction, *_get_size(get_target(self._sentences_by_id, prediction)))
            entries.append({"id": prediction.id, "no_target": not prediction.masks, **mask.to_coco()})
        return {f"grefcoco_{self.split}.json": to_json(entries)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """A sentence that the file lacks counts as one declared to have no target."""
        entries = read_by_id(predictions, self._sentences_by_id)
        counts = [
            _count_entry(sentence, entries.get(id), self.convention) for id, sentence in self._sentences_by_id.items()
        ]
        return self._score_masks(counts) | {"absent": len(self._sentences_by_id) - len(entries)}

    @cached_property
    def _count_predictions(self) -> Callable[[Sequence[Prediction]], list[PixelCounts]]:
        return memoize_by_prediction(
            lambda predictions: [self._count_prediction(prediction) for prediction in predictions]
        )

    def _count_prediction(self, prediction: Prediction) -> PixelCounts:
        sentence = get_target(self._sentences_by_id, prediction)
        target = _build_target(sentence)
        sample = gres.Sample(
            merge_masks(prediction, *target.shape), target, not prediction.masks, not sentence.annotations
        )
        return gres.count_pixels(sample, convention=self.convention)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Score masks; and boxes (GREC) as `grec_f1` …, where there are sentences with and without target."""
        counts = self._count_predictions(predictions)
        ids = [prediction.id for prediction in predictions]
        alone = gres.compute_sample_ious(counts, self.convention)
        metrics = self._score_masks(counts) | self._score_boxes(predictions)
        return Scores("giou", metrics, dict(zip(ids, alone.tolist(), strict=True)))

    def _score_masks(self, counts: Sequence[PixelCounts]) -> dict[str, float]:
        try:
            scores = gres.score_counts(counts, self.convention)
        except ScoringError:  # of one kind of sentences only, where the others' shares have no official value
            return {
                "giou": gres.compute_giou(gres.compute_sample_ious(counts, self.convention), self.convention),
                "n": len(counts),
            }
        return {name: value for name, value in scores.items() if name != "official"}

    def _score_boxes(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        try:
            scores = grec.score([self._build_box_sample(prediction) for prediction in predictions])
        except ScoringError:
            return {}
        return {f"grec_{name}": scores[name] for name in ("f1", "n_acc", "t_acc")}

    def _build_box_sample(self, prediction: Prediction) -> grec.Sample:
        sentence = get_target(self._sentences_by_id, prediction)
        with name_file(sentence.instances, sentence.of):
            corners = [(x, y, x + w, y + h) for x, y, w, h in map(_read_box, sentence.annotations)]
        return grec.Sample(prediction.boxes, prediction.scores, corners, not sentence.annotations)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        alone = gres.compute_sample_ious(self._count_predictions(predictions), self.convention)
        return lambda drawn: gres.compute_giou(alone[list(drawn)], self.convention)


def _read_box(annotation: Entry) -> list[float]:
    name = f"annotation {annotation.get('id')!r}"
    return check_box(get_field(annotation, "bbox", name), name)


def _count_entry(sentence: Sentence, entry: Entry | None, convention: Convention) -> PixelCounts:
    """`entry`: of a file as `build_submission` writes it; None where it has none."""
    target = _build_target(sentence)
    name = f"prediction {sentence.id!r}"
    mask, declared = np.zeros_like(target), True
    if entry is not None:
        runs, declared = to_rle(entry, {}, lambda: name), get_field(entry, "no_target", name)
        if declared not in (True, False):
            raise ScoringError(f"{name}: `no_target` must be true or false, found {shorten_value(declared)}")
        mask = rle.decode_mask(runs)
    if mask.shape != target.shape:
        raise ScoringError(f"{name}: its mask is {mask.shape}, its image {target.shape}")
    return gres.count_pixels(gres.Sample(mask, target, bool(declared), not sentence.annotations), convention=convention)


def _build_sample(sentence: Sentence) -> Sample:
    number = min(len(sentence.annotations), 2)
    return Sample(
        id=sentence.id,
        query=sentence.text,
        source=sentence.path.name,
        open_image=make_image_opener(sentence.path),
        group=sentence.path.name,
        slices={"targets": ("none", "one", "several")[number]},
        target=lambda: _build_target(sentence),
    )


def _get_size(sentence: Sentence) -> tuple[int, int]:
    with name_file(sentence.instances, sentence.of):
        return read_image_size(sentence.image, f"image {sentence.image['id']!r}")


def _build_target(sentence: Sentence) -> np.ndarray:
    """bool, (H, W): the union of the objects; crowds are left out, as officially."""
    size = _get_size(sentence)
    whole = np.zeros(size, bool)
    for annotation in sentence.annotations:
        if not annotation.get("iscrowd"):
            with name_file(sentence.instances, sentence.of):
                whole |= refcoco.build_target(annotation, *size, convention="rela") > 0
    return whole
