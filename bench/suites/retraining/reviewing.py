"""What the data engine makes of proposals: fitted verifiers, a simulated person for the riskiest pairs, weak labels.

A person judges a random sample first. Verifiers are fitted on it, and thresholds are chosen on it; then the person gets
the riskiest pairs. Of the rest, what the verifiers are sure of is final, and everything else is a label of which
nobody says that it is complete. The simulated person errs: 5 % of answers about masks and 8 % of those about coverage
are wrong (as in the trial of the specification); whoever mends a pair mends it rightly, which real people will not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.suites.retraining.proposals import ProposedPair, to_masks
from engine.quality.ordering import compute_pair_risk
from engine.quality.thresholds import QUALITY, SampledItem, choose_accept_threshold
from engine.verifiers.fitted import FitReport, StageFit, fit_stage
from engine.verifiers.inputs import list_mask_signals, list_pair_signals
from engine.verifiers.labels import LabelledItem
from sam3_tool.masks import rle
from sam3_tool.training.finetuning.labels import LabelledPair

RIGHT_IOU, COVERED_IOU = 0.75, 0.5
"""From which IoU with an object on a careful person accepts its mask, and calls the object covered."""
MASK_ERRORS, COVERAGE_ERRORS = 0.05, 0.08
"""Shares of wrong answers."""
SAMPLE = 500
"""Pairs of the random sample."""
KEPT_PROBABILITY = 0.5
"""A mask that verifiers call more likely right than wrong stays in a label that is not final."""


@dataclass(frozen=True, eq=False)
class JudgedPair:
    """A pair with what is true of its offered masks, and what the simulated person says."""

    pair: ProposedPair
    scene: str
    rights: np.ndarray
    """bool, (masks,): whether each offered mask is right."""
    is_covered: bool
    """Whether the right ones cover every object."""
    has_passed: bool
    """Whether the person finds nothing wrong. Everything else is mended, and a false alarm shows then."""

    @property
    def is_wrong(self) -> bool:
        """Whether the offered masks are not what the truth says."""
        return not (self.is_covered and self.rights.all())

    @property
    def said_rights(self) -> np.ndarray:
        """bool, (masks,): which masks are right by what the person leaves in the end."""
        return self.rights | self.has_passed

    def review(self) -> LabelledPair:
        """Return the label that the person leaves: the offered masks where nothing is found wrong, else the truth."""
        masks = self.pair.proposal.masks if self.has_passed else to_masks(self.pair.truth)
        return LabelledPair(self.pair.phrase, masks)


def judge_pair(pair: ProposedPair, scene: str, rng: np.random.Generator) -> JudgedPair:
    """Compare a pair with its truth, and let the simulated person answer about each mask and about coverage."""
    masks, truth = pair.proposal.masks, to_masks(pair.truth)
    ious = rle.compute_ious(masks, truth).reshape(len(masks), len(truth))
    rights = ious.max(axis=1, initial=0) >= RIGHT_IOU
    covered = bool((ious[rights].max(axis=0, initial=0) >= COVERED_IOU).all())
    said_rights = rights ^ (rng.random(len(rights)) < MASK_ERRORS)
    said_covered = covered ^ bool(rng.random() < COVERAGE_ERRORS)
    return JudgedPair(pair, scene, rights, covered, said_covered and bool(said_rights.all()))


@dataclass(frozen=True, eq=False)
class VerifierOdds:
    """What the verifiers say of a pair."""

    masks: np.ndarray
    """float64, (masks,), in [0, 1]: each offered mask is right."""
    coverage: float
    """In [0, 1]: those that are more likely right than wrong cover everything."""

    @property
    def accepted(self) -> list[int]:
        """Indexes of the masks that are more likely right than wrong."""
        return [int(index) for index in np.flatnonzero(self.masks >= KEPT_PROBABILITY)]

    @property
    def risk(self) -> float:
        """In [0, 1]: the offered masks are not the truth. Where all are rejected, nobody knows what is there."""
        if len(self.masks) and not self.accepted:
            return 1.0
        return compute_pair_risk(self.coverage, self.masks.tolist())


@dataclass(frozen=True, eq=False)
class EngineLabels:
    """The labels that the engine makes, and what they rest on. Arrays have one entry a pair."""

    labels: tuple[LabelledPair, ...]
    by_person: np.ndarray
    """bool: a person has seen it."""
    is_wrong: np.ndarray
    """bool: the proposal was wrong."""
    limits: tuple[float, float]
    """Probabilities from which on a mask, and the coverage of a pair, need no person; above 1: always one."""

    @property
    def is_final(self) -> np.ndarray:
        """bool: the label is said to be complete."""
        return np.array([label.is_exhaustive for label in self.labels])


def label_by_engine(
    scenes: Sequence[Sequence[ProposedPair]], *, reviewed: float, quality: float = QUALITY, seed: int = 0
) -> EngineLabels:
    """Label all pairs of all scenes, in order.

    Args:
        scenes: Their pairs, by scene.
        reviewed: Share of all pairs that a person sees, the random sample included.
        quality: Lower 95 % bound of the precision of what no person sees.
        seed: Of the sample and of the person's errors.
    """
    rng = np.random.default_rng([seed, 5])
    judged = [judge_pair(pair, str(number), rng) for number, pairs in enumerate(scenes) for pair in pairs]
    drawn = rng.permutation(len(judged))[:SAMPLE]
    sample = [judged[index] for index in drawn]
    masks = fit_stage("mv", [label for pair in sample for label in _list_mask_labels(pair)])
    coverage = fit_stage("ev", [_build_coverage_label(pair) for pair in sample])
    odds = [_estimate_odds(pair.pair, masks.fit, coverage.fit) for pair in judged]
    by_person = _choose_reviewed(np.array([estimate.risk for estimate in odds]), drawn, round(reviewed * len(judged)))
    limits = _choose_limits(sample, masks, coverage, quality)
    labels = tuple(
        pair.review() if seen else _label_alone(pair.pair, said, limits)
        for pair, seen, said in zip(judged, by_person, odds, strict=True)
    )
    return EngineLabels(labels, by_person, np.array([pair.is_wrong for pair in judged]), limits)


def _list_mask_labels(judged: JudgedPair) -> list[LabelledItem]:
    proposal = judged.pair.proposal
    return [
        LabelledItem(proposal.pair, index, judged.scene, list_mask_signals(proposal, index), bool(right))
        for index, right in enumerate(judged.said_rights)
    ]


def _build_coverage_label(judged: JudgedPair) -> LabelledItem:
    proposal = judged.pair.proposal
    signals = list_pair_signals(proposal, np.flatnonzero(judged.said_rights).tolist())
    return LabelledItem(proposal.pair, None, judged.scene, signals, judged.is_covered or judged.has_passed)


def _estimate_odds(pair: ProposedPair, masks: StageFit, coverage: StageFit) -> VerifierOdds:
    proposal = pair.proposal
    signals = [list_mask_signals(proposal, index) for index in range(len(proposal.masks))]
    odds = masks.estimate(signals) if signals else np.zeros(0)
    accepted = np.flatnonzero(odds >= KEPT_PROBABILITY).tolist()
    return VerifierOdds(odds, float(coverage.estimate([list_pair_signals(proposal, accepted)])[0]))


def _choose_reviewed(risks: np.ndarray, drawn: np.ndarray, count: int) -> np.ndarray:
    """Return bool, (pairs,): the random sample, and of the others the riskiest, `count` in all."""
    by_person = np.zeros(len(risks), bool)
    by_person[drawn] = True
    riskiest = np.argsort(np.where(by_person, 1.0, -risks), kind="stable")
    by_person[riskiest[: max(0, count - len(drawn))]] = True
    return by_person


def _choose_limits(
    sample: Sequence[JudgedPair], masks: FitReport, coverage: FitReport, quality: float
) -> tuple[float, float]:
    """Choose from which probability on a mask, and the coverage of a pair, need no person; 2 where none is enough."""
    rights = [bool(right) for pair in sample for right in pair.said_rights]
    covered = [pair.is_covered or pair.has_passed for pair in sample]
    chosen = []
    for report, answers, missed in ((masks, rights, MASK_ERRORS), (coverage, covered, COVERAGE_ERRORS)):
        sampled = [SampledItem(float(odds), answer) for odds, answer in zip(report.estimates, answers, strict=True)]
        chosen.append(choose_accept_threshold(sampled, quality=quality, missed=missed).threshold)
    return tuple(2.0 if limit is None else limit for limit in chosen)  # type: ignore[return-value]


def _label_alone(pair: ProposedPair, said: VerifierOdds, limits: tuple[float, float]) -> LabelledPair:
    """Label a pair that no person sees: final where the verifiers are sure of all of it."""
    masks = pair.proposal.masks
    if said.coverage >= limits[1] and (said.masks >= limits[0]).all():
        return LabelledPair(pair.phrase, masks)
    return LabelledPair(pair.phrase, tuple(masks[index] for index in said.accepted), is_exhaustive=False)
