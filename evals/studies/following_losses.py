"""Where J is lost while objects are followed: `python -m evals.studies.following_losses --sam3 tiny --number 12`.

Objects are given by their exact mask on the first frame, as in `evals.studies.following`. Each later frame of each
object has one cause of what it lacks, and the points of all causes and the J that was reached make 100.
"""

import argparse
from collections import Counter
from collections.abc import Iterable

import numpy as np

from evals.reports.tables import format_columns
from evals.studies.following import follow_masks, generate_clips
from sam3_tool import Sam3
from sam3_tool.synthetic.clips import Clip

NEAR_IOU = 0.3
"""Below this IoU a mask is not on its object."""
WHOLE_SHARE = 0.6
"""Of its largest area; an object that shows less is partly hidden, or on its way in or out."""


def find_cause(truth: np.ndarray, found: np.ndarray, others: Iterable[np.ndarray], largest: int) -> str:
    """Say what kind of loss a frame of an object has.

    Args:
        truth: bool, (H, W), where the object is.
        found: bool, (H, W), where it is said to be.
        others: bool, (H, W) each, where the other objects are.
        largest: Pixels of the object where it shows most.

    Returns:
        The cause, in words.

    >>> mask, none = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    >>> find_cause(mask, none, [], 4), find_cause(none, mask, [], 4), find_cause(mask, mask, [], 4)
    ('in sight, nothing drawn', 'away, still drawn', 'outline, in full sight')
    """
    if not truth.any():
        return "away, still drawn" if found.any() else "away, nothing drawn"
    if not found.any():
        return "in sight, nothing drawn"
    if measure_mask_overlap(truth, found) < NEAR_IOU:
        is_other = any((other & found).sum() > 0.5 * found.sum() for other in others)
        return "on another object" if is_other else "beside the object"
    return "outline, in full sight" if truth.sum() >= WHOLE_SHARE * largest else "outline, partly hidden"


def measure_mask_overlap(truth: np.ndarray, found: np.ndarray) -> float:
    """Compute the IoU of two masks, bool (H, W), in [0, 1]; two empty ones have 1."""
    either = int((truth | found).sum())
    return int((truth & found).sum()) / either if either else 1.0


def sum_losses(clips: Iterable[tuple[Clip, list[int]]], sam3: Sam3) -> tuple[Counter[str], Counter[str]]:
    """Return 1 - IoU summed by cause, and how many frames have each; first and last frames do not count."""
    losses: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    for clip, chosen in clips:
        masks = [clip.find_masks(number) for number in range(len(clip.objects))]
        for number, found in zip(chosen, follow_masks(sam3, clip, chosen), strict=True):
            truth = masks[number]
            largest = int(truth.sum(axis=(1, 2)).max())
            for frame in range(1, len(truth) - 1):
                others = [mask[frame] for other, mask in enumerate(masks) if other != number]
                cause = find_cause(truth[frame], found[frame], others, largest)
                losses[cause] += 1 - measure_mask_overlap(truth[frame], found[frame])  # type: ignore[assignment]
                frames[cause] += 1
    return losses, frames


def format_losses(losses: Counter[str], frames: Counter[str]) -> str:
    """Format the share of frames and the points of J that each cause costs, the dearest first."""
    total = sum(frames.values())
    rows = [
        (cause, f"{100 * frames[cause] / total:.1f}", f"{100 * loss / total:.1f}")
        for cause, loss in losses.most_common()
    ]
    reached = 100 - 100 * sum(losses.values()) / total
    head = ("cause", "frames, %", "points of J")
    return f"J {reached:.1f} of {total} frames of objects\n{format_columns(rows, head=head, right_aligned=(1, 2))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam3", default="tiny", help="'tiny', 'facebook/sam3' or a folder")
    parser.add_argument("--number", type=int, default=12, help="clips (default 12)")
    arguments = parser.parse_args()
    print(format_losses(*sum_losses(generate_clips(arguments.number), Sam3.load(arguments.sam3))))


if __name__ == "__main__":
    main()
