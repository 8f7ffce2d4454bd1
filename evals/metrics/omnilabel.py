"""OmniLabel's average precision of boxes, over (image, description) pairs.

Source: samschulter/omnilabeltools `omnilabel.py` and `eval.py` (`OmniLabelEval`), over pycocotools' `COCOeval`.

An image's label space is every description that lists the image, in file order. Each pair is matched as COCO does: its
100 best detections in order of score, each to the free box of highest IoU >= t, at t = .50, .55 … .95; crowd boxes
absorb. Then the pairs of a *group* are pooled into one ranking (images by id, descriptions by file order, stable
against ties), whose precision, made monotone, is read at 101 recalls: AP is the mean over recalls and thresholds,
AR the mean over thresholds of the last recall. Groups: plain categories (C), descriptions (D), those of D with a box
in that very image, those of <= 3, 4 to 8 and >= 9 words. The headline is 2 d c / (d + c + 1e-5) of D and C.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np

from evals.errors import ScoringError
from evals.metrics.inputs import boxes
from evals.metrics.inputs.entries import (
    Entry,
    JsonSource,
    get_field,
    get_key,
    read_json,
    require_list,
    require_object,
    sort_keys,
)
from sam3_tool.masks.checks import is_number, shorten_value

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100
"""Most detections of one pair that are looked at."""
VERSION = "0.1.3"
_MAX_AREA = 1e5**2
"""Larger boxes are ignored, in square pixels."""
_MAX_COUNT = 1e5
"""Descriptions of more words, or of more boxes, are in no group."""
_EPSILON = 1e-5

Kind = Literal["C", "Dp", "Dn"]
"""Category; description with, and without, a box in the image."""
_log = logging.getLogger(__name__)


def score(ground_truth: JsonSource, predictions: JsonSource) -> dict[str, float]:
    """The 13 official numbers, in the official order, as fractions; -1 for a group without ground truth.

    `ap` (the headline), `ap_categ`, `ap_descr`, `ap_descr_pos`, `ap_descr_s`, `_m`, `_l`, `ap_descr_50`,
    `ap_descr_75`, `ap_categ_50`, `ap_categ_75`, `ar_descr`, `ar_categ`.

    Files are paths or parsed JSON: ground truth with `images`, `descriptions`, `annotations`; predictions as a list
    of `{image_id, bbox [x, y, w, h] in pixels, description_ids, scores}`. Predictions for descriptions outside an
    image's label space count for nothing, as officially. What the official code cannot score raises ScoringError.
    """
    truth = load_truth(read_json(ground_truth, "ground truth"))
    found = _read_detections(require_list(read_json(predictions, "predictions"), "predictions"), truth)
    return score_matches(
        truth.pairs, [match_pair(truth.targets.get(pair.key, []), found.pop(pair.key, [])) for pair in truth.pairs]
    )


def score_matches(pairs: Sequence["Pair"], matches: Sequence["PairMatch"]) -> dict[str, float]:
    """Score as `score` does, from the matches of every pair, in the order that breaks ties."""
    rankings = {
        name: _rank_matches(list(compress(matches, (group.has_pair(pair) for pair in pairs))))
        for name, group in GROUPS.items()
    }
    return _summarize_rankings(rankings)


class Pair(NamedTuple):
    """A description in the label space of an image."""

    key: tuple[Any, int]
    """Image id, description id."""
    kind: Kind
    words: int
    boxes: int
    """Boxes of the description, in all images."""


@dataclass(frozen=True)
class DescriptionGroup:
    kinds: tuple[Kind, ...]
    fewest: int = 0
    most: float = _MAX_COUNT
    """Words."""

    def has_pair(self, pair: Pair) -> bool:
        return pair.kind in self.kinds and self.fewest <= pair.words <= self.most and pair.boxes <= _MAX_COUNT


GROUPS = {
    "categ": DescriptionGroup(("C",)),
    "descr": DescriptionGroup(("Dp", "Dn")),
    "descr_pos": DescriptionGroup(("Dp",)),
    "descr_s": DescriptionGroup(("Dp", "Dn"), 0, 3),
    "descr_m": DescriptionGroup(("Dp", "Dn"), 4, 8),
    "descr_l": DescriptionGroup(("Dp", "Dn"), 9),
}


class Target(NamedTuple):
    """A box to be found."""

    bbox: Sequence[float]
    """x, y, w, h in pixels."""
    crowd: bool
    ignored: bool
    counts: bool
    """False for the annotation id 0, which COCO's matching takes for "no match"."""


class Detection(NamedTuple):
    bbox: Sequence[float]
    """x, y, w, h in pixels."""
    score: float


class GroundTruth(NamedTuple):
    """A ground-truth file, as the official loader reads it."""

    pairs: Sequence[Pair]
    """In the order that breaks ties: images by id, descriptions by file."""
    targets: Mapping[tuple[Any, int], Sequence[Target]]
    spaces: Mapping[Any, Mapping[int, Literal["C", "D"]]]
    """Image id -> its label space: description id -> category or description."""


def load_truth(file: Any) -> GroundTruth:
    """From a parsed ground-truth file. Raises ScoringError."""
    file = require_object(file, "ground truth")
    _warn_of_version(require_object(file.get("info", {}), "ground truth `info`"))
    listing = require_list(get_field(file, "images", "ground truth"), "ground truth `images`")
    images = {get_key(entry, "id", f"ground truth image {index}") for index, entry in enumerate(listing)}
    spaces, words = _read_label_spaces(file, images)
    targets, mentions = _read_targets(file, spaces)
    number = Counter(description for _, description in mentions)
    mentioned = set(mentions)
    pairs = [
        Pair(
            (image, description),
            _get_kind(kind, (image, description) in mentioned),
            words[description],
            number[description],
        )
        for image in sort_keys(images, "ground truth: the ids of `images`")
        for description, kind in spaces[image].items()
    ]
    return GroundTruth(pairs, targets, spaces)


def _get_kind(kind: Literal["C", "D"], mentioned: bool) -> Kind:
    return "C" if kind == "C" else "Dp" if mentioned else "Dn"


def _warn_of_version(info: Entry) -> None:
    if "omnilabel" in str(info.get("name", "")).lower():
        found, _ = get_field(info, "version", "ground truth `info`"), get_field(info, "url", "ground truth `info`")
        if found != VERSION:
            _log.warning("the ground truth is OmniLabel %s; published numbers are of %s", found, VERSION)


def _read_label_spaces(file: Entry, images: set[Any]) -> tuple[dict[Any, dict[int, Literal["C", "D"]]], dict[int, int]]:
    """The label space of every image, and the words of every description."""
    spaces: dict[Any, dict[int, Literal["C", "D"]]] = {image: {} for image in images}
    words = {}
    for index, entry in enumerate(
        require_list(get_field(file, "descriptions", "ground truth"), "ground truth `descriptions`")
    ):
        name = f"ground truth description {index}"
        number = get_field(entry, "id", name)
        if not isinstance(number, int) or isinstance(number, bool):
            raise ScoringError(f"{name}: `id` must be an integer, found {number!r}")
        kind = get_field(get_field(entry, "anno_info", name), "type", f"`anno_info` of {name}")
        for image in _list_ids(entry, "image_ids", name):
            if image not in images:
                continue
            if number in spaces[image]:
                raise ScoringError(f"{name}: image {image!r} has description {number} twice")
            spaces[image][number] = "D" if kind == "object_description" else "C"
        words[number] = len(str(get_field(entry, "text", name)).split())
    return spaces, words


def _list_ids(entry: Entry, key: str, name: str) -> Sequence[Any]:
    """The ids in a list of an entry, each of which can be looked up."""
    ids = require_list(get_field(entry, key, name), f"`{key}` of {name}")
    for id in ids:
        if not isinstance(id, str | int | float):
            raise ScoringError(f"`{key}` of {name} must be numbers or texts, found {shorten_value(id)}")
    return ids


def _read_targets(
    file: Entry, spaces: Mapping[Any, Mapping[int, Any]]
) -> tuple[dict[tuple[Any, int], list[Target]], list[tuple[Any, int]]]:
    """The boxes of every pair, and every mention of a description by a box: (image id, description id)."""
    targets: dict[tuple[Any, int], list[Target]] = defaultdict(list)
    mentions = []
    for index, entry in enumerate(
        require_list(get_field(file, "annotations", "ground truth"), "ground truth `annotations`")
    ):
        name = f"ground truth annotation {index}"
        image, bbox = get_key(entry, "image_id", name), boxes.check_box(get_field(entry, "bbox", name), name)
        if image not in spaces:
            continue
        for description in _list_ids(entry, "description_ids", name):
            mentions.append((image, description))
            if description in spaces[image]:
                targets[image, description].append(_read_target(entry, bbox, name))
    return targets, mentions


def _read_target(entry: Entry, bbox: Sequence[float], name: str) -> Target:
    crowd, number = get_field(entry, "iscrowd", name), get_field(entry, "id", name)
    if not isinstance(crowd, Real) or not is_number(number) or not np.isfinite(float(crowd)):
        raise ScoringError(f"{name}: `iscrowd` and `id` must be numbers, found {crowd!r} and {number!r}")
    return Target(bbox, bool(int(float(crowd))), bool(crowd) or _compute_area(bbox) > _MAX_AREA, number != 0)


def _read_detections(predictions: Sequence[Any], truth: GroundTruth) -> dict[tuple[Any, int], list[Detection]]:
    """Per pair, in file order; what is outside the label spaces is left out."""
    found: dict[tuple[Any, int], list[Detection]] = defaultdict(list)
    strangers = 0
    for index, entry in enumerate(predictions):
        name = f"prediction {index}"
        image, bbox = get_key(entry, "image_id", name), boxes.check_box(get_field(entry, "bbox", name), name)
        space = truth.spaces.get(image)
        if space is None:
            strangers += 1
            continue
        for description, confidence in _read_scores(entry, name):
            if description in space:
                found[image, description].append(Detection(bbox, confidence))
    if strangers:
        _log.warning("%d predictions are for images that the ground truth does not have", strangers)
    return found


def _read_scores(entry: Entry, name: str) -> Iterator[tuple[Any, float]]:
    """(description id, score) of a prediction."""
    descriptions = _list_ids(entry, "description_ids", name)
    scores = require_list(get_field(entry, "scores", name), f"`scores` of {name}")
    if len(descriptions) != len(scores):
        raise ScoringError(f"{name} has {len(descriptions)} `description_ids` but {len(scores)} `scores`")
    for description, confidence in zip(descriptions, scores, strict=True):
        if not is_number(confidence):
            raise ScoringError(f"{name}: `scores` must be numbers, found {confidence!r}")
        yield description, float(confidence)


def _compute_area(bbox: Sequence[float]) -> float:
    """Square pixels; two negative sides give a positive area."""
    return max(0, bbox[2] * bbox[3])


class PairMatch(NamedTuple):
    """The matches of one pair; detections best first."""

    scores: np.ndarray
    """float64, (D,)."""
    hits: np.ndarray
    """bool, (10, D): found a box that counts."""
    ignored: np.ndarray
    """bool, (10, D): neither right nor wrong."""
    boxes: int
    """To be found, without the ignored ones."""


def match_pair(targets: Sequence[Target], detections: Sequence[Detection]) -> PairMatch:
    """COCO's matching of one pair."""
    order = np.argsort([-detection.score for detection in detections], kind="stable")[:MAX_DETECTIONS]
    ranked = [detections[index] for index in order]
    targets = sorted(targets, key=lambda target: target.ignored)
    hits, ignored = (np.zeros((len(THRESHOLDS), len(ranked)), bool) for _ in range(2))
    if ranked and targets:
        for place, choices in enumerate(_match_at_thresholds(ranked, targets)):
            for detection, target in choices:
                hits[place, detection] = targets[target].counts
                ignored[place, detection] = targets[target].ignored
    huge = np.array([_compute_area(detection.bbox) > _MAX_AREA for detection in ranked], bool)
    scores = np.array([detection.score for detection in ranked], float)
    return PairMatch(scores, hits, ignored | (~hits & huge), sum(not target.ignored for target in targets))


def _match_at_thresholds(detections: Sequence[Detection], targets: Sequence[Target]) -> Iterator[list[tuple[int, int]]]:
    """Per threshold, the matches (detection, target)."""
    ious = boxes.compute_box_ious(
        [detection.bbox for detection in detections],
        [target.bbox for target in targets],
        [target.crowd for target in targets],
    )
    # what overlaps less than the lowest threshold matches at none; NaN, which compares with nothing, always does
    near = ~(ious < THRESHOLDS[0])
    table = ious.tolist()
    rows = [(row, np.flatnonzero(near[row]).tolist()) for row in np.flatnonzero(near.any(axis=1)).tolist()]
    for threshold in THRESHOLDS.tolist():
        free = [True] * len(targets)
        yield list(_match_greedily(table, rows, threshold, targets, free))


def _match_greedily(
    ious: Sequence[Sequence[float]],
    rows: Sequence[tuple[int, Sequence[int]]],
    threshold: float,
    targets: Sequence[Target],
    free: list[bool],
) -> Iterator[tuple[int, int]]:
    """Greedy, in order of score; `free` is updated."""
    for row, columns in rows:
        chosen = _choose_target(ious[row], columns, threshold, targets, free)
        if chosen is not None:
            free[chosen] = False
            yield row, chosen


def _choose_target(
    ious: Sequence[float], columns: Sequence[int], threshold: float, targets: Sequence[Target], free: Sequence[bool]
) -> int | None:
    """The free target of highest IoU, the last of equals; an ignored one only where no other will do."""
    least, chosen = threshold, None
    for column in columns:
        if not (free[column] or targets[column].crowd) or ious[column] < least:
            continue
        if chosen is not None and targets[column].ignored and not targets[chosen].ignored:
            break
        least, chosen = ious[column], column
    return chosen


class Ranking(NamedTuple):
    """All detections of a group in one order."""

    precision: np.ndarray
    """float64, (10, 101): at each threshold and recall; -1 where the group has no boxes."""
    recall: np.ndarray
    """float64, (10,): the last one; -1 where the group has no boxes."""


_EMPTY_RANKING = Ranking(np.full((len(THRESHOLDS), len(RECALLS)), -1.0), np.full(len(THRESHOLDS), -1.0))


def _rank_matches(matches: Sequence[PairMatch]) -> Ranking:
    number = sum(match.boxes for match in matches)
    if number == 0:
        return _EMPTY_RANKING
    order = np.argsort(-np.concatenate([match.scores for match in matches]), kind="stable")
    hits, ignored = (
        np.concatenate(rows, axis=1)[:, order]
        for rows in ([match.hits for match in matches], [match.ignored for match in matches])
    )
    curves = [_compute_curve(hits[place], ignored[place], number) for place in range(len(THRESHOLDS))]
    return Ranking(np.array([precision for precision, _ in curves]), np.array([recall for _, recall in curves]))


class RankingPool:
    """The pairs of a group in one ranking, of which the AP of any draw is quick to find."""

    def __init__(self, matches: Sequence[PairMatch]) -> None:
        scores, hits, ignored = (
            np.concatenate([empty, *parts], axis=-1)
            for empty, parts in (
                (np.zeros(0), [match.scores for match in matches]),
                (np.zeros((len(THRESHOLDS), 0), bool), [match.hits for match in matches]),
                (np.zeros((len(THRESHOLDS), 0), bool), [match.ignored for match in matches]),
            )
        )
        order = np.argsort(-scores, kind="stable")
        hits, ignored = hits[:, order], ignored[:, order]
        self._owners = np.repeat(np.arange(len(matches)), [len(match.scores) for match in matches])[order]
        self._boxes = np.array([match.boxes for match in matches], np.int64)
        # precision is best, and recall grows, at hits: the curve need not be known anywhere else
        self._right = [np.flatnonzero(row) for row in hits & ~ignored]
        self._counted = [None if not row.any() else ~row for row in ignored]

    def compute_average_precision(self, times: np.ndarray) -> float:
        """Compute the average precision over drawn pairs; -1 where there are no boxes.

        `times`: int64, (pairs,), how often each is drawn. A pair's detections count as often, where they stand in the
        ranking.
        """
        number = int(self._boxes @ times)
        if number == 0:
            return -1.0
        weights = times[self._owners]
        ranks = np.cumsum(weights)
        curves = [
            _interpolate_precision(
                np.cumsum(weights[right]),
                (ranks if counted is None else np.cumsum(weights * counted))[right],
                number,
            )
            for right, counted in zip(self._right, self._counted, strict=True)
        ]
        return _compute_mean(np.array(curves))


def _interpolate_precision(right: np.ndarray, ranked: np.ndarray, number: int) -> np.ndarray:
    """Precision at the 101 recalls; `right` and `ranked`: int64, (hits,), hits and detections up to each hit."""
    precision = right / (ranked + np.spacing(1))
    # made monotone: at each place, the best precision from there on; 0 at recalls that are never reached
    precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return precision[np.searchsorted(right / number, RECALLS, side="left")]


def _compute_curve(hits: np.ndarray, ignored: np.ndarray, number: int) -> tuple[np.ndarray, float]:
    """Precision at the 101 recalls, and the last recall, of ranked detections; `number`: boxes to be found."""
    right = np.cumsum(hits & ~ignored).astype(float)
    wrong = np.cumsum(~hits & ~ignored).astype(float)
    recall = right / number
    precision = right / (wrong + right + np.spacing(1))
    # made monotone: at each place, the best precision from there on; 0 at recalls that are never reached
    precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return precision[np.searchsorted(recall, RECALLS, side="left")], float(recall[-1]) if len(recall) else 0.0


def _summarize_rankings(rankings: Mapping[str, Ranking]) -> dict[str, float]:
    average = {name: _compute_mean(ranking.precision) for name, ranking in rankings.items()}
    categ, descr = average["categ"], average["descr"]
    both = min(categ, descr) >= 0
    at = {
        f"ap_{name}_{round(100 * threshold)}": _compute_mean(rankings[name].precision[threshold == THRESHOLDS])
        for name in ("descr", "categ")
        for threshold in (0.5, 0.75)
    }
    return {
        "ap": 2 * categ * descr / (categ + descr + _EPSILON) if both else -1.0,
        **{f"ap_{name}": value for name, value in average.items()},
        **at,
        "ar_descr": _compute_mean(rankings["descr"].recall),
        "ar_categ": _compute_mean(rankings["categ"].recall),
    }


def _compute_mean(values: np.ndarray) -> float:
    counted = values[values > -1]
    return float(np.mean(counted)) if len(counted) else -1.0
