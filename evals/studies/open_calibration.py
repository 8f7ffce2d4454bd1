"""Fit how the raw scores of a detector become scores that are probabilities, on generated scenes.

Run it: `python -m evals.studies.open_calibration --sam3 open`. It saves `calibration.json` in the folder of the
detector that was loaded, where the next `Sam3.load` finds it, or says "not calibrated" and why.

Each scene is asked for the kinds of object that it shows, and for as many that it does not. A mask is right if it
covers an object of its kind with an IoU above .5. Two logistic functions are fitted: of a mask's raw score, whether it
is right; of the best raw score of a phrase, whether its kind is there. Drawn scenes are not photographs: what is fitted
here orders nothing anew, and holds for photographs as far as these scenes are like them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evals.errors import ScoringError
from evals.studies.checkpoint import MATCH_IOU, SIZES
from sam3_tool import Image, Sam3
from sam3_tool.backends.loading import load_backend
from sam3_tool.backends.open_models.calibration import Calibration
from sam3_tool.errors import UserError
from sam3_tool.masks import rle
from sam3_tool.synthetic.nouns import THINGS
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene

FIRST_SCENE = 700_000
"""Number of the first held-out scene; other measurements use other scenes."""
FLOOR = 0.02
"""Scores below it are not asked for: there are hundreds of them, all wrong."""
_STEPS, _PENALTY = 50, 1e-3


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """Raw scores, and whether each was right."""

    raw: np.ndarray
    """float32, (N,), in [0, 1]."""
    is_right: np.ndarray
    """bool, (N,)."""


@dataclass(frozen=True, eq=False)
class ScoredScenes:
    """What a model said of scenes."""

    masks: LabelledScores
    """One per mask."""
    phrases: LabelledScores
    """The best raw score of each phrase, and whether its kind is there."""


def collect_scores(sam3: Sam3, calibration: Calibration | None, *, number: int) -> ScoredScenes:
    """Ask for what scenes show, and for what they do not.

    Args:
        sam3: Any model.
        calibration: How its raw scores became scores; None where they are the same.
        number: How many scenes are drawn.

    Returns:
        The raw scores of what it found.
    """
    masks: list[tuple[float, bool]] = []
    phrases: list[tuple[float, bool]] = []
    for index in range(FIRST_SCENE, FIRST_SCENE + number):
        scene = draw_scene(HELD_OUT + index, size=SIZES[index % len(SIZES)])
        image, truth = Image(scene.pixels), rle.encode_masks(scene.masks)
        for phrase, rows in pair_phrases(scene, index):
            found = sam3.segment(image, phrase, threshold=FLOOR)
            raw, best = found.scores, found.presence
            if calibration is not None:
                raw, best = calibration.to_raw_scores(raw), calibration.to_best_raw_score(best)
            overlaps = rle.compute_ious([truth[row] for row in rows], found.rles)
            is_right = np.asarray((overlaps > MATCH_IOU).any(axis=0))
            masks += zip(raw.tolist(), is_right.tolist(), strict=True)
            phrases.append((best, bool(rows)))
    return ScoredScenes(_build_scores(masks), _build_scores(phrases))


def pair_phrases(scene: Scene, seed: int) -> list[tuple[str, list[int]]]:
    """Return phrases and the rows of the objects that they mean: each kind of the scene, and as many strangers."""
    kinds: dict[str, list[int]] = {}
    for row, thing in enumerate(scene.objects):
        kinds.setdefault(f"{thing.colour or ''} {thing.noun}".strip(), []).append(row)
    shown = {thing.noun for thing in scene.objects}
    strangers = np.random.default_rng(seed).permutation(sorted(THINGS.keys() - shown))[: len(kinds)]
    return [*kinds.items(), *((str(noun), []) for noun in strangers)]


def _build_scores(pairs: Sequence[tuple[float, bool]]) -> LabelledScores:
    return LabelledScores(
        np.array([raw for raw, _ in pairs], np.float32), np.array([right for _, right in pairs], bool)
    )


def fit_calibration(scored: ScoredScenes, *, fitted_on: str) -> Calibration:
    """Fit both logistic functions.

    Args:
        scored: What a model said of scenes.
        fitted_on: What is written down with the numbers.

    Returns:
        The calibration.

    Raises:
        ScoringError: All are right or all are wrong, or raw scores do not tell one from the other.
    """
    slope, midpoint = fit_logistic(scored.masks, "masks")
    presence_slope, presence_midpoint = fit_logistic(scored.phrases, "phrases")
    return Calibration(midpoint, slope, presence_midpoint, presence_slope, fitted_on)


def fit_logistic(scores: LabelledScores, what: str) -> tuple[float, float]:
    """Return slope and midpoint of sigmoid(slope * (logit(raw) - logit(midpoint))), by Newton's method.

    Raises ScoringError as `fit_calibration`; `what` names the scores.
    """
    right, total = int(scores.is_right.sum()), len(scores.raw)
    if not 0 < right < total:
        raise ScoringError(
            f"a calibration needs {what} that are right and others that are wrong, but {right} of {total} are right;"
            " take more scenes (--number), or weights that were trained"
        )
    inside = np.clip(scores.raw.astype(np.float64), 1e-6, 1 - 1e-6)
    inputs = np.stack([np.log(inside / (1 - inside)), np.ones(total)], axis=1)
    weights = np.zeros(2)
    for _ in range(_STEPS):
        predicted = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        gradient = inputs.T @ (predicted - scores.is_right) + _PENALTY * weights
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + _PENALTY * np.eye(2)
        weights = weights - np.linalg.solve(curvature, gradient)
    slope, offset = map(float, weights)
    midpoint = 1 / (1 + np.exp(offset / slope)) if slope > 0 else 0.0
    if not 1e-6 < midpoint < 1 - 1e-6:
        raise ScoringError(
            f"raw scores do not tell {what} that are right from others (slope {slope:.2g} over {total}); the shipped"
            " numbers stay"
        )
    return slope, float(midpoint)


def measure_calibration_error(scores: LabelledScores, predicted: np.ndarray, *, bins: int = 10) -> float:
    """Measure the expected calibration error: the mean gap between score and share of right ones, over bins of scores.

    `predicted`: float32, (N,), in [0, 1].
    """
    places = np.minimum((predicted * bins).astype(int), bins - 1)
    gaps = [
        abs(predicted[places == place].mean() - scores.is_right[places == place].mean()) * (places == place).mean()
        for place in np.unique(places)
    ]
    return float(sum(gaps))


def write_calibration(file: Path, calibration: Calibration) -> None:
    """Write a calibration of phrases as `read_calibrations` reads it from a detector's folder.

    What the file says of other kinds of prompts stays.
    """
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    content["phrase"] = asdict(calibration)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="open", help="'open', 'open:owlv2', 'open:DETECTOR,SEGMENTER', or 'tiny'")
    parser.add_argument("--number", type=int, default=200, help="scenes (default 200)")
    parser.add_argument("--output", type=Path, help="another file for the numbers than the detector's calibration.json")
    options = parser.parse_args(arguments)
    try:
        backend = load_backend(options.sam3, device="auto", dtype="auto", compile=None)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    before = getattr(backend, "calibrations", {}).get("phrase")
    try:
        scored = collect_scores(Sam3(backend), before, number=options.number)
        fitted = fit_calibration(scored, fitted_on=f"{options.number} generated scenes, {options.sam3}")
    except UserError as error:
        print(f"not calibrated: {error}", file=sys.stderr)
        return error.exit_code
    for name, calibration in {"before": before or Calibration(0.5), "after": fitted}.items():
        error_size = measure_calibration_error(scored.masks, calibration.to_scores(scored.masks.raw))
        print(f"{name}: midpoint {calibration.midpoint:.3g}, slope {calibration.slope:.3g}, error {error_size:.3f}")
    print(f"masks: {len(scored.masks.raw)}, of which {int(scored.masks.is_right.sum())} are right")
    return _save_fit(options.output or getattr(backend, "calibration_file", None), fitted)


def _save_fit(file: Path | None, fitted: Calibration) -> int:
    """Save a calibration, and say where. Return the exit code."""
    if file is None:
        print("not saved: these weights read no calibration; --output names a file")
        return 0
    try:
        write_calibration(file, fitted)
    except OSError as error:
        print(f"not saved: {file} cannot be written ({error.strerror}); --output names another file", file=sys.stderr)
        return UserError.exit_code
    print(f"saved: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
