"""Which pairs teach a detector something, and why the others are left out."""

from dataclasses import dataclass
from typing import Literal

from engine.states import PairState

Reason = Literal["", "rejected", "unsure", "undecided", "groups", "open"]
REASONS: dict[Reason, str] = {
    "rejected": "people refused the phrase, here or everywhere",
    "unsure": "people could not tell, or disagreed",
    "undecided": "nothing is accepted yet, and nobody has said that nothing is there",
    "groups": "every mask covers several objects, which the trainer leaves out: it would learn that nothing is there",
    "open": "it is not final yet",
}
"""Why a pair is left out."""


@dataclass(frozen=True)
class PairUse:
    """What a pair is worth for training.

    >>> PairUse("", is_exhaustive=True, is_pixel_exhaustive=True).is_used
    True
    """

    reason: Reason
    """ "" for a pair that is used."""
    is_exhaustive: bool = False
    """Whether every instance has a mask of its own, as a person or a verifier has decided."""
    is_pixel_exhaustive: bool = False
    """Whether its masks cover every instance, some of them perhaps several."""

    @property
    def is_used(self) -> bool:
        """Whether it is exported."""
        return not self.reason


def decide_use(state: PairState) -> PairUse:
    """Decide whether and how a pair is used for training.

    A pair is exhaustive only where it is final. One that is not final is used for the masks that are accepted so far;
    without any it would teach that nothing is there, because presence is learnt from every pair.

    >>> from engine.pairs import Pair
    >>> from engine.states import StatePolicy, compute_state
    >>> pair = Pair(image="5d", phrase="cup", original="cup", origin="list")
    >>> decide_use(compute_state(pair, None, [], StatePolicy())).reason
    'undecided'
    """
    if state.name == "rejected":
        return PairUse("rejected")
    if state.name == "unsure":
        return PairUse("unsure")
    is_final = state.name == "final" and state.is_exhaustive
    if not state.masks:
        return PairUse("" if is_final else "undecided", is_final, is_final)
    if all(state.groups):
        return PairUse("groups")
    return PairUse("", is_final and not any(state.groups), is_final)


def decide_final_use(state: PairState) -> PairUse:
    """Decide whether a pair is exported where only what is final counts.

    Group masks are no instances: a pair with some is exhaustive by pixels alone.

    >>> from engine.pairs import Pair
    >>> from engine.states import StatePolicy, compute_state
    >>> pair = Pair(image="5d", phrase="cup", original="cup", origin="list")
    >>> decide_final_use(compute_state(pair, None, [], StatePolicy())).reason
    'open'
    """
    if state.name == "rejected":
        return PairUse("rejected")
    if state.name == "unsure":
        return PairUse("unsure")
    if state.name != "final":
        return PairUse("open")
    if not state.masks and not state.is_exhaustive:
        return PairUse("undecided")
    return PairUse("", state.is_exhaustive and not any(state.groups), state.is_exhaustive)
