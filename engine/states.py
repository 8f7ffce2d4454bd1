"""The state of a pair, and whether it needs a person: a function of its proposal, what was said of it, and a policy."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.pairs import Correction, Judgement, LogRecord, Pair, Proposal, Reproposal, Stage, Withdrawal
from sam3_tool.masks.rle import RleMask

StateName = Literal["proposed", "masked", "mv", "ev", "correct", "final", "rejected", "unsure"]
STATE_NAMES: tuple[StateName, ...] = ("proposed", "masked", "mv", "ev", "correct", "final", "rejected", "unsure")
ENDS: frozenset[str] = frozenset({"final", "rejected", "unsure"})
"""States in which nobody is asked any more."""
Need = Literal["", "masks", "mv", "ev", "correct"]
Decider = Literal["human", "model", ""]
MAX_OPINIONS = 3
"""People who may disagree about a mask or a pair before it counts as unsure."""


@dataclass(frozen=True)
class Thresholds:
    """Between which probabilities of "right" a model's judgement decides nothing, and a person is asked.

    >>> Thresholds(accept=0.9, reject=0.1).decide(0.95), Thresholds().decide(0.95)
    ('accept', '')
    """

    accept: float | None = None
    """From here on, what the model judged is accepted; None: never."""
    reject: float | None = None
    """Up to here, it is rejected; None: never."""
    by: str = ""
    """The one model whose probabilities these are thresholds of, as `Judgement.by` names it; "" for any."""

    def decide(self, probability: float | None) -> Literal["accept", "reject", ""]:
        """Return what a probability decides; "" where it decides nothing."""
        if probability is None:
            return ""
        if self.accept is not None and probability >= self.accept:
            return "accept"
        return "reject" if self.reject is not None and probability <= self.reject else ""


@dataclass(frozen=True)
class StatePolicy:
    """What judgements are worth. The default trusts people alone.

    >>> StatePolicy(mv=Thresholds(accept=0.9)).ev.decide(1.0)
    ''
    """

    mv: Thresholds = Thresholds()
    ev: Thresholds = Thresholds()
    blocked: frozenset[str] = frozenset()
    """Phrases that nobody labels, in any image; `EngineStore.iterate_states` adds those that people have flagged."""
    sources: frozenset[str] | None = None
    """Of images in which a model may decide; everything of the others goes to people. None: all."""

    def for_source(self, source: str) -> "StatePolicy":
        """Return the policy for images of one source.

        >>> policy = StatePolicy(mv=Thresholds(accept=0.9), sources=frozenset({"kitchen"}))
        >>> policy.for_source("kitchen").mv.accept, policy.for_source("sea").mv.accept
        (0.9, None)
        """
        if self.sources is None or source in self.sources:
            return self
        return StatePolicy(blocked=self.blocked)

    def get_thresholds(self, stage: Stage) -> Thresholds:
        """Return those of a stage."""
        return self.mv if stage == "mv" else self.ev


@dataclass(frozen=True)
class PairDecision:
    """The state of a pair without the pixels of its masks.

    >>> PairDecision("proposed", needs="masks").is_end
    False
    """

    name: StateName
    accepted: tuple[int, ...] = ()
    """Indexes of the proposal's masks that are accepted so far."""
    open_masks: tuple[int, ...] = ()
    """Indexes of those that nothing has decided."""
    correction: Correction | None = None
    """What takes the place of the accepted masks."""
    is_exhaustive: bool = False
    """Whether the masks cover every instance."""
    decided_by: Decider = ""
    """"human" where every decision was a person's; "model" where one of them was a model's; "" where nobody looked at
    this pair, because its phrase was flagged in another image or is on a list."""
    needs: Need = ""
    """What must happen next."""
    needs_person: bool = False
    """Whether a person must do it: a model has judged already without deciding, or people disagree."""
    blocked: bool = False
    """Whether the phrase was flagged, here or in any other image."""

    @property
    def is_end(self) -> bool:
        """Whether nobody is asked any more."""
        return self.name in ENDS

    @property
    def is_negative(self) -> bool:
        """Whether it is final that the phrase is not in the image."""
        none = not self.accepted if self.correction is None else not self.correction.masks
        return self.name == "final" and self.is_exhaustive and none

    @property
    def is_human_end(self) -> bool:
        """Whether people have brought it to its end: it is never proposed again."""
        return self.is_end and self.decided_by == "human"


@dataclass(frozen=True)
class PairSummary:
    """A pair and its state, without masks: what counts and queues need.

    >>> pair = Pair(image="5d", phrase="cup", original="cup", origin="list")
    >>> PairSummary(pair, PairDecision("proposed", needs="masks")).mask_count
    0
    """

    pair: Pair
    decision: PairDecision
    mask_count: int = 0
    """Masks of the latest proposal."""
    made_by: str = ""
    """Of that proposal; "" while there is none."""
    source: str = ""
    """Of the image."""
    split: str = ""
    """Of the image."""
    group: str = ""
    """Key of the image that stands for its near-duplicates."""


@dataclass(frozen=True)
class PairState:
    """The state of a pair, with its masks.

    >>> pair = Pair(image="5d", phrase="cup", original="cup", origin="list")
    >>> compute_state(pair, None, [], StatePolicy()).name
    'proposed'
    """

    pair: Pair
    decision: PairDecision
    masks: tuple[RleMask, ...]
    """Accepted so far; those of the correction where there is one."""
    groups: tuple[bool, ...]
    """For each mask, whether it covers several objects."""

    @property
    def name(self) -> StateName:
        """Its name."""
        return self.decision.name

    @property
    def is_exhaustive(self) -> bool:
        """Whether the masks cover every instance."""
        return self.decision.is_exhaustive

    @property
    def is_negative(self) -> bool:
        """Whether it is final that the phrase is not in the image."""
        return self.decision.is_negative

    @property
    def decided_by(self) -> Decider:
        """Who decided: people alone, or a model too."""
        return self.decision.decided_by

    @property
    def needs(self) -> Need:
        """What must happen next."""
        return self.decision.needs

    @property
    def blocked(self) -> bool:
        """Whether the phrase was flagged."""
        return self.decision.blocked


@dataclass(frozen=True)
class PairHistory:
    """The state of a pair, and what it was computed from.

    >>> pair = Pair(image="5d", phrase="cup", original="cup", origin="list")
    >>> PairHistory(compute_state(pair, None, [], StatePolicy()), None, []).state.name
    'proposed'
    """

    state: PairState
    proposal: Proposal | None
    """The latest; None while there is none."""
    records: Sequence[LogRecord]
    """What the log holds of the pair, in the order of positions."""


def compute_state(
    pair: Pair, proposal: Proposal | None, records: Iterable[LogRecord], policy: StatePolicy
) -> PairState:
    """Compute the state of a pair.

    Args:
        pair: The pair.
        proposal: The latest one; None while there is none.
        records: What the log holds of this pair, in the order of positions.
        policy: What judgements are worth.

    Returns:
        The same state for the same arguments, whoever asks and whenever.
    """
    count = None if proposal is None else len(proposal.masks)
    decision = decide_pair(pair.phrase, count, records, policy)
    if decision.correction is not None:
        return PairState(pair, decision, decision.correction.masks, decision.correction.groups)
    masks = tuple(proposal.masks[index] for index in decision.accepted) if proposal is not None else ()
    return PairState(pair, decision, masks, (False,) * len(masks))


def decide_pair(phrase: str, mask_count: int | None, records: Iterable[LogRecord], policy: StatePolicy) -> PairDecision:
    """Decide the state of a pair without reading its masks.

    Args:
        phrase: The pair's.
        mask_count: Masks of its latest proposal; None while there is none.
        records: What the log holds of this pair, in the order of positions.
        policy: What judgements are worth.

    Returns:
        The state. A pair whose masks were all rejected needs a correction: that nothing is there, nobody has said.

    >>> decide_pair("cup", 2, [], StatePolicy()).needs
    'mv'
    """
    standing = list_standing_entries(records)
    if (refusal := _find_refusal(standing)) is not None:
        return refusal
    if phrase in policy.blocked:
        return PairDecision("rejected", blocked=True)
    if (correction := _find_correction(standing)) is not None:
        return PairDecision("final", correction=correction, is_exhaustive=correction.exhaustive, decided_by="human")
    if mask_count is None:
        return PairDecision("proposed", needs="masks")
    return _decide_by_judgements(
        mask_count, [judgement for judgement in standing if isinstance(judgement, Judgement)], policy
    )


def list_standing_entries(records: Iterable[LogRecord]) -> list[Judgement | Correction]:
    """List the judgements and corrections that count: neither withdrawn, nor of masks that are gone, nor of gold items.

    Indexes of masks are those of the latest proposal.
    """
    standing: dict[int, Judgement | Correction] = {}
    for record in records:
        match record.entry:
            case Withdrawal(position=position):
                standing.pop(position, None)
            case Reproposal() as again:
                standing = {
                    position: moved
                    for position, entry in standing.items()
                    if (moved := move_entry(entry, again)) is not None
                }
            case Judgement(drawn="gold"):
                pass
            case Judgement() | Correction() as entry:
                standing[record.position] = entry
    return list(standing.values())


def move_entry(entry: Judgement | Correction, again: Reproposal) -> Judgement | Correction | None:
    """Return an entry about the new proposal's masks; None where it is about masks that are not there any more."""
    if isinstance(entry, Correction) or (entry.is_human and entry.choice in ("flag", "whole_image", "ungroundable")):
        return entry
    if entry.mask is not None:
        moved = again.moved[entry.mask] if entry.mask < len(again.moved) else None
        return None if moved is None else entry.model_copy(update={"mask": moved})
    kept = [moved for moved in again.moved if moved is not None]
    if len(kept) != len(again.moved) or len(kept) != again.count:
        return None  # what covered everything then was not these masks
    return entry.model_copy(update={"shown": tuple(sorted(kept[index] for index in entry.shown if index < len(kept)))})


def _find_refusal(standing: Sequence[Judgement | Correction]) -> PairDecision | None:
    """Return the end of a pair whose phrase people have refused, for the image or for good."""
    said: dict[str, str] = {}
    unsure = set()
    for entry in standing:
        said.setdefault(entry.by, "masks")
        if isinstance(entry, Judgement) and entry.is_human and entry.choice in ("flag", "whole_image", "ungroundable"):
            said[entry.by] = entry.choice
            if entry.reason == "unsure":
                unsure.add(entry.by)
    refusing = {by: choice for by, choice in said.items() if choice != "masks"}
    if "flag" in refusing.values():
        return PairDecision("rejected", decided_by="human", blocked=True)
    people = [by for by in said if by.startswith("human:")]
    if not refusing or 2 * len(refusing) <= len(people):
        return None
    is_unsure = unsure.issuperset(refusing)
    return PairDecision("unsure" if is_unsure else "rejected", decided_by="human")


def _find_correction(standing: Sequence[Judgement | Correction]) -> Correction | None:
    """Return the latest correction."""
    return next((entry for entry in reversed(standing) if isinstance(entry, Correction)), None)


@dataclass(frozen=True)
class _Verdict:
    """What all that was said of one mask, or of a pair, comes to."""

    choice: str = ""
    """ "" while nothing is decided; "unsure" where people disagree for good."""
    by: Decider = ""
    was_asked: bool = False
    """Whether anybody has judged."""


def _decide_by_judgements(count: int, judgements: Sequence[Judgement], policy: StatePolicy) -> PairDecision:
    verdicts = [_weigh_judgements(_select_judgements(judgements, "mv", mask), policy.mv) for mask in range(count)]
    accepted = tuple(mask for mask, verdict in enumerate(verdicts) if verdict.choice in ("accept", "accept_text"))
    if any(verdict.choice == "unsure" for verdict in verdicts):
        return PairDecision("unsure", accepted, decided_by="human")
    if waiting := tuple(mask for mask, verdict in enumerate(verdicts) if not verdict.choice):
        began = any(verdict.was_asked for verdict in verdicts)
        asked = all(verdicts[mask].was_asked for mask in waiting)
        return PairDecision("mv" if began else "masked", accepted, waiting, needs="mv", needs_person=asked)
    if count and not accepted:
        return PairDecision("correct", decided_by=_join_deciders(verdicts), needs="correct", needs_person=True)
    return _decide_coverage(accepted, verdicts, _select_judgements(judgements, "ev", None), policy)


def _decide_coverage(
    accepted: tuple[int, ...], verdicts: Sequence[_Verdict], judgements: Sequence[Judgement], policy: StatePolicy
) -> PairDecision:
    """Decide a pair whose masks are all decided: do the accepted ones cover everything?"""
    shown = [judgement for judgement in judgements if set(judgement.shown) == {*accepted}]
    verdict = _weigh_judgements(shown, policy.ev)
    decided_by = _join_deciders([*verdicts, verdict])
    match verdict.choice:
        case "":
            return PairDecision("ev", accepted, needs="ev", needs_person=verdict.was_asked)
        case "accept":
            return PairDecision("final", accepted, is_exhaustive=True, decided_by=decided_by)
        case "unsure":
            return PairDecision("unsure", accepted, decided_by="human")
    return PairDecision("correct", accepted, decided_by=decided_by, needs="correct", needs_person=True)


def _select_judgements(judgements: Sequence[Judgement], stage: Stage, mask: int | None) -> list[Judgement]:
    return [judgement for judgement in judgements if judgement.stage == stage and judgement.mask == mask]


def _weigh_judgements(judgements: Sequence[Judgement], thresholds: Thresholds) -> _Verdict:
    """Weigh what was said of one thing: the majority of people, each heard once; else the latest model."""
    votes = {judgement.by: _simplify_choice(judgement) for judgement in judgements if judgement.is_human}
    if votes:
        ranked = Counter(votes.values()).most_common()
        if len(ranked) == 1 or ranked[0][1] > ranked[1][1]:
            return _Verdict(ranked[0][0], "human", True)
        return _Verdict("unsure" if len(votes) >= MAX_OPINIONS else "", "human", True)
    if not judgements:
        return _Verdict()
    of_theirs = [judgement for judgement in judgements if thresholds.by in ("", judgement.by)]
    choice = thresholds.decide(of_theirs[-1].probability) if of_theirs else ""
    return _Verdict(choice, "model" if choice else "", True)


def _simplify_choice(judgement: Judgement) -> str:
    """Return "accept" or "reject": one voice against the majority, which refuses the phrase, accepts nothing."""
    return "accept" if judgement.choice in ("accept", "accept_text") else "reject"


def _join_deciders(verdicts: Iterable[_Verdict]) -> Decider:
    """Return "model" where any decision is a model's."""
    return "model" if any(verdict.by == "model" for verdict in verdicts) else "human"
