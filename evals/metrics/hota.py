"""HOTA of sequences whose boxes or masks have been compared frame by frame.

Source: Luiten et al. (2021) and JonathonLuiten/TrackEval `trackeval/metrics/hota.py`, which SAM 3's evaluation carries.

At each alpha of .05, .10 … .95 detections are matched, frame by frame, by the assignment with the greatest sum of
similarity x global alignment of the two tracks; a match counts when similarity >= alpha. DetA = TP / (TP + FN + FP),
AssA = mean over matches of the tracks' own Jaccard index, HOTA = sqrt(DetA x AssA); the mean over alphas is quoted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

ALPHAS = np.arange(0.05, 0.99, 0.05)
_EPS = np.finfo("float").eps
_ASSOCIATION_FIELDS = ("AssRe", "AssPr", "AssA")


@dataclass(frozen=True, eq=False)
class FrameDetections:
    """The detections of one frame; track numbers count from 0 within the sequence."""

    targets: np.ndarray
    """int, (G,): tracks."""
    found: np.ndarray
    """int, (D,): tracks."""
    similarity: np.ndarray
    """float, (G, D), in [0, 1]."""


HotaFields = dict[str, np.ndarray]
"""Name -> float64 (19,), one value per alpha."""


def score_sequence(frames: Sequence[FrameDetections]) -> HotaFields:
    """The counts of one sequence: HOTA_TP, HOTA_FN, HOTA_FP, AssA, AssRe, AssPr, LocA."""
    wanted, given = (sum(len(numbers) for numbers in column) for column in zip(*_list_tracks(frames), strict=True))
    fields = {name: np.zeros(len(ALPHAS)) for name in ("HOTA_TP", "HOTA_FN", "HOTA_FP", "LocA", *_ASSOCIATION_FIELDS)}
    if not wanted or not given:
        fields |= {"HOTA_FN": fields["HOTA_FN"] + wanted, "HOTA_FP": fields["HOTA_FP"] + given}
        return fields | {"LocA": np.ones(len(ALPHAS))}
    return fields | _match_frames(frames)


def _list_tracks(frames: Sequence[FrameDetections]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(frame.targets, frame.found) for frame in frames] or [(np.zeros(0, int), np.zeros(0, int))]


def _match_frames(frames: Sequence[FrameDetections]) -> HotaFields:
    alignment, targets, found = _align_tracks(frames)
    tp, fn, fp, located = (np.zeros(len(ALPHAS)) for _ in range(4))
    matches = np.zeros((len(ALPHAS), *alignment.shape))
    for frame in frames:
        rows, columns = linear_sum_assignment(-alignment[np.ix_(frame.targets, frame.found)] * frame.similarity)
        similarity = frame.similarity[rows, columns]
        for place, alpha in enumerate(ALPHAS):
            # in the similarity's own type, as in NumPy before 2, which sam3 pins: boxes are compared in float32
            good = similarity >= similarity.dtype.type(alpha - _EPS)
            tp[place] += good.sum()
            located[place] += sum(similarity[good].tolist())
            matches[place, frame.targets[rows[good]], frame.found[columns[good]]] += 1
        fn += len(frame.targets)
        fp += len(frame.found)
    return {
        "HOTA_TP": tp,
        "HOTA_FN": fn - tp,
        "HOTA_FP": fp - tp,
        "LocA": np.maximum(1e-10, located) / np.maximum(1e-10, tp),
        **_score_association(matches, targets, found, tp),
    }


def _align_tracks(frames: Sequence[FrameDetections]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Agreement of whole tracks, (G, D), and the frames of each track, (G, 1) and (1, D)."""
    number = [
        1 + max((int(tracks.max()) for tracks in column if len(tracks)), default=-1)
        for column in zip(*_list_tracks(frames), strict=True)
    ]
    potential, targets, found = np.zeros(number), np.zeros((number[0], 1)), np.zeros((1, number[1]))
    for frame in frames:
        similarity = frame.similarity
        total = similarity.sum(0)[np.newaxis, :] + similarity.sum(1)[:, np.newaxis] - similarity
        share = np.zeros_like(similarity)
        np.divide(similarity, total, out=share, where=total > _EPS)
        potential[np.ix_(frame.targets, frame.found)] += share
        targets[frame.targets] += 1
        found[0, frame.found] += 1
    return potential / (targets + found - potential), targets, found


def _score_association(matches: np.ndarray, targets: np.ndarray, found: np.ndarray, tp: np.ndarray) -> HotaFields:
    """`matches`: float64, (19, G, D)."""
    fields = {name: np.zeros(len(ALPHAS)) for name in _ASSOCIATION_FIELDS}
    for place, count in enumerate(matches):
        whole = {"AssA": targets + found - count, "AssRe": targets, "AssPr": found}
        for name, frames in whole.items():
            fields[name][place] = np.sum(count * (count / np.maximum(1, frames))) / np.maximum(1, tp[place])
    return fields


def combine_sequences(sequences: Sequence[HotaFields]) -> HotaFields:
    """Over all sequences: counts are added, associations and locations weighted by matches."""
    tp, fn, fp = (
        sum(sequence[name] for sequence in sequences) + np.zeros(len(ALPHAS))
        for name in ("HOTA_TP", "HOTA_FN", "HOTA_FP")
    )
    fields = {
        name: sum(sequence[name] * sequence["HOTA_TP"] for sequence in sequences) / np.maximum(1.0, tp)
        for name in _ASSOCIATION_FIELDS
    }
    located = sum(sequence["LocA"] * sequence["HOTA_TP"] for sequence in sequences)
    det_a, det_re = tp / np.maximum(1, tp + fn + fp), tp / np.maximum(1, tp + fn)
    return fields | {
        "LocA": np.maximum(1e-10, located) / np.maximum(1e-10, tp),
        "DetA": det_a,
        "DetRe": det_re,
        "DetPr": tp / np.maximum(1, tp + fp),
        "HOTA": np.sqrt(det_a * fields["AssA"]),
        "OWTA": np.sqrt(det_re * fields["AssA"]),
    }
