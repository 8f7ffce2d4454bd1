"""gRefCOCO: expressions that refer to none, one or several objects.

`grefcoco/grefs(unc).json` and `grefcoco/instances.json` of COCO, with the pictures of COCO train2014. `ann_id` and
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
from typing import Any

import numpy as np

from evals.datasets.files import Home, hash_of, once, opener, to_json
from evals.datasets.one_mask import by_id, target_of, union, union_rle
from evals.datasets.referring import Refs, Sentence, check_split, read_refs
from evals.metrics import grec, gres, refcoco
from evals.metrics.entries import Entry, ScoringError, field
from evals.metrics.gres import Convention, Counts
from evals.metrics.segments import check, to_rle
from evals.samples import DataError, Facts, Prediction, Sample, Scores
from evals.stats import Measure
from sam3_tool import rle

HOME = Home(
    "gRefCOCO",
    "the links in the README of github.com/henghuiding/gRefCOCO, and the pictures of COCO train2014 from"
    " cocodataset.org",
    "none stated for the expressions; the pictures are under COCO's terms of use",
)
SPLITS = ("val", "testA", "testB", "train")


def load(data: Path, split: str, *, convention: str = "rela", pictures: str | Path | None = None) -> "GRefCoco":
    """`data`: the folder of `grefs(unc).json`, or the one above; `pictures`: the folder train2014."""
    check_split(HOME, split, SPLITS)
    if convention not in ("rela", "gsva"):
        raise DataError(f"gRefCOCO is scored in the convention 'rela' (the official one) or 'gsva', not {convention!r}")
    places = [folder / f"grefs(unc){ending}" for ending in (".json", ".p") for folder in (data, data / "grefcoco")]
    file = HOME.first(places, "the file grefs(unc).json with instances.json beside it")
    return GRefCoco(split, "rela" if convention == "rela" else "gsva", read_refs(HOME, data, file, split, pictures))


@dataclass(frozen=True, eq=False)
class GRefCoco:
    split: str
    convention: Convention
    refs: Refs

    name = "grefcoco"

    @property
    def version(self) -> str:
        return f"1-{self.convention}"

    def samples(self) -> Sequence[Sample]:
        return [_sample(sentence) for sentence in self.refs.sentences]

    def facts(self) -> Facts:
        sentences = self.refs.sentences
        empty = sum(not sentence.annotations for sentence in sentences)
        return Facts(
            samples=len(sentences),
            pictures=len({sentence.path for sentence in sentences}),
            hash=hash_of(self.refs.files, self.refs.files[0].parent),
            published=None,
            licence=HOME.licence,
            home=HOME.where,
            notes=(
                f"Convention {self.convention}; no target is declared by answering without a mask.",
                f"{empty} of {len(sentences)} sentences have no target.",
            ),
        )

    @cached_property
    def _sentences(self) -> dict[str, Sentence]:
        return {sentence.id: sentence for sentence in self.refs.sentences}

    def submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """There is no official file: one mask a sentence, in COCO's run lengths, and whether it has a target."""
        entries = []
        for prediction in predictions:
            mask = union_rle(prediction, *_size(target_of(self._sentences, prediction)))
            entries.append({"id": prediction.id, "no_target": not prediction.masks, **mask.to_coco()})
        return {f"grefcoco_{self.split}.json": to_json(entries)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """A sentence that the file lacks counts as one declared to have no target."""
        entries = by_id(predictions, self._sentences)
        counts = [_counted(sentence, entries.get(id), self.convention) for id, sentence in self._sentences.items()]
        return self._of_masks(counts) | {"absent": len(self._sentences) - len(entries)}

    @cached_property
    def _counts(self) -> Callable[[Sequence[Prediction]], list[Counts]]:
        return once(lambda predictions: [self._count(prediction) for prediction in predictions])

    def _count(self, prediction: Prediction) -> Counts:
        sentence = target_of(self._sentences, prediction)
        target = _target(sentence)
        sample = gres.Sample(union(prediction, *target.shape), target, not prediction.masks, not sentence.annotations)
        return gres.count(sample, convention=self.convention)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Of masks, and of boxes (GREC) as `grec_f1` where there are sentences with and without target."""
        counts = self._counts(predictions)
        ids = [prediction.id for prediction in predictions]
        alone = gres.ious(counts, self.convention)
        metrics = self._of_masks(counts) | self._of_boxes(predictions)
        return Scores("giou", metrics, dict(zip(ids, alone.tolist(), strict=True)))

    def _of_masks(self, counts: Sequence[Counts]) -> dict[str, float]:
        try:
            scores = gres.of_counts(counts, self.convention)
        except ScoringError:  # of one kind of sentences only, where the others' shares have no official value
            return {"giou": gres.giou(gres.ious(counts, self.convention), self.convention), "n": len(counts)}
        return {name: value for name, value in scores.items() if name != "official"}

    def _of_boxes(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        try:
            return {"grec_f1": grec.score([self._boxes(prediction) for prediction in predictions])["f1"]}
        except ScoringError:
            return {}

    def _boxes(self, prediction: Prediction) -> grec.Sample:
        sentence = target_of(self._sentences, prediction)
        corners = [(x, y, x + w, y + h) for x, y, w, h in (one["bbox"] for one in sentence.annotations)]
        return grec.Sample(prediction.boxes, prediction.scores, corners, not sentence.annotations)

    def resample(self, predictions: Sequence[Prediction]) -> Measure:
        alone = gres.ious(self._counts(predictions), self.convention)
        return lambda drawn: gres.giou(alone[list(drawn)], self.convention)


def _counted(sentence: Sentence, entry: Entry | None, convention: Convention) -> Counts:
    """`entry`: of a file as `submission` writes it; None where it has none."""
    target = _target(sentence)
    name = f"prediction {sentence.id!r}"
    mask, declared = np.zeros_like(target), True
    if entry is not None:
        runs, declared = to_rle(entry, {}, lambda: name), bool(field(entry, "no_target", name))
        check(runs, lambda: name)
        mask = rle.decode(runs)
    if mask.shape != target.shape:
        raise ScoringError(f"{name}: its mask is {mask.shape}, its picture {target.shape}")
    return gres.count(gres.Sample(mask, target, declared, not sentence.annotations), convention=convention)


def _sample(sentence: Sentence) -> Sample:
    number = min(len(sentence.annotations), 2)
    return Sample(
        id=sentence.id,
        query=sentence.text,
        source=sentence.path.name,
        open=opener(sentence.path),
        group=sentence.path.name,
        slices={"targets": ("none", "one", "several")[number]},
        target=lambda: _target(sentence),
    )


def _size(sentence: Sentence) -> tuple[int, int]:
    return int(sentence.image["height"]), int(sentence.image["width"])


def _target(sentence: Sentence) -> np.ndarray:
    """bool, (H, W): the union of the objects; crowds are left out, as officially."""
    size = _size(sentence)
    parts: list[Any] = [
        refcoco.target(one, *size, convention="rela") for one in sentence.annotations if not one.get("iscrowd")
    ]
    return np.asarray(np.any([np.zeros(size, bool), *parts], axis=0))
