"""Scores of detectors on one scale: 0.5 is where the detector's own authors cut.

A detector's raw score is no probability, and each detector has a range of its own. A logistic function of its logit
brings it to [0, 1] without changing the order: score = sigmoid(slope * (logit(raw) - logit(midpoint))). With a slope of
1 the odds are divided by those of the midpoint; `evals.studies.open_calibration` fits both numbers.
"""

import json
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from sam3_tool.errors import CheckpointError

FILE_NAME = "calibration.json"
"""In the folder of a detector, where somebody has fitted it; else the shipped one."""
_LEAST = 1e-6
"""Raw scores are cut there and at 1 minus that, so that each has a logit."""


@dataclass(frozen=True)
class Calibration:
    """How raw scores of one kind become scores, and how the best of them says that the concept is there at all.

    >>> import numpy as np
    >>> calibration = Calibration(midpoint=0.35)
    >>> calibration.to_scores(np.array([0.2, 0.35, 0.6], np.float32)).astype(float).round(3).tolist()
    [0.317, 0.5, 0.736]
    >>> calibration.to_raw_scores(np.array([0.5], np.float32)).astype(float).round(3).tolist()
    [0.35]
    """

    midpoint: float
    """In (0, 1): the raw score that becomes 0.5."""
    slope: float = 1.0
    """Above 0."""
    presence_midpoint: float | None = None
    """The best raw score at which the concept is as likely there as not; left out, as `midpoint`."""
    presence_slope: float | None = None
    fitted_on: str = ""
    """What it was fitted on; empty where it was not fitted."""

    def __post_init__(self) -> None:
        midpoints, slopes = zip((self.midpoint, self.slope), self._presence_numbers, strict=True)
        if not (all(0 < midpoint < 1 for midpoint in midpoints) and all(s > 0 and isfinite(s) for s in slopes)):
            raise ValueError(
                f"a calibration needs midpoints between 0 and 1 and slopes above 0, got {midpoints} and {slopes}"
            )

    def to_scores(self, raw: np.ndarray) -> np.ndarray:
        """Return scores of raw scores, both float32 (N,), in [0, 1]. The order stays."""
        return _bend(raw, self.midpoint, self.slope)

    def to_raw_scores(self, scores: np.ndarray) -> np.ndarray:
        """Return the detector's raw scores of scores, both float32 (N,), in [0, 1]."""
        return _unbend(scores, self.midpoint, self.slope)

    def to_presence(self, best_raw: float) -> float:
        """Return how likely the concept is in the image at all, in [0, 1], by the best raw score."""
        return float(_bend(np.array([best_raw]), *self._presence_numbers)[0])

    def to_best_raw_score(self, presence: float) -> float:
        """Return the best raw score of a presence, both in [0, 1]."""
        return float(_unbend(np.array([presence]), *self._presence_numbers)[0])

    @property
    def _presence_numbers(self) -> tuple[float, float]:
        """Midpoint and slope of presence."""
        midpoint = self.midpoint if self.presence_midpoint is None else self.presence_midpoint
        return midpoint, self.slope if self.presence_slope is None else self.presence_slope


def read_calibrations(model_type: str, folder: Path) -> dict[str, Calibration]:
    """Return the calibrations of a detector by kind of prompt: "phrase", and "exemplar" where it takes boxes.

    `model_type`: as in its config.json. `folder`: the detector's, whose own calibration.json wins.

    Raises `CheckpointError` if that file is damaged.
    """
    shipped = _read_shipped()[model_type]
    file = folder / FILE_NAME
    if not file.exists():
        return {kind: Calibration(**numbers) for kind, numbers in shipped.items()}
    try:
        own = json.loads(file.read_text(encoding="utf-8"))
        return {kind: Calibration(**(own.get(kind) or numbers)) for kind, numbers in shipped.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{file} cannot be read as a calibration: {' '.join(str(error).split())[:200]}; expected"
            ' {"phrase": {"midpoint": 0.35, "slope": 1.0}}, or no such file'
        ) from error


@cache
def _read_shipped() -> dict[str, Any]:
    shipped: dict[str, Any] = json.loads(Path(__file__).with_name(FILE_NAME).read_text(encoding="utf-8"))
    return shipped


def _bend(raw: np.ndarray, midpoint: float, slope: float) -> np.ndarray:
    logits = slope * (_to_odds_logit(raw) - _to_odds_logit(midpoint))
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _unbend(scores: np.ndarray, midpoint: float, slope: float) -> np.ndarray:
    logits = _to_odds_logit(scores) / slope + _to_odds_logit(midpoint)
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _to_odds_logit(share: Any) -> Any:
    inside = np.clip(np.asarray(share, np.float64), _LEAST, 1 - _LEAST)
    return np.log(inside / (1 - inside))
