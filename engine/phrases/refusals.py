"""Why a phrase is not asked about: the reasons, in words for a person and as one name for counts."""

from dataclasses import dataclass
from typing import Literal

RefusalKind = Literal[
    "empty",
    "too_long",
    "language",
    "pronoun",
    "position",
    "rank",
    "count",
    "relation",
    "exclusion",
    "text",
    "several",
    "condition",
    "sentence",
    "not_groundable",
    "blocked",
    "flagged",
    "duplicate",
    "frequent",
]
"""Facet under which dropped phrases are counted."""


class PhraseRefusedError(ValueError):
    """A text is no phrase that SAM 3 can be asked about. The message says why, as a part of a sentence.

    >>> PhraseRefusedError("count", "it counts; the phrase is 'dog'").kind
    'count'
    """

    def __init__(self, kind: RefusalKind, reason: str) -> None:
        super().__init__(reason)
        self.kind: RefusalKind = kind


@dataclass(frozen=True)
class CleanPhrase:
    """A phrase that SAM 3 can be asked about."""

    phrase: str
    """As SAM 3 gets it: lower case, singular, without an article or an owner."""
    original: str
    """As it came."""
    changes: tuple[str, ...] = ()
    """What else was changed, as parts of sentences."""


@dataclass(frozen=True)
class DroppedPhrase:
    """A phrase that is not asked about."""

    original: str
    """As it came; the first `MAX_SHOWN` letters of it."""
    kind: RefusalKind
    reason: str
    """For a person, as a part of a sentence."""


MAX_SHOWN = 200
"""Letters of a dropped text that are kept."""
