"""J&F, accuracy and robustness on ReVOS, for expressions that refer, that need reasoning, and for both.

Source: cilinyan/VISA `tools/eval_revos.py` and `tools/metrics.py`.

- J and F of an expression: the means over all frames, as in `jf`'s convention "mevis".
- A: the mean over the frames of the share of pixels whose values are equal; the target has 1 for its pixels, and 2 or
  more where annotations overlap, the prediction 255, as its masks are saved.
- R: the mean over the frames of 1 - wrong / foreground, at least 0. Each pixel that is predicted outside the target
  adds 255 to `wrong`; `foreground` counts the pixels of all objects that any expression about the video means.

Numbers of an expression are rounded to two decimals in percent. Those of a kind are means over its expressions, and
those of both kinds together are the means of both, whatever their sizes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.errors import ScoringError
from evals.metrics import jf

KINDS = {0: "referring", 1: "reason"}
"""`type_id` of an expression -> its kind. Others are scored, and count in no mean."""
SAVED_VALUE = 255
"""The value of a mask's pixels in the files that the official code reads."""
NUMBERS = ("JF", "J", "F", "A", "R")


@dataclass(frozen=True)
class ExpressionScore:
    """The numbers of one expression, as fractions."""

    j: float
    f: float
    a: float
    r: float

    @property
    def jf(self) -> float:
        """The mean of J and F."""
        return (self.j + self.f) / 2


MISSED = ExpressionScore(0.0, 0.0, 0.0, 0.0)
"""Of a prediction that is not there, or cannot be read."""


def score_expression(frames: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> ExpressionScore:
    """Score one expression.

    Args:
        frames: For each frame the prediction, uint8 (H, W) as its mask is saved; the target, uint8 (H, W), by how many
            annotations a pixel is covered; and the foreground, uint8 (H, W), 0 or 1.

    >>> frame = np.ones((8, 8), np.uint8)
    >>> score_expression([(255 * frame, frame, frame)])
    ExpressionScore(j=1.0, f=1.0, a=0.0, r=1.0)
    """
    rows = [_score_frame(*frame) for frame in frames]
    if not rows:
        raise ScoringError("an expression about a video without a frame has no score")
    j, f, a, r = (float(np.array(column, float).mean()) for column in zip(*rows, strict=True))
    return ExpressionScore(j, f, a, r)


def _score_frame(prediction: np.ndarray, target: np.ndarray, foreground: np.ndarray) -> tuple[float, ...]:
    found, wanted = prediction > 0, target > 0
    # in eight bits, as officially: where annotations overlap, 1 - target is 255
    wrong = int(((np.uint8(1) - target) * prediction).sum())
    robustness = max(1 - wrong / (int(foreground.sum()) + 1e-6), 0.0)
    return (
        jf.compute_region_overlap(found, wanted),
        jf.compute_boundary_accuracy(found, wanted),
        float(np.mean(target == prediction)),
        robustness,
    )


def summarize_expressions(scores: Sequence[tuple[int, ExpressionScore]]) -> dict[str, Any]:
    """`jf`, `j`, `f`, `a`, `r` over both kinds, `jf_referring` … in percent, and `official`; (type_id, score) each.

    Where all expressions are of one kind, both together are that kind. Without any, it raises ScoringError.

    >>> summarize_expressions([(0, ExpressionScore(1, 1, 1, 1)), (1, MISSED), (1, MISSED)])["jf"]
    50.0
    """
    kinds = {name: _average_kind([score for type_id, score in scores if type_id == id]) for id, name in KINDS.items()}
    there = {name: numbers for name, numbers in kinds.items() if numbers}
    if not there:
        raise ScoringError("no expression refers or needs reasoning: `type_id` must be 0 or 1")
    overall = {name: _average([numbers[name] for numbers in there.values()]) for name in NUMBERS}
    official = {**there, "overall": overall}
    headline = {name.lower(): overall[name] for name in NUMBERS}
    parts = {f"{name.lower()}_{kind}": numbers[name] for kind, numbers in there.items() for name in NUMBERS}
    return headline | parts | {"official": official}


def _average_kind(scores: Sequence[ExpressionScore]) -> Mapping[str, float]:
    """The means in percent, of rounded numbers; empty without any."""
    if not scores:
        return {}
    columns = {
        name: float(np.array([round(np.float64(100 * getattr(score, name.lower())), 2) for score in scores]).mean())
        for name in ("J", "F", "A", "R")
    }
    return {"JF": (columns["J"] + columns["F"]) / 2, **columns}


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)
