"""One's own images and queries: a folder with `queries.jsonl`, or a COCO file.

`queries.jsonl`, or any other `.jsonl` file, has one query a line. `mask` is an image that is neither black nor
transparent where the target is (in a JPEG: brighter than half), `boxes` are x0, y0, x1, y1 in pixels ([] where there is
nothing to be found); both may be left out, and paths are relative to the file:

    {"image": "a.jpg", "query": "the cup on the left", "mask": "masks/a.png", "boxes": [[10, 20, 40, 60]], "id": "a"}

`annotations.json`, or any other `.json` file, is read as COCO. The query is an annotation's caption, or the name of its
category; one image's annotations of equal queries are the targets of one query. What is marked as a crowd is neither
target nor background:

    {"images": [{"id": 1, "file_name": "a.jpg", "height": 480, "width": 640}],
     "annotations": [{"id": 1, "image_id": 1, "caption": "the cup", "segmentation": [[10, 20, 40, 20, 40, 60]],
                      "bbox": [10, 20, 30, 40]}]}

Masks are scored by gIoU and cIoU, boxes by cgF1; what has neither is only predicted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.files import (
    hash_files,
    make_image_opener,
    memoize_by_prediction,
    read_upright_size,
    to_json,
)
from evals.datasets.formats.one_mask import OneMaskScorer, Target, get_target, read_by_id
from evals.datasets.formats.own.coco import read_coco
from evals.datasets.formats.own.entry import SOURCE, Box, OwnEntry
from evals.datasets.formats.own.lines import read_lines
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, NoTruthError, ScoringError
from evals.metrics import cgf1
from evals.metrics.cgf1 import OutcomePool, PairOutcome
from evals.metrics.inputs import boxes
from evals.metrics.inputs.entries import require_list
from evals.metrics.inputs.segments import to_rle
from evals.samples import DatasetInfo, Prediction, Sample, Scores
from sam3_tool.masks.checks import is_number, shorten_value

LIST_FILE, COCO_FILE = "queries.jsonl", "annotations.json"
LIST_SUFFIXES = (".json", ".jsonl", ".ndjson")


@dataset_loader(splits=["all"])
def load(data: Path, split: str = "all", *, pictures: str | Path | None = None) -> "OwnDataset":
    """`data`: a folder or a file; `split` is only a name; `pictures`: where COCO's file names lie."""
    file = _find_list(data)
    found = read_coco(file, pictures) if file.suffix.lower() == ".json" else read_lines(file)
    if not found.entries:
        raise DatasetError(f"own data: {file} holds no query")
    _check_entries(file, found.entries)
    ignored = [f"{COCO_FILE} beside {LIST_FILE} is not read."] if {LIST_FILE, COCO_FILE} <= _list_names(data) else []
    return OwnDataset(split, file, found.entries, (*found.notes, *ignored))


def _find_list(data: Path) -> Path:
    """The file of queries that `data` is or holds. Raises DatasetError."""
    if data.suffix.lower() in LIST_SUFFIXES:
        return data
    if data.is_file():
        raise DatasetError(f"own data: {data} is a file; expected a folder, or a file that ends in .jsonl or .json")
    return SOURCE.find_first([data / LIST_FILE, data / COCO_FILE], f"{LIST_FILE}, or {COCO_FILE} as COCO has it")


def _list_names(data: Path) -> set[str]:
    return {path.name for path in data.iterdir()} if data.is_dir() else set()


def _check_entries(file: Path, entries: Sequence[OwnEntry]) -> None:
    """Raises DatasetError for two entries that cannot be told apart."""
    ids: set[str] = set()
    asked: dict[tuple[Path, str], OwnEntry] = {}
    for entry in entries:
        if entry.id in ids:
            raise DatasetError(f"own data: {file} has the id {entry.id!r} twice; every query needs one of its own")
        ids.add(entry.id)
        first = asked.setdefault((entry.image_path, entry.query), entry)
        if first is not entry:
            raise DatasetError(
                f"own data: {file} asks {shorten_value(entry.query)} of {entry.image_path.name} twice, in"
                f" {first.place} and {entry.place}; expected one query with all its targets"
            )


@dataclass(frozen=True, eq=False)
class OwnDataset:
    split: str
    file: Path
    entries: Sequence[OwnEntry]
    notes: Sequence[str] = ()
    """What in the file was not read."""

    name = "own"
    version = "3"

    def list_samples(self) -> Sequence[Sample]:
        return [_build_sample(entry) for entry in self.entries]

    def collect_info(self) -> DatasetInfo:
        drawn = dict.fromkeys(entry.mask_file for entry in self.entries if entry.mask_file)
        masks, boxed = sum(e.mask is not None for e in self.entries), sum(e.boxes is not None for e in self.entries)
        return DatasetInfo(
            samples=len(self.entries),
            images=len({entry.image_path for entry in self.entries}),
            hash=hash_files([self.file, *drawn], self.file.parent),
            published=None,
            licence=SOURCE.licence,
            source=str(self.file),
            notes=(f"{masks} of {len(self.entries)} queries have a mask, {boxed} have boxes.", *self.notes),
        )

    @cached_property
    def _entries_by_id(self) -> dict[str, OwnEntry]:
        return {entry.id: entry for entry in self.entries}

    @cached_property
    def _mask_scorer(self) -> OneMaskScorer:
        return OneMaskScorer({entry.id: _make_target(entry) for entry in self.entries if entry.mask})

    @cached_property
    def _judge_predictions(self) -> Callable[[Sequence[Prediction]], list[PairOutcome]]:
        return memoize_by_prediction(
            lambda predictions: [self._judge_prediction(prediction) for prediction in predictions]
        )

    def _judge_prediction(self, prediction: Prediction) -> PairOutcome:
        wanted = self._entries_by_id[prediction.id].boxes or ()
        kept = [box for box, score in zip(prediction.boxes, prediction.scores, strict=True) if score >= cgf1.MIN_SCORE]
        return cgf1.match_instances(boxes.compute_box_ious(_to_xywh(kept), _to_xywh(wanted)))

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """A list of `{"id", "masks", "boxes", "scores"}`: COCO's run lengths, and x0, y0, x1, y1 in pixels."""
        entries = [
            {
                "id": prediction.id,
                "image": get_target(self._entries_by_id, prediction).image_path.name,
                "masks": [mask.to_coco() for mask in prediction.masks],
                "boxes": prediction.boxes,
                "scores": prediction.scores,
            }
            for prediction in predictions
        ]
        return {"predictions.json": to_json(entries)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """A query that the file lacks counts as one without an answer."""
        entries = read_by_id(predictions, self._entries_by_id)
        for id, entry in entries.items():
            if "masks" not in entry and "boxes" not in entry:
                raise ScoringError(
                    f"prediction {id!r} has neither `masks` nor `boxes`; give [] where nothing was found"
                )
        scores = self.score([_parse_prediction(id, entries.get(id, {})) for id in self._entries_by_id])
        return {scores.headline: scores.metrics.get(scores.headline, 0.0), **scores.metrics}

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """gIoU and cIoU over the samples with a mask, `box_cgF1` … over those with boxes.

        Raises NoTruthError if there is nothing to score against.
        """
        masked, boxed = self._select_with_masks(predictions), self._select_with_boxes(predictions)
        if not masked and not boxed:
            raise self._build_no_target_error()
        scores = self._mask_scorer.score(masked) if masked else Scores("box_cgF1", {})
        if not boxed:
            return scores
        outcomes = self._judge_predictions(boxed)
        numbers = cgf1.select_headline(cgf1.compute_official_numbers(outcomes), len(outcomes))
        of_boxes = {f"box_{name}": numbers[name] for name in ("cgF1", "pmF1", "IL_MCC")}
        return Scores(scores.headline, {**scores.metrics, **of_boxes}, scores.per_sample)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        """NaN for a draw without a target."""
        masked, boxed = self._select_with_masks(predictions), self._select_with_boxes(predictions)
        if not masked and not boxed:
            raise self._build_no_target_error()
        kept = masked or boxed
        measure = (
            self._mask_scorer.build_measure(masked) if masked else _build_box_measure(self._judge_predictions(boxed))
        )
        places = {prediction.id: place for place, prediction in enumerate(kept)}

        def measure_draw(drawn: Sequence[int]) -> float:
            chosen = [places[predictions[index].id] for index in drawn if predictions[index].id in places]
            return measure(chosen) if chosen else float("nan")

        return measure_draw

    def _select_with_masks(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        return [
            prediction for prediction in predictions if get_target(self._entries_by_id, prediction).mask is not None
        ]

    def _select_with_boxes(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        return [
            prediction for prediction in predictions if get_target(self._entries_by_id, prediction).boxes is not None
        ]

    def _build_no_target_error(self) -> NoTruthError:
        return NoTruthError(
            f"own data: {self.file} gives these queries neither a mask nor boxes, so there is nothing to score against;"
            " add `mask` or `boxes`, or use `sam3-agent eval predict`, which only asks"
        )


def _parse_prediction(id: str, entry: Mapping[str, Any]) -> Prediction:
    """Parse an entry of a file as `build_submission` writes it. Raises ScoringError."""
    name = f"prediction {id!r}"
    masks = [to_rle(mask, {}, lambda: name) for mask in require_list(entry.get("masks", ()), f"{name}: `masks`")]
    found, scores = (require_list(entry.get(key, ()), f"{name}: `{key}`") for key in ("boxes", "scores"))
    if not all(isinstance(box, list) and len(box) == 4 and all(map(_is_side, box)) for box in found) or not all(
        map(_is_side, scores)
    ):
        raise ScoringError(f"{name}: `boxes` must be lists of x0, y0, x1, y1, and `scores` numbers")
    if len(found) != len(scores):
        raise ScoringError(f"{name}: {len(found)} boxes need as many scores, found {len(scores)}")
    return Prediction(id=id, status="ok", masks=tuple(masks), boxes=tuple(map(tuple, found)), scores=tuple(scores))


def _is_side(value: Any) -> bool:
    return is_number(value) and abs(value) <= boxes.MAX_SIDE


def _build_sample(entry: OwnEntry) -> Sample:
    reader = entry.mask
    return Sample(
        id=entry.id,
        query=entry.query,
        source=entry.image_path.name,
        open_image=make_image_opener(entry.image_path),
        group=str(entry.image_path),
        target=(lambda: reader() == 1) if reader else None,
    )


def _make_target(entry: OwnEntry) -> Target:
    assert entry.mask is not None
    return Target(lambda: read_upright_size(entry.image_path), entry.mask)


def _to_xywh(corners: Sequence[Box]) -> list[list[float]]:
    """x, y, w, h."""
    return [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in corners]


def _build_box_measure(outcomes: Sequence[PairOutcome]) -> Measure:
    pool = OutcomePool(outcomes)
    return lambda drawn: pool.compute_cgf1(np.bincount(np.asarray(drawn, int), minlength=len(outcomes)))
