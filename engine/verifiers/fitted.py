"""The verifier `fitted`: a logistic regression of SAM 3's signals on what people have said so far."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np

from engine.errors import EngineError
from engine.pairs import Stage
from engine.verifiers.features import build_features
from engine.verifiers.labels import LabelledItem
from engine.verifiers.regression import (
    IsotonicCurve,
    LogisticCurve,
    assign_folds,
    cross_estimate,
    fit_isotonic,
    fit_logistic,
)
from engine.verifiers.signals import build_verdict
from engine.verifiers.verifier import MaskItem, PairItem, Verdict

LEAST_LABELS = 50
"""Labels that a fit needs: in a trial with fewer it was worse than the score alone."""
LEAST_OF_EACH = 5
"""Right ones, and wrong ones, that it needs."""
CALIBRATED_FROM = 500
"""Labels above which a calibration that never falls follows the regression: with fewer it learns their chance."""
FOLDS = 5
SMOOTHING: dict[Stage, float] = {"mv": 5.0, "ev": 1.0}
"""As `fit_logistic` takes it. Few pairs without masks lack one, and weights that rest on these few must be free."""


@dataclass(frozen=True)
class StageFit:
    """What the labels of one stage gave.

    >>> StageFit("mv", LogisticCurve(("score",), (0.5,), (0.25,), (2.0,), 0.0), None, 60, 12).fingerprint
    '1d92788e64bf'
    """

    stage: Stage
    curve: LogisticCurve
    calibration: IsotonicCurve | None
    """None up to `CALIBRATED_FROM` labels."""
    labels: int
    wrong: int
    """Of the labels."""

    @cached_property
    def fingerprint(self) -> str:
        """12 hexadecimal digits of its numbers."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    def estimate(self, signals: Sequence[dict[str, float]]) -> np.ndarray:
        """Estimate how likely each is right.

        Args:
            signals: N times the inputs, by name.

        Returns:
            float64, (N,), in [0, 1].
        """
        # a fit of before there were features is one of the signals themselves
        estimates = self.curve.estimate([{**row, **build_features(self.stage, row)} for row in signals])
        return estimates if self.calibration is None else self.calibration.calibrate(estimates)


@dataclass(frozen=True, eq=False)
class FitReport:
    """A fit, and what it says of each of its labels without having seen that label."""

    fit: StageFit
    estimates: np.ndarray
    """float64, (N,), in [0, 1]: by the fit of the other folds."""


def fit_stage(stage: Stage, labels: Sequence[LabelledItem]) -> FitReport:
    """Fit one stage on what people have said.

    Each label counts by its weight, the items that it stands for: the risky ones come first and are wrong more often
    than others. Folds are by image.

    Args:
        stage: "mv" or "ev".
        labels: Of this stage.

    Returns:
        The fit, and estimates for the labels by fits that did not see them.

    Raises:
        EngineError: There are too few labels, or nearly all are alike.
    """
    right = np.array([label.is_right for label in labels], bool)
    wrong = int((~right).sum())
    if len(labels) < LEAST_LABELS or min(wrong, len(labels) - wrong) < LEAST_OF_EACH:
        raise EngineError(
            f"stage {stage!r} has {len(labels)} labels by people, {wrong} of them rejections; a fit needs"
            f" {LEAST_LABELS}, with {LEAST_OF_EACH} of each kind: let people review more, or judge with"
            " --verifier signals"
        )
    features = [build_features(stage, label.signals) for label in labels]
    weights, smoothing = np.array([label.weight for label in labels]), SMOOTHING[stage]
    curve = fit_logistic(features, right, weights, smoothing=smoothing)
    folds = assign_folds([label.image for label in labels], FOLDS)
    estimates = cross_estimate(features, right, weights, folds, smoothing=smoothing)
    calibration = fit_isotonic(estimates, right, weights) if len(labels) > CALIBRATED_FROM else None
    if calibration is not None:
        estimates = calibration.calibrate(estimates)
    return FitReport(StageFit(stage, curve, calibration, len(labels), wrong), estimates)


class FittedVerifier:
    """Judges by fits of both stages, or of one; the other one gives no verdicts.

    >>> curve = LogisticCurve(("score",), (0.5,), (0.25,), (2.0,), 0.0)
    >>> verifier = FittedVerifier([StageFit("mv", curve, None, 60, 12)])
    >>> from sam3_tool.masks.rle import RleMask
    >>> item = MaskItem("5d", lambda: None, "cup", RleMask((2, 3), "06"), {"score": 0.9})
    >>> verifier.verify_masks([item])[0].choice
    'accept'
    """

    name = "fitted"

    def __init__(self, fits: Sequence[StageFit]) -> None:
        self._fits = {fit.stage: fit for fit in fits}

    @property
    def fingerprint(self) -> str:
        """What tells these fits from others: 12 hexadecimal digits."""
        own = " ".join(fit.fingerprint for _, fit in sorted(self._fits.items()))
        return sha256(own.encode()).hexdigest()[:12]

    def verify_masks(self, items: Sequence[MaskItem]) -> list[Verdict | None]:
        """Judge masks. See `Verifier.verify_masks`."""
        return self._judge_items("mv", [dict(item.signals) for item in items])

    def verify_coverage(self, items: Sequence[PairItem]) -> list[Verdict | None]:
        """Judge coverage. See `Verifier.verify_coverage`."""
        return self._judge_items("ev", [dict(item.signals) for item in items])

    def _judge_items(self, stage: Stage, signals: Sequence[dict[str, float]]) -> list[Verdict | None]:
        fit = self._fits.get(stage)
        if fit is None or not signals:
            return [None] * len(signals)
        return [build_verdict(float(value)) for value in fit.estimate(signals)]
