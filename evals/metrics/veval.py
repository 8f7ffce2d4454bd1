"""Video cgF1 and pHOTA on SA-Co/VEval files.

Source: facebookresearch/sam3 `sam3/eval/saco_veval_evaluators.py` (`VideoCGF1Evaluator`, `VideoPhraseHotaEvaluator`),
`ytvis_eval.py` and `hota_eval_toolkit`. Every (video, category) is a pair of its own: those in annotations or
predictions, and for cgF1 the rest of `video_np_pairs`.

- cgF1: as `cgf1`, score >= 0.5, with the IoU of whole masklets: summed intersection over summed union of the frames
  (1 if all are empty; boxes in float32). Without `video_np_pairs` it has no value.
- pHOTA: HOTA, as `hota`, of the predictions with score > 0.5 (strictly) without their empty frames.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evals.errors import ScoringError
from evals.metrics import cgf1, hota
from evals.metrics.inputs import segments
from evals.metrics.inputs.boxes import check_box
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
from sam3_tool.masks.checks import is_number, shorten_value
from sam3_tool.masks.rle import RleMask

IouType = Literal["segm", "bbox"]
PairId = tuple[Any, Any]
"""Video id, category id."""
_IDS = "the ids of videos and categories"
_HOTA = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA")


def score(ground_truth: JsonSource, predictions: JsonSource, iou_type: IouType = "segm") -> dict[str, Any]:
    """`cgF1`, `pmF1`, `pHOTA` … in percent, `IL_MCC`, `pairs`; under `official` fractions under the official names.

    Files are paths or parsed JSON: ground truth as SA-Co/VEval has it, predictions as a list of `{video_id,
    category_id, bboxes, score, segmentations, areas}` with one entry per frame. Without `video_np_pairs` in the
    ground truth there is no cgF1. What the official code cannot score, an empty list too, raises ScoringError.
    """
    if iou_type not in ("segm", "bbox"):
        raise ScoringError(f"`iou_type` must be 'segm' or 'bbox', found {iou_type!r}")
    truth = _read_truth(read_json(ground_truth, "ground truth"))
    tracks = _read_tracks(require_list(read_json(predictions, "predictions"), "predictions"), truth, iou_type)
    if not tracks:
        raise ScoringError("predictions: an empty list has no official score")
    kind = "mask" if iou_type == "segm" else "bbox"
    means = compute_phrase_hota(truth, tracks, iou_type)
    headline = {"pHOTA": 100 * means["HOTA"], "pDetA": 100 * means["DetA"], "pAssA": 100 * means["AssA"]}
    official = {f"video_{kind}_all_phrase_{name}": value for name, value in means.items()}
    if truth.negatives is None:
        return headline | {"official": official}
    outcomes = _judge_pairs(truth, tracks, iou_type)
    numbers = cgf1.compute_official_numbers(outcomes)
    return (
        cgf1.select_headline(numbers, len(outcomes)) | headline | {"official": _name_official(numbers, kind) | official}
    )


@dataclass(frozen=True, eq=False)
class PairScore:
    """What one pair adds to cgF1 and to pHOTA."""

    outcome: cgf1.PairOutcome
    sequence: hota.HotaFields | None
    """None where neither annotations nor confident predictions have it."""

    @property
    def f1(self) -> float:
        """The pair's own F1, the mean over thresholds; 1 for a pair rightly left empty."""
        return 1.0 if self.outcome.is_empty else float(np.nan_to_num(self.outcome.f1.mean()))


class PairJudge:
    """Scores the masklets of pairs one by one, by masks; `summarize_pairs` gives the numbers of `score`."""

    def __init__(self, ground_truth: JsonSource) -> None:
        """Raises ScoringError for annotations that cannot be compared."""
        self._truth = _read_truth(read_json(ground_truth, "ground truth"))
        self._targets = _index_targets(self._truth.tracks)
        self._annotated = _group_by_pair(self._truth.tracks)

    def judge_pair(self, pair: PairId, predictions: Sequence[Entry]) -> PairScore:
        """`predictions`: all masklets that were found for it, as `score` takes them. Raises ScoringError."""
        tracks = _build_tracks(predictions, f"prediction for {pair}", self._truth.videos)
        kept = [_blank_unseen_frames(track) for track in tracks if _is_confident(track)]
        wanted = self._annotated.get(pair, [])
        length = _count_frames(self._truth.videos[pair[0]])
        sequence = hota.score_sequence(_build_frames(wanted, kept, length, "segm")) if wanted or kept else None
        return PairScore(_judge_pair(tracks, self._targets.get(pair, []), "segm"), sequence)


def summarize_pairs(pairs: Sequence[PairScore]) -> dict[str, float]:
    """The numbers over pairs, named as those of `score`; pHOTA is 0 where there is nothing that it could be about."""
    numbers = cgf1.compute_official_numbers([pair.outcome for pair in pairs])
    sequences = [pair.sequence for pair in pairs if pair.sequence is not None]
    fields = hota.combine_sequences(sequences) if sequences else dict.fromkeys(("HOTA", "DetA", "AssA"), np.zeros(1))
    means = {f"p{name}": 100 * float(np.mean(fields[name])) for name in ("HOTA", "DetA", "AssA")}
    return cgf1.select_headline(numbers, len(pairs)) | means


def _name_official(numbers: Mapping[str, float], kind: str) -> dict[str, float]:
    named: dict[str, float] = {}
    for suffix, at in (("50_95", ""), ("50", "@0.5"), ("75", "@0.75")):
        whole, part = numbers[f"cgF1{at}"], numbers[f"positive_micro_F1{at}"]
        level = numbers["IL_MCC"] if not at else whole / part if part else float("nan")
        named |= {
            f"video_{kind}_demo_cgf1_micro_{suffix}": whole,
            f"video_{kind}_demo_ilmcc_{suffix}": level,
            f"video_{kind}_demo_positive_micro_f1_{suffix}": part,
        }
    return named


@dataclass(frozen=True, eq=False)
class Track:
    """A masklet: one object of a pair, over the frames."""

    pair: PairId
    entry: Entry
    name: Callable[[], str]

    def get_shapes(self, iou_type: IouType) -> Sequence[Any]:
        """Per frame a segmentation, or a box x, y, w, h; None where the object is not seen."""
        key = "segmentations" if iou_type == "segm" else "bboxes"
        return require_list(get_field(self.entry, key, self.name), f"`{key}` of {self.name()}")

    def check_boxes(self) -> None:
        """Raise ScoringError for boxes and areas, where it has any, that are none."""
        for key in ("bboxes", "areas"):
            for value in require_list(self.entry.get(key) or (), f"`{key}` of {self.name()}"):
                if key == "bboxes" and value:
                    check_box(value, self.name)
                if key == "areas" and value is not None and not is_number(value):
                    raise ScoringError(f"{self.name()}: `areas` must be numbers, found {shorten_value(value)}")


@dataclass(frozen=True, eq=False)
class GroundTruth:
    videos: Mapping[Any, Entry]
    tracks: Sequence[Track]
    negatives: Sequence[PairId] | None
    """All of `video_np_pairs`; None where the file has none."""


def check_truth(file: Any) -> None:
    """Raise ScoringError for a ground truth, parsed, with a mask, a box or an id that cannot be compared."""
    truth = _read_truth(file)
    for pair, tracks in _group_by_pair(truth.tracks).items():
        _build_frames(tracks, [], _count_frames(truth.videos[pair[0]]), "segm")


def _read_truth(file: Any) -> GroundTruth:
    file = require_object(file, "ground truth")
    listing = require_list(get_field(file, "videos", "ground truth"), "ground truth `videos`")
    videos = {get_key(entry, "id", f"ground truth video {index}"): entry for index, entry in enumerate(listing)}
    annotations = require_list(get_field(file, "annotations", "ground truth"), "ground truth `annotations`")
    pairs = file.get("video_np_pairs")
    negatives = (
        None
        if pairs is None
        else [
            _check_known(_get_pair_id(entry, f"`video_np_pairs` {index}"), videos, f"`video_np_pairs` {index}")
            for index, entry in enumerate(require_list(pairs, "ground truth `video_np_pairs`"))
        ]
    )
    return GroundTruth(videos, _build_tracks(annotations, "ground truth annotation", videos), negatives)


def _read_tracks(predictions: Sequence[Any], truth: GroundTruth, iou_type: IouType) -> list[Track]:
    tracks = _build_tracks(predictions, "prediction", truth.videos)
    for track in tracks:
        get_field(track.entry, "segmentations" if iou_type == "segm" else "bboxes", track.name)
        if tracks[0].entry.get("bboxes"):  # which keys all need depends on the first, as in COCO's loader
            get_field(track.entry, "bboxes", track.name)
    return tracks


def _build_tracks(entries: Sequence[Any], what: str, videos: Mapping[Any, Entry]) -> list[Track]:
    tracks = [
        Track(
            _check_known(_get_pair_id(entry, f"{what} {index}"), videos, f"{what} {index}"),
            entry,
            _make_entry_name(what, index),
        )
        for index, entry in enumerate(entries)
    ]
    for track in tracks:
        track.check_boxes()
    return tracks


def _make_entry_name(what: str, index: int) -> Callable[[], str]:
    return lambda: f"{what} {index}"


def _get_pair_id(entry: Entry, name: str) -> PairId:
    return get_key(entry, "video_id", name), get_key(entry, "category_id", name)


def _check_known(pair: PairId, videos: Mapping[Any, Entry], name: str) -> PairId:
    if pair[0] not in videos:
        raise ScoringError(f"{name}: video {pair[0]!r} is not in the ground truth")
    return pair


def _group_by_pair(tracks: Iterable[Track]) -> dict[PairId, list[Track]]:
    grouped: dict[PairId, list[Track]] = defaultdict(list)
    for track in tracks:
        grouped[track.pair].append(track)
    return grouped


def _judge_pairs(truth: GroundTruth, tracks: Sequence[Track], iou_type: IouType) -> list[cgf1.PairOutcome]:
    """List the pairs in the official order: those with tracks by id, then the negatives."""
    targets, found = _index_targets(truth.tracks), _group_by_pair(tracks)
    with_tracks = sort_keys({track.pair for track in (*truth.tracks, *tracks)}, _IDS)
    pairs = dict.fromkeys([*with_tracks, *(truth.negatives or ())])
    return [_judge_pair(found.get(pair, []), targets.get(pair, []), iou_type) for pair in pairs]


def _index_targets(tracks: Sequence[Track]) -> dict[PairId, list[Track]]:
    """Group by pair as the official loader does: the last annotation of a repeated id counts, each time."""
    last = {get_key(track.entry, "id", track.name): track for track in tracks}
    grouped = _group_by_pair(tracks)
    return _group_by_pair(last[track.entry["id"]] for pair in sort_keys(grouped, _IDS) for track in grouped[pair])


def _judge_pair(found: Sequence[Track], targets: Sequence[Track], iou_type: IouType) -> cgf1.PairOutcome:
    kept = [
        track
        for track in found
        if is_score_at_least(get_field(track.entry, "score", track.name), cgf1.MIN_SCORE, track.name)
    ]
    wanted = [track for track in targets if not track.entry.get("iscrowd")]
    if not kept or not wanted:
        return cgf1.PairOutcome(len(kept), len(wanted), np.zeros(len(cgf1.THRESHOLDS), np.int64))
    return cgf1.match_instances((_compute_masklet_ious if iou_type == "segm" else _compute_tracklet_ious)(kept, wanted))


def _compute_masklet_ious(found: Sequence[Track], targets: Sequence[Track]) -> np.ndarray:
    """float64, (D, G); where one masklet is longer, its last frames do not count."""
    ours, theirs = ([_read_masks(track) for track in some] for some in (found, targets))
    frames = max(min(len(a), len(b)) for a in ours for b in theirs)
    inside, union = (np.zeros((len(ours), len(theirs)), np.int64) for _ in range(2))
    for frame in range(frames):
        a, b = ([masklet[frame] if frame < len(masklet) else None for masklet in some] for some in (ours, theirs))
        both = np.array([[frame < min(len(x), len(y)) for y in theirs] for x in ours])
        shared, joined = _compute_overlaps(a, b)
        inside += np.where(both, shared, 0)
        union += np.where(both, joined, 0)
    return np.divide(inside, union, out=np.ones(inside.shape), where=union > 0)


def _read_masks(track: Track) -> list[RleMask | None]:
    return [
        segments.to_rle(segmentation, {}, track.name) if segmentation else None
        for segmentation in track.get_shapes("segm")
    ]


def _compute_overlaps(a: Sequence[RleMask | None], b: Sequence[RleMask | None]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of intersection and union, int64 (A, B); None is empty, masks of different sizes have neither."""
    areas_a, areas_b = _compute_areas(a)[:, None], _compute_areas(b)[None, :]
    rows, columns = ([index for index, mask in enumerate(some) if mask is not None] for some in (a, b))
    share = np.zeros((len(a), len(b)))
    share[np.ix_(rows, columns)] = rle.compute_coverage([a[row] for row in rows], [b[column] for column in columns])  # type: ignore[misc]
    inside = np.rint(share * areas_a).astype(np.int64)
    alike = np.array([[x is None or y is None or x.size == y.size for y in b] for x in a])
    return np.where(alike, inside, 0), np.where(alike, areas_a + areas_b - inside, 0)


def _compute_areas(masks: Sequence[RleMask | None]) -> np.ndarray:
    return np.array([0 if mask is None else int(rle.compute_areas([mask])[0]) for mask in masks], np.int64)


def _compute_tracklet_ious(found: Sequence[Track], targets: Sequence[Track]) -> np.ndarray:
    """float32, (D, G)."""
    a, b = _read_boxes(found), _read_boxes(targets)
    if a.shape[1] != b.shape[1]:
        raise ScoringError(f"{found[0].name()} has {a.shape[1]} `bboxes`, {targets[0].name()} has {b.shape[1]}")
    a, b = a[:, None], b[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inside = np.maximum(sides, 0).prod(axis=-1)
    union = _compute_box_areas(a) + _compute_box_areas(b) - inside
    inside, union = inside.sum(axis=-1), union.sum(axis=-1)
    if not (union > 0).all():
        row, column = np.argwhere(~(union > 0))[0]
        raise ScoringError(f"{found[row].name()} and {targets[column].name()} have no box in any frame")
    return np.asarray(inside / union, np.float32)


def _read_boxes(tracks: Sequence[Track]) -> np.ndarray:
    """(N, T, 4), x0, y0, x1, y1: float32, or int64 where all numbers are whole ones."""
    rows = [[box if box is not None else [0, 0, 0, 0] for box in track.get_shapes("bbox")] for track in tracks]
    try:
        boxes = np.array(rows)
        boxes = boxes.astype(np.int64 if boxes.dtype.kind in "iu" else np.float32).reshape(len(rows), -1, 4)
    except (ValueError, TypeError, OverflowError) as error:
        raise ScoringError(f"{tracks[0].name()}: `bboxes` of its pair are not equally many x, y, w, h") from error
    low: Any = boxes[..., :2]
    return np.concatenate([low, low + boxes[..., 2:]], axis=-1)


def _compute_box_areas(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).prod(axis=-1))


def compute_phrase_hota(truth: GroundTruth, tracks: Sequence[Track], iou_type: IouType) -> dict[str, float]:
    """The means over alphas, as fractions, of HOTA, DetA, AssA, DetRe, DetPr, AssRe, AssPr, LocA and OWTA."""
    kept = [_blank_unseen_frames(track) for track in tracks if _is_confident(track)]
    targets, found = _group_by_pair(truth.tracks), _group_by_pair(kept)
    if not targets:
        raise ScoringError("ground truth: without any annotation pHOTA has no official value")
    pairs = sort_keys(targets.keys() | found.keys(), _IDS)
    sequences = [
        hota.score_sequence(
            _build_frames(targets.get(pair, []), found.get(pair, []), _count_frames(truth.videos[pair[0]]), iou_type)
        )
        for pair in pairs
    ]
    fields = hota.combine_sequences(sequences)
    return {name: float(np.mean(fields[name])) for name in _HOTA}


def _is_confident(track: Track) -> bool:
    confidence = get_field(track.entry, "score", track.name)
    return is_score_at_least(confidence, cgf1.MIN_SCORE, track.name) and confidence != cgf1.MIN_SCORE


def _count_frames(video: Entry) -> int:
    return len(
        require_list(get_field(video, "file_names", f"video {video['id']!r}"), f"`file_names` of video {video['id']!r}")
    )


def _blank_unseen_frames(track: Track) -> Track:
    """The track with None in the frames where its area is 0 or its box is empty."""
    columns = [
        require_list(get_field(track.entry, key, track.name), f"`{key}` of {track.name()}")
        for key in ("areas", "bboxes", "segmentations")
    ]
    if len({len(column) for column in columns}) > 1:
        raise ScoringError(f"{track.name()}: `areas`, `bboxes` and `segmentations` must have one entry per frame each")
    frames = [_blank_if_unseen(*frame) for frame in zip(*columns, strict=True)]
    if any(len({part is None for part in frame}) > 1 for frame in frames):
        raise ScoringError(f"{track.name()} has a frame with only some of area, box and mask")
    areas, boxes, masks = zip(*frames, strict=True) if frames else ((), (), ())
    return Track(track.pair, {**track.entry, "areas": areas, "bboxes": boxes, "segmentations": masks}, track.name)


def _blank_if_unseen(area: Any, box: Any, mask: Any) -> tuple[Any, Any, Any]:
    return (None, None, None) if area == 0 or box is None or all(side == 0 for side in box) else (area, box, mask)


def _build_frames(
    targets: Sequence[Track], found: Sequence[Track], length: int, iou_type: IouType
) -> list[hota.FrameDetections]:
    for track in (*targets, *found):
        if len(track.get_shapes(iou_type)) < length:
            raise ScoringError(f"{track.name()} has {len(track.get_shapes(iou_type))} frames, its video {length}")
    ids = [get_key(track.entry, "id", track.name) for track in targets]
    order = {number: place for place, number in enumerate(sort_keys(set(ids), "the ids of annotations"))}
    wanted = [
        (order[number], track.get_shapes(iou_type), track.name) for number, track in zip(ids, targets, strict=True)
    ]
    given = [(place, track.get_shapes(iou_type), track.name) for place, track in enumerate(found)]
    return [
        _build_frame(_select_visible(wanted, index), _select_visible(given, index), iou_type) for index in range(length)
    ]


VisibleObjects = list[tuple[int, Any, Callable[[], str]]]
"""(track number, shape, name) of what is seen in a frame."""


def _select_visible(tracks: Sequence[tuple[int, Sequence[Any], Callable[[], str]]], frame: int) -> VisibleObjects:
    seen = [(number, shapes[frame], name) for number, shapes, name in tracks if shapes[frame]]
    if len({number for number, _, _ in seen}) < len(seen):
        raise ScoringError(f"{seen[-1][2]()} has the `id` of another annotation of its pair")
    return seen


def _build_frame(wanted: VisibleObjects, given: VisibleObjects, iou_type: IouType) -> hota.FrameDetections:
    similarity = (
        _compute_mask_similarity(wanted, given) if iou_type == "segm" else _compute_box_similarity(wanted, given)
    )
    targets, found = (np.array([number for number, _, _ in some], int) for some in (wanted, given))
    return hota.FrameDetections(targets, found, similarity)


def _compute_mask_similarity(wanted: VisibleObjects, given: VisibleObjects) -> np.ndarray:
    masks = [[segments.to_rle(shape, {}, name) for _, shape, name in some] for some in (wanted, given)]
    ious = rle.compute_ious(*masks)
    if (ious < 0).any():
        _, column = np.argwhere(ious < 0)[0]
        raise ScoringError(f"{given[column][2]()} has a mask of another size than the annotations")
    return ious


def _compute_box_similarity(wanted: VisibleObjects, given: VisibleObjects) -> np.ndarray:
    """float32, (wanted, given)."""
    first, second = (np.array([shape for _, shape, _ in some], np.float32).reshape(-1, 4) for some in (wanted, given))
    first, second = (np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) for boxes in (first, second))
    low, high = np.minimum(first[:, None], second[None]), np.maximum(first[:, None], second[None])
    inside = np.maximum(low[..., 2] - high[..., 0], 0) * np.maximum(low[..., 3] - high[..., 1], 0)
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - inside
    eps = np.finfo("float").eps
    valid = (areas[0][:, None] > eps) & (areas[1][None] > eps) & (union > eps)
    return np.asarray(np.divide(inside, union, out=np.zeros_like(inside), where=valid))
