"""cgF1 = pmF1 x IL_MCC, SA-Co's headline number, over (picture, phrase) pairs.

Source: SAM 3 (2025), appendix on metrics, and `sam3/eval/cgf1_eval.py`, constants included.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from sam3_tool import rle
from sam3_tool.rle import Rle

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # not np.arange, whose 0.6 to 0.95 lie above those of pycocotools
_F1_EPSILON, _MCC_EPSILON = 1e-4, 1e-6


@dataclass
class Tally:
    """Counts of a set of pairs; grows pair by pair."""

    true: np.ndarray = field(default_factory=lambda: np.zeros(len(THRESHOLDS)))
    """Matched instances whose IoU reaches each threshold."""
    false: np.ndarray = field(default_factory=lambda: np.zeros(len(THRESHOLDS)))
    """Predicted instances of present concepts that match none."""
    missed: np.ndarray = field(default_factory=lambda: np.zeros(len(THRESHOLDS)))
    pictures: np.ndarray = field(default_factory=lambda: np.zeros((2, 2)))
    """[concept present][anything predicted]: pairs."""

    def add(self, predicted: Sequence[Rle], targets: Sequence[Rle]) -> None:
        """One pair: the instances predicted for a phrase, and those that are there."""
        self.pictures[int(bool(targets)), int(bool(predicted))] += 1
        ious = rle.ious(predicted, targets)
        rows, columns = linear_sum_assignment(-ious)
        hits = (ious[rows, columns][:, None] >= THRESHOLDS).sum(axis=0)
        self.true += hits
        self.missed += len(targets) - hits
        if targets:
            self.false += len(predicted) - hits

    def scores(self) -> dict[str, float]:
        """cgF1, pmF1 and F1 in percent; IL_MCC in [-1, 1]."""
        precision = self.true / (self.true + self.false + _F1_EPSILON)
        recall = self.true / (self.true + self.missed + _F1_EPSILON)
        f1 = 2 * precision * recall / (precision + recall + _F1_EPSILON)
        mcc = self._mcc()
        return {
            "cgF1": 100 * float(f1.mean()) * mcc,
            "pmF1": 100 * float(f1.mean()),
            "IL_MCC": mcc,
            "positive_micro_F1_50": 100 * float(f1[0]),
            "positive_micro_F1_75": 100 * float(f1[5]),
            "pairs": float(self.pictures.sum()),
        }

    def _mcc(self) -> float:
        """Matthews correlation of 'present' and 'anything predicted' (image level)."""
        (tn, fp), (fn, tp) = self.pictures
        spread = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
        return float((tp * tn - fp * fn) / (spread + _MCC_EPSILON))


def score_pairs(pairs: Iterable[tuple[Sequence[Rle], Sequence[Rle]]]) -> dict[str, float]:
    """The scores of (predicted, target) instances, one entry per (picture, phrase) pair.

    >>> disc = rle.encode(np.eye(8, dtype=bool))
    >>> scores = score_pairs([([disc], [disc]), ([], [])])
    >>> round(scores["cgF1"], 1), round(scores["IL_MCC"], 4)
    (100.0, 1.0)
    """
    tally = Tally()
    for predicted, targets in pairs:
        tally.add(predicted, targets)
    return tally.scores()
