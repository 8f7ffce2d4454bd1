"""Set thresholds on random samples of labels, and look at what they let through without a person."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.harness.tables import Cell, Table
from bench.suites.engine.conditions import ABOUT, PairVerifier
from bench.suites.engine.precision import PrecisionCurve
from engine.quality.fitting import passes_masks
from engine.quality.ordering import compute_pair_risk
from engine.quality.thresholds import QUALITY, SampledItem, choose_accept_threshold
from engine.simulation import COVERAGE_ERROR, MASK_ERROR, SimulatedPair, SimulatedReviewer
from engine.verifiers.fitted import fit_stage
from engine.verifiers.keeping import STAGES

LABELS, DRAWS = 500, 20
"""Pairs that people label for thresholds, and how often that is tried."""
MORE_LABELS = (500, 1000, 2000)


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
    right_with_masks: int
    """Of those."""
    others: int
    """Pairs that were not in the sample."""
    others_with_masks: int
    """Of those."""
    curve: PrecisionCurve
    """What any other threshold would have let through."""


def tabulate_routing(outcomes: Sequence[RoutingOutcome], name: str, words: str) -> Table:
    """Say for each random sample of labels what the thresholds that rest on it let through."""
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
        "pairs": outcomes[0].others + LABELS,
        "labels": LABELS,
        "bound": QUALITY,
        "precision reached": f"{kept} of {len(outcomes)}",
        "automatic, mean": f"{np.mean([100 * outcome.automatic / outcome.others for outcome in outcomes]):.1f} %",
    }
    columns = ("sample", "automatic, %", "precision", "automatic with masks", "mask threshold", "pair threshold")
    return Table(name, "Pairs that need no person, by the random sample of labels", columns, rows, about)


def tabulate_labels(pool: Sequence[SimulatedPair], name: str, words: str, *, draws: int = DRAWS) -> Table:
    """Say how much needs no person by the number of labels that thresholds rest on, and how much of it has masks."""
    rows: list[tuple[Cell, ...]] = []
    for labels in (number for number in MORE_LABELS if number < len(pool)):
        outcomes = [route_sample(pool, seed, labels=labels) for seed in range(draws)]
        with_masks = sum(outcome.with_masks for outcome in outcomes)
        rows.append(
            (
                labels,
                float(np.mean([100 * outcome.automatic / outcome.others for outcome in outcomes])),
                sum(outcome.right >= QUALITY * outcome.automatic for outcome in outcomes),
                sum(outcome.with_masks > 0 for outcome in outcomes),
                float(np.mean([100 * outcome.with_masks / outcome.others_with_masks for outcome in outcomes])),
                100 * sum(outcome.right_with_masks for outcome in outcomes) / with_masks if with_masks else None,
            )
        )
    columns = (
        *("labels", "automatic, %", "samples with the precision", "samples with any mask"),
        *("of pairs with masks, %", "right of these, %"),
    )
    about = ABOUT | {"negatives": words, "pairs": len(pool), "samples": draws}
    return Table(name, "Pairs that need no person, by the number of labels", columns, rows, about)


def route_sample(pool: Sequence[SimulatedPair], seed: int, *, labels: int = LABELS) -> RoutingOutcome:
    """Label a random sample, fit, set both thresholds, and apply them to the rest of the pool."""
    order = np.random.default_rng(seed).permutation(len(pool))
    sample, others = ([pool[place] for place in places] for places in (order[:labels], order[labels:]))
    reviewer = SimulatedReviewer(seed)
    mask_labels, pair_labels = (
        [label for pair in sample for label in reviewer.settle_pair(pair, stage)] for stage in STAGES
    )
    mv, ev = fit_stage("mv", mask_labels), fit_stage("ev", pair_labels)
    mask_sample = [
        SampledItem(float(value), label.is_right) for value, label in zip(mv.estimates, mask_labels, strict=True)
    ]
    mask_threshold = choose_accept_threshold(mask_sample, missed=MASK_ERROR).threshold
    unseen: dict[str, list[float]] = {pair.pair.key: [] for pair in sample}
    for value, label in zip(mv.estimates, mask_labels, strict=True):
        unseen[label.pair].append(float(value))
    pair_sample = [
        SampledItem(1 - compute_pair_risk(float(value), masks), pair.is_right or reviewer.passes_error(pair))
        for pair, value in zip(sample, ev.estimates, strict=True)
        if passes_masks(masks := unseen[pair.pair.key], mask_threshold)
    ]
    pair_threshold = choose_accept_threshold(pair_sample, missed=max(MASK_ERROR, COVERAGE_ERROR)).threshold
    verifier = PairVerifier(mv.fit, ev.fit)
    automatic = [pair for pair in others if _is_automatic(verifier, pair, mask_threshold, pair_threshold)]
    with_masks = [pair for pair in automatic if pair.proposal.masks]
    return RoutingOutcome(
        mask_threshold=mask_threshold,
        pair_threshold=pair_threshold,
        automatic=len(automatic),
        right=sum(pair.is_right for pair in automatic),
        with_masks=len(with_masks),
        right_with_masks=sum(pair.is_right for pair in with_masks),
        others=len(others),
        others_with_masks=sum(bool(pair.proposal.masks) for pair in others),
        curve=PrecisionCurve.from_estimates(others, verifier.estimate_pair),
    )


def _is_automatic(
    verifier: PairVerifier, pair: SimulatedPair, mask_threshold: float | None, pair_threshold: float | None
) -> bool:
    coverage, masks = verifier.estimate_pair(pair)
    if pair_threshold is None or not passes_masks([*masks], mask_threshold):
        return False
    return 1 - compute_pair_risk(coverage, [*masks]) >= pair_threshold
