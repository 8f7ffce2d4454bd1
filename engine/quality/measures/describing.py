"""The measures of quality in words, for people: heading, name and value of each line."""

from collections.abc import Iterator
from math import isnan

from engine.quality.measures.agreement import Agreement
from engine.quality.measures.label_scores import LabelScore
from engine.quality.measures.people import CorrectionAgreement
from engine.quality.measures.summary import QualityReport
from engine.quality.measures.verifiers import VerifierScore

Line = tuple[str, str, str]
SUBJECTS = {"proposals": "SAM 3's masks", "models": "models' labels"}
STAGE_NAMES = {"mv": "masks", "ev": "coverage"}
CURVE_STEPS = (0.5, 0.8, 1.0)
"""Coverages that people are shown; --json holds all."""


def describe_quality(report: QualityReport) -> list[Line]:
    """Say how good the labels are. Labels of people and of models are never one number."""
    lines = [line for score in report.labels for line in describe_label_score(score)]
    if report.unfinished:
        told = f"random pairs that are begun and not finished, and in no number yet: {report.unfinished:,}"
        lines.append(("quality", "waiting", told))
    for verifier in report.verifiers:
        lines += describe_verifier_score(verifier)
    if not report.verifiers:
        lines.append(("verifiers", "all", "no verifier has judged what people have judged; run and review more"))
    lines += [("people", STAGE_NAMES[stage], describe_agreement(found)) for stage, found in report.kappas.items()]
    lines += describe_corrections(report.corrections)
    for row in report.drift:
        lines.append((f"drift, {row.kind}", row.name, f"{row.pairs:,} random pairs: {_join_numbers(row.values)}"))
    return lines


def describe_label_score(score: LabelScore) -> Iterator[Line]:
    """Say how good labels are, or what is missing.

    >>> [*describe_label_score(LabelScore("proposals", 12, 3, "12 of 200 …", {}, {}))]
    [('quality', "SAM 3's masks", '12 of 200 …')]
    """
    subject = SUBJECTS[score.subject]
    if score.missing:
        yield "quality", subject, score.missing
    if not score.values:
        return
    yield "quality", subject, f"on {score.pairs:,} random pairs of {score.images:,} images that people have finished"
    for name in score.values:
        digits = 3 if name == "IL_MCC" else 1
        interval = score.intervals[name]
        between = f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"
        yield "quality", f"{subject}, {name}", f"{score.values[name]:.{digits}f} ({between})"


def describe_verifier_score(score: VerifierScore) -> Iterator[Line]:
    """Say how far a verifier agrees with people."""
    heading, stage = score.by.removeprefix("model:"), STAGE_NAMES[score.stage]
    if not score.items:
        yield heading, stage, f"{score.risky.total():,} items, none of them drawn at random; review random ones"
    else:
        cells = score.confusion
        yield (
            heading,
            f"{stage}, it says right",
            f"people: {_tell_cells(cells['right', 'right'], cells['right', 'wrong'])}",
        )
        yield (
            heading,
            f"{stage}, it says wrong",
            f"people: {_tell_cells(cells['wrong', 'right'], cells['wrong', 'wrong'])}",
        )
    if score.calibration_error is not None:
        shares = dict(score.curve)
        curve = ", ".join(f"{100 * shares[step]:.0f} % of the surest {100 * step:.0f} %" for step in CURVE_STEPS)
        yield heading, f"{stage}, calibration", f"error {score.calibration_error:.3f}; right in {curve}"
    if score.accuracy is not None and score.human_accuracy is not None:
        told = f"verifier {100 * score.accuracy:.1f} %, people {100 * score.human_accuracy:.1f} %"
        yield heading, f"{stage}, against the others' majority", f"{told}, in {score.others:,} answers"


def describe_agreement(found: Agreement) -> str:
    """Say how far two people agree.

    >>> describe_agreement(Agreement(0, float("nan"), float("nan")))
    'nothing is judged by two people yet; have a second person review'
    """
    if not found.items:
        return "nothing is judged by two people yet; have a second person review"
    kappa = "no kappa, all answers are the same" if isnan(found.kappa) else f"kappa {found.kappa:.3f}"
    return f"the same answer in {100 * found.observed:.1f} % of {found.items:,} items, {kappa}"


def describe_corrections(found: CorrectionAgreement) -> Iterator[Line]:
    """Say how far two corrections of the same pair agree."""
    if found.f1 is None or found.random_pair is None or found.oracle is None:
        yield "people", "corrections", "no pair is corrected by two people yet"
        return
    yield "people", "corrections", f"F1 of instances {100 * found.f1:.1f} on {found.pairs:,} pairs"
    yield "people", "corrections, random two", _join_numbers(found.random_pair)
    yield "people", "corrections, best two", _join_numbers(found.oracle)


def _tell_cells(right: int, wrong: int) -> str:
    return f"right {right:,}, wrong {wrong:,}"


def _join_numbers(values: dict[str, float]) -> str:
    told = [f"{name} {value:.3f}" if name == "IL_MCC" else f"{name} {value:.1f}" for name, value in values.items()]
    return ", ".join(told) or "people found nothing in them"
