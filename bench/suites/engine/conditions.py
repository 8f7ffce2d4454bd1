"""What all measurements share: who reviews, and the verifier that is fitted on what the reviewer says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.harness.tables import Cell
from engine.quality.ordering import compute_pair_risk
from engine.simulation import COVERAGE_ERROR, MASK_ERROR, SimulatedPair, SimulatedReviewer
from engine.verifiers.fitted import StageFit, fit_stage
from engine.verifiers.inputs import list_mask_signals, list_pair_signals
from engine.verifiers.keeping import STAGES

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
        mv, ev = (fit_stage(stage, [answer for pair in pairs for answer in label(pair, stage)]) for stage in STAGES)
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
