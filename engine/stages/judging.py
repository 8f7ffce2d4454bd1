"""Stages 4 and 5: have a verifier judge every mask, and then whether the accepted masks cover everything."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from time import monotonic, time

import numpy as np

from annotate.progress import ProgressMeter
from engine.errors import EngineError
from engine.pairs import Judgement, Pair, Proposal, Stage
from engine.stages.stage import RunContext, StageReport
from engine.states import PairSummary, list_standing_entries
from engine.verifiers.inputs import list_mask_signals, list_pair_signals
from engine.verifiers.keeping import load_policy, load_verifier
from engine.verifiers.loading import load_model_verifier
from engine.verifiers.verifier import ImageLoader, MaskItem, PairItem, Verdict, Verifier, describe_verifier
from sam3_tool import Image
from sam3_tool.system.processor import describe_processor

PAGE = 64
"""Pairs whose judgements are written together: that is what a kill may cost."""
DEFAULT_VERIFIER = "signals"
OWN_VERIFIERS = ("signals", "fitted")
"""Names of those that this machine's processor computes."""
LOCAL_MODELS = ("vllm:", "transformers:")
"""Beginnings of the names of language models that run inside this process."""
VerifierLoader = Callable[[RunContext, Stage], Verifier]
"""Makes the verifier that the command line names."""


def load_named_verifier(context: RunContext, stage: Stage) -> Verifier:
    """Load the verifier that `--verifier` names; a language model is loaded once for both stages. Raises UserError."""
    name = str(context.options.get("verifier") or DEFAULT_VERIFIER)
    key = f"verifier {name}"
    if key not in context.loaded:
        context.loaded[key] = load_model_verifier(name, context.store.folder, context.options)
    return context.loaded[key] or load_verifier(context.store, name, stage)


def check_verifier(context: RunContext) -> None:
    """Refuse a verifier that cannot judge, before hours are spent on masks for it. Raises UserError.

    A language model inside this process is left for later: until then, its memory is SAM 3's.
    """
    name = str(context.options.get("verifier") or DEFAULT_VERIFIER)
    if not name.startswith(LOCAL_MODELS):
        load_named_verifier(context, "mv")


@dataclass(frozen=True)
class _OpenPair:
    """A pair that waits for a verifier's judgement."""

    pair: Pair
    proposal: Proposal
    accepted: tuple[int, ...]
    masks: tuple[int, ...]
    """Indexes of those to be judged; () for coverage."""
    chance: float
    """That the accepted masks are right, as far as models have accepted them."""


@dataclass(frozen=True)
class JudgingStage:
    """Has a verifier judge masks ("mv") or coverage ("ev"). What it has judged already is not judged again.

    A judgement decides nothing by itself: the thresholds that `engine fit` has set do. The probability of coverage is
    that of the whole pair, because its label claims that each mask is right as well.
    """

    name: Stage
    load: VerifierLoader = load_named_verifier

    def run(self, context: RunContext) -> StageReport:
        """Judge every open pair. See `Stage.run`."""
        what = "pairs judged"
        policy = load_policy(context.store)
        count = sum(summary.decision.needs == self.name for summary in context.store.iterate_summaries(policy))
        if not count:
            return StageReport(self.name, what=what)
        verifier = self.load(context, self.name)
        by = describe_verifier(verifier)
        meter, began = ProgressMeter(count, 0), monotonic()
        done = seen = errors = 0
        waiting = (
            summary for summary in context.store.iterate_summaries(policy) if summary.decision.needs == self.name
        )
        while (page := [*islice(waiting, PAGE)]) and not context.is_out_of_time():
            proposals = context.store.read_proposals([summary.pair.key for summary in page])
            opened = [
                open_pair
                for summary in page
                if (proposal := proposals.get(summary.pair.key)) is not None
                if (open_pair := self._open_pair(context, summary, proposal, by)) is not None
            ]
            judged, failed = self._judge_pairs(context, verifier, opened)
            context.store.append(judged)
            seen, done, errors = seen + len(page), done + len(opened) - failed, errors + failed
            meter.add_images(len(page), {})
            context.report_progress(self.name, meter)
        report = StageReport(self.name, done, what, count - seen, errors)
        device = describe_processor() if verifier.name in OWN_VERIFIERS else verifier.name
        return replace(report, seconds=monotonic() - began, device=device, made_by=by)

    def _open_pair(self, context: RunContext, summary: PairSummary, proposal: Proposal, by: str) -> _OpenPair | None:
        """Return what is to be judged of a pair; None where this verifier has judged all of it."""
        said = [
            entry for entry in list_standing_entries(context.store.entries(summary.pair.key))
            if isinstance(entry, Judgement)
        ]  # fmt: skip
        own = [entry for entry in said if entry.by == by and entry.stage == self.name]
        accepted = summary.decision.accepted
        if self.name == "ev":
            if any({*entry.shown} == {*accepted} for entry in own):
                return None
            return _OpenPair(summary.pair, proposal, accepted, (), compute_accepted_chance(said, accepted))
        judged = {entry.mask for entry in own}
        masks = tuple(index for index in summary.decision.open_masks if index not in judged)
        return _OpenPair(summary.pair, proposal, accepted, masks, 1.0) if masks else None

    def _judge_pairs(
        self, context: RunContext, verifier: Verifier, opened: Sequence[_OpenPair]
    ) -> tuple[list[Judgement], int]:
        """Return judgements, and the number of pairs without a full answer."""
        by = describe_verifier(verifier)
        if self.name == "ev":
            verdicts = iter(verifier.verify_coverage([_build_pair_item(context, open_pair) for open_pair in opened]))
        else:
            verdicts = iter(
                verifier.verify_masks([item for open_pair in opened for item in _list_mask_items(context, open_pair)])
            )
        judged: list[Judgement] = []
        failed = 0
        for open_pair in opened:
            own = [*islice(verdicts, max(1, len(open_pair.masks)))]
            judged += _list_judgements(open_pair, self.name, own, by)
            failed += None in own
        return judged, failed


def compute_accepted_chance(said: Sequence[Judgement], accepted: Sequence[int]) -> float:
    """Compute the chance that accepted masks are right: a person's word counts as 1, a model's as its probability.

    >>> by = {"pair": "c4", "stage": "mv", "choice": "accept", "at": 0.0, "drawn": "auto"}
    >>> model = Judgement(**by, mask=0, by="model:signals@12", probability=0.75)
    >>> anna = Judgement(**by, mask=0, by="human:anna")
    >>> compute_accepted_chance([model], [0]), compute_accepted_chance([model, anna], [0])
    (0.75, 1.0)
    """
    chances = []
    for mask in accepted:
        about = [judgement for judgement in said if judgement.stage == "mv" and judgement.mask == mask]
        if not any(judgement.is_human for judgement in about):
            chances += [judgement.probability for judgement in about[-1:] if judgement.probability is not None]
    return float(np.prod(chances)) if chances else 1.0


def _list_judgements(
    open_pair: _OpenPair, stage: Stage, verdicts: Sequence[Verdict | None], by: str
) -> Iterator[Judgement]:
    """Yield the judgements of a pair; what got no answer is asked again by a later run."""
    for index, verdict in enumerate(verdicts):
        if verdict is None:
            continue
        yield Judgement(
            pair=open_pair.pair.key,
            stage=stage,
            mask=open_pair.masks[index] if stage == "mv" else None,
            shown=open_pair.accepted if stage == "ev" else (),
            choice=verdict.choice,  # type: ignore[arg-type]
            probability=verdict.probability * open_pair.chance,
            by=by,
            at=time(),
            drawn="auto",
        )


def _list_mask_items(context: RunContext, open_pair: _OpenPair) -> list[MaskItem]:
    load = _build_loader(context, open_pair.pair.image)
    return [
        MaskItem(
            open_pair.pair.image,
            load,
            open_pair.pair.phrase,
            open_pair.proposal.masks[index],
            list_mask_signals(open_pair.proposal, index),
        )
        for index in open_pair.masks
    ]


def _build_pair_item(context: RunContext, open_pair: _OpenPair) -> PairItem:
    masks = tuple(open_pair.proposal.masks[index] for index in open_pair.accepted)
    load = _build_loader(context, open_pair.pair.image)
    return PairItem(
        open_pair.pair.image,
        load,
        open_pair.pair.phrase,
        masks,
        list_pair_signals(open_pair.proposal, open_pair.accepted),
    )


def _build_loader(context: RunContext, key: str) -> ImageLoader:
    def load_image() -> Image:
        image = context.store.find_image(key)
        if image is None:
            raise EngineError(f"the image {key} was removed from {context.store.folder} meanwhile; run again")
        return image.open_pixels()

    return load_image
