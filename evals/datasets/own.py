"""One's own images and queries: a folder with `queries.jsonl`, or a COCO file with captions.

`queries.jsonl`, one query a line. `mask` is an image that is not black where the target is (black where there is
none), `boxes` are x0, y0, x1, y1 in pixels ([] where there is nothing to be found); both may be left out, and paths
are relative to the folder:

    {"image": "a.jpg", "query": "the cup on the left", "mask": "masks/a.png", "boxes": [[10, 20, 40, 60]], "id": "a"}

`annotations.json`, or any other `.json` file, is read as COCO with a caption per annotation; one image's annotations
of equal captions are the targets of one query:

    {"images": [{"id": 1, "file_name": "a.jpg", "height": 480, "width": 640}],
     "annotations": [{"id": 1, "image_id": 1, "caption": "the cup", "segmentation": [[10, 20, 40, 20, 40, 60]],
                      "bbox": [10, 20, 30, 40]}]}

Masks are scored by gIoU and cIoU, boxes by cgF1; what has neither is only predicted.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from pydantic import ValidationError

from evals.bootstrap import Measure
from evals.datasets.formats.files import (
    DataSource,
    hash_files,
    make_image_opener,
    memoize_by_prediction,
    read_upright_size,
    to_json,
)
from evals.datasets.formats.one_mask import OneMaskScorer, Target, get_target, read_by_id
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, ScoringError
from evals.metrics import cgf1
from evals.metrics.cgf1 import OutcomePool, PairOutcome
from evals.metrics.inputs import boxes
from evals.metrics.inputs.entries import require_list
from evals.metrics.inputs.segments import check_mask, to_rle
from evals.samples import DatasetInfo, Prediction, Sample, Scores
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask

SOURCE = DataSource("own data", "where you have it; its format stands at the top of evals/datasets/own.py", "yours")
LIST_FILE, COCO_FILE = "queries.jsonl", "annotations.json"
MAX_COORDINATE = 1e9
"""In pixels: no image reaches so far, and no box of one's own may."""
Box = tuple[float, float, float, float]


@dataset_loader(splits=["all"])
def load(data: Path, split: str = "all", *, pictures: str | Path | None = None) -> "OwnDataset":
    """`data`: a folder or a `.json` file; `split` is only a name; `pictures`: where COCO's file names lie."""
    if data.suffix == ".json":
        file = data
    else:
        file = SOURCE.find_first(
            [data / LIST_FILE, data / COCO_FILE], f"{LIST_FILE}, or {COCO_FILE} as COCO has it with captions"
        )
    entries = list(_read_coco(file, pictures) if file.suffix == ".json" else _read_lines(file))
    if not entries:
        raise DatasetError(f"own data: {file} holds no query")
    _check_ids(file, entries)
    return OwnDataset(split, file, entries)


@dataclass(frozen=True, eq=False)
class OwnEntry:
    id: str
    query: str
    image_path: Path
    mask: Callable[[], np.ndarray] | None
    """Reads uint8 (H, W) out of 0 and 1, in the image's size; None where no mask is given."""
    mask_file: Path | None
    boxes: tuple[Box, ...] | None
    """x0, y0, x1, y1 in pixels; None where none are given."""


def _check_ids(file: Path, entries: Sequence[OwnEntry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise DatasetError(f"own data: {file} has the id {entry.id!r} twice; every query needs one of its own")
        seen.add(entry.id)


# --- queries.jsonl


def _read_lines(file: Path) -> Iterator[OwnEntry]:
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"own data: {file} cannot be read as UTF-8 text ({error})") from error
    # not str.splitlines, which also splits at U+2028 inside a query
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield _parse_entry(file, number, line)


def _parse_entry(file: Path, number: int, line: str) -> OwnEntry:
    name = f"own data: {file}, line {number}"
    value = _parse_object(name, line)
    image_path = file.parent / _get_text(name, value, "image")
    mask = None if value.get("mask") is None else file.parent / _get_text(name, value, "mask")
    for path in (image_path, *([mask] if mask else [])):
        if not path.is_file():
            raise DatasetError(f"{name}: there is no file {path}")
    return OwnEntry(
        id=str(value.get("id", f"{number}-{image_path.stem}")),
        query=_get_text(name, value, "query"),
        image_path=image_path,
        mask=None if mask is None else _make_mask_reader(mask, image_path),
        mask_file=mask,
        boxes=None if value.get("boxes") is None else tuple(_parse_box(name, box) for box in value["boxes"]),
    )


def _parse_object(name: str, line: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{name} is not JSON ({error})") from error
    if not isinstance(value, dict) or not isinstance(value.get("boxes", []), list | None):
        raise DatasetError(
            f'{name} must be an object such as {{"image": "a.jpg", "query": "the cup"}}, found {line[:80]}'
        )
    return value


def _get_text(name: str, value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(f"{name}: `{key}` must be a text, found {text!r}")
    return text.strip()


def _parse_box(name: str, box: Any) -> Box:
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)
    if not numbers or not all(abs(side) < MAX_COORDINATE for side in box) or not (box[0] < box[2] and box[1] < box[3]):
        raise DatasetError(f"{name}: a box is x0, y0, x1, y1 in pixels with x0 < x1 and y0 < y1, found {str(box)[:80]}")
    return (float(box[0]), float(box[1]), float(box[2]), float(box[3]))


def _make_mask_reader(path: Path, image_path: Path) -> Callable[[], np.ndarray]:
    def read_mask() -> np.ndarray:
        try:
            with PIL.Image.open(path) as image:
                values = np.asarray(_to_rgb(image) if image.mode in ("P", "PA", "LA", "RGBA", "CMYK") else image)
        except (OSError, ValueError, SyntaxError) as error:
            raise DatasetError(f"own data: the mask {path} cannot be read as an image ({error})") from error
        found = (values if values.ndim == 2 else values.any(axis=2)) != 0
        height, width = read_upright_size(image_path)
        if found.shape != (height, width):
            size = f"{found.shape[1]} x {found.shape[0]}"
            raise DatasetError(f"own data: the mask {path} is {size} pixels, its image is {width} x {height}")
        return np.asarray(found, np.uint8)

    return read_mask


def _to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Convert to RGB: in a palette the colours count, not the numbers."""
    # Pillow warns unless transparency has a step of its own
    return image.convert("RGBA").convert("RGB")


# --- COCO with captions


def _read_coco(file: Path, image_folder: str | Path | None) -> Iterator[OwnEntry]:
    images, groups = SOURCE.parse_json(file, _group_by_caption)
    if not groups:
        return
    folders = [Path(image_folder)] if image_folder else [file.parent, file.parent / "images"]
    folder = SOURCE.find_image_folder(folders, images[next(iter(groups))[0]]["file_name"])
    for number, ((image, caption), annotations) in enumerate(groups.items(), start=1):
        image_path = folder / images[image]["file_name"]
        drawn = [annotation for annotation in annotations if annotation.get("segmentation")]
        boxed = [annotation for annotation in annotations if annotation.get("bbox")]
        yield OwnEntry(
            id=f"{image}-{number}",
            query=caption,
            image_path=image_path,
            mask=_make_drawn_mask_reader(file, images[image], image_path, drawn) if drawn else None,
            mask_file=None,
            boxes=tuple(_get_corners(file, annotation) for annotation in boxed) if boxed else None,
        )


def _group_by_caption(content: Any) -> tuple[dict[Any, Any], dict[tuple[Any, str], list[Any]]]:
    """Images by id, and annotations by image and caption."""
    images = {entry["id"]: entry for entry in content["images"]}
    groups: dict[tuple[Any, str], list[Any]] = {}
    for entry in content["annotations"]:
        if not isinstance(entry["caption"], str):
            raise ScoringError(f"annotation {entry.get('id')!r}: `caption` must be a text, found {entry['caption']!r}")
        if caption := entry["caption"].strip():
            image = _check_file_name(images[entry["image_id"]])["id"]  # KeyError for one that is not listed
            groups.setdefault((image, caption), []).append(entry)
    return images, groups


def _check_file_name(image: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(image.get("file_name"), str):
        raise ScoringError(f"image {image['id']!r}: `file_name` must be a text, found {image.get('file_name')!r}")
    return image


def _get_corners(file: Path, annotation: Mapping[str, Any]) -> Box:
    x, y, w, h = boxes.check_box(annotation["bbox"], f"own data: {file}, annotation {annotation.get('id')!r}")
    return (x, y, x + w, y + h)


def _make_drawn_mask_reader(
    file: Path, image: Mapping[str, Any], image_path: Path, annotations: Sequence[Mapping[str, Any]]
) -> Callable[[], np.ndarray]:
    def read_drawn_mask() -> np.ndarray:
        size = read_upright_size(image_path)
        parts = [
            _draw_annotation(f"own data: {file}, annotation {annotation.get('id')!r}", annotation, image, size)
            for annotation in annotations
        ]
        return rle.decode_mask(rle.merge_masks(parts)).astype(np.uint8)

    return read_drawn_mask


def _draw_annotation(
    name: str, annotation: Mapping[str, Any], image: Mapping[str, Any], size: tuple[int, int]
) -> RleMask:
    """`size`: (height, width) of the image's file. Raises DatasetError."""
    try:
        drawn = to_rle(annotation["segmentation"], image, lambda: name)
        check_mask(drawn, lambda: name)
    except ScoringError as error:
        raise DatasetError(str(error)) from error
    if drawn.size != size:
        found = f"{drawn.size[1]} x {drawn.size[0]}"
        raise DatasetError(f"{name}: its mask is {found} pixels, its image is {size[1]} x {size[0]}")
    return drawn


# --- the data set


@dataclass(frozen=True, eq=False)
class OwnDataset:
    split: str
    file: Path
    entries: Sequence[OwnEntry]

    name = "own"
    version = "2"

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
            notes=(f"{masks} of {len(self.entries)} queries have a mask, {boxed} have boxes.",),
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
        scores = self.score([_parse_prediction(id, entries.get(id, {})) for id in self._entries_by_id])
        return {scores.headline: scores.metrics.get(scores.headline, 0.0), **scores.metrics}

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """gIoU and cIoU over the samples with a mask, `box_cgF1` … over those with boxes.

        Raises DatasetError if there is nothing to score against.
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

    def _build_no_target_error(self) -> DatasetError:
        return DatasetError(
            f"own data: {self.file} gives these queries neither a mask nor boxes, so there is nothing to score against:"
            " the predictions are there; add `mask` or `boxes` to score them"
        )


def _parse_prediction(id: str, entry: Mapping[str, Any]) -> Prediction:
    """Parse an entry of a file as `build_submission` writes it. Raises ScoringError."""
    name = f"prediction {id!r}"
    masks = [to_rle(mask, {}, lambda: name) for mask in require_list(entry.get("masks", ()), f"{name}: `masks`")]
    for mask in masks:
        check_mask(mask, lambda: name)
    found, scores = entry.get("boxes", ()), entry.get("scores", ())
    try:
        prediction = Prediction(id=id, status="ok", masks=tuple(masks), boxes=found, scores=scores)
    except ValidationError as error:
        raise ScoringError(f"{name}: `boxes` must be lists of x0, y0, x1, y1, and `scores` numbers") from error
    if len(prediction.boxes) != len(prediction.scores):
        raise ScoringError(f"{name}: {len(prediction.boxes)} boxes need as many scores, found {len(prediction.scores)}")
    return prediction


def _build_sample(entry: OwnEntry) -> Sample:
    reader = entry.mask
    return Sample(
        id=entry.id,
        query=entry.query,
        source=entry.image_path.name,
        open_image=make_image_opener(entry.image_path),
        group=str(entry.image_path),
        target=(lambda: reader() > 0) if reader else None,
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
