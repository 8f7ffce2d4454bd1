"""Measure how many errors the riskiest pairs hold, and how much needs no person: `sam3-agent bench engine`.

Pairs are of generated scenes with known truth, and reviewers are simulated: no person took part. Seconds are the SAM 3
paper's for whole tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.harness.tables import Cell, Table
from bench.suites.engine.negatives import tabulate_negatives
from bench.suites.engine.projects import load_project
from engine.quality.fitting import passes_masks
from engine.quality.ordering import compute_pair_risk
from engine.quality.routing import QUALITY, SampledItem, choose_accept_threshold
from engine.simulation import (
    COVERAGE_ERROR,
    MASK_ERROR,
    SCRATCH_NEGATIVE_SECONDS,
    SCRATCH_POSITIVE_SECONDS,
    NegativeKind,
    SimulatedPair,
    SimulatedReviewer,
)
from engine.verifiers.fitted import StageFit, fit_stage
from engine.verifiers.inputs import list_mask_signals, list_pair_signals
from evals.bootstrap import compute_interval
from evals.metrics.cgf1 import score_pairs
from sam3_tool import Sam3

SEEDS = 3
SCENES = 150
"""Of each seed; the first third is labelled at random, and the rest is reviewed."""
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Of pairs that are reviewed."""
GOAL_SHARE = 0.2
BATCH_SHARE = 0.02
"""Of pairs, after which the verifier is fitted anew where it is."""
LABELS, DRAWS = 500, 20
"""Pairs that people label for thresholds, and how often that is tried."""
WORLDS: tuple[tuple[NegativeKind, str], ...] = (("any", "any noun"), ("siblings", "nouns of the family"))
ABOUT: dict[str, Cell] = {
    "SAM 3": "tiny",
    "reviewers": f"simulated, wrong in {MASK_ERROR:.0%} of masks and {COVERAGE_ERROR:.0%} of coverage",
}


@dataclass(frozen=True, eq=False)
class PairVerifier:
    """Both stages, fitted."""

    mv: StageFit
    ev: StageFit

    @classmethod
    def fit_pairs(cls, pairs: Sequence[SimulatedPair], reviewer: SimulatedReviewer, *, settled: bool) -> "PairVerifier":
        """Fit on pairs that a reviewer has labelled; `settled` once rejections have been corrected."""
        label = reviewer.settle_pair if settled else reviewer.label_pair
        mv, ev = (fit_stage(stage, [one for pair in pairs for one in label(pair, stage)]) for stage in ("mv", "ev"))
        return cls(mv.fit, ev.fit)

    def estimate_pair(self, simulated: SimulatedPair) -> tuple[float, np.ndarray]:
        """Return the chance that a pair is covered, and that of each mask to be right."""
        proposal = simulated.proposal
        indexes = range(len(proposal.masks))
        [coverage] = self.ev.estimate([list_pair_signals(proposal, indexes)])
        masks = self.mv.estimate([list_mask_signals(proposal, index) for index in indexes]) if indexes else np.zeros(0)
        return float(coverage), masks

    def estimate_risk(self, simulated: SimulatedPair) -> float:
        """Return the chance that a pair's label is wrong."""
        coverage, masks = self.estimate_pair(simulated)
        return compute_pair_risk(coverage, [*masks])


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
        labels = [
            pair.truth if place < seen and (careful or not self.reviewer.passes_error(pair)) else pair.proposal.masks
            for place, pair in enumerate(self.pairs)
        ]
        return score_pairs([(label, pair.truth) for label, pair in zip(labels, self.pairs, strict=True)])

    def average_seconds(self, share: float) -> float:
        """Average a person's seconds over all pairs."""
        seen = self.pairs[: round(share * len(self.pairs))]
        return sum(map(self.reviewer.estimate_seconds, seen)) / len(self.pairs)


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
        pools[words] = [pair for project in projects for pair in project]
        yield tabulate_routing(pools[words], f"engine-routing-{kind}", words)
    yield tabulate_negatives(pools)


def tabulate_orders(projects: Sequence[Sequence[SimulatedPair]], *, name: str, words: str) -> Table:
    """Review every project riskiest first, riskiest first with fits anew, and at random."""
    ways = {
        "riskiest first": [order_pairs(pairs, seed) for seed, pairs in enumerate(projects)],
        "refitted": [order_pairs(pairs, seed, refit=True) for seed, pairs in enumerate(projects)],
        "random": [shuffle_pairs(pairs, seed) for seed, pairs in enumerate(projects)],
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


def order_pairs(pairs: Sequence[SimulatedPair], seed: int, *, refit: bool = False) -> ReviewOrder:
    """Order the pairs of the last two thirds of scenes by risk, by a fit on the first third.

    Args:
        pairs: Of one project.
        seed: Of the reviewer.
        refit: Whether the fit takes in what has been reviewed, batch by batch, with rejections corrected.
    """
    labelled, left = split_scenes(pairs)
    reviewer = SimulatedReviewer(seed)
    size = round(BATCH_SHARE * len(left)) if refit else len(left)
    ordered: list[SimulatedPair] = []
    while left:
        verifier = PairVerifier.fit_pairs([*labelled, *ordered], reviewer, settled=refit)
        left = sorted(left, key=lambda pair: -verifier.estimate_risk(pair))
        if refit and len(ordered) >= SHARES[-1] * (len(ordered) + len(left)):
            size = len(left)  # no later share is looked at
        ordered, left = ordered + left[:size], left[size:]
    return ReviewOrder(ordered, reviewer)


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


@dataclass(frozen=True)
class RoutingOutcome:
    """What one sample of labels gave."""

    mask_threshold: float | None
    pair_threshold: float | None
    automatic: int
    """Pairs that nobody looks at."""
    right: int
    """Of these."""
    with_masks: int
    """Of these."""
    others: int
    """Pairs that were not in the sample."""


def tabulate_routing(pool: Sequence[SimulatedPair], name: str, words: str, *, draws: int = DRAWS) -> Table:
    """Label random samples of a pool, set thresholds on each, and look at what the thresholds let through."""
    outcomes = [route_sample(pool, seed) for seed in range(draws)]
    rows: list[tuple[Cell, ...]] = [
        (
            seed,
            100 * outcome.automatic / outcome.others,
            outcome.right / outcome.automatic if outcome.automatic else None,
            outcome.with_masks,
            outcome.mask_threshold,
            outcome.pair_threshold,
        )
        for seed, outcome in enumerate(outcomes)
    ]
    kept = sum(outcome.right >= QUALITY * outcome.automatic for outcome in outcomes)
    about = ABOUT | {
        "negatives": words,
        "pairs": len(pool),
        "labels": LABELS,
        "bound": QUALITY,
        "precision reached": f"{kept} of {draws}",
        "automatic, mean": f"{np.mean([100 * one.automatic / one.others for one in outcomes]):.1f} %",
    }
    columns = ("sample", "automatic, %", "precision", "automatic with masks", "mask threshold", "pair threshold")
    return Table(name, "Pairs that need no person, by the random sample of labels", columns, rows, about)


def route_sample(pool: Sequence[SimulatedPair], seed: int) -> RoutingOutcome:
    """Label a random sample, fit, set both thresholds, and apply them to the rest of the pool."""
    order = np.random.default_rng(seed).permutation(len(pool))
    sample, others = ([pool[place] for place in places] for places in (order[:LABELS], order[LABELS:]))
    reviewer = SimulatedReviewer(seed)
    labels = {stage: [one for pair in sample for one in reviewer.settle_pair(pair, stage)] for stage in ("mv", "ev")}
    mv, ev = fit_stage("mv", labels["mv"]), fit_stage("ev", labels["ev"])
    mask_sample = [
        SampledItem(float(value), label.is_right) for value, label in zip(mv.estimates, labels["mv"], strict=True)
    ]
    mask_threshold = choose_accept_threshold(mask_sample, missed=MASK_ERROR).threshold
    unseen: dict[str, list[float]] = {pair.pair.key: [] for pair in sample}
    for value, label in zip(mv.estimates, labels["mv"], strict=True):
        unseen[label.pair].append(float(value))
    pair_sample = [
        SampledItem(1 - compute_pair_risk(float(value), masks), pair.is_right or reviewer.passes_error(pair))
        for pair, value in zip(sample, ev.estimates, strict=True)
        if passes_masks(masks := unseen[pair.pair.key], mask_threshold)
    ]
    pair_threshold = choose_accept_threshold(pair_sample, missed=max(MASK_ERROR, COVERAGE_ERROR)).threshold
    verifier = PairVerifier(mv.fit, ev.fit)
    automatic = [pair for pair in others if _is_automatic(verifier, pair, mask_threshold, pair_threshold)]
    right = sum(pair.is_right for pair in automatic)
    with_masks = sum(bool(pair.proposal.masks) for pair in automatic)
    return RoutingOutcome(mask_threshold, pair_threshold, len(automatic), right, with_masks, len(others))


def _is_automatic(
    verifier: PairVerifier, pair: SimulatedPair, mask_threshold: float | None, pair_threshold: float | None
) -> bool:
    coverage, masks = verifier.estimate_pair(pair)
    if pair_threshold is None or not passes_masks([*masks], mask_threshold):
        return False
    return 1 - compute_pair_risk(coverage, [*masks]) >= pair_threshold
