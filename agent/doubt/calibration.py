"""What must be so that masks can be doubtful at all: a SAM 3 whose probabilities somebody has fitted."""

from typing import TYPE_CHECKING

from agent.core.errors import UsageError
from agent.doubt.policy import DoubtPolicy

if TYPE_CHECKING:
    from sam3_tool import Sam3


def check_calibration(sam3: "Sam3", policy: DoubtPolicy) -> None:
    """Check that a policy can do something.

    Args:
        sam3: The segmenter that finds the masks.
        policy: What is to become of doubtful masks.

    Raises:
        UsageError: The policy needs probabilities, and this SAM 3 is not calibrated.

    Example:
        >>> from sam3_tool import Sam3
        >>> check_calibration(Sam3.load("tiny"), DoubtPolicy(min_probability=0.5))
    """
    if policy.is_active and sam3.probability_estimator is None:
        raise UsageError(describe_missing_calibration(sam3.name, sam3.calibration_fault))


def describe_missing_calibration(name: str, fault: str = "") -> str:
    """Return why there are no probabilities, and how to get them.

    `name`: of SAM 3's weights. `fault`: why the calibration that is there is not used.
    """
    why = fault or f"SAM 3 {name!r} is not calibrated"
    return (
        f"--min-probability and --ask-when-unsure need mask probabilities, and {why}; fit it"
        " with `python -m evals.studies.calibration --sam3 FOLDER`, or leave them out"
    )
