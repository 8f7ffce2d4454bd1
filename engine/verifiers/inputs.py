"""Proposals with their signals, and the inputs that a verifier makes of these."""

from collections.abc import Collection, Mapping, Sequence

from engine.pairs import Pair, Proposal
from engine.verifiers.measuring import PhraseFindings, compare_findings, measure_signals
from engine.verifiers.mirroring import measure_mirrored
from sam3_tool import Image, Sam3

PAIR_SUMMARIES = {"lowest_score": "score", "lowest_agreement": "agreement", "lowest_exemplar_score": "exemplar_score"}
"""Input of a pair -> the signal of its accepted masks whose lowest value it is."""
EMPTY_INPUTS = (
    *("presence", "uncovered", "uncovered_free"),
    *("mirrored_presence", "mirrored_uncovered", "mirrored_free"),
)
"""Signals that weigh differently where no mask is offered: there they are all that speaks for an object."""


def add_signals(sam3: Sam3, image: Image, pairs: Sequence[Pair], proposals: Sequence[Proposal]) -> list[Proposal]:
    """Add what SAM 3 says of its own proposals when it is asked again.

    Args:
        sam3: The segmenter that made the proposals.
        image: The image of all of them.
        pairs: One per proposal.
        proposals: Of one image; those of the other phrases are what each is compared with.

    Returns:
        The proposals with `mask_signals` and `pair_signals`.

    Raises:
        CheckpointError: The backend cannot be asked with boxes.

    >>> import numpy as np
    >>> from sam3_tool import ScriptedBackend
    >>> image = Image(np.zeros((4, 6, 3), np.uint8))
    >>> pair = Pair(image=image.key, phrase="cup", original="cup", origin="list")
    >>> bare = Proposal(pair=pair.key, masks=(), scores=(), presence=0.25, made_by="scripted")
    >>> [proposal] = add_signals(Sam3(ScriptedBackend({})), image, [pair], [bare])
    >>> proposal.pair_signals["presence"]
    0.25
    """
    findings = _list_findings(pairs, proposals)
    return [
        proposal.model_copy(
            update={"mask_signals": tuple(map(dict, signals.masks)), "pair_signals": dict(signals.pair)}
        )
        for proposal, signals in zip(proposals, measure_signals(sam3, image, findings), strict=True)
    ]


def add_mirrored_signals(
    sam3: Sam3, image: Image, pairs: Sequence[Pair], proposals: Sequence[Proposal]
) -> list[Proposal]:
    """Add to the signals of proposals what SAM 3 says of the mirrored image. See `add_signals` for the arguments.

    >>> import numpy as np
    >>> from sam3_tool import ScriptedBackend
    >>> image, sam3 = Image(np.zeros((4, 6, 3), np.uint8)), Sam3(ScriptedBackend({}))
    >>> pair = Pair(image=image.key, phrase="cup", original="cup", origin="list")
    >>> bare = Proposal(pair=pair.key, masks=(), scores=(), presence=0.25, made_by="scripted")
    >>> [proposal] = add_mirrored_signals(sam3, image, [pair], add_signals(sam3, image, [pair], [bare]))
    >>> proposal.pair_signals["mirrored_presence"]
    0.0
    """
    measured = measure_mirrored(sam3, image, _list_findings(pairs, proposals))
    return [
        proposal.model_copy(
            update={
                "mask_signals": tuple(
                    list_mask_signals(proposal, index) | more for index, more in enumerate(signals.masks)
                ),
                "pair_signals": proposal.pair_signals | signals.pair,
            }
        )
        for proposal, signals in zip(proposals, measured, strict=True)
    ]


def _list_findings(pairs: Sequence[Pair], proposals: Sequence[Proposal]) -> list[PhraseFindings]:
    return [
        PhraseFindings(
            proposal.asked or pair.phrase,
            *(proposal.masks, proposal.scores, proposal.presence, proposal.evidence, proposal.evidence_scores),
        )
        for pair, proposal in zip(pairs, proposals, strict=True)
    ]


def list_mask_signals(proposal: Proposal, index: int) -> dict[str, float]:
    """List the signals of one mask; its score alone where nobody has measured more.

    >>> from sam3_tool.masks.rle import RleMask
    >>> bare = Proposal(pair="c4", masks=(RleMask((2, 3), "06"),), scores=(0.9,), presence=1.0, made_by="tiny")
    >>> list_mask_signals(bare, 0)
    {'score': 0.9}
    """
    return dict(proposal.mask_signals[index]) if proposal.mask_signals else {"score": proposal.scores[index]}


def list_pair_signals(proposal: Proposal, accepted: Collection[int]) -> dict[str, float]:
    """List the signals of a pair of which these masks were accepted.

    Where masks were rejected, what the evidence leaves uncovered is compared anew with the accepted ones, and
    `rejected` is the highest score of a mask that was rejected: there may be an object under it.

    >>> bare = Proposal(pair="c4", masks=(), scores=(), presence=0.25, made_by="tiny")
    >>> signals = list_pair_signals(bare, ())
    >>> signals["presence"], signals["masks"], signals["empty_presence"]
    (0.25, 0.0, 0.25)
    """
    chosen = sorted(accepted)
    signals: dict[str, float] = {"presence": proposal.presence, **proposal.pair_signals, "masks": float(len(chosen))}
    masks = [proposal.masks[index] for index in chosen]
    if len(chosen) < len(proposal.masks) or "uncovered" not in signals:
        signals["uncovered"], _ = compare_findings(masks, proposal.evidence, proposal.evidence_scores, ())
        signals["uncovered_free"] = min(signals["uncovered"], signals.get("uncovered_free", signals["uncovered"]))
    own = [list_mask_signals(proposal, index) for index in chosen]
    for name, signal in PAIR_SUMMARIES.items():
        signals[name] = min((mask[signal] for mask in own if signal in mask), default=0.0)
    left_out = [score for index, score in enumerate(proposal.scores) if index not in accepted]
    signals["rejected"] = max(left_out, default=0.0)
    return signals | _list_empty_inputs(signals)


def _list_empty_inputs(signals: Mapping[str, float]) -> dict[str, float]:
    is_empty = signals["masks"] == 0
    known = [name for name in EMPTY_INPUTS if name in signals]  # nobody need have looked at the mirrored image
    return {"empty": float(is_empty)} | {f"empty_{name}": signals[name] * is_empty for name in known}
