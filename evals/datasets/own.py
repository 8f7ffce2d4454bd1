"""One's own pictures and queries: a folder with `queries.jsonl`, or a COCO file with captions.

`queries.jsonl`, one query a line. `mask` is a picture that is not black where the target is (black where there is
none), `boxes` are x0, y0, x1, y1 in pixels ([] where there is nothing to be found); both may be left out, and paths
are relative to the folder:

    {"image": "a.jpg", "query": "the cup on the left", "mask": "masks/a.png", "boxes": [[10, 20, 40, 60]], "id": "a"}

`annotations.json`, or any other `.json` file, is read as COCO with a caption per annotation; one picture's annotations
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
from PIL import Image
from pydantic import ValidationError

from evals.datasets.files import Home, hash_of, once, opener, to_json, upright_size
from evals.datasets.one_mask import OneMask, Target, by_id, target_of
from evals.metrics import boxes, cgf1
from evals.metrics.cgf1 import Outcome, Pool
from evals.metrics.entries import ScoringError, listed
from evals.metrics.segments import check, to_rle
from evals.samples import DataError, Facts, Prediction, Sample, Scores
from evals.stats import Measure
from sam3_tool import rle
from sam3_tool.rle import Rle

HOME = Home("own data", "where you have it; its format stands at the top of evals/datasets/own.py", "yours")
LIST, COCO = "queries.jsonl", "annotations.json"
FARTHEST = 1e9
"""In pixels: no picture reaches so far, and no box of one's own may."""
Box = tuple[float, float, float, float]


def load(data: Path, split: str = "all", *, pictures: str | Path | None = None) -> "Own":
    """`data`: a folder or a `.json` file; `split` is only a name; `pictures`: where COCO's file names lie."""
    if data.suffix == ".json":
        file = data
    else:
        file = HOME.first([data / LIST, data / COCO], f"{LIST}, or {COCO} as COCO has it with captions")
    entries = list(_coco(file, pictures) if file.suffix == ".json" else _lines(file))
    if not entries:
        raise DataError(f"own data: {file} holds no query")
    _check_ids(file, entries)
    return Own(split, file, entries)


@dataclass(frozen=True, eq=False)
class Entry:
    id: str
    query: str
    picture: Path
    mask: Callable[[], np.ndarray] | None
    """Reads uint8 (H, W) out of 0 and 1, in the picture's size; None where no mask is given."""
    mask_file: Path | None
    boxes: tuple[Box, ...] | None
    """x0, y0, x1, y1 in pixels; None where none are given."""


def _check_ids(file: Path, entries: Sequence[Entry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise DataError(f"own data: {file} has the id {entry.id!r} twice; every query needs one of its own")
        seen.add(entry.id)


# --- queries.jsonl


def _lines(file: Path) -> Iterator[Entry]:
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"own data: {file} cannot be read as UTF-8 text ({error})") from error
    # not str.splitlines, which also splits at U+2028 inside a query
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield _entry(file, number, line)


def _entry(file: Path, number: int, line: str) -> Entry:
    name = f"own data: {file}, line {number}"
    value = _object(name, line)
    picture = file.parent / _text(name, value, "image")
    mask = None if value.get("mask") is None else file.parent / _text(name, value, "mask")
    for path in (picture, *([mask] if mask else [])):
        if not path.is_file():
            raise DataError(f"{name}: there is no file {path}")
    return Entry(
        id=str(value.get("id", f"{number}-{picture.stem}")),
        query=_text(name, value, "query"),
        picture=picture,
        mask=None if mask is None else _mask_reader(mask, picture),
        mask_file=mask,
        boxes=None if value.get("boxes") is None else tuple(_box(name, box) for box in value["boxes"]),
    )


def _object(name: str, line: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is not JSON ({error})") from error
    if not isinstance(value, dict) or not isinstance(value.get("boxes", []), list | None):
        raise DataError(f'{name} must be an object such as {{"image": "a.jpg", "query": "the cup"}}, found {line[:80]}')
    return value


def _text(name: str, value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{name}: `{key}` must be a text, found {text!r}")
    return text.strip()


def _box(name: str, box: Any) -> Box:
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)
    if not numbers or not all(abs(side) < FARTHEST for side in box) or not (box[0] < box[2] and box[1] < box[3]):
        raise DataError(f"{name}: a box is x0, y0, x1, y1 in pixels with x0 < x1 and y0 < y1, found {str(box)[:80]}")
    return (float(box[0]), float(box[1]), float(box[2]), float(box[3]))


def _mask_reader(path: Path, picture: Path) -> Callable[[], np.ndarray]:
    def mask() -> np.ndarray:
        try:
            with Image.open(path) as image:
                values = np.asarray(_coloured(image) if image.mode in ("P", "PA", "LA", "RGBA", "CMYK") else image)
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"own data: the mask {path} cannot be read as a picture ({error})") from error
        found = (values if values.ndim == 2 else values.any(axis=2)) != 0
        height, width = upright_size(picture)
        if found.shape != (height, width):
            size = f"{found.shape[1]} x {found.shape[0]}"
            raise DataError(f"own data: the mask {path} is {size} pixels, its picture is {width} x {height}")
        return np.asarray(found, np.uint8)

    return mask


def _coloured(image: Image.Image) -> Image.Image:
    """As RGB. Of a palette the colours count, not the numbers; Pillow warns unless transparency has its own step."""
    return image.convert("RGBA").convert("RGB")


# --- COCO with captions


def _coco(file: Path, pictures: str | Path | None) -> Iterator[Entry]:
    images, groups = HOME.parsed(file, _captions)
    if not groups:
        return
    folders = [Path(pictures)] if pictures else [file.parent, file.parent / "images"]
    folder = HOME.pictures(folders, images[next(iter(groups))[0]]["file_name"])
    for number, ((image, caption), annotations) in enumerate(groups.items(), start=1):
        picture = folder / images[image]["file_name"]
        drawn = [one for one in annotations if one.get("segmentation")]
        boxed = [one for one in annotations if one.get("bbox")]
        yield Entry(
            id=f"{image}-{number}",
            query=caption,
            picture=picture,
            mask=_drawn_mask(file, images[image], picture, drawn) if drawn else None,
            mask_file=None,
            boxes=tuple(_corners(file, one) for one in boxed) if boxed else None,
        )


def _captions(content: Any) -> tuple[dict[Any, Any], dict[tuple[Any, str], list[Any]]]:
    """Images by id, and annotations by image and caption."""
    images = {entry["id"]: entry for entry in content["images"]}
    groups: dict[tuple[Any, str], list[Any]] = {}
    for entry in content["annotations"]:
        if not isinstance(entry["caption"], str):
            raise ScoringError(f"annotation {entry.get('id')!r}: `caption` must be a text, found {entry['caption']!r}")
        if caption := entry["caption"].strip():
            image = _named(images[entry["image_id"]])["id"]  # KeyError for one that is not listed
            groups.setdefault((image, caption), []).append(entry)
    return images, groups


def _named(image: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(image.get("file_name"), str):
        raise ScoringError(f"image {image['id']!r}: `file_name` must be a text, found {image.get('file_name')!r}")
    return image


def _corners(file: Path, annotation: Mapping[str, Any]) -> Box:
    x, y, w, h = boxes.checked(annotation["bbox"], f"own data: {file}, annotation {annotation.get('id')!r}")
    return (x, y, x + w, y + h)


def _drawn_mask(
    file: Path, image: Mapping[str, Any], picture: Path, annotations: Sequence[Mapping[str, Any]]
) -> Callable[[], np.ndarray]:
    def mask() -> np.ndarray:
        size = upright_size(picture)
        parts = [_drawn(f"own data: {file}, annotation {one.get('id')!r}", one, image, size) for one in annotations]
        return rle.decode(rle.merge(parts)).astype(np.uint8)

    return mask


def _drawn(name: str, annotation: Mapping[str, Any], image: Mapping[str, Any], size: tuple[int, int]) -> Rle:
    """`size`: (height, width) of the picture's file. Raises DataError."""
    try:
        drawn = to_rle(annotation["segmentation"], image, lambda: name)
        check(drawn, lambda: name)
    except ScoringError as error:
        raise DataError(str(error)) from error
    if drawn.size != size:
        found = f"{drawn.size[1]} x {drawn.size[0]}"
        raise DataError(f"{name}: its mask is {found} pixels, its picture is {size[1]} x {size[0]}")
    return drawn


# --- the data set


@dataclass(frozen=True, eq=False)
class Own:
    split: str
    file: Path
    entries: Sequence[Entry]

    name = "own"
    version = "2"

    def samples(self) -> Sequence[Sample]:
        return [_sample(entry) for entry in self.entries]

    def facts(self) -> Facts:
        drawn = dict.fromkeys(entry.mask_file for entry in self.entries if entry.mask_file)
        masks, boxed = sum(e.mask is not None for e in self.entries), sum(e.boxes is not None for e in self.entries)
        return Facts(
            samples=len(self.entries),
            pictures=len({entry.picture for entry in self.entries}),
            hash=hash_of([self.file, *drawn], self.file.parent),
            published=None,
            licence=HOME.licence,
            home=str(self.file),
            notes=(f"{masks} of {len(self.entries)} queries have a mask, {boxed} have boxes.",),
        )

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        return {entry.id: entry for entry in self.entries}

    @cached_property
    def _masks(self) -> OneMask:
        return OneMask({entry.id: _target(entry) for entry in self.entries if entry.mask})

    @cached_property
    def _outcomes(self) -> Callable[[Sequence[Prediction]], list[Outcome]]:
        return once(lambda predictions: [self._outcome(prediction) for prediction in predictions])

    def _outcome(self, prediction: Prediction) -> Outcome:
        wanted = self._entries[prediction.id].boxes or ()
        kept = [box for box, score in zip(prediction.boxes, prediction.scores, strict=True) if score >= cgf1.KEPT_FROM]
        return cgf1.outcome(boxes.ious(_sides(kept), _sides(wanted)))

    def submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """A list of `{"id", "masks", "boxes", "scores"}`: COCO's run lengths, and x0, y0, x1, y1 in pixels."""
        entries = [
            {
                "id": prediction.id,
                "image": target_of(self._entries, prediction).picture.name,
                "masks": [mask.to_coco() for mask in prediction.masks],
                "boxes": prediction.boxes,
                "scores": prediction.scores,
            }
            for prediction in predictions
        ]
        return {"predictions.json": to_json(entries)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """A query that the file lacks counts as one without an answer."""
        entries = by_id(predictions, self._entries)
        scores = self.score([_predicted(id, entries.get(id, {})) for id in self._entries])
        return {scores.headline: scores.metrics.get(scores.headline, 0.0), **scores.metrics}

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """gIoU and cIoU over the samples with a mask, `box_cgF1` … over those with boxes. Raises DataError if there is
        nothing to score against."""
        masked, boxed = self._with_masks(predictions), self._with_boxes(predictions)
        if not masked and not boxed:
            raise self._nothing()
        scores = self._masks.score(masked) if masked else Scores("box_cgF1", {})
        if not boxed:
            return scores
        outcomes = self._outcomes(boxed)
        numbers = cgf1.headline(cgf1.official(outcomes), len(outcomes))
        of_boxes = {f"box_{name}": numbers[name] for name in ("cgF1", "pmF1", "IL_MCC")}
        return Scores(scores.headline, {**scores.metrics, **of_boxes}, scores.per_sample)

    def resample(self, predictions: Sequence[Prediction]) -> Measure:
        """NaN for a draw without a target."""
        masked, boxed = self._with_masks(predictions), self._with_boxes(predictions)
        if not masked and not boxed:
            raise self._nothing()
        kept = masked or boxed
        measure = self._masks.resample(masked) if masked else _of_boxes(self._outcomes(boxed))
        places = {prediction.id: place for place, prediction in enumerate(kept)}

        def measured(drawn: Sequence[int]) -> float:
            chosen = [places[predictions[index].id] for index in drawn if predictions[index].id in places]
            return measure(chosen) if chosen else float("nan")

        return measured

    def _with_masks(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        return [prediction for prediction in predictions if target_of(self._entries, prediction).mask is not None]

    def _with_boxes(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        return [prediction for prediction in predictions if target_of(self._entries, prediction).boxes is not None]

    def _nothing(self) -> DataError:
        return DataError(
            f"own data: {self.file} gives these queries neither a mask nor boxes, so there is nothing to score against:"
            " the predictions are there; add `mask` or `boxes` to score them"
        )


def _predicted(id: str, entry: Mapping[str, Any]) -> Prediction:
    """Of a file as `submission` writes it. Raises ScoringError."""
    name = f"prediction {id!r}"
    masks = [to_rle(mask, {}, lambda: name) for mask in listed(entry.get("masks", ()), f"{name}: `masks`")]
    for mask in masks:
        check(mask, lambda: name)
    found, scores = entry.get("boxes", ()), entry.get("scores", ())
    try:
        prediction = Prediction(id=id, status="ok", masks=tuple(masks), boxes=found, scores=scores)
    except ValidationError as error:
        raise ScoringError(f"{name}: `boxes` must be lists of x0, y0, x1, y1, and `scores` numbers") from error
    if len(prediction.boxes) != len(prediction.scores):
        raise ScoringError(f"{name}: {len(prediction.boxes)} boxes need as many scores, found {len(prediction.scores)}")
    return prediction


def _sample(entry: Entry) -> Sample:
    reader = entry.mask
    return Sample(
        id=entry.id,
        query=entry.query,
        source=entry.picture.name,
        open=opener(entry.picture),
        group=str(entry.picture),
        target=(lambda: reader() > 0) if reader else None,
    )


def _target(entry: Entry) -> Target:
    assert entry.mask is not None
    return Target(lambda: upright_size(entry.picture), entry.mask)


def _sides(corners: Sequence[Box]) -> list[list[float]]:
    """x, y, w, h."""
    return [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in corners]


def _of_boxes(outcomes: Sequence[Outcome]) -> Measure:
    pool = Pool(outcomes)
    return lambda drawn: pool.cgf1(np.bincount(np.asarray(drawn, int), minlength=len(outcomes)))
