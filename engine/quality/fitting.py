"""Fit a stage of a data engine on its log, and set the thresholds above which nobody needs to look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.errors import EngineError
from engine.pairs import Judgement, Stage
from engine.quality.ordering import compute_pair_risk
from engine.quality.thresholds import (
    QUALITY,
    SampledItem,
    choose_accept_threshold,
    choose_reject_threshold,
    find_open_domains,
)
from engine.quality.weighing import weigh_labels
from engine.states import list_standing_entries
from engine.store.store import EngineStore
from engine.verifiers.fitted import FitReport, FittedVerifier, StageFit, fit_stage
from engine.verifiers.keeping import StageRoute, keep_fit, keep_route, load_route
from engine.verifiers.labels import LabelledItem, collect_labels
from engine.verifiers.verifier import describe_verifier

SLIPS = 0.05
"""Of the errors that people are taken to let pass."""


@dataclass(frozen=True, eq=False)
class EngineFit:
    """What fitting a stage gave: the fit, and the thresholds."""

    fit: StageFit
    route: StageRoute

    @property
    def labels(self) -> int:
        """What the fit rests on."""
        return self.fit.labels

    @property
    def wrong(self) -> int:
        """Rejections among the labels."""
        return self.fit.wrong

    @property
    def is_calibrated(self) -> bool:
        """Whether a calibration follows the regression."""
        return self.fit.calibration is not None


def fit_engine(store: EngineStore, stage: Stage, *, quality: float = QUALITY, slips: float = SLIPS) -> EngineFit:
    """Fit the verifier `fitted` on what people have said, set its thresholds, and keep both.

    Args:
        store: The data engine, open for writing.
        stage: "mv" or "ev". The thresholds of "ev" are about whole pairs, and rest on the fit of "mv": fit that first.
        quality: In (0, 1): what the lower bound of the precision must reach.
        slips: In [0, 1): the share of errors that people let pass.

    Returns:
        The fit and the thresholds, which are None where no threshold reaches the quality.

    Raises:
        EngineError: There are too few labels, or nothing can be written.
    """
    found = compute_fit(store, stage, mask_route=load_route(store, "mv"), quality=quality, slips=slips)
    keep_fits(store, [found])
    return found


def compute_fit(
    store: EngineStore, stage: Stage, *, mask_route: StageRoute | None, quality: float, slips: float
) -> EngineFit:
    """Fit a stage and choose its thresholds without keeping them.

    Args:
        store: The data engine.
        stage: "mv" or "ev".
        mask_route: The thresholds of "mv" that those of "ev" rest on; None where there are none.
        quality: As for `fit_engine`.
        slips: As for `fit_engine`.

    Raises:
        EngineError: There are too few labels.
    """
    labels = weigh_labels(store, collect_labels(store, stage))
    report = fit_stage(stage, labels)
    by = describe_verifier(FittedVerifier([report.fit]))
    sample = sample_masks(labels, report) if stage == "mv" else sample_pairs(store, labels, report, mask_route)
    return EngineFit(report.fit, build_route(stage, by, sample, labels, quality=quality, slips=slips))


def keep_fits(store: EngineStore, fits: Sequence[EngineFit]) -> None:
    """Keep fits with their thresholds, all of them or none. Raises EngineError."""
    with store.database.write():
        for found in fits:
            keep_fit(store, found.fit)
            keep_route(store, found.route)


def fit_route(
    store: EngineStore, stage: Stage, verifier: str, *, quality: float = QUALITY, slips: float = SLIPS
) -> StageRoute:
    """Set thresholds for a verifier that has judged already, such as `signals` or a language model, and keep them.

    Args:
        store: The data engine, open for writing.
        stage: "mv" or "ev".
        verifier: Its name, as in `Judgement.by` between "model:" and "@". Of several fingerprints the latest counts.
        quality: As for `fit_engine`.
        slips: As for `fit_engine`.

    Raises:
        EngineError: It has judged nothing of what people have labelled, or nothing can be written. Thresholds stay.
    """
    labels = collect_labels(store, stage)
    judged = find_judgements(store, stage, verifier, {label.pair for label in labels})
    if not judged:
        raise EngineError(
            f"of {len(labels):,} labels of stage {stage!r} by people, the verifier {verifier!r} has judged none; have"
            f" people review, and let it judge: sam3-agent engine run {store.folder} --verifier {verifier}"
        )
    by = max(judged.values(), key=lambda judgement: judgement.at).by
    sample = [
        SampledItem(judgement.probability, label.is_right, label.domain)
        for label in labels
        if label.is_random and (judgement := judged.get((label.pair, label.mask))) is not None
        if judgement.by == by and judgement.probability is not None
    ]
    route = build_route(stage, by, sample, labels, quality=quality, slips=slips)
    keep_route(store, route)
    return route


def find_judgements(
    store: EngineStore, stage: Stage, verifier: str, pairs: set[str]
) -> dict[tuple[str, int | None], Judgement]:
    """Find the latest judgements of a verifier about masks, or about coverage, of these pairs."""
    found: dict[tuple[str, int | None], Judgement] = {}
    for pair in sorted(pairs):
        for entry in list_standing_entries(store.entries(pair)):
            if isinstance(entry, Judgement) and entry.stage == stage and entry.by.startswith(f"model:{verifier}@"):
                found[pair, entry.mask] = entry
    return found


def build_route(
    stage: Stage,
    by: str,
    sample: Sequence[SampledItem],
    labels: Sequence[LabelledItem],
    *,
    quality: float,
    slips: float,
) -> StageRoute:
    """Choose both thresholds of a stage on a random sample; domains are counted over all labels."""
    accept = choose_accept_threshold(sample, quality=quality, missed=slips)
    # an error that people overlook makes a rejection look worse than it is, so this bound needs no allowance for slips
    reject = choose_reject_threshold(sample, quality=quality)
    everything = [SampledItem(0.0, label.is_right, label.domain) for label in labels]
    return StageRoute(
        stage=stage,
        by=by,
        quality=quality,
        accept=accept.threshold,
        reject=reject.threshold,
        sample=len(sample),
        accept_taken=accept.taken,
        accept_right=accept.right,
        accept_bound=accept.bound,
        reject_taken=reject.taken,
        reject_bound=reject.bound,
        sources=tuple(sorted(find_open_domains(everything))),
        slips=slips,
    )


def sample_masks(labels: Sequence[LabelledItem], report: FitReport) -> list[SampledItem]:
    """Take the masks that were drawn at random, with what fits of the other folds say of them."""
    return [
        SampledItem(float(value), label.is_right, label.domain)
        for value, label in zip(report.estimates, labels, strict=True)
        if label.is_random
    ]


def sample_pairs(
    store: EngineStore, labels: Sequence[LabelledItem], report: FitReport, route: StageRoute | None
) -> list[SampledItem]:
    """Take the pairs that were drawn at random and whose masks would all be accepted without a person.

    Such a pair is right if its masks are, and if they cover everything: that is what its label will claim. `route` is
    that of masks.
    """
    masks = estimate_masks(weigh_labels(store, collect_labels(store, "mv")))
    counts = {summary.pair.key: summary.mask_count for summary in store.iterate_summaries()}
    sample = []
    for value, label in zip(report.estimates, labels, strict=True):
        if not label.is_random:
            continue
        own, count = masks.get(label.pair, {}), counts.get(label.pair, 0)
        estimates = [own[index][0] for index in range(count) if index in own]
        if len(estimates) < count or not passes_masks(estimates, None if route is None else route.accept):
            continue
        is_right = label.is_right and all(right for _, right in own.values())
        sample.append(SampledItem(1 - compute_pair_risk(float(value), estimates), is_right, label.domain))
    return sample


def passes_masks(estimates: Sequence[float], threshold: float | None) -> bool:
    """Return whether every mask of a pair, if it has any, is accepted without a person.

    >>> passes_masks([], None), passes_masks([0.9, 0.8], 0.85), passes_masks([0.9], 0.85)
    (True, False, True)
    """
    return not len(estimates) or (threshold is not None and min(estimates) >= threshold)


def estimate_masks(labels: Sequence[LabelledItem]) -> Mapping[str, Mapping[int, tuple[float, bool]]]:
    """Return, by pair and mask, what fits of the other folds say, and what people say. Raises EngineError."""
    found: dict[str, dict[int, tuple[float, bool]]] = {}
    if labels:
        report = fit_stage("mv", labels)
        for value, label in zip(report.estimates, labels, strict=True):
            found.setdefault(label.pair, {})[label.mask or 0] = (float(value), label.is_right)
    return found
