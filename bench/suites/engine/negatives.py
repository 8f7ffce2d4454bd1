"""Count the negatives that mislead SAM 3: absent phrases for which it finds a thing that another phrase names."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.harness.tables import Cell, Table
from engine.phrases.negatives.adversarial import MIN_OVERLAP
from engine.simulation import SimulatedPair
from evals.bootstrap import compute_interval
from sam3_tool.masks.rle import RleMask, compute_ious


@dataclass(frozen=True)
class NegativeOutcome:
    """What SAM 3 makes of a phrase that names nothing in a scene."""

    scene: int
    has_mask: bool
    """Whether it offers any mask, which is an error that people must find."""
    is_hard: bool
    """Whether one of its masks lies on a thing of the scene, as in `CheckedNegative.is_hard`."""


def tabulate_negatives(worlds: dict[str, Sequence[SimulatedPair]]) -> Table:
    """Make the table: a row for each kind of negatives.

    Args:
        worlds: In words which negatives they are -> all pairs of the projects.
    """
    rows = [_build_row(words, list_outcomes(pairs)) for words, pairs in worlds.items()]
    columns = ("negatives", "number", "mislead SAM 3", "%", "95 % from", "to", "with any mask, %")
    title = "Negatives for which SAM 3 finds a thing that is there"
    return Table("engine-negatives", title, columns, rows, {"SAM 3": "tiny", "IoU above": MIN_OVERLAP})


def list_outcomes(pairs: Sequence[SimulatedPair]) -> list[NegativeOutcome]:
    """List what SAM 3 makes of each negative, compared with all things that other phrases name in its scene."""
    things: dict[int, list[RleMask]] = {}
    for pair in pairs:
        things.setdefault(pair.scene, []).extend(pair.truth)
    return [_compare_masks(pair, things[pair.scene]) for pair in pairs if not pair.truth]


def _compare_masks(pair: SimulatedPair, things: Sequence[RleMask]) -> NegativeOutcome:
    masks = pair.proposal.masks
    overlap = float(compute_ious(masks, things).max(initial=0))
    return NegativeOutcome(pair.scene, bool(masks), overlap > MIN_OVERLAP)


def _build_row(words: str, outcomes: Sequence[NegativeOutcome]) -> tuple[Cell, ...]:
    def measure_share(chosen: Sequence[int]) -> float:
        return 100 * sum(outcomes[place].is_hard for place in chosen) / max(1, len(chosen))

    interval = compute_interval([str(outcome.scene) for outcome in outcomes], measure_share)
    hard, offered = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("is_hard", "has_mask"))
    share = 100 / max(1, len(outcomes))
    return (words, len(outcomes), hard, hard * share, interval.low, interval.high, offered * share)
