"""What people's answers teach a verifier: judged masks and pairs, and more that follows from corrections."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from engine.pairs import Correction, Judgement, Proposal, Stage
from engine.states import PairHistory, PairState, list_standing_entries
from engine.verifiers.labels import ACCEPTED_IOU, collect_coverage_labels, collect_mask_labels
from sam3_tool.masks.rle import RleMask, compute_ious

ExampleKind = Literal["judged", "refused", "added", "finished", "hidden", "sibling"]
REFUSALS = ("flag", "whole_image", "ungroundable")


@dataclass(frozen=True)
class VerifierExample:
    """A question and its right answer.

    >>> VerifierExample("c4", "cup", "ev", "hidden", (), "reject", "human:anna").choice
    'reject'
    """

    pair: str
    phrase: str
    stage: Stage
    kind: ExampleKind
    """judged: as people answered; added: a mask that a person drew; finished: all masks of a final pair; hidden: all
    but one; sibling: a mask of the phrase that a negative came from; refused: the phrase is none to label."""
    masks: tuple[RleMask, ...]
    """One for "mv"; the accepted ones for "ev"."""
    choice: str
    by: str


def list_examples(history: PairHistory) -> list[VerifierExample]:
    """List what the answers about one pair teach. Group masks are no single things, and masks with them are left out.

    Args:
        history: The pair's, by people alone.

    Returns:
        Examples where the pair is at its end by people; else none.
    """
    state, proposal = history.state, history.proposal
    said = [entry for entry in list_standing_entries(history.records) if entry.by.startswith("human:")]
    if not state.decision.is_human_end or not said:
        return []
    if state.name == "rejected":
        return _list_refusals(state, proposal, said)
    if state.name != "final":
        return []
    judged = [] if proposal is None else _list_judged(state, proposal, said)
    return judged + _list_finished(state, proposal, said)


def list_sibling_examples(negative: PairState, parent: PairState) -> list[VerifierExample]:
    """List the single masks of a positive under the phrase of a negative: all of them are another thing.

    Args:
        negative: A pair of which it is final that nothing is there.
        parent: The positive pair, of the same image, that it came from.
    """
    if parent.name != "final" or parent.pair.image != negative.pair.image:
        return []
    key, phrase = negative.pair.key, negative.pair.phrase
    return [
        VerifierExample(key, phrase, "mv", "sibling", (mask,), "reject", "human:both")
        for mask, is_group in zip(parent.masks, parent.groups, strict=True)
        if not is_group
    ]


def _list_refusals(
    state: PairState, proposal: Proposal | None, said: Sequence[Judgement | Correction]
) -> list[VerifierExample]:
    """List the latest refusal; none where the phrase was refused in another image."""
    refusals = [entry for entry in said if isinstance(entry, Judgement) and entry.choice in REFUSALS]
    if not refusals or refusals[-1].reason == "unsure":
        return []
    last = refusals[-1]
    offered = () if proposal is None else proposal.masks
    wanted = last.shown if last.mask is None else (last.mask,)
    masks = tuple(offered[index] for index in wanted if index < len(offered))
    if last.stage == "mv" and not masks:
        return []
    return [VerifierExample(state.pair.key, state.pair.phrase, last.stage, "refused", masks, last.choice, last.by)]


def _list_judged(state: PairState, proposal: Proposal, said: Sequence[Judgement | Correction]) -> list[VerifierExample]:
    key, phrase, image = state.pair.key, state.pair.phrase, state.pair.image
    examples = []
    for label in collect_mask_labels(proposal, said, image):
        votes = [entry for entry in said if isinstance(entry, Judgement) and entry.mask == label.mask]
        if label.mask is None or not votes or votes[-1].reason == "duplicate":
            continue  # a duplicate is right when it is seen alone
        choice = _word_choice(label.is_right, votes, "accept_text")
        one = proposal.masks[label.mask]
        examples.append(VerifierExample(key, phrase, "mv", "judged", (one,), choice, votes[-1].by))
    votes = [entry for entry in said if isinstance(entry, Judgement) and entry.stage == "ev"]
    for label in collect_coverage_labels(proposal, said, image) if votes else []:
        masks = tuple(proposal.masks[index] for index in votes[-1].shown if index < len(proposal.masks))
        choice = _word_choice(label.is_right, votes, "reject_unseparated")
        examples.append(VerifierExample(key, phrase, "ev", "judged", masks, choice, votes[-1].by))
    return examples


def _word_choice(is_right: bool, votes: Sequence[Judgement], special: str) -> str:
    """Return "accept" or "reject", or the special choice of that meaning where the last vote was it."""
    plain = "accept" if is_right else "reject"
    return special if votes[-1].choice == special and special.startswith(plain) else plain


def _list_finished(
    state: PairState, proposal: Proposal | None, said: Sequence[Judgement | Correction]
) -> list[VerifierExample]:
    """List what a final pair teaches as a whole: it covers everything, and with one mask hidden it does not."""
    key, phrase, by = state.pair.key, state.pair.phrase, said[-1].by
    examples: list[VerifierExample] = []
    if isinstance(correction := state.decision.correction, Correction):
        examples += [
            VerifierExample(key, phrase, "mv", "added", (mask,), "accept", correction.by)
            for mask in _find_added(correction, proposal)
        ]
        if state.is_exhaustive:
            examples.append(VerifierExample(key, phrase, "ev", "finished", state.masks, "accept", correction.by))
    if state.is_exhaustive and state.masks and not any(state.groups):
        hidden = blake2b(key.encode(), digest_size=4).digest()[0] % len(state.masks)
        shown = (*state.masks[:hidden], *state.masks[hidden + 1 :])
        examples.append(VerifierExample(key, phrase, "ev", "hidden", shown, "reject", by))
    return examples


def _find_added(correction: Correction, proposal: Proposal | None) -> list[RleMask]:
    """Find the single masks of a correction that SAM 3 had not offered."""
    offered = () if proposal is None else proposal.masks
    best = compute_ious(correction.masks, offered).max(axis=1, initial=0) if correction.masks else []
    found = zip(correction.masks, correction.groups, best, strict=True)
    return [mask for mask, is_group, iou in found if not is_group and iou < ACCEPTED_IOU]
