"""Fit how likely masks are right, and measure it: `python -m evals.studies.calibration --sam3 tiny`.

On generated scenes, held out from training: curves are fitted on some of them and measured on others. With a folder of
one's own, the file calibration.json in it gets the curves, and answers carry probabilities from then on.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.errors import ScoringError
from evals.reports.tables import format_columns
from evals.studies.calibration.diagram import draw_diagram
from evals.studies.calibration.fitting import Reliability, fit_estimator, measure_reliability
from evals.studies.calibration.samples import (
    FIT_SCENES,
    TEST_SCENES,
    MaskSamples,
    collect_samples,
    count_samples,
)
from sam3_tool import ProbabilityEstimator, Sam3
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.errors import UserError
from sam3_tool.probability import PromptKind, locate_estimator, write_estimator

DEFAULT_THRESHOLD = 0.5
"""Of answers, where nobody says otherwise."""


def measure_estimator(estimator: ProbabilityEstimator, samples: Mapping[PromptKind, MaskSamples]) -> list[Reliability]:
    """Measure each curve, on all masks and on those that answers hold by default.

    Args:
        estimator: Its curves are measured.
        samples: Masks that it was not fitted on.

    Returns:
        Two rows for each curve.
    """
    rows = []
    for kind, curve in estimator.curves.items():
        found = samples[kind]
        shown = found.select_above(DEFAULT_THRESHOLD)
        rows += [
            measure_reliability(name, held, curve)
            for name, held in ((f"{kind}, all", found), (f"{kind}, score above 0.5", shown))
            if len(held)
        ]
    return rows


def format_reliability(rows: Sequence[Reliability]) -> str:
    """Format a line for each row."""
    head = ("masks", "number", "right", "error of the score", "error of the probability", "95 % interval", "Brier")
    return format_columns([head, *(tuple(map(str, to_row(row).values())) for row in rows)])


def to_row(row: Reliability) -> dict[str, Any]:
    """Return the numbers of a row as plain JSON values, but for its bins."""
    return {
        "masks": row.name,
        "number": row.masks,
        "right": round(row.right, 3),
        "score_error": round(row.score_error, 3),
        "error": round(row.error, 3),
        "interval": f"{row.interval.low:.3f} to {row.interval.high:.3f}",
        "brier": round(row.brier, 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sam3", default="tiny", help="'tiny', or a folder or a file of weights")
    parser.add_argument("--number", type=int, default=400, help="scenes to fit on, and as many to measure on")
    parser.add_argument("--output", type=Path, help="where the curves go (default: calibration.json of the weights)")
    parser.add_argument("--report", type=Path, help="a folder for calibration-error.json and calibration.svg")
    options = parser.parse_args(arguments)
    try:
        if options.number < 1:
            raise ScoringError(f"--number must be at least 1, got {options.number}")
        file = options.output or locate_estimator(locate_checkpoint(options.sam3))
        rows = fit_and_measure(Sam3.load(options.sam3), file, number=options.number, name=options.sam3)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"the calibration cannot be written: {error}", file=sys.stderr)
        return 1
    if options.report is not None:
        options.report.mkdir(parents=True, exist_ok=True)
        content = json.dumps([to_row(row) for row in rows], indent=2)
        (options.report / "calibration-error.json").write_text(content + "\n", encoding="utf-8")
        (options.report / "calibration.svg").write_text(draw_diagram(rows[::2]), encoding="utf-8")
    return 0


def fit_and_measure(sam3: Sam3, file: Path, *, number: int, name: str) -> list[Reliability]:
    """Fit curves, write them into a file, and print how good they are.

    Raises ScoringError where there are too few masks, and OSError.
    """
    samples = collect_samples(sam3, FIT_SCENES, number)
    print(f"fitted on {number} scenes: {count_samples(samples)}")
    fitted_on = f"{number} generated scenes from number {FIT_SCENES}, {name}: {count_samples(samples)}"
    estimator = fit_estimator(samples, fitted_on=fitted_on, weights=sam3.fingerprint)
    write_estimator(file, estimator)
    print(f"saved: {file}")
    rows = measure_estimator(estimator, collect_samples(sam3, TEST_SCENES, number))
    print(format_reliability(rows))
    return rows


if __name__ == "__main__":
    sys.exit(main())
