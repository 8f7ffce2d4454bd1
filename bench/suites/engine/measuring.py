"""Measure how many errors the riskiest pairs hold, and how much needs no person: `sam3-agent bench engine`.

Pairs are of generated scenes with known truth, and reviewers are simulated: no person took part. Seconds are the SAM 3
paper's for whole tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bench.harness.tables import Cell, Table
from bench.suites.engine.conditions import ABOUT, PairVerifier
from bench.suites.engine.errors import tabulate_errors
from bench.suites.engine.negatives import tabulate_negatives
from bench.suites.engine.precision import tabulate_precision
from bench.suites.engine.projects import load_project
from bench.suites.engine.routing import DRAWS, route_sample, tabulate_labels, tabulate_routing
from engine.simulation import (
    SCRATCH_NEGATIVE_SECONDS,
    SCRATCH_POSITIVE_SECONDS,
    NegativeKind,
    SimulatedPair,
    SimulatedReviewer,
)
from evals.bootstrap import compute_interval
from evals.metrics.cgf1 import PairOutcome, compute_official_numbers, match_instances, select_headline
from sam3_tool import Sam3
from sam3_tool.masks.rle import compute_ious

SEEDS = 3
SCENES = 150
"""Of each seed; the first third is labelled at random, and the rest is reviewed."""
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Of pairs that are reviewed."""
BATCH_SHARE = 0.02
"""Of pairs, after which the verifier is fitted anew where it is."""
WORLDS: tuple[tuple[NegativeKind, str], ...] = (("any", "any noun"), ("siblings", "nouns of the family"))


@cache
def match_label(pair: SimulatedPair, *, mended: bool) -> PairOutcome:
    """Compare a pair's label with its truth: the truth itself where somebody has mended it, else the proposal."""
    return match_instances(compute_ious(pair.truth if mended else pair.proposal.masks, pair.truth))


@dataclass(frozen=True, eq=False)
class ReviewOrder:
    """The pairs of one seed in the order in which they were reviewed."""

    pairs: Sequence[SimulatedPair]
    reviewer: SimulatedReviewer

    def count_errors(self, share: float) -> int:
        """Count the pairs among the first whose proposal was wrong."""
        return sum(not pair.is_right for pair in self.pairs[: round(share * len(self.pairs))])

    def score_labels(self, share: float, *, careful: bool = True) -> dict[str, float]:
        """Score all labels when the first are reviewed; `careful` reviewers let no error pass."""
        seen = round(share * len(self.pairs))
        outcomes = [
            match_label(pair, mended=place < seen and (careful or not self.reviewer.passes_error(pair)))
            for place, pair in enumerate(self.pairs)
        ]
        return select_headline(compute_official_numbers(outcomes), len(outcomes))

    def average_seconds(self, share: float) -> float:
        """Average a person's seconds over all pairs."""
        seen = self.pairs[: round(share * len(self.pairs))]
        return sum(map(self.reviewer.estimate_seconds, seen)) / len(self.pairs)


def measure_mirrored(*, seeds: int = SEEDS, scenes: int = SCENES, folder: Path | None = None) -> Iterator[Table]:
    """Yield the tables of orders and of errors once more, with signals of the mirrored images besides.

    Args:
        seeds: Projects of each kind.
        scenes: Of each project.
        folder: Where simulated projects are kept; default: the user's cache.
    """
    sam3 = Sam3.load("tiny")
    for kind, words in WORLDS:
        projects = [
            load_project(sam3, seed, scenes=scenes, negatives=kind, mirrored=True, folder=folder)
            for seed in range(seeds)
        ]
        words = f"{words}, mirrored signals"
        yield tabulate_orders(projects, name=f"engine-order-{kind}-mirrored", words=words)
        orders = [order_pairs(pairs, seed, refit=True).pairs for seed, pairs in enumerate(projects)]
        yield tabulate_errors(orders, f"engine-errors-{kind}-mirrored", f"{words}, refitted")


def measure_engine(*, seeds: int = SEEDS, scenes: int = SCENES, folder: Path | None = None) -> Iterator[Table]:
    """Yield each table: errors found by order of review, what needs no person, and which negatives mislead SAM 3.

    Args:
        seeds: Projects of each kind.
        scenes: Of each project.
        folder: Where simulated projects are kept; default: the user's cache.
    """
    sam3 = Sam3.load("tiny")
    pools: dict[str, Sequence[SimulatedPair]] = {}
    for kind, words in WORLDS:
        projects = [load_project(sam3, seed, scenes=scenes, negatives=kind, folder=folder) for seed in range(seeds)]
        yield tabulate_orders(projects, name=f"engine-order-{kind}", words=words)
        orders = [order_pairs(pairs, seed, settled=True).pairs for seed, pairs in enumerate(projects)]
        yield tabulate_errors(orders, f"engine-errors-{kind}", words)
        pool = pools[words] = [pair for project in projects for pair in project]
        outcomes = [route_sample(pool, seed) for seed in range(DRAWS)]
        yield tabulate_routing(outcomes, f"engine-routing-{kind}", words)
        yield tabulate_precision([outcome.curve for outcome in outcomes], f"engine-precision-{kind}", words)
        yield tabulate_labels(pool, f"engine-labels-{kind}", words)
    yield tabulate_negatives(pools)


def tabulate_orders(projects: Sequence[Sequence[SimulatedPair]], *, name: str, words: str) -> Table:
    """Review every project riskiest first: by labels as they were said, as corrected, with fits anew; and at random.

    Two bounds follow: a fit that knows the answers, and an order that is the truth.
    """
    ways = {
        "riskiest first": [order_pairs(pairs, seed) for seed, pairs in enumerate(projects)],
        "corrected": [order_pairs(pairs, seed, settled=True) for seed, pairs in enumerate(projects)],
        "refitted": [order_pairs(pairs, seed, refit=True) for seed, pairs in enumerate(projects)],
        "random": [shuffle_pairs(pairs, seed) for seed, pairs in enumerate(projects)],
        "fit that knows the answers": [order_knowingly(pairs, seed) for seed, pairs in enumerate(projects)],
        "wrong ones first": [sort_wrong_first(pairs, seed) for seed, pairs in enumerate(projects)],
    }
    rows = [_build_row(way, orders, share) for way, orders in ways.items() for share in SHARES]
    reviewed = [pair for order in ways["random"] for pair in order.pairs]
    scratch = np.mean([SCRATCH_POSITIVE_SECONDS if pair.truth else SCRATCH_NEGATIVE_SECONDS for pair in reviewed])
    about = ABOUT | {
        "negatives": words,
        "pairs": len(reviewed),
        "seeds": len(projects),
        "wrong": f"{np.mean([not pair.is_right for pair in reviewed]):.1%}",
        "from nothing": f"{scratch:.0f} s a pair",
    }
    columns = (
        *("order", "reviewed, %", "errors found, %", "95 % from", "to", "lowest seed", "cgF1 of labels", "pmF1"),
        *("IL_MCC", "cgF1 where reviewers slip", "human s a pair"),
    )
    return Table(name, "Errors found and labels by share of pairs that are reviewed", columns, rows, about)


def _build_row(way: str, orders: Sequence[ReviewOrder], share: float) -> tuple[Cell, ...]:
    found = [100 * order.count_errors(share) / order.count_errors(1) for order in orders]
    scores = [order.score_labels(share) for order in orders]
    means = [float(np.mean([score[name] for score in scores])) for name in ("cgF1", "pmF1", "IL_MCC")]
    slips = float(np.mean([order.score_labels(share, careful=False)["cgF1"] for order in orders]))
    seconds = float(np.mean([order.average_seconds(share) for order in orders]))
    low, high = bootstrap_found(orders, share)
    return (way, f"{100 * share:.0f}", float(np.mean(found)), low, high, min(found), *means, slips, seconds)


def bootstrap_found(orders: Sequence[ReviewOrder], share: float) -> tuple[float, float]:
    """Return the 95 % interval of the errors found, in percent, when scenes are drawn anew."""
    rows = [
        (pair.scene, not pair.is_right, place < round(share * len(order.pairs)))
        for order in orders
        for place, pair in enumerate(order.pairs)
    ]
    wrong, seen = (np.array([row[column] for row in rows]) for column in (1, 2))

    def measure_share(chosen: Sequence[int]) -> float:
        return float(100 * (wrong & seen)[chosen].sum() / max(1, wrong[chosen].sum()))

    interval = compute_interval([str(scene) for scene, _, _ in rows], measure_share)
    return interval.low, interval.high


def order_pairs(
    pairs: Sequence[SimulatedPair], seed: int, *, settled: bool = False, refit: bool = False
) -> ReviewOrder:
    """Order the pairs of the last two thirds of scenes by risk, by a fit on the first third.

    Args:
        pairs: Of one project.
        seed: Of the reviewer.
        settled: Whether the labels of the first third are those that remain once every rejection has gone to a
            correction, as in `engine review`; else false alarms count as errors.
        refit: Whether the fit takes in what has been reviewed, batch by batch, with rejections corrected.
    """
    labelled, left = split_scenes(pairs)
    reviewer = SimulatedReviewer(seed)
    size = round(BATCH_SHARE * len(left)) if refit else len(left)
    ordered: list[SimulatedPair] = []
    while left:
        verifier = PairVerifier.fit_pairs([*labelled, *ordered], reviewer, settled=settled or refit)
        left = sorted(left, key=lambda pair: -verifier.estimate_risk(pair))
        if refit and len(ordered) >= SHARES[-1] * (len(ordered) + len(left)):
            size = len(left)  # no later share is looked at
        ordered, left = ordered + left[:size], left[size:]
    return ReviewOrder(ordered, reviewer)


def order_knowingly(pairs: Sequence[SimulatedPair], seed: int) -> ReviewOrder:
    """Order the same pairs by a fit on the truth of these very pairs: what no fit of these signals can be far above."""
    _, left = split_scenes(pairs)
    knowing = PairVerifier.fit_pairs(left, SimulatedReviewer(seed, mask_error=0, coverage_error=0), settled=True)
    return ReviewOrder(sorted(left, key=lambda pair: -knowing.estimate_risk(pair)), SimulatedReviewer(seed))


def sort_wrong_first(pairs: Sequence[SimulatedPair], seed: int) -> ReviewOrder:
    """Order the same pairs by the truth: the most that any order can find."""
    _, left = split_scenes(pairs)
    return ReviewOrder(sorted(left, key=lambda pair: pair.is_right), SimulatedReviewer(seed))


def shuffle_pairs(pairs: Sequence[SimulatedPair], seed: int) -> ReviewOrder:
    """Order the same pairs at random."""
    _, left = split_scenes(pairs)
    order = np.random.default_rng(seed).permutation(len(left))
    return ReviewOrder([left[place] for place in order], SimulatedReviewer(seed))


def split_scenes(pairs: Sequence[SimulatedPair]) -> tuple[list[SimulatedPair], list[SimulatedPair]]:
    """Split pairs into those of the first third of scenes, and the others."""
    scenes = list(dict.fromkeys(pair.scene for pair in pairs))
    first = {*scenes[: len(scenes) // 3]}
    return [pair for pair in pairs if pair.scene in first], [pair for pair in pairs if pair.scene not in first]
