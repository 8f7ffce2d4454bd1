"""Phrases of one image, of any quality, to phrases that SAM 3 can be asked about. What is dropped is told with why."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from agent.core.text.sanitizing import make_encodable
from engine.phrases.phrase_keys import make_phrase_key
from engine.phrases.readings import read_noun_phrase
from engine.phrases.refusals import MAX_SHOWN, CleanPhrase, DroppedPhrase, PhraseRefusedError
from engine.phrases.word_lists import BlockList, GroundableWords, load_block_list, load_groundable_words

MAX_PAIRS = 1000
"""Pairs that one phrase may have in a project, by default: the thousandth dog teaches little."""


@dataclass(frozen=True)
class HygieneRules:
    """What makes a phrase one to ask about.

    Raises:
        ValueError: `max_pairs` is less than 1.

    >>> HygieneRules(flagged=frozenset({"old man"})).max_pairs
    1000
    """

    blocked: BlockList = field(default_factory=load_block_list)
    groundable: GroundableWords = field(default_factory=load_groundable_words)
    flagged: frozenset[str] = frozenset()
    """Phrases that a judgement has flagged: they are asked about in no image any more."""
    max_pairs: int = MAX_PAIRS
    """Pairs that one phrase may have in a project."""
    make_key: Callable[[str], str] = make_phrase_key
    """Gives phrases that mean the same the same text; that of an ontology knows its synonyms."""

    def __post_init__(self) -> None:
        if self.max_pairs < 1:
            raise ValueError(f"`max_pairs` must be at least 1, got {self.max_pairs}")


@dataclass(frozen=True)
class CleanedPhrases:
    """What became of a list of phrases."""

    kept: tuple[CleanPhrase, ...]
    """In their order, each meaning once."""
    dropped: tuple[DroppedPhrase, ...]
    """In their order."""


def clean_phrases(
    texts: Iterable[str],
    rules: HygieneRules | None = None,
    *,
    known: Iterable[str] = (),
    counts: Mapping[str, int] | None = None,
) -> CleanedPhrases:
    """Clean the phrases of one image.

    Args:
        texts: As they came.
        rules: Default: the lists that the engine ships.
        known: Phrases that the image has already.
        counts: By phrase, pairs that the project has already.

    Returns:
        Those to ask about, and the others with the reason.

    >>> cleaned = clean_phrases(["Red Cups", "the red cup", "it", "3 dogs", "muslim women", "dog's bowl"])
    >>> [(entry.phrase, entry.original) for entry in cleaned.kept]
    [('red cup', 'Red Cups'), ('bowl', "dog's bowl")]
    >>> [entry.kind for entry in cleaned.dropped]
    ['duplicate', 'pronoun', 'count', 'blocked']
    """
    cleaner = _Cleaner(rules or HygieneRules(), counts or {})
    cleaner.note_known(known)
    results = [cleaner.clean_text(text) for text in texts]
    return CleanedPhrases(
        tuple(result for result in results if isinstance(result, CleanPhrase)),
        tuple(result for result in results if isinstance(result, DroppedPhrase)),
    )


def drop_phrases(cleaned: CleanedPhrases, drops: Mapping[str, str]) -> CleanedPhrases:
    """Drop kept phrases that something else found not to be groundable.

    Args:
        cleaned: What `clean_phrases` gave.
        drops: Phrase -> why, as a part of a sentence.

    >>> drop_phrases(clean_phrases(["cup", "vibe"]), {"vibe": "it has no outline"}).dropped[0].reason
    'it has no outline'
    """
    late = [
        DroppedPhrase(entry.original, "not_groundable", drops[entry.phrase]) for entry in _find_named(cleaned, drops)
    ]
    kept = tuple(entry for entry in cleaned.kept if entry.phrase not in drops)
    return replace(cleaned, kept=kept, dropped=(*cleaned.dropped, *late))


def _find_named(cleaned: CleanedPhrases, drops: Mapping[str, str]) -> Iterator[CleanPhrase]:
    return (entry for entry in cleaned.kept if entry.phrase in drops)


class _Cleaner:
    """Cleans the phrases of one image one after the other; it knows those before."""

    def __init__(self, rules: HygieneRules, counts: Mapping[str, int]) -> None:
        self.rules, self.counts = rules, counts
        self.flagged = {make_phrase_key(phrase) for phrase in rules.flagged}
        self.seen: dict[str, str] = {}
        """Key -> the phrase that has it."""

    def note_known(self, phrases: Iterable[str]) -> None:
        for phrase in phrases:
            self.seen.setdefault(self.rules.make_key(phrase), phrase)

    def clean_text(self, text: str) -> CleanPhrase | DroppedPhrase:
        try:
            return self._clean_or_refuse(text)
        except PhraseRefusedError as refusal:
            return DroppedPhrase(_show_text(text), refusal.kind, str(refusal))

    def _clean_or_refuse(self, text: str) -> CleanPhrase:
        # before it is read: what a list blocks is blocked in whatever sentence it stands
        if reason := self.rules.blocked.find_reason(text[:MAX_SHOWN]):
            raise PhraseRefusedError("blocked", reason)
        phrase, changes = read_noun_phrase(text)
        if make_phrase_key(phrase) in self.flagged:
            raise PhraseRefusedError("flagged", f"{phrase!r} was flagged in a review")
        if not self.rules.groundable.is_groundable(phrase):
            raise PhraseRefusedError("not_groundable", f"{phrase!r} names nothing with an outline")
        if (before := self.seen.get(key := self.rules.make_key(phrase))) is not None:
            raise PhraseRefusedError("duplicate", f"{before!r} is asked about already")
        if self.counts.get(phrase, 0) >= self.rules.max_pairs:
            raise PhraseRefusedError(
                "frequent", f"{phrase!r} has {self.counts[phrase]:,} pairs; the limit is {self.rules.max_pairs:,}"
            )
        self.seen[key] = phrase
        return CleanPhrase(phrase, _show_text(text), changes)


def _show_text(text: str) -> str:
    """Return the beginning of a text as a file can hold it."""
    return make_encodable(text[:MAX_SHOWN])
