"""All measures of quality in one value, for `engine status` and for reports."""

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, get_args

from engine.pairs import Stage
from engine.quality.measures.agreement import Agreement
from engine.quality.measures.evidence import EngineEvidence, read_evidence
from engine.quality.measures.label_scores import (
    DriftRow,
    LabelScore,
    measure_drift,
    score_labels,
    to_score_json,
)
from engine.quality.measures.people import (
    CorrectionAgreement,
    group_opinions,
    measure_corrections,
    measure_kappa,
)
from engine.quality.measures.verifiers import VerifierScore, score_verifiers
from engine.states import StatePolicy
from engine.store.store import EngineStore

STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class QualityReport:
    """How good the labels are, as far as people have looked."""

    human_labels: int
    """Pairs at their end by people alone."""
    model_labels: int
    """Pairs at their end by a decision of a model too."""
    unfinished: int
    """Pairs drawn at random that people have begun: they are in no number yet, and may be the hard ones."""
    labels: tuple[LabelScore, ...]
    """Of SAM 3's proposals, then of what models alone would export."""
    verifiers: tuple[VerifierScore, ...]
    kappas: dict[Stage, Agreement]
    """Of two people who judged the same."""
    corrections: CorrectionAgreement
    drift: tuple[DriftRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values; what cannot be told yet is null."""
        return {
            "labels_by": {"people": self.human_labels, "models": self.model_labels},
            "random_pairs_unfinished": self.unfinished,
            "labels": {score.subject: to_score_json(score) for score in self.labels},
            "verifiers": [_to_verifier_json(score) for score in self.verifiers],
            "people": {
                **{stage: _to_kappa_json(found) for stage, found in self.kappas.items()},
                "corrections": asdict(self.corrections),
            },
            "drift": [asdict(row) for row in self.drift],
        }


def measure_quality(store: EngineStore, policy: StatePolicy) -> QualityReport:
    """Measure the quality of an engine's labels; nothing is written.

    Args:
        store: The engine.
        policy: What judgements are worth.

    Returns:
        What the log says; with few answers by people, most of it says what is missing.

    Raises:
        EngineError: The store cannot be read.
    """
    return summarize_evidence(read_evidence(store, policy))


def summarize_evidence(evidence: EngineEvidence) -> QualityReport:
    """Compute all measures of what people have said."""
    pairs = evidence.pairs
    return QualityReport(
        evidence.ends["human"],
        evidence.ends["model"],
        sum(pair.is_random and not pair.is_answered_for for pair in pairs),
        (score_labels(evidence, "proposals"), score_labels(evidence, "models")),
        tuple(score for stage in STAGES for score in score_verifiers(pairs, stage)),
        {stage: measure_kappa(group_opinions(pairs, stage)) for stage in STAGES},
        measure_corrections(pairs),
        tuple(measure_drift(evidence)),
    )


def _to_verifier_json(score: VerifierScore) -> dict[str, Any]:
    return {
        "stage": score.stage,
        "by": score.by,
        "random": _to_confusion_json(score.confusion),
        "others": _to_confusion_json(score.risky),
        "calibration_error": score.calibration_error,
        "coverage_accuracy": score.curve,
        "against_majority_of_others": {
            "answers": score.others,
            "verifier": score.accuracy,
            "people": score.human_accuracy,
        },
    }


def _to_confusion_json(confusion: dict[tuple[str, str], int]) -> dict[str, int]:
    """Convert to one count a cell: what the verifier says, then what people say."""
    answers = ("right", "wrong")
    return {f"{said}, people {truth}": confusion[said, truth] for said in answers for truth in answers}


def _to_kappa_json(found: Agreement) -> dict[str, Any]:
    return {name: None if isnan(value) else value for name, value in asdict(found).items()}
