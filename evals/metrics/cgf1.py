"""cgF1 = pmF1 x IL_MCC, SA-Co's headline number, over (image, phrase) pairs.

Source: SAM 3 (2025), appendix on metrics, and facebookresearch/sam3 `sam3/eval/cgf1_eval.py`, constants included.

Of a pair, predictions with score >= 0.5 are matched once to the targets by the assignment with the greatest summed
IoU. At each threshold t of .50, .55 … .95, TP counts matches with IoU >= t, FP the other predictions, FN the other
targets. Summed over pairs, FP only over pairs that have targets:

- precision = TP / (TP + FP + 1e-4), recall = TP / (TP + FN + 1e-4), pmF1_t = 2 p r / (p + r + 1e-4)
- IL_MCC: Matthews correlation of "has targets" and "has predictions", with 1e-6 added to the denominator
- cgF1 = mean over t of pmF1_t x IL_MCC
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from evals.errors import ScoringError
from evals.metrics.inputs import boxes, segments
from evals.metrics.inputs.entries import (
    Entry,
    JsonSource,
    get_field,
    get_key,
    is_score_at_least,
    read_json,
    require_list,
    require_object,
    sort_keys,
)
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask

IouType = Literal["segm", "bbox"]
THRESHOLDS = np.linspace(0.5, 0.95, 10)  # not np.arange, whose 0.6 to 0.95 lie above those of pycocotools
MIN_SCORE = 0.5
"""Predictions with a lower score are not looked at."""
_F1_EPSILON, _LEVEL_EPSILON = 1e-4, 1e-6
_THRESHOLD_NUMBERS = (
    "cgF1",
    "precision",
    "recall",
    "F1",
    "positive_macro_F1",
    "positive_micro_F1",
    "positive_micro_precision",
)
"""The official names of what has a value at each threshold."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PairOutcome:
    """The matches of one pair with the targets of one annotator."""

    predicted: int
    targets: int
    hits: np.ndarray
    """int64, (10,): matched instances whose IoU reaches each threshold."""

    @property
    def is_empty(self) -> bool:
        """Nothing is there and nothing was predicted."""
        return self.predicted == self.targets == 0

    @cached_property
    def f1(self) -> np.ndarray:
        """float64, (10,)."""
        return _compute_f1(
            _compute_share(self.hits, self.predicted - self.hits), _compute_share(self.hits, self.targets - self.hits)
        )


def match_instances(ious: np.ndarray) -> PairOutcome:
    """`ious`: float64, or float32 for boxes of videos, (predictions, targets)."""
    rows, columns = linear_sum_assignment(-ious)
    # in their own type, as in NumPy before 2, which sam3 pins
    hits = (ious[rows, columns][:, None] >= THRESHOLDS.astype(ious.dtype)).sum(axis=0)
    predicted, targets = ious.shape
    return PairOutcome(predicted, targets, hits)


def choose_best_outcome(outcomes: Sequence[PairOutcome]) -> PairOutcome:
    """The annotator that an oracle picks: a pair rightly left empty, else the highest mean F1, the first of equals."""
    chosen = outcomes[0]
    for candidate in outcomes[1:]:
        if candidate.is_empty or (not chosen.is_empty and candidate.f1.mean() > chosen.f1.mean()):
            chosen = candidate
    return chosen


def compute_official_numbers(outcomes: Sequence[PairOutcome]) -> dict[str, float]:
    """Compute the 26 numbers of the official evaluator, all as fractions, such as `cgF1@0.5` and `IL_MCC`.

    A mean over thresholds leaves out those without a value; where none has one it is -1.
    """
    counted, level = _score_thresholds(outcomes), _score_image_level(outcomes)
    counted["cgF1"] = counted["positive_micro_F1"] * level["IL_MCC"]
    means = {name: _compute_mean(counted[name]) for name in _THRESHOLD_NUMBERS}
    at = {
        f"{name}@{t}": _compute_mean(counted[name][t == THRESHOLDS]) for t in (0.5, 0.75) for name in _THRESHOLD_NUMBERS
    }
    return means | level | at


def select_headline(official: Mapping[str, float], pairs: int) -> dict[str, float]:
    """Select the numbers that papers quote: F1 scores in percent, IL_MCC in [-1, 1]."""
    return {
        "cgF1": 100 * official["cgF1"],
        "pmF1": 100 * official["positive_micro_F1"],
        "IL_MCC": official["IL_MCC"],
        "IL_F1": 100 * official["IL_F1"],
        "cgF1_50": 100 * official["cgF1@0.5"],
        "cgF1_75": 100 * official["cgF1@0.75"],
        "positive_micro_F1_50": 100 * official["positive_micro_F1@0.5"],
        "positive_micro_F1_75": 100 * official["positive_micro_F1@0.75"],
        "pairs": float(pairs),
    }


def score_pairs(pairs: Iterable[tuple[Sequence[RleMask], Sequence[RleMask]]]) -> dict[str, float]:
    """The headline of (predicted, target) instances, one entry per (image, phrase) pair.

    >>> disc = rle.encode_mask(np.eye(8, dtype=bool))
    >>> scores = score_pairs([([disc], [disc]), ([], [])])
    >>> round(scores["cgF1"], 1), round(scores["IL_MCC"], 4)
    (100.0, 1.0)
    """
    outcomes = [match_instances(rle.compute_ious(predicted, targets)) for predicted, targets in pairs]
    return select_headline(compute_official_numbers(outcomes), len(outcomes))


def score(
    ground_truths: JsonSource | Sequence[JsonSource], predictions: JsonSource, iou_type: IouType = "segm"
) -> dict[str, Any]:
    """The headline of a SA-Co prediction file against one to three annotator files, in order (a, b, c).

    `cgF1`, `pmF1`, `positive_micro_F1_50` … in percent, `IL_MCC`, `pairs`, and under `official` the dictionary of the
    official evaluator, fractions under its own names (`cgF1_eval_segm_cgF1` …). Files are paths or parsed JSON:
    ground truth as SA-Co has it, predictions as a list of `{image_id, category_id, segmentation, bbox, score}`.

    Scored are the pairs that every annotator marked as exhaustive; with several annotators each pair is scored
    against the one that suits it best. What the official code cannot score raises ScoringError; but masks without a
    `bbox` are scored against several annotators, too, where its loader stops.
    """
    if iou_type not in ("segm", "bbox"):
        raise ScoringError(f"`iou_type` must be 'segm' or 'bbox', found {iou_type!r}")
    annotators = [
        Annotator.from_json(read_json(file, "ground truth"), _name_source(file)) for file in _list_files(ground_truths)
    ]
    answers = _group_by_image(require_list(read_json(predictions, "predictions"), "predictions"))
    pairs = find_exhaustive_pairs(annotators)
    _warn_of_unknown_images(answers, annotators[0])
    outcomes = [judge_pair(pair, answers.get(pair, []), annotators, iou_type) for pair in pairs]
    numbers = compute_official_numbers(outcomes)
    named = {f"cgF1_eval_{iou_type}_{name}": value for name, value in numbers.items()}
    return select_headline(numbers, len(outcomes)) | {"official": named}


@dataclass(frozen=True, eq=False)
class Annotator:
    """One ground-truth file, looked up as the official loader does: of a repeated id, the last annotation counts."""

    images: Mapping[Any, Entry]
    listing: Sequence[Entry]
    """The file's `images`, in order."""
    categories: Sequence[Any]
    annotations: Mapping[Any, Entry]
    ids: Mapping[Any, Sequence[Any]]
    """Annotation ids by image."""
    name: str = "ground truth"
    """For messages."""

    @classmethod
    def from_json(cls, file: Any, name: str = "ground truth") -> "Annotator":
        file = require_object(file, "ground truth")
        listing = require_list(get_field(file, "images", "ground truth"), "ground truth `images`")
        ids: dict[Any, list[Any]] = defaultdict(list)
        annotations = {}
        for index, entry in enumerate(require_list(file.get("annotations", ()), "ground truth `annotations`")):
            what = f"ground truth annotation {index}"
            annotations[get_key(entry, "id", what)] = entry
            ids[get_key(entry, "image_id", what)].append(entry["id"])
            get_field(entry, "category_id", what)
        return cls(
            {get_key(entry, "id", f"ground truth image {index}"): entry for index, entry in enumerate(listing)},
            listing,
            _read_categories(file),
            annotations,
            ids,
            name,
        )

    def get_targets(self, image: Any) -> list[Entry]:
        found = (self.annotations[number] for number in self.ids.get(image, ()))
        return self.filter_known([entry for entry in found if entry["image_id"] == image])

    def filter_known(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of the file's categories, category by category."""
        return [entry for category in self.categories for entry in entries if entry["category_id"] == category]


def _name_source(file: JsonSource) -> str:
    return f"ground truth {file}" if isinstance(file, str | PathLike) else "ground truth"


def _read_categories(file: Entry) -> list[Any]:
    entries = require_list(get_field(file, "categories", "ground truth"), "ground truth `categories`")
    found = (get_key(entry, "id", f"ground truth category {index}") for index, entry in enumerate(entries))
    return sort_keys(found, "ground truth: the ids of `categories`")


def _list_files(ground_truths: JsonSource | Sequence[JsonSource]) -> Sequence[JsonSource]:
    files = ground_truths if isinstance(ground_truths, list | tuple) else [ground_truths]
    if not files:
        raise ScoringError("`ground_truths` names no file: expected one to three annotator files")
    return files


def _group_by_image(predictions: Sequence[Any]) -> dict[Any, list[tuple[int, Entry]]]:
    """Predictions with their place in the file."""
    answers: dict[Any, list[tuple[int, Entry]]] = defaultdict(list)
    for index, entry in enumerate(predictions):
        answers[get_key(entry, "image_id", f"prediction {index}")].append((index, entry))
    return answers


def find_exhaustive_pairs(annotators: Sequence[Annotator]) -> list[Any]:
    """Ids of the pairs to score: exhaustive in every file, in the order of the first."""
    first, *others = ([(entry["id"], _is_exhaustive(entry)) for entry in annotator.listing] for annotator in annotators)
    left_out = {pair for listing in others for pair, exhaustive in listing if not exhaustive}
    pairs = [pair for pair, exhaustive in first if exhaustive and pair not in left_out]
    if not pairs:
        raise ScoringError("ground truth: no image has `is_instance_exhaustive` set in every file, nothing to score")
    return pairs


def _is_exhaustive(image: Entry) -> bool:
    return bool(get_field(image, "is_instance_exhaustive", lambda: f"ground truth image {image['id']!r}"))


def _warn_of_unknown_images(answers: Mapping[Any, Sequence], annotator: Annotator) -> None:
    strangers = [pair for pair in answers if pair not in annotator.images]
    if strangers:
        _log.warning("%d image ids of predictions are not in the ground truth: %r …", len(strangers), strangers[0])


def judge_pair(
    pair: Any, answers: Sequence[tuple[int, Entry]], annotators: Sequence[Annotator], iou_type: IouType = "segm"
) -> PairOutcome:
    """One pair against its best annotator. `answers`: its predictions, each with its number for messages."""
    strange = [place for place, annotator in enumerate(annotators) if answers and pair not in annotator.images]
    if strange:
        raise ScoringError(f"prediction {answers[0][0]}: image {pair!r} is not in ground truth file {strange[0] + 1}")
    boxless = [index for index, entry in answers if "bbox" not in require_object(entry, f"prediction {index}")]
    if iou_type == "bbox" and len(annotators) > 1 and boxless:
        raise ScoringError(f"prediction {boxless[0]} has no `bbox`: no official value with several annotators")
    predicted = _prepare_predictions(answers, annotators[0].images[pair], iou_type)
    return choose_best_outcome(
        [_compare_with_annotator(annotator, pair, predicted, iou_type) for annotator in annotators]
    )


def _compare_with_annotator(
    annotator: Annotator, pair: Any, predicted: Sequence[Entry], iou_type: IouType
) -> PairOutcome:
    image = annotator.images.get(pair, {})
    wanted = annotator.get_targets(pair)
    if wanted and not image and iou_type == "segm":
        raise ScoringError(f"{annotator.name} annotation {wanted[0]['id']!r}: image {pair!r} is not in its file")
    kept = [entry for entry in annotator.filter_known(predicted) if _is_kept(entry)]
    targets = [
        (_read_shape(entry, image, iou_type, name), name)
        for entry in wanted
        for name in [_make_name(f"{annotator.name} annotation", entry["id"])]
        if not get_field(entry, "iscrowd", name)
    ]
    if not kept or not targets:
        return PairOutcome(len(kept), len(targets), np.zeros(len(THRESHOLDS), np.int64))
    return match_instances(_compute_ious([(entry["shape"], entry["name"]) for entry in kept], targets, iou_type))


def _is_kept(entry: Entry) -> bool:
    return is_score_at_least(get_field(entry, "score", entry["name"]), MIN_SCORE, entry["name"])


def _make_name(what: str, number: Any) -> Callable[[], str]:
    return lambda: f"{what} {number!r}"


def _prepare_predictions(answers: Sequence[tuple[int, Entry]], image: Entry, iou_type: IouType) -> list[dict[str, Any]]:
    """Predictions of one pair with their `shape`; which keys they need depends on the first, as in COCO's loader."""
    if not answers:
        return []
    first = require_object(answers[0][1], f"prediction {answers[0][0]}")
    boxed = "caption" not in first and "bbox" in first and first["bbox"] != []
    if not boxed and "caption" not in first and "segmentation" not in first:
        raise ScoringError(f"prediction {answers[0][0]} has neither `bbox` nor `segmentation`")
    return [
        _prepare_prediction(entry, _make_name("prediction", index), image, iou_type, boxed=boxed)
        for index, entry in answers
    ]


def _prepare_prediction(
    entry: Entry, name: Callable[[], str], image: Entry, iou_type: IouType, *, boxed: bool
) -> dict[str, Any]:
    get_field(entry, "category_id", name)
    if boxed:
        boxes.check_box(get_field(entry, "bbox", name), name)
    shape = _read_shape(_complete_shape(entry, boxed, iou_type, name), image, iou_type, name)
    return {**entry, "shape": shape, "name": name}


def _complete_shape(entry: Entry, boxed: bool, iou_type: IouType, name: Callable[[], str]) -> Entry:
    """A prediction with the shape that it lacks: a mask from its box, or a box, in pixels, from its mask."""
    if iou_type == "segm" and boxed and "segmentation" not in entry:
        x, y, w, h = boxes.check_box(entry["bbox"], name)
        return {**entry, "segmentation": [[x, y, x, y + h, x + w, y + h, x + w, y]]}
    if iou_type == "bbox" and "bbox" not in entry and "segmentation" in entry:
        _log.warning("%s has no `bbox`: its mask's, in pixels, is compared with normalised ones", name())
        return {**entry, "bbox": boxes.compute_mask_box(segments.to_rle(entry["segmentation"], {}, name))}
    return entry


def _read_shape(entry: Entry, image: Entry, iou_type: IouType, name: Callable[[], str]) -> Any:
    """A mask, or a box x, y, w, h."""
    if iou_type == "bbox":
        return boxes.check_box(get_field(entry, "bbox", name), name)
    segments.read_image_size(image, lambda: f"the image of {name()}")
    return segments.to_rle(get_field(entry, "segmentation", name), image, name)


def _compute_ious(predicted: Sequence[tuple], targets: Sequence[tuple], iou_type: IouType) -> np.ndarray:
    """float64, (predicted, targets) of (shape, name); -1 for masks of different sizes whose boxes meet."""
    if iou_type == "bbox":
        ious = boxes.compute_box_ious([shape for shape, _ in predicted], [shape for shape, _ in targets])
    else:
        ious = rle.compute_ious([mask for mask, _ in predicted], [mask for mask, _ in targets])
    if np.isnan(ious).any():
        row, _ = np.argwhere(np.isnan(ious))[0]
        raise ScoringError(f"{predicted[row][1]()}: `bbox` has no IoU with a target")
    return ious


def _score_thresholds(outcomes: Sequence[PairOutcome]) -> dict[str, np.ndarray]:
    """Per threshold, over all pairs: float64, (10,) each."""
    tp, fp, fp_present, fn = (np.zeros(len(THRESHOLDS), np.int64) for _ in range(4))
    macro = np.zeros(len(THRESHOLDS))
    answered = 0
    for outcome in outcomes:
        tp, fp, fn = tp + outcome.hits, fp + outcome.predicted - outcome.hits, fn + outcome.targets - outcome.hits
        if outcome.targets:
            fp_present, macro = fp_present + outcome.predicted - outcome.hits, macro + outcome.f1
            answered += outcome.predicted > 0
    precision, present_precision, recall = (
        _compute_share(tp, fp),
        _compute_share(tp, fp_present),
        _compute_share(tp, fn),
    )
    return {
        "precision": precision,
        "recall": recall,
        "F1": _compute_f1(precision, recall),
        "positive_macro_F1": macro / answered if answered else np.full(len(THRESHOLDS), np.nan),
        "positive_micro_F1": _compute_f1(present_precision, recall),
        "positive_micro_precision": present_precision,
    }


def _score_image_level(outcomes: Sequence[PairOutcome]) -> dict[str, float]:
    """Compare by image: is anything predicted, and is anything there?"""
    pairs = Counter((outcome.targets > 0, outcome.predicted > 0) for outcome in outcomes)
    return _compute_image_level(pairs[True, True], pairs[True, False], pairs[False, True], pairs[False, False])


def _compute_image_level(tp: float, fn: float, fp: float, tn: float) -> dict[str, float]:
    precision, recall = tp / (tp + fp + _LEVEL_EPSILON), tp / (tp + fn + _LEVEL_EPSILON)
    spread = (float(tp + fp) * float(tp + fn) * float(tn + fp) * float(tn + fn)) ** 0.5
    return {
        "IL_precision": precision,
        "IL_recall": recall,
        "IL_F1": 2 * precision * recall / (precision + recall + _LEVEL_EPSILON),
        "IL_FPR": fp / (fp + tn + _LEVEL_EPSILON),
        "IL_MCC": float(tp * tn - fp * fn) / (spread + _LEVEL_EPSILON),
    }


class OutcomePool:
    """The outcomes of many pairs, of which the cgF1 of any draw is quick to find."""

    def __init__(self, outcomes: Sequence[PairOutcome]) -> None:
        self._hits = np.array([outcome.hits for outcome in outcomes], np.int64).reshape(-1, len(THRESHOLDS))
        self._predicted = np.array([outcome.predicted for outcome in outcomes], np.int64)
        self._targets = np.array([outcome.targets for outcome in outcomes], np.int64)

    def compute_cgf1(self, times: np.ndarray) -> float:
        """In percent. `times`: int64, (pairs,), how often each is drawn."""
        return self.compute_headline(times)["cgF1"]

    def compute_headline(self, times: np.ndarray) -> dict[str, float]:
        """Compute cgF1 and pmF1, in percent, and IL_MCC.

        Args:
            times: int64 or float64, (pairs,): how often each is drawn, or how many it stands for. Ones give what
                `compute_official_numbers` gives, to the bit.
        """
        present, answered = self._targets > 0, self._predicted > 0
        hits = times @ self._hits
        wrong = (times * present) @ self._predicted - (times * present) @ self._hits
        missed = times @ self._targets - hits
        levels = [(times @ (there & found)).item() for there in (present, ~present) for found in (answered, ~answered)]
        mcc = _compute_image_level(*levels)["IL_MCC"]
        f1 = _compute_f1(_compute_share(hits, wrong), _compute_share(hits, missed))
        return {"cgF1": 100 * _compute_mean(f1 * mcc), "pmF1": 100 * _compute_mean(f1), "IL_MCC": mcc}


def _compute_share(hits: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.asarray(hits / (hits + others + _F1_EPSILON))


def _compute_f1(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    return np.asarray(2 * precision * recall / (precision + recall + _F1_EPSILON))


def _compute_mean(values: np.ndarray) -> float:
    counted = values[values > -1]
    return float(counted.mean()) if len(counted) else -1.0
