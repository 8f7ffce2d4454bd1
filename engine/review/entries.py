"""Opinions of the queue as entries of the project's log."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import EngineError
from engine.pairs import (
    COVERAGE_CHOICES,
    MASK_CHOICES,
    REJECT_REASONS,
    UNGROUNDABLE_REASONS,
    Correction,
    Judgement,
    Proposal,
)
from engine.review.queue.tables import Opinion
from sam3_tool.masks.rle import RleMask, check_runs

CORRECTED = "corrected"
"""The choice of an opinion that is a correction."""
REFUSALS = ("flag", "whole_image", "ungroundable")
MAX_MASKS = 500
STAGE_CHOICES = {
    "mv": (*MASK_CHOICES, "ungroundable", CORRECTED),
    "ev": (*COVERAGE_CHOICES, CORRECTED),
    "correct": (CORRECTED, *REFUSALS),
}
"""What may be said of an item."""
REASONS = {"reject": REJECT_REASONS, "ungroundable": UNGROUNDABLE_REASONS}


class DrawnMask(BaseModel):
    """A mask of a correction: one of the proposal, or a new one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int | None = Field(default=None, ge=0)
    """Of a mask of the proposal."""
    counts: str | None = Field(default=None, max_length=2**20)
    """Of a new mask: its run lengths as COCO writes them."""
    group: bool = False
    """Whether it covers several objects that cannot be told apart."""

    @model_validator(mode="after")
    def _check_kind(self) -> "DrawnMask":
        if (self.index is None) == (self.counts is None):
            raise ValueError("a mask of a correction has either an index or counts")
        return self


class CorrectionContent(BaseModel):
    """The masks that a person leaves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    masks: tuple[DrawnMask, ...] = Field(max_length=MAX_MASKS)
    exhaustive: bool = True


def build_version(proposal_number: int, accepted: tuple[int, ...] | None = None) -> str:
    """Return the version of an item: which proposal it is about, and which masks of it are shown as accepted.

    >>> build_version(7), build_version(7, (0, 2))
    ('7', '7:0,2')
    """
    return str(proposal_number) if accepted is None else f"{proposal_number}:{','.join(map(str, accepted))}"


def parse_number(version: str) -> int:
    """Return the number of the proposal that an item is about.

    >>> parse_number("7:0,2"), parse_number("")
    (7, 0)
    """
    number = version.partition(":")[0]
    return int(number) if number.isdecimal() else 0


def parse_accepted(version: str) -> tuple[int, ...]:
    """Return the masks that an item shows as accepted.

    >>> parse_accepted("7:0,2"), parse_accepted("7:"), parse_accepted("7")
    ((0, 2), (), ())
    """
    return tuple(int(index) for index in version.partition(":")[2].split(",") if index)


def check_choice(stage: str, choice: str, reason: str) -> str:
    """Return what is wrong with a choice in one sentence; '' where nothing is.

    >>> check_choice("mv", "reject", "holes"), check_choice("correct", "maybe", "")
    ('', "'maybe' is no choice of 'correct'; expected corrected, flag, whole_image, ungroundable")
    """
    if choice not in STAGE_CHOICES[stage]:
        return f"{choice!r} is no choice of {stage!r}; expected {', '.join(STAGE_CHOICES[stage])}"
    allowed = REASONS.get(choice, ())
    if reason and reason not in allowed:
        return f"{reason!r} is no reason of {choice!r}; expected {', '.join(allowed) or 'none'}"
    return ""


def read_content(text: str, proposal: Proposal, size: tuple[int, int]) -> CorrectionContent:
    """Read the masks that a page has sent.

    Args:
        text: JSON.
        proposal: Of the pair.
        size: Height and width of the image, in pixels.

    Raises:
        EngineError: It is something else, or a mask is damaged or of another size.
    """
    try:
        content = CorrectionContent.model_validate_json(text or "{}")
        for mask in content.masks:
            if mask.counts is not None:
                check_runs(RleMask(size, mask.counts))
    except ValidationError as error:
        raise EngineError(f"the masks of a correction cannot be read: {error.errors()[0]['msg']}") from error
    except ValueError as error:
        raise EngineError(f"a mask of a correction cannot be read: {error}") from error
    missing = [mask.index for mask in content.masks if mask.index is not None and mask.index >= len(proposal.masks)]
    if missing:
        raise EngineError(f"there is no mask {missing[0]}: the proposal has {len(proposal.masks)}")
    return content


def to_entries(opinion: Opinion, proposal: Proposal, size: tuple[int, int]) -> list[Judgement | Correction]:
    """Convert an opinion to what the log holds.

    Args:
        opinion: Of a person.
        proposal: Of the pair.
        size: Height and width of the image, in pixels.

    Returns:
        A judgement, a correction, or (of a pair that lacks masks, which the person has added) both.
    """
    item = opinion.item
    said: dict[str, Any] = {"pair": item.pair, "by": name_person(opinion.person), "at": opinion.at}
    judged = {
        **{**said, "seconds": opinion.seconds, "drawn": find_drawn(opinion), "weight": item.weight},
        **{"choice": opinion.choice, "reason": opinion.reason},
    }
    if item.stage == "mv" and opinion.choice in MASK_CHOICES:
        return [Judgement(**judged, stage="mv", mask=item.mask)]
    shown = parse_accepted(item.version)
    if opinion.choice != CORRECTED:
        return [Judgement(**judged, stage="ev", shown=shown)]
    content = read_content(opinion.content, proposal, size)
    correction = Correction(
        **said,
        seconds=opinion.seconds,
        masks=tuple(_find_mask(mask, proposal, size) for mask in content.masks),
        groups=tuple(mask.group for mask in content.masks),
        exhaustive=content.exhaustive,
    )
    if item.stage != "ev":
        return [correction]
    return [Judgement(**{**judged, "choice": "reject"}, stage="ev", shown=shown), correction]


def find_drawn(opinion: Opinion) -> str:
    """Return how an item came to the person, as judgements say it."""
    return opinion.kind if opinion.kind in ("gold", "second") else opinion.item.drawn


def name_person(person: str) -> str:
    """Return how the log names a person."""
    return f"human:{person}"


def _find_mask(mask: DrawnMask, proposal: Proposal, size: tuple[int, int]) -> RleMask:
    return proposal.masks[mask.index] if mask.index is not None else RleMask(size, str(mask.counts))
