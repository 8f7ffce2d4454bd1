"""Fit the verifier `fitted` anew when people have labelled enough since it was fitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from engine.errors import EngineError
from engine.pairs import Stage
from engine.quality.fitting import EngineFit, compute_fit, keep_fits
from engine.store.store import EngineStore
from engine.verifiers.fitted import FittedVerifier, StageFit
from engine.verifiers.keeping import STAGES, StageRoute, has_fit, load_fit, load_policy, load_route
from engine.verifiers.labels import collect_labels
from engine.verifiers.verifier import describe_verifier

LEAST_NEW_LABELS = 50
"""More labels than a fit rests on, so that it is made anew."""
NEW_SHARE = 0.2
"""Of the labels that it rests on, so many more: the larger of the two numbers counts."""


@dataclass(frozen=True, eq=False)
class EarlierFit:
    """A fit that counts, with the thresholds that are its own."""

    fit: StageFit
    route: StageRoute


def count_needed_labels(labels: int) -> int:
    """Count the labels from which on a stage is fitted anew.

    Args:
        labels: That the fit rests on.

    >>> count_needed_labels(100), count_needed_labels(1000)
    (150, 1200)
    """
    return labels + max(LEAST_NEW_LABELS, ceil(NEW_SHARE * labels))


def refit_engine(store: EngineStore) -> str:
    """Fit every stage anew that was fitted before, if people have labelled enough more of one of them.

    Thresholds are set anew with it, to the same quality and for the same slips, on the random items that are labelled
    by now. So the bound of their precision is one of the new fit. What models have finished by the earlier one is open
    until the new one has judged it: no label rests on a fit and on the thresholds of another. Both stages change
    together or not at all.

    Args:
        store: The data engine, open for writing.

    Returns:
        What was done, or why nothing was though it was due, in one line; "" where nothing was due.

    Raises:
        EngineError: The store cannot be read or written.
    """
    earlier = load_earlier_fits(store)
    counts = {stage: len(collect_labels(store, stage)) for stage in earlier}
    if not any(counts[stage] >= count_needed_labels(before.fit.labels) for stage, before in earlier.items()):
        return ""
    if any(before.route.slips is None for before in earlier.values()):
        return (
            "people have labelled more since the verifier was fitted, but the folder does not say which share of errors"
            f" they let pass; fit it once more: sam3-agent engine fit {store.folder} --stage mv, then --stage ev"
        )
    try:
        fits = compute_fits(store, earlier)
    except EngineError as error:
        return f"the verifier stays as it was fitted: {error}"
    reopened = sum(
        summary.decision.is_end and summary.decision.decided_by == "model"
        for summary in store.iterate_summaries(load_policy(store))
    )
    keep_fits(store, fits)
    told = [describe_refit(earlier[found.route.stage], found) for found in fits]
    return f"{'; '.join(told)}; {reopened:,} pairs that a model had finished are judged again"


def load_earlier_fits(store: EngineStore) -> dict[Stage, EarlierFit]:
    """Load the fits that may be made anew: none where a stage has thresholds of another verifier, or has none."""
    earlier: dict[Stage, EarlierFit] = {}
    for stage in STAGES:
        fit = load_fit(store, stage) if has_fit(store, stage) else None
        route = load_route(store, stage)
        if fit is None and route is None:
            continue
        if fit is None or route is None or route.by != describe_verifier(FittedVerifier([fit])):
            return {}
        earlier[stage] = EarlierFit(fit, route)
    return earlier


def compute_fits(store: EngineStore, earlier: dict[Stage, EarlierFit]) -> Sequence[EngineFit]:
    """Fit stages anew without keeping anything: masks first, for coverage rests on them. Raises EngineError."""
    fits: list[EngineFit] = []
    mask_route = load_route(store, "mv")
    for stage, before in earlier.items():
        slips = before.route.slips or 0.0
        found = compute_fit(store, stage, mask_route=mask_route, quality=before.route.quality, slips=slips)
        mask_route = found.route if stage == "mv" else mask_route
        fits.append(found)
    return fits


def describe_refit(before: EarlierFit, after: EngineFit) -> str:
    """Say what a stage was fitted on, and which thresholds it has and had."""
    told = [f"{after.route.stage}: fitted anew on {after.labels:,} labels ({before.fit.labels:,} before)"]
    for word, now, then in (
        ("accepted without a person from", after.route.accept, before.route.accept),
        ("rejected up to", after.route.reject, before.route.reject),
    ):
        if now is not None or then is not None:
            told.append(f"{word} {_format_threshold(now)} ({_format_threshold(then)} before)")
    return ", ".join(told)


def _format_threshold(threshold: float | None) -> str:
    return "no probability" if threshold is None else f"{threshold:.3f}"
