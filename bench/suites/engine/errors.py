"""Tell the errors of SAM 3's proposals apart, and which of them the riskiest pairs hold."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from bench.harness.tables import Cell, Table
from engine.simulation import SimulatedPair
from engine.verifiers.measuring import COVERED_IOU
from sam3_tool.masks.rle import compute_ious

ErrorKind = Literal[
    "a mask where nothing is",
    "nothing proposed",
    "an instance missing",
    "a bad outline",
    "a mask too many",
    "missing and a wrong mask",
]
"""What is wrong with a proposal: each wrong pair has one kind."""
AT_SHARES = (0.1, 0.2)


def classify_error(pair: SimulatedPair) -> ErrorKind:
    """Say what is wrong with a pair whose proposal cannot be the label as it is.

    A bad outline lies on an object (IoU from 0.5 on) and is not good enough (IoU below 0.75).
    """
    masks, rights = pair.proposal.masks, pair.right_masks
    if not pair.truth:
        return "a mask where nothing is"
    if not masks:
        return "nothing proposed"
    if all(rights):
        return "an instance missing"
    if not pair.is_covered:
        return "missing and a wrong mask"
    best = compute_ious(masks, pair.truth).max(axis=1)
    lies_on_object = [iou >= COVERED_IOU for iou, right in zip(best, rights, strict=True) if not right]
    return "a bad outline" if all(lies_on_object) else "a mask too many"


def tabulate_errors(orders: Sequence[Sequence[SimulatedPair]], name: str, words: str) -> Table:
    """Count the errors of each kind, and how many of them lie among the first pairs.

    Args:
        orders: The pairs of each project, in the order in which they are reviewed.
        name: Of the table.
        words: Which negatives there are.
    """
    found = [
        (classify_error(pair), place / len(pairs))
        for pairs in orders
        for place, pair in enumerate(pairs)
        if not pair.is_right
    ]
    rows: list[tuple[Cell, ...]] = []
    for kind in (*get_args(ErrorKind), "all"):
        places = np.array([place for error, place in found if kind in (error, "all")])
        shares = [100 * float((places < share).mean()) if len(places) else None for share in AT_SHARES]
        rows.append((kind, len(places), 100 * len(places) / max(1, len(found)), *shares))
    columns = ("error", "pairs", "% of all", *(f"found at {share:.0%}, %" for share in AT_SHARES))
    return Table(name, "Errors of proposals by kind, riskiest first", columns, rows, {"negatives": words})
