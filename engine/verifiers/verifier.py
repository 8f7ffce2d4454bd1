"""What a verifier is asked, what it answers, and the protocol between the engine and all verifiers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol, runtime_checkable

from sam3_tool.image import Image
from sam3_tool.masks.rle import RleMask

ImageLoader = Callable[[], Image]
"""Reads the image when somebody looks at it: a verifier that needs signals alone opens no file."""

MASK_CHOICES = ("accept", "accept_text", "flag", "whole_image", "reject")
"""Answers to "does this mask show one thing that the phrase names?", as the SAM 3 paper has them (appendix D)."""
COVERAGE_CHOICES = ("accept", "reject", "reject_unseparated", "flag", "whole_image", "ungroundable")
"""Answers to "do these masks show everything that the phrase names?"."""


@dataclass(frozen=True, eq=False)
class MaskItem:
    """One mask that is to be judged alone.

    >>> import numpy as np
    >>> image = Image(np.zeros((2, 3, 3), np.uint8))
    >>> item = MaskItem(image.key, lambda: image, "cup", RleMask((2, 3), "06"), {"score": 0.9})
    >>> item.load_image().width
    3
    """

    image: str
    """`Image.key`."""
    load_image: ImageLoader
    phrase: str
    mask: RleMask
    """Of the image's size."""
    signals: Mapping[str, float]
    """What SAM 3 says of this mask, by name: one of `Proposal.mask_signals`."""


@dataclass(frozen=True, eq=False)
class PairItem:
    """An image and a phrase with the masks that were accepted: is anything missing?

    Rejected masks must not be among them: with these a verifier would call covered what is not.

    >>> import numpy as np
    >>> image = Image(np.zeros((2, 3, 3), np.uint8))
    >>> PairItem(image.key, lambda: image, "cup", (), {"presence": 0.01}).masks
    ()
    """

    image: str
    """`Image.key`."""
    load_image: ImageLoader
    phrase: str
    masks: tuple[RleMask, ...]
    """The accepted ones, of the image's size; none asks whether the phrase names nothing here."""
    signals: Mapping[str, float]
    """What SAM 3 says of the pair, by name."""


@dataclass(frozen=True)
class Verdict:
    """A verifier's answer.

    Raises:
        ValueError: A probability lies outside [0, 1].

    >>> Verdict("accept", 0.9, {"accept": 0.9, "reject": 0.1}).choice
    'accept'
    """

    choice: str
    """One of `MASK_CHOICES` or `COVERAGE_CHOICES`."""
    probability: float
    """In [0, 1]: that the mask, or the coverage, is right, whatever the choice."""
    probabilities: Mapping[str, float]
    """In [0, 1], by choice; choices that a verifier never makes may be left out."""

    def __post_init__(self) -> None:
        for number in (self.probability, *self.probabilities.values()):
            if not (isfinite(number) and 0 <= number <= 1):
                raise ValueError(f"a probability lies in [0, 1], got {number}")


@runtime_checkable
class Verifier(Protocol):
    """Whoever judges masks and coverage in a person's place.

    >>> class Optimist:
    ...     name, fingerprint = "optimist", ""
    ...     def verify_masks(self, items): return [Verdict("accept", 1.0, {"accept": 1.0}) for _ in items]
    ...     def verify_coverage(self, items): return [Verdict("accept", 1.0, {"accept": 1.0}) for _ in items]
    >>> isinstance(Optimist(), Verifier)
    True
    """

    @property
    def name(self) -> str:
        """Which kind it is, for `Judgement.by`: 'signals', 'fitted', 'openai:NAME'."""
        ...

    @property
    def fingerprint(self) -> str:
        """What tells it from all others of its kind: a hash of its weights and its prompt."""
        ...

    def verify_masks(self, items: Sequence[MaskItem]) -> list[Verdict | None]:
        """Judge masks, each alone.

        Args:
            items: Masks, of any images.

        Returns:
            One verdict per item, in order, with a choice of `MASK_CHOICES`. None is no answer, such as from a server
            that failed: no judgement is written, and a later run asks again.
        """
        ...

    def verify_coverage(self, items: Sequence[PairItem]) -> list[Verdict | None]:
        """Judge whether the accepted masks show everything that the phrase names.

        Args:
            items: Pairs, of any images.

        Returns:
            One verdict per item, in order, with a choice of `COVERAGE_CHOICES`; None is no answer.
        """
        ...


def describe_verifier(verifier: Verifier) -> str:
    """Return what `Judgement.by` holds for a verifier.

    >>> from types import SimpleNamespace
    >>> describe_verifier(SimpleNamespace(name="signals", fingerprint="12ab"))
    'model:signals@12ab'
    """
    return f"model:{verifier.name}@{verifier.fingerprint}"
