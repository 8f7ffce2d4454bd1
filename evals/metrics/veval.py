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

from evals.metrics import cgf1, hota, segments
from evals.metrics.entries import Entry, ScoringError, Source, field, identity, keyed, listed, reaches, read
from sam3_tool import rle
from sam3_tool.rle import Rle

IouType = Literal["segm", "bbox"]
PairId = tuple[Any, Any]
"""Video id, category id."""
_HOTA = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA")


def score(ground_truth: Source, predictions: Source, iou_type: IouType = "segm") -> dict[str, Any]:
    """`cgF1`, `pmF1`, `pHOTA` … in percent, `IL_MCC`, `pairs`; under `official` fractions under the official names.

    Files are paths or parsed JSON: ground truth as SA-Co/VEval has it, predictions as a list of `{video_id,
    category_id, bboxes, score, segmentations, areas}` with one entry per frame. Without `video_np_pairs` in the
    ground truth there is no cgF1. What the official code cannot score, an empty list too, raises ScoringError.
    """
    if iou_type not in ("segm", "bbox"):
        raise ScoringError(f"`iou_type` must be 'segm' or 'bbox', found {iou_type!r}")
    truth = _truth(read(ground_truth, "ground truth"))
    tracks = _tracks(listed(read(predictions, "predictions"), "predictions"), truth, iou_type)
    if not tracks:
        raise ScoringError("predictions: an empty list has no official score")
    kind = "mask" if iou_type == "segm" else "bbox"
    means = phrase_hota(truth, tracks, iou_type)
    headline = {"pHOTA": 100 * means["HOTA"], "pDetA": 100 * means["DetA"], "pAssA": 100 * means["AssA"]}
    official = {f"video_{kind}_all_phrase_{name}": value for name, value in means.items()}
    if truth.negatives is None:
        return headline | {"official": official}
    outcomes = _outcomes(truth, tracks, iou_type)
    numbers = cgf1.official(outcomes)
    return cgf1.headline(numbers, len(outcomes)) | headline | {"official": _named(numbers, kind) | official}


def _named(numbers: Mapping[str, float], kind: str) -> dict[str, float]:
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

    def shapes(self, iou_type: IouType) -> Sequence[Any]:
        """Per frame a segmentation, or a box x, y, w, h; None where the object is not seen."""
        key = "segmentations" if iou_type == "segm" else "bboxes"
        return listed(field(self.entry, key, self.name), f"`{key}` of {self.name()}")


@dataclass(frozen=True, eq=False)
class Truth:
    videos: Mapping[Any, Entry]
    tracks: Sequence[Track]
    negatives: Sequence[PairId] | None
    """All of `video_np_pairs`; None where the file has none."""


def _truth(file: Any) -> Truth:
    file = keyed(file, "ground truth")
    listing = listed(field(file, "videos", "ground truth"), "ground truth `videos`")
    videos = {identity(entry, "id", f"ground truth video {index}"): entry for index, entry in enumerate(listing)}
    annotations = listed(field(file, "annotations", "ground truth"), "ground truth `annotations`")
    pairs = file.get("video_np_pairs")
    negatives = (
        None
        if pairs is None
        else [
            _known(_pair(entry, f"`video_np_pairs` {index}"), videos, f"`video_np_pairs` {index}")
            for index, entry in enumerate(listed(pairs, "ground truth `video_np_pairs`"))
        ]
    )
    return Truth(videos, _made(annotations, "ground truth annotation", videos), negatives)


def _tracks(predictions: Sequence[Any], truth: Truth, iou_type: IouType) -> list[Track]:
    tracks = _made(predictions, "prediction", truth.videos)
    for track in tracks:
        field(track.entry, "segmentations" if iou_type == "segm" else "bboxes", track.name)
        if tracks[0].entry.get("bboxes"):  # which keys all need depends on the first, as in COCO's loader
            field(track.entry, "bboxes", track.name)
    return tracks


def _made(entries: Sequence[Any], what: str, videos: Mapping[Any, Entry]) -> list[Track]:
    return [
        Track(_known(_pair(entry, f"{what} {index}"), videos, f"{what} {index}"), entry, _named_entry(what, index))
        for index, entry in enumerate(entries)
    ]


def _named_entry(what: str, index: int) -> Callable[[], str]:
    return lambda: f"{what} {index}"


def _pair(entry: Entry, name: str) -> PairId:
    return identity(entry, "video_id", name), identity(entry, "category_id", name)


def _known(pair: PairId, videos: Mapping[Any, Entry], name: str) -> PairId:
    if pair[0] not in videos:
        raise ScoringError(f"{name}: video {pair[0]!r} is not in the ground truth")
    return pair


def _by_pair(tracks: Iterable[Track]) -> dict[PairId, list[Track]]:
    grouped: dict[PairId, list[Track]] = defaultdict(list)
    for track in tracks:
        grouped[track.pair].append(track)
    return grouped


def _outcomes(truth: Truth, tracks: Sequence[Track], iou_type: IouType) -> list[cgf1.Outcome]:
    """Of every pair, in the official order: those with tracks by id, then the negatives."""
    targets, found = _indexed(truth.tracks), _by_pair(tracks)
    with_tracks = sorted({track.pair for track in (*truth.tracks, *tracks)})
    pairs = dict.fromkeys([*with_tracks, *(truth.negatives or ())])
    return [_outcome(found.get(pair, []), targets.get(pair, []), iou_type) for pair in pairs]


def _indexed(tracks: Sequence[Track]) -> dict[PairId, list[Track]]:
    """By pair as the official loader looks them up: of a repeated id the last annotation counts, as often as it is."""
    last = {identity(track.entry, "id", track.name): track for track in tracks}
    grouped = _by_pair(tracks)
    return _by_pair(last[track.entry["id"]] for pair in sorted(grouped) for track in grouped[pair])


def _outcome(found: Sequence[Track], targets: Sequence[Track], iou_type: IouType) -> cgf1.Outcome:
    kept = [one for one in found if reaches(field(one.entry, "score", one.name), cgf1.KEPT_FROM, one.name)]
    wanted = [one for one in targets if not one.entry.get("iscrowd")]
    if not kept or not wanted:
        return cgf1.Outcome(len(kept), len(wanted), np.zeros(len(cgf1.THRESHOLDS), np.int64))
    return cgf1.outcome((_masklet_ious if iou_type == "segm" else _tracklet_ious)(kept, wanted))


def _masklet_ious(found: Sequence[Track], targets: Sequence[Track]) -> np.ndarray:
    """float64, (D, G); where one masklet is longer, its last frames do not count."""
    ours, theirs = ([_masks(one) for one in some] for some in (found, targets))
    frames = max(min(len(a), len(b)) for a in ours for b in theirs)
    inside, union = (np.zeros((len(ours), len(theirs)), np.int64) for _ in range(2))
    for frame in range(frames):
        a, b = ([one[frame] if frame < len(one) else None for one in some] for some in (ours, theirs))
        both = np.array([[frame < min(len(x), len(y)) for y in theirs] for x in ours])
        shared, joined = _overlaps(a, b)
        inside += np.where(both, shared, 0)
        union += np.where(both, joined, 0)
    return np.divide(inside, union, out=np.ones(inside.shape), where=union > 0)


def _masks(track: Track) -> list[Rle | None]:
    masks = [segments.to_rle(one, {}, track.name) if one else None for one in track.shapes("segm")]
    for mask in masks:
        if mask is not None:
            segments.check(mask, track.name)
    return masks


def _overlaps(a: Sequence[Rle | None], b: Sequence[Rle | None]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of intersection and union, int64 (A, B); None is empty, masks of different sizes have neither."""
    areas_a, areas_b = _areas(a)[:, None], _areas(b)[None, :]
    rows, columns = ([index for index, one in enumerate(some) if one is not None] for some in (a, b))
    share = np.zeros((len(a), len(b)))
    share[np.ix_(rows, columns)] = rle.coverage([a[row] for row in rows], [b[column] for column in columns])  # type: ignore[misc]
    inside = np.rint(share * areas_a).astype(np.int64)
    alike = np.array([[x is None or y is None or x.size == y.size for y in b] for x in a])
    return np.where(alike, inside, 0), np.where(alike, areas_a + areas_b - inside, 0)


def _areas(masks: Sequence[Rle | None]) -> np.ndarray:
    return np.array([0 if mask is None else int(rle.areas([mask])[0]) for mask in masks], np.int64)


def _tracklet_ious(found: Sequence[Track], targets: Sequence[Track]) -> np.ndarray:
    """float32, (D, G)."""
    a, b = _boxes(found), _boxes(targets)
    if a.shape[1] != b.shape[1]:
        raise ScoringError(f"{found[0].name()} has {a.shape[1]} `bboxes`, {targets[0].name()} has {b.shape[1]}")
    a, b = a[:, None], b[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inside = np.maximum(sides, 0).prod(axis=-1)
    union = _area(a) + _area(b) - inside
    inside, union = inside.sum(axis=-1), union.sum(axis=-1)
    if not (union > 0).all():
        row, column = np.argwhere(~(union > 0))[0]
        raise ScoringError(f"{found[row].name()} and {targets[column].name()} have no box in any frame")
    return np.asarray(inside / union, np.float32)


def _boxes(tracks: Sequence[Track]) -> np.ndarray:
    """(N, T, 4), x0, y0, x1, y1: float32, or int64 where all numbers are whole ones."""
    rows = [[box if box is not None else [0, 0, 0, 0] for box in track.shapes("bbox")] for track in tracks]
    try:
        boxes = np.array(rows)
        boxes = boxes.astype(np.int64 if boxes.dtype.kind in "iu" else np.float32).reshape(len(rows), -1, 4)
    except (ValueError, TypeError) as error:
        raise ScoringError(f"{tracks[0].name()}: `bboxes` of its pair are not equally many x, y, w, h") from error
    low: Any = boxes[..., :2]
    return np.concatenate([low, low + boxes[..., 2:]], axis=-1)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).prod(axis=-1))


def phrase_hota(truth: Truth, tracks: Sequence[Track], iou_type: IouType) -> dict[str, float]:
    """The means over alphas, as fractions, of HOTA, DetA, AssA, DetRe, DetPr, AssRe, AssPr, LocA and OWTA."""
    kept = [_seen(track) for track in tracks if _is_confident(track)]
    targets, found = _by_pair(truth.tracks), _by_pair(kept)
    if not targets:
        raise ScoringError("ground truth: without any annotation pHOTA has no official value")
    pairs = sorted(targets.keys() | found.keys())
    sequences = [
        hota.sequence(_frames(targets.get(pair, []), found.get(pair, []), _length(truth.videos[pair[0]]), iou_type))
        for pair in pairs
    ]
    fields = hota.combined(sequences)
    return {name: float(np.mean(fields[name])) for name in _HOTA}


def _is_confident(track: Track) -> bool:
    confidence = field(track.entry, "score", track.name)
    return reaches(confidence, cgf1.KEPT_FROM, track.name) and confidence != cgf1.KEPT_FROM


def _length(video: Entry) -> int:
    return len(listed(field(video, "file_names", f"video {video['id']!r}"), f"`file_names` of video {video['id']!r}"))


def _seen(track: Track) -> Track:
    """The track with None in the frames where its area is 0 or its box is empty."""
    columns = [field(track.entry, key, track.name) for key in ("areas", "bboxes", "segmentations")]
    if len({len(column) for column in columns}) > 1:
        raise ScoringError(f"{track.name()}: `areas`, `bboxes` and `segmentations` must have one entry per frame each")
    frames = [_blanked(*frame) for frame in zip(*columns, strict=True)]
    if any(len({part is None for part in frame}) > 1 for frame in frames):
        raise ScoringError(f"{track.name()} has a frame with only some of area, box and mask")
    areas, boxes, masks = zip(*frames, strict=True) if frames else ((), (), ())
    return Track(track.pair, {**track.entry, "areas": areas, "bboxes": boxes, "segmentations": masks}, track.name)


def _blanked(area: Any, box: Any, mask: Any) -> tuple[Any, Any, Any]:
    return (None, None, None) if area == 0 or box is None or all(side == 0 for side in box) else (area, box, mask)


def _frames(targets: Sequence[Track], found: Sequence[Track], length: int, iou_type: IouType) -> list[hota.Frame]:
    for track in (*targets, *found):
        if len(track.shapes(iou_type)) < length:
            raise ScoringError(f"{track.name()} has {len(track.shapes(iou_type))} frames, its video {length}")
    ids = [field(track.entry, "id", track.name) for track in targets]
    order = {number: place for place, number in enumerate(sorted(set(ids)))}
    wanted = [(order[number], track.shapes(iou_type), track.name) for number, track in zip(ids, targets, strict=True)]
    given = [(place, track.shapes(iou_type), track.name) for place, track in enumerate(found)]
    return [_frame(_visible(wanted, index), _visible(given, index), iou_type) for index in range(length)]


Visible = list[tuple[int, Any, Callable[[], str]]]
"""(track number, shape, name) of what is seen in a frame."""


def _visible(tracks: Sequence[tuple[int, Sequence[Any], Callable[[], str]]], frame: int) -> Visible:
    seen = [(number, shapes[frame], name) for number, shapes, name in tracks if shapes[frame]]
    if len({number for number, _, _ in seen}) < len(seen):
        raise ScoringError(f"{seen[-1][2]()} has the `id` of another annotation of its pair")
    return seen


def _frame(wanted: Visible, given: Visible, iou_type: IouType) -> hota.Frame:
    similarity = _mask_similarity(wanted, given) if iou_type == "segm" else _box_similarity(wanted, given)
    targets, found = (np.array([number for number, _, _ in some], int) for some in (wanted, given))
    return hota.Frame(targets, found, similarity)


def _mask_similarity(wanted: Visible, given: Visible) -> np.ndarray:
    masks = [[segments.to_rle(shape, {}, name) for _, shape, name in some] for some in (wanted, given)]
    for mask, (_, _, name) in zip([*masks[0], *masks[1]], [*wanted, *given], strict=True):
        segments.check(mask, name)
    ious = rle.ious(*masks)
    if (ious < 0).any():
        _, column = np.argwhere(ious < 0)[0]
        raise ScoringError(f"{given[column][2]()} has a mask of another size than the annotations")
    return ious


def _box_similarity(wanted: Visible, given: Visible) -> np.ndarray:
    """float32, (wanted, given)."""
    one, two = (np.array([shape for _, shape, _ in some], np.float32).reshape(-1, 4) for some in (wanted, given))
    one, two = (np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) for boxes in (one, two))
    low, high = np.minimum(one[:, None], two[None]), np.maximum(one[:, None], two[None])
    inside = np.maximum(low[..., 2] - high[..., 0], 0) * np.maximum(low[..., 3] - high[..., 1], 0)
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (one, two)]
    union = areas[0][:, None] + areas[1][None] - inside
    eps = np.finfo("float").eps
    valid = (areas[0][:, None] > eps) & (areas[1][None] > eps) & (union > eps)
    return np.asarray(np.divide(inside, union, out=np.zeros_like(inside), where=valid))
