"""How right labels are that nobody looks at, by the share of pairs that this is so for, with and without masks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.harness.tables import Cell, Table
from engine.quality.ordering import compute_pair_risk
from engine.simulation import SimulatedPair

CURVE_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PairEstimator = Callable[[SimulatedPair], tuple[float, Iterable[float]]]
"""Returns the chance that a pair is covered, and that of each mask to be right."""


@dataclass(frozen=True, eq=False)
class PrecisionCurve:
    """The pairs outside of one sample, the surest first."""

    is_right: np.ndarray
    """bool, (pairs,): whether the proposal can be the label."""
    has_masks: np.ndarray
    """bool, (pairs,)."""

    @classmethod
    def from_estimates(cls, pairs: Sequence[SimulatedPair], estimate: PairEstimator) -> "PrecisionCurve":
        """Order pairs by what a verifier says of them."""
        estimates = [estimate(pair) for pair in pairs]
        order = np.argsort([compute_pair_risk(coverage, [*masks]) for coverage, masks in estimates], kind="stable")
        chosen = [pairs[place] for place in order]
        return cls(
            np.array([pair.is_right for pair in chosen], bool),
            np.array([bool(pair.proposal.masks) for pair in chosen], bool),
        )

    def measure_precision(self, share: float, *, with_masks: bool | None = None) -> float:
        """Return which share of the surest pairs is right, in [0, 1]; `with_masks`: of those with or without masks."""
        right = self.is_right if with_masks is None else self.is_right[self.has_masks == with_masks]
        return float(right[: max(1, round(share * len(right)))].mean())


def tabulate_precision(curves: Sequence[PrecisionCurve], name: str, words: str) -> Table:
    """Average over samples the precision of the surest pairs: of all, of those with masks, and of those without."""
    groups = (None, True, False)
    rows: list[tuple[Cell, ...]] = []
    for share in CURVE_SHARES:
        measured = [[100 * curve.measure_precision(share, with_masks=group) for curve in curves] for group in groups]
        rows.append(
            (f"{100 * share:.0f}", *(cell for shares in measured for cell in (float(np.mean(shares)), min(shares))))
        )
    columns = (
        *("automatic, %", "right, %", "lowest sample"),
        *("pairs with masks, %", "lowest of them", "pairs without, %", "lowest without"),
    )
    title = "Labels that are right when the surest pairs need no person"
    return Table(name, title, columns, rows, {"negatives": words, "samples": len(curves)})
