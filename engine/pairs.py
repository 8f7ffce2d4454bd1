"""The values of the data engine: pairs of an image and a phrase, their masks, and what was said of them."""

from hashlib import blake2b
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from sam3_tool.masks.rle import RleMask

Origin = Literal[
    "list", "ontology", "model", "alt-text", "sibling", "cousin", "uncle", "attribute", "look-alike", "easy"
]
"""Where the phrase of a pair came from; the last six are those of negatives."""
NEGATIVE_ORIGINS: frozenset[str] = frozenset({"sibling", "cousin", "uncle", "attribute", "look-alike", "easy"})
Stage = Literal["mv", "ev"]
"""Mask verification: is this mask right? Exhaustivity verification: do these masks cover everything?"""
MaskChoice = Literal["accept", "accept_text", "flag", "whole_image", "reject"]
CoverageChoice = Literal["accept", "reject", "reject_unseparated", "flag", "whole_image", "ungroundable"]
Choice = Literal["accept", "accept_text", "flag", "whole_image", "reject", "reject_unseparated", "ungroundable"]
MASK_CHOICES: tuple[str, ...] = ("accept", "accept_text", "flag", "whole_image", "reject")
COVERAGE_CHOICES: tuple[str, ...] = ("accept", "reject", "reject_unseparated", "flag", "whole_image", "ungroundable")
REJECT_REASONS = ("wrong_thing", "missing_part", "too_much", "holes", "two_in_one", "duplicate")
"""Why a mask was rejected."""
UNGROUNDABLE_REASONS = ("vague", "unsure")
"""Why a pair cannot be judged: nobody could, or this person cannot."""
Drawn = Literal["risk", "random", "gold", "second", "audit", "auto"]
"""How the item came to whoever judged it."""
Score = Annotated[FiniteFloat, Field(ge=0, le=1)]


def build_pair_key(image: str, phrase: str) -> str:
    """Return the key of a pair: 16 hexadecimal digits of its image's key and its phrase.

    >>> build_pair_key("5d", "cup")
    '36d6058603fba957'
    """
    return blake2b(f"{image}\0{phrase}".encode(), digest_size=8).hexdigest()


class EngineValue(BaseModel):
    """A value that never changes and has no other fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Pair(EngineValue):
    """An image and a phrase: what is labelled, whether the phrase is in the image or not.

    >>> Pair(image="5d", phrase="cup", original="Cups", origin="list").key
    '36d6058603fba957'
    """

    image: Annotated[str, Field(min_length=1)]
    """`Image.key`, the hash of the pixels."""
    phrase: Annotated[str, Field(min_length=1)]
    """Normalised: what SAM 3 is asked for."""
    original: str
    """As it came."""
    origin: Origin
    parent: str = ""
    """Key of the positive pair that a negative came from."""

    @property
    def key(self) -> str:
        """16 hexadecimal digits."""
        return build_pair_key(self.image, self.phrase)


class Proposal(EngineValue):
    """What SAM 3 found for a pair. Scores above 0.5 are offered; weaker ones are evidence.

    Raises:
        ValidationError: There are not as many scores, or sets of signals, as masks.

    >>> Proposal(pair="c4", masks=(), scores=(), presence=0.01, made_by="tiny").masks
    ()
    """

    pair: str
    """Key of the pair."""
    masks: tuple[RleMask, ...]
    """Those with a score above 0.5, after NMS, best first."""
    scores: tuple[Score, ...]
    presence: Score
    """How sure SAM 3 is that the phrase is in the image at all."""
    evidence: tuple[RleMask, ...] = ()
    """Masks with a score from 0.05 to 0.5, which nobody is offered: they say what may be missing."""
    evidence_scores: tuple[Score, ...] = ()
    mask_signals: tuple[dict[str, float], ...] = ()
    """What SAM 3 says of each mask in other ways, by name; () where nobody has asked."""
    pair_signals: dict[str, float] = {}
    """The same of the pair."""
    made_by: str
    """Weights and their hash, thresholds, and the program's version."""
    asked: str = ""
    """The phrase that SAM 3 was asked for in the pair's place, a coarser one; "" for the pair's own."""

    @model_validator(mode="after")
    def _check_counts(self) -> "Proposal":
        if len(self.masks) != len(self.scores) or len(self.evidence) != len(self.evidence_scores):
            raise ValueError("a proposal needs as many scores as masks, and as many for its evidence")
        if len(self.mask_signals) not in (0, len(self.masks)):
            raise ValueError("a proposal needs signals of each mask, or of none")
        return self


class Judgement(EngineValue):
    """What a person or a model said of one mask, or of all masks of a pair together.

    Raises:
        ValidationError: The choice is none of its stage, or the stage and `mask` do not fit each other.

    >>> Judgement(pair="c4", stage="mv", mask=0, choice="accept", by="human:anna", at=0.0, drawn="risk").is_human
    True
    """

    kind: Literal["judgement"] = "judgement"
    pair: str
    """Key of the pair."""
    stage: Stage
    mask: Annotated[int, Field(ge=0)] | None = None
    """Index into the masks of the proposal; None for "ev"."""
    shown: tuple[int, ...] = ()
    """For "ev": the indexes of the accepted masks that were shown. It counts while these are the accepted ones."""
    choice: Choice
    reason: str = ""
    """One of `REJECT_REASONS`, of `UNGROUNDABLE_REASONS`, or anybody's words."""
    probability: Score | None = None
    """Of a model: how likely "right" (accept) is."""
    by: Annotated[str, Field(pattern=r"^(human:.+|model:.+@.+)$")]
    """"human:anna" or "model:NAME@HASH"."""
    seconds: Annotated[FiniteFloat, Field(ge=0)] | None = None
    """How long it took."""
    at: FiniteFloat
    """Seconds since 1970."""
    drawn: Drawn
    weight: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    """The inverse of the chance with which it was drawn."""

    @model_validator(mode="after")
    def _check_choice(self) -> "Judgement":
        choices = MASK_CHOICES if self.stage == "mv" else COVERAGE_CHOICES
        if self.choice not in choices:
            raise ValueError(f"{self.choice!r} is no choice of {self.stage!r}; expected {', '.join(choices)}")
        if (self.stage == "mv") != (self.mask is not None):
            raise ValueError("a judgement of 'mv' is of one mask, and one of 'ev' is of none")
        return self

    @property
    def is_human(self) -> bool:
        """Whether a person judged."""
        return self.by.startswith("human:")


class Correction(EngineValue):
    """The masks of a pair as a person left them.

    Raises:
        ValidationError: There are not as many group flags as masks.

    >>> Correction(pair="c4", masks=(), groups=(), exhaustive=True, by="human:anna", at=0.0).masks
    ()
    """

    kind: Literal["correction"] = "correction"
    pair: str
    masks: tuple[RleMask, ...]
    groups: tuple[bool, ...]
    """For each mask, whether it covers several objects that cannot be told apart."""
    exhaustive: bool
    """Whether the masks cover every instance."""
    by: Annotated[str, Field(pattern=r"^human:.+$")]
    seconds: Annotated[FiniteFloat, Field(ge=0)] | None = None
    at: FiniteFloat

    @model_validator(mode="after")
    def _check_counts(self) -> "Correction":
        if len(self.masks) != len(self.groups):
            raise ValueError(f"{len(self.masks)} masks need as many group flags, got {len(self.groups)}")
        return self


class Withdrawal(EngineValue):
    """Somebody took an entry of the log back: their undo.

    >>> Withdrawal(position=7, by="human:anna", at=0.0).position
    7
    """

    kind: Literal["withdrawal"] = "withdrawal"
    position: Annotated[int, Field(ge=1)]
    """Of the entry that is taken back."""
    by: str
    at: FiniteFloat


class Reproposal(EngineValue):
    """SAM 3 was asked again. Judgements before it count on where the mask they are about is still there, unchanged.

    >>> Reproposal(pair="c4", moved=(1, None), count=2, made_by="tiny", at=0.0).moved
    (1, None)
    """

    kind: Literal["reproposal"] = "reproposal"
    pair: str
    moved: tuple[int | None, ...]
    """For each mask of the earlier proposal, its index in the new one; None where the same mask is not there."""
    count: Annotated[int, Field(ge=0)]
    """Masks of the new proposal."""
    made_by: str
    """Of the new proposal."""
    at: FiniteFloat


Entry = Annotated[Judgement | Correction | Withdrawal | Reproposal, Field(discriminator="kind")]
"""What the log holds."""


class LogRecord(EngineValue):
    """An entry of the log and its place there. Later ones have higher positions; places may be empty.

    >>> LogRecord(position=8, entry=Withdrawal(position=7, by="human:anna", at=0.0)).position
    8
    """

    position: Annotated[int, Field(ge=1)]
    entry: Entry
