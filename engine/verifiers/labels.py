"""What people's answers say of single masks and of coverage: the labels that a verifier is fitted on."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from engine.lottery import LOTTERY_SHARE, is_in_lottery
from engine.pairs import Correction, Entry, Judgement, LogRecord, Proposal, Stage, Withdrawal
from engine.states import list_standing_entries
from engine.store.store import EngineStore
from engine.verifiers.inputs import list_mask_signals, list_pair_signals
from engine.verifiers.measuring import COVERED_IOU
from sam3_tool.masks.rle import compute_ious

ACCEPTED_IOU = 0.75
"""A mask that a person has mended is right as it was from this IoU with the mended one on."""
PAGE = 256
"""Pairs whose masks are read together."""
UNBIASED = frozenset({"random", "audit"})
"""Ways in which an item is drawn that say nothing of what it is."""


@dataclass(frozen=True)
class LabelledItem:
    """One mask, or the coverage of one pair, with what people say of it.

    >>> LabelledItem("c4", None, "5d", {"presence": 0.1}, True).weight
    1.0
    """

    pair: str
    """Key of the pair."""
    mask: int | None
    """Index into the proposal's masks; None for coverage."""
    image: str
    """Key of the image."""
    signals: dict[str, float]
    is_right: bool
    weight: float = 1.0
    """Inverse of the chance with which it was drawn."""
    is_random: bool = False
    """Whether it was drawn at random, so that it counts where quality is estimated."""
    domain: str = ""


def collect_labels(store: EngineStore, stage: Stage) -> list[LabelledItem]:
    """Collect the labels of a stage from the whole log.

    Args:
        store: The data engine.
        stage: "mv" or "ev".

    Returns:
        One label for each mask, or pair, that people have decided.

    Raises:
        EngineError: The store cannot be read.
    """
    sources = {image.key: image.source for image in store.images()}
    collect = collect_mask_labels if stage == "mv" else collect_coverage_labels
    said = group_records(store.entries())
    answered = [key for key, records in said.items() if any(_is_by_person(record.entry) for record in records)]
    labels: list[LabelledItem] = []
    for start in range(0, len(answered), PAGE):
        page = answered[start : start + PAGE]
        for key, proposal in store.read_proposals(page).items():
            pair = store.find_pair(key)
            if pair is not None:
                entries = list_standing_entries(said[key])
                labels += collect(proposal, entries, pair.image, sources.get(pair.image, ""))
    return labels


def group_records(records: Iterable[LogRecord]) -> dict[str, list[LogRecord]]:
    """Group a log by pair; what takes an entry back belongs to the pair of that entry."""
    grouped: dict[str, list[LogRecord]] = defaultdict(list)
    pairs: dict[int, str] = {}
    for record in records:
        entry = record.entry
        key = pairs.get(entry.position, "") if isinstance(entry, Withdrawal) else entry.pair
        pairs[record.position] = key
        grouped[key].append(record)
    return grouped


def collect_mask_labels(
    proposal: Proposal, entries: Iterable[Judgement | Correction], image: str, domain: str = ""
) -> list[LabelledItem]:
    """Collect what people say of each mask of a proposal: in a correction, else by their majority.

    Group masks say nothing of single masks, and are left out.

    >>> from sam3_tool.masks.rle import RleMask
    >>> proposal = Proposal(pair="c4", masks=(RleMask((2, 3), "06"),), scores=(0.9,), presence=1.0, made_by="tiny")
    >>> said = Judgement(pair="c4", stage="mv", mask=0, choice="reject", by="human:anna", at=0.0, drawn="random")
    >>> [label.is_right for label in collect_mask_labels(proposal, [said], "5d")]
    [False]
    """
    said = [entry for entry in entries if _is_by_person(entry)]
    judgements = [entry for entry in said if isinstance(entry, Judgement) and entry.stage == "mv"]
    correction = next((entry for entry in reversed(said) if isinstance(entry, Correction)), None)
    mended = None if correction is None else _compare_masks(proposal, correction)
    labels = []
    for index in range(len(proposal.masks)):
        votes = [entry for entry in judgements if entry.mask == index]
        verdict = _count_votes(votes) if mended is None else mended[index]
        if verdict is not None:
            signals = list_mask_signals(proposal, index)
            labels.append(_build_label(proposal, index, image, signals, verdict, votes or judgements, domain))
    return labels


def collect_coverage_labels(
    proposal: Proposal, entries: Iterable[Judgement | Correction], image: str, domain: str = ""
) -> list[LabelledItem]:
    """Collect what people say of the coverage of a pair: by their majority, or by what a correction had to add.

    >>> proposal = Proposal(pair="c4", masks=(), scores=(), presence=0.1, made_by="tiny")
    >>> said = Judgement(pair="c4", stage="ev", choice="accept", by="human:anna", at=0.0, drawn="random")
    >>> [label.is_right for label in collect_coverage_labels(proposal, [said], "5d")]
    [True]
    """
    said = [entry for entry in entries if _is_by_person(entry)]
    votes = [entry for entry in said if isinstance(entry, Judgement) and entry.stage == "ev"]
    correction = next((entry for entry in reversed(said) if isinstance(entry, Correction)), None)
    shown: Sequence[int] = votes[-1].shown if votes else range(len(proposal.masks))
    shown = [index for index in shown if index < len(proposal.masks)]
    verdict = _count_votes(votes)
    if correction is not None:
        offered = [proposal.masks[index] for index in shown]
        covered = compute_ious(correction.masks, offered).max(axis=1, initial=0) >= COVERED_IOU
        verdict = correction.exhaustive and bool(covered.all())
    if verdict is None:
        return []
    signals = list_pair_signals(proposal, shown)
    return [_build_label(proposal, None, image, signals, verdict, votes or said, domain)]


def _is_by_person(entry: Entry) -> TypeGuard[Judgement | Correction]:
    return isinstance(entry, Correction) or (isinstance(entry, Judgement) and entry.is_human)


def _compare_masks(proposal: Proposal, correction: Correction) -> list[bool | None]:
    """Return whether each offered mask is one of the corrected ones; None where a group took its place."""
    ious = compute_ious(proposal.masks, correction.masks)
    verdicts: list[bool | None] = []
    for row in ious:
        best = int(row.argmax()) if len(row) else -1
        if best >= 0 and correction.groups[best] and row[best] > 0:
            verdicts.append(None)
        else:
            verdicts.append(bool(row.max(initial=0) >= ACCEPTED_IOU))
    return verdicts


def _count_votes(votes: Sequence[Judgement]) -> bool | None:
    """Return what most people say; None for a tie, or where they speak of the phrase and not of the masks."""
    answers = {vote.by: vote.choice for vote in votes}
    right = sum(choice in ("accept", "accept_text") for choice in answers.values())
    wrong = sum(choice in ("reject", "reject_unseparated") for choice in answers.values())
    return None if right == wrong else right > wrong


def _build_label(
    proposal: Proposal,
    index: int | None,
    image: str,
    signals: dict[str, float],
    is_right: bool,
    said: Sequence[Judgement | Correction],
    domain: str,
) -> LabelledItem:
    judgements = [entry for entry in said if isinstance(entry, Judgement)]
    # a correction does not say how it came to the person
    is_random = any(entry.drawn in UNBIASED for entry in judgements) if judgements else is_in_lottery(proposal.pair)
    weight = judgements[0].weight if judgements else 1 / LOTTERY_SHARE if is_random else 1.0
    return LabelledItem(proposal.pair, index, image, signals, is_right, weight, is_random, domain)
