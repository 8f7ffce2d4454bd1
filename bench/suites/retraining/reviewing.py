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
from engine.quality.routing import SampledItem, choose_accept_threshold
from engine.verifiers.fitted import FitReport, fit_stage
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
    """A pair with what is true of its offered masks, and what people say."""

    pair: ProposedPair
    rights: np.ndarray
    """bool, (masks,): whether each offered mask is right."""
    is_covered: bool
    said_rights: np.ndarray
    """bool, (masks,): the simulated person's answers."""
    said_covered: bool

    @property
    def is_wrong(self) -> bool:
        """Whether the offered masks are not what the truth says."""
        return not (self.is_covered and self.rights.all())

    @property
    def has_passed(self) -> bool:
        """Whether the person finds nothing wrong. Everything else is mended, where a false alarm shows."""
        return self.said_covered and bool(self.said_rights.all())

    @property
    def final_rights(self) -> np.ndarray:
        """bool, (masks,): which masks are right by what the person leaves in the end."""
        return self.rights | self.has_passed

    @property
    def finally_covered(self) -> bool:
        """Whether the masks cover everything, by what the person leaves in the end."""
        return self.is_covered or self.has_passed

    def review(self) -> LabelledPair:
        """Return the label that a person leaves: the offered masks where nothing is found wrong, else the truth."""
        return LabelledPair(self.pair.phrase, to_masks(self.pair.masks if self.has_passed else self.pair.truth))


def judge_pair(pair: ProposedPair, rng: np.random.Generator) -> JudgedPair:
    """Compare a pair with its truth, and let the simulated person answer."""
    ious = rle.compute_ious(to_masks(pair.masks), to_masks(pair.truth)).reshape(len(pair.masks), len(pair.truth))
    rights = ious.max(axis=1, initial=0) >= RIGHT_IOU
    covered = bool((ious.max(axis=0, initial=0) >= COVERED_IOU).all())
    said_rights = rights ^ (rng.random(len(rights)) < MASK_ERRORS)
    return JudgedPair(pair, rights, covered, said_rights, covered ^ bool(rng.random() < COVERAGE_ERRORS))


@dataclass(frozen=True, eq=False)
class EngineLabels:
    """The labels that the engine makes, and what they cost and are worth."""

    labels: tuple[LabelledPair, ...]
    by_person: np.ndarray
    """bool, (pairs,)."""
    is_wrong: np.ndarray
    """bool, (pairs,): whether the proposal was wrong."""
    risks: np.ndarray
    """float64, (pairs,): expected errors."""


def label_by_engine(
    scenes: Sequence[Sequence[ProposedPair]], *, reviewed: float, sample: int = SAMPLE, seed: int = 0
) -> EngineLabels:
    """Label all pairs of all scenes, in order.

    Args:
        scenes: Their pairs, by scene.
        reviewed: Share of all pairs that a person sees, the random sample included.
        sample: Pairs of the random sample.
        seed: Of the sample and of the person's errors.
    """
    rng = np.random.default_rng([seed, 5])
    judged = [judge_pair(pair, rng) for pairs in scenes for pair in pairs]
    owners = [str(number) for number, pairs in enumerate(scenes) for _ in pairs]
    drawn = rng.permutation(len(judged))[:sample]
    masks = fit_stage("mv", [item for index in drawn for item in _list_mask_labels(judged[index], owners[index])])
    pairs = fit_stage("ev", [_build_coverage_label(judged[index], owners[index]) for index in drawn])
    mask_odds = [masks.fit.estimate(list(one.pair.mask_signals)) if one.pair.masks else np.zeros(0) for one in judged]
    pair_odds = pairs.fit.estimate([one.pair.pair_signals for one in judged])
    risks = 1 - pair_odds + np.array([(1 - odds).sum() for odds in mask_odds])
    by_person = np.zeros(len(judged), bool)
    by_person[drawn] = True
    risky = np.argsort(np.where(by_person, -1.0, risks), kind="stable")[::-1]
    by_person[risky[: max(0, round(reviewed * len(judged)) - sample)]] = True
    limits = _choose_limit(masks, "mv", judged, drawn, owners), _choose_limit(pairs, "ev", judged, drawn, owners)
    labels = [
        one.review() if seen else _label_alone(one.pair, odds, float(chance), limits)
        for one, seen, odds, chance in zip(judged, by_person, mask_odds, pair_odds, strict=True)
    ]
    return EngineLabels(tuple(labels), by_person, np.array([one.is_wrong for one in judged]), risks)


def _list_mask_labels(judged: JudgedPair, owner: str) -> list[LabelledItem]:
    answers = zip(judged.pair.mask_signals, judged.final_rights, strict=True)
    return [LabelledItem("", index, owner, signals, bool(said)) for index, (signals, said) in enumerate(answers)]


def _build_coverage_label(judged: JudgedPair, owner: str) -> LabelledItem:
    return LabelledItem("", None, owner, judged.pair.pair_signals, judged.finally_covered)


def _choose_limit(
    report: FitReport, stage: str, judged: Sequence[JudgedPair], drawn: np.ndarray, owners: Sequence[str]
) -> float:
    """Return from which probability on no person is needed; more than 1 where none is sure enough."""
    said = [judged[index].final_rights if stage == "mv" else [judged[index].finally_covered] for index in drawn]
    answers = [bool(answer) for one in said for answer in one]
    sampled = [SampledItem(float(odds), answer) for odds, answer in zip(report.estimates, answers, strict=True)]
    missed = MASK_ERRORS if stage == "mv" else COVERAGE_ERRORS
    chosen = choose_accept_threshold(sampled, missed=missed).threshold
    return 2.0 if chosen is None else chosen


def _label_alone(
    pair: ProposedPair, odds: np.ndarray, covered: float, limits: tuple[float, float]
) -> LabelledPair:
    """Label a pair that no person sees: final where the verifiers are sure of all of it."""
    masks = to_masks(pair.masks)
    if covered >= limits[1] and (odds >= limits[0]).all():
        return LabelledPair(pair.phrase, masks)
    kept = tuple(mask for mask, chance in zip(masks, odds, strict=True) if chance >= KEPT_PROBABILITY)
    return LabelledPair(pair.phrase, kept, is_exhaustive=False)
