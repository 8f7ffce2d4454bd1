"""How likely a mask is right: a logistic function of what SAM 3 says of it, fitted for one checkpoint."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from sam3_tool.errors import CheckpointError
from sam3_tool.system.files import decode_json, write_atomically

ESTIMATOR_FILE = "calibration.json"
"""In the folder of a checkpoint, or beside its one file of weights."""
FORMAT = "sam3-agent mask probabilities"

PromptKind = Literal["phrase", "exemplar", "click"]
"""What a mask was found by: a noun phrase, example boxes, or clicks and a box around one object."""

_LEAST = 1e-4
"""Shares are cut there and at 1 minus that, so that each has a logit that float32 can tell from others."""


@dataclass(frozen=True)
class ProbabilityCurve:
    """Weights of a logistic regression: how likely a mask is right, by its score, its presence and its size.

    Platt scaling (1999) of the score's logit, which may have another slope above a score of 0.5, with two more inputs:
    the logit of the presence score, and the logarithm of the mask's share of the image.

    >>> curve = ProbabilityCurve(score=1.0, high_score=0.0, presence=0.0, size=0.0, bias=0.0)
    >>> curve.estimate(np.array([0.5, 0.9]), np.ones(2), np.full(2, 0.1)).round(3).tolist()
    [0.5, 0.9]
    """

    score: float
    high_score: float
    """Of the part of the score's logit that is above 0."""
    presence: float
    size: float
    bias: float

    def __post_init__(self) -> None:
        if not all(map(isfinite, asdict(self).values())):
            raise ValueError(f"the weights of a curve must be finite, got {self}")

    def estimate(self, scores: np.ndarray, presences: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Estimate how likely masks are right.

        Args:
            scores: (N,), in [0, 1].
            presences: (N,), in [0, 1].
            shares: (N,), in [0, 1]: each mask's share of the image's pixels.

        Returns:
            float64, (N,), in [0, 1].
        """
        inputs = build_inputs(scores, presences, shares)
        return np.asarray(1 / (1 + np.exp(-(inputs @ [*asdict(self).values()]))))


@dataclass(frozen=True)
class ProbabilityEstimator:
    """How likely masks of one checkpoint are right, by what they were found by.

    A mask is right if its IoU with an object of the concept is above 0.5. `evals.studies.calibration` fits the curves.

    >>> curve = ProbabilityCurve(score=1.0, high_score=0.0, presence=0.0, size=0.0, bias=0.0)
    >>> estimator = ProbabilityEstimator({"phrase": curve}, fitted_on="nothing", weights="")
    >>> one = np.full(1, 0.5)
    >>> estimator.estimate("phrase", one, one, one).tolist(), estimator.estimate("click", one, one, one)
    ([0.5], None)
    """

    curves: Mapping[PromptKind, ProbabilityCurve]
    """A kind that is missing is not calibrated."""
    fitted_on: str
    """In words."""
    weights: str
    """SHA-256 of the weights that it was fitted for."""

    def estimate(
        self, kind: PromptKind, scores: np.ndarray, presences: np.ndarray, shares: np.ndarray
    ) -> np.ndarray | None:
        """Estimate how likely masks are right.

        Args:
            kind: What they were found by.
            scores: (N,), in [0, 1].
            presences: (N,), in [0, 1].
            shares: (N,), in [0, 1]: each mask's share of the image's pixels.

        Returns:
            float64, (N,), in [0, 1]; None where this kind is not calibrated.
        """
        curve = self.curves.get(kind)
        return None if curve is None else curve.estimate(scores, presences, shares)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `from_dict` reads."""
        curves = {kind: asdict(curve) for kind, curve in self.curves.items()}
        return {"format": FORMAT, "fitted_on": self.fitted_on, "weights": self.weights, "curves": curves}

    @classmethod
    def from_dict(cls, held: Any) -> "ProbabilityEstimator":
        """Read what `to_dict` returned.

        Args:
            held: A JSON value.

        Returns:
            The estimator.

        Raises:
            ValueError: It is something else.
        """
        match held:
            case {"format": "sam3-agent mask probabilities", "fitted_on": str(), "weights": str(), "curves": dict()}:
                curves = {kind: _read_curve(kind, curve) for kind, curve in held["curves"].items()}
                return cls(curves, held["fitted_on"], held["weights"])
        raise ValueError(f'expected "format": "{FORMAT}", "fitted_on", "weights" and "curves"')


def _read_curve(kind: str, held: Any) -> ProbabilityCurve:
    names = tuple(curve_field.name for curve_field in fields(ProbabilityCurve))
    if kind not in get_args(PromptKind):
        raise ValueError(f"there is no curve {kind!r}; expected {', '.join(get_args(PromptKind))}")
    if not isinstance(held, dict) or held.keys() != set(names):
        raise ValueError(f"the curve {kind!r} needs {', '.join(names)}, and nothing else")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in held.values()):
        raise ValueError(f"the curve {kind!r} needs numbers")
    return ProbabilityCurve(**{name: float(held[name]) for name in names})


def build_inputs(scores: np.ndarray, presences: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Build the inputs of the regression.

    Args:
        scores: (N,), in [0, 1].
        presences: (N,), in [0, 1].
        shares: (N,), in [0, 1].

    Returns:
        float64, (N, 5): logits of scores, what of them is above 0, logits of presences, logarithms of shares, ones.
    """
    score, presence, share = (
        np.clip(np.asarray(column, np.float64), _LEAST, 1 - _LEAST) for column in (scores, presences, shares)
    )
    score_logits, presence_logits = (np.log(column / (1 - column)) for column in (score, presence))
    columns = [score_logits, np.maximum(score_logits, 0), presence_logits, np.log(share), np.ones(len(share))]
    return np.stack(columns, axis=1)


def locate_estimator(weights: Path) -> Path:
    """Return where the file of a checkpoint's estimator is, or would be.

    `weights`: the checkpoint's folder, or its one file.

    >>> locate_estimator(Path("no/such/sam3")).as_posix()
    'no/such/calibration.json'
    """
    return (weights if weights.is_dir() else weights.parent) / ESTIMATOR_FILE


def read_estimator(weights: Path) -> ProbabilityEstimator | None:
    """Read the estimator of a checkpoint.

    Args:
        weights: The checkpoint's folder, or its one file of weights.

    Returns:
        The estimator; None where there is none.

    Raises:
        CheckpointError: The file is there and cannot be read.

    >>> read_estimator(Path("no/such/folder"))
    """
    file = locate_estimator(weights)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror or error}") from error
    try:
        return ProbabilityEstimator.from_dict(decode_json(content))
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{file} holds no mask probabilities: {said}; fit it again with"
            " `python -m evals.studies.calibration`, or remove it"
        ) from error


def describe_stale_estimator(estimator: ProbabilityEstimator, fingerprint: str, file: Path) -> str:
    """Say that an estimator was fitted for other weights than those that are loaded.

    Args:
        estimator: What the file holds.
        fingerprint: SHA-256 of the weights that are loaded.
        file: Where the estimator was read.

    Returns:
        One sentence; "" where it was fitted for these weights.

    >>> describe_stale_estimator(ProbabilityEstimator({}, "nothing", "ab12"), "ab12", Path("calibration.json"))
    ''
    """
    if estimator.weights == fingerprint:
        return ""
    fitted, loaded = (text[:12] or "none" for text in (estimator.weights, fingerprint))
    return (
        f"{file} is not calibrated for these weights: it was fitted for the fingerprint {fitted}, and that of the"
        f" weights is {loaded}"
    )


def write_estimator(file: Path, estimator: ProbabilityEstimator) -> None:
    """Write an estimator, whole or not at all. Raises OSError."""
    write_atomically(file, (json.dumps(estimator.to_dict(), indent=2) + "\n").encode())
