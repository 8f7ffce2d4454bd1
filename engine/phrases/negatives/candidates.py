"""Phrases that are probably not in an image but near to what is there: relatives, swapped attributes, look-alikes.

They are proposals. Whether such a phrase is really absent, only a coverage judgement says.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, islice

from engine.pairs import Origin
from engine.phrases.negatives.attributes import swap_attributes
from engine.phrases.ontology import Ontology
from engine.phrases.phrase_keys import make_phrase_key, split_attributes
from engine.phrases.word_lists import BlockList, load_block_list
from sam3_tool.masks.rle import RleMask

PER_POSITIVE = 30
"""Candidates for one positive phrase: few of them mislead SAM 3, and asking it about one more costs little."""


@dataclass(frozen=True)
class Positive:
    """A phrase that is in an image, with its verified masks.

    >>> Positive("red cup").masks
    ()
    """

    phrase: str
    masks: tuple[RleMask, ...] = ()
    pair: str = ""
    """Key of its pair."""


@dataclass(frozen=True)
class NegativeCandidate:
    """A phrase that may be a negative.

    >>> NegativeCandidate("blue cup", "attribute", ("red cup",)).origin
    'attribute'
    """

    phrase: str
    origin: Origin
    parents: tuple[str, ...] = ()
    """The positive phrases that it is near to; none for an easy one."""


@dataclass(frozen=True)
class NegativeSources:
    """Where negatives come from, and what they must not be.

    Raises:
        ValueError: `per_positive` is negative.

    >>> NegativeSources(per_positive=10).ontology is None
    True
    """

    ontology: Ontology | None = None
    look_alikes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Positive phrase -> what a language model takes for easily confused with it."""
    blocked: BlockList = field(default_factory=load_block_list)
    flagged: frozenset[str] = frozenset()
    per_positive: int = PER_POSITIVE

    def __post_init__(self) -> None:
        if self.per_positive < 0:
            raise ValueError(f"`per_positive` must not be negative, got {self.per_positive}")

    def may_be_true(self, candidate: str, positive: str) -> bool:
        """Whether a candidate may be true of what a positive names: another spelling of it, a synonym, a wider word."""
        if self.ontology is not None and self.ontology.may_cover(candidate, positive):
            return True
        (asked, head), (given, name) = split_attributes(candidate), split_attributes(positive)
        # a 'coffee cup' is a cup, whatever an ontology knows of it
        is_kind = f" {name}".endswith(f" {head}") or f" {head}".endswith(f" {name}")
        return (is_kind or make_phrase_key(head) == make_phrase_key(name)) and asked <= given


def propose_negatives(
    positives: Sequence[Positive], sources: NegativeSources, *, known: Iterable[str] = ()
) -> list[NegativeCandidate]:
    """Propose phrases near to what is in an image that are not true of it as far as is known.

    Args:
        positives: All that is known to be in the image.
        sources: Where to take them from.
        known: Phrases that the image has already, positive or not.

    Returns:
        Each phrase once, the nearest kinds first: swapped attributes, siblings, look-alikes, cousins, uncles. No
        synonym and no wider word of any positive is among them.

    >>> positives = [Positive("red circle"), Positive("dog")]
    >>> [entry.phrase for entry in propose_negatives(positives, NegativeSources(per_positive=2))]
    ['orange circle', 'yellow circle', 'red dog']
    """
    taken = {make_phrase_key(phrase) for phrase in known}
    found: dict[str, NegativeCandidate] = {}
    for positive in positives:
        others = [other.phrase for other in positives if other is not positive]
        fitting = (
            candidate
            for candidate in _list_near(positive.phrase, others, sources)
            if make_phrase_key(candidate.phrase) not in taken
            and is_possible_negative(candidate.phrase, positives, sources)
        )
        for candidate in islice(_drop_repeated(fitting), sources.per_positive):
            key = make_phrase_key(candidate.phrase)
            before = found.get(key)
            parents = (*before.parents, positive.phrase) if before else (positive.phrase,)
            first = before or candidate
            found[key] = NegativeCandidate(first.phrase, first.origin, parents)
    return list(found.values())


def propose_easy_negatives(
    positives: Sequence[Positive],
    vocabulary: Sequence[str],
    sources: NegativeSources,
    *,
    known: Iterable[str] = (),
    count: int,
    seed: str,
) -> list[NegativeCandidate]:
    """Draw phrases that have nothing to do with an image.

    Args:
        positives: All that is known to be in the image.
        vocabulary: What to draw from: phrases of other images, or all of an ontology.
        sources: What they must not be.
        known: Phrases that the image has already.
        count: How many, at most.
        seed: Of the draw, such as the image's key: equal seeds draw equal phrases.

    >>> easy = propose_easy_negatives([Positive("dog")], ["dogs", "cup"], NegativeSources(), count=5, seed="5d")
    >>> [entry.phrase for entry in easy]
    ['cup']
    """
    taken = {make_phrase_key(phrase) for phrase in known}
    shuffled = sorted(dict.fromkeys(vocabulary), key=lambda phrase: hash_text(f"{seed}\0{phrase}"))
    drawn = (
        NegativeCandidate(phrase, "easy")
        for phrase in shuffled
        if make_phrase_key(phrase) not in taken and is_possible_negative(phrase, positives, sources)
    )
    return list(islice(_drop_repeated(drawn), count))


def is_possible_negative(phrase: str, positives: Iterable[Positive], sources: NegativeSources) -> bool:
    """Whether a phrase may be asked about, and is not true of a positive by its meaning alone."""
    if sources.blocked.find_reason(phrase) or phrase in sources.flagged:
        return False
    return not any(sources.may_be_true(phrase, positive.phrase) for positive in positives)


def hash_text(text: str) -> str:
    """Return 16 hexadecimal digits: chance that is the same on every machine."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _list_near(phrase: str, others: Sequence[str], sources: NegativeSources) -> Iterator[NegativeCandidate]:
    """List what is near to a phrase. A name keeps the attributes: of 'red cup', a sibling is 'red plate'."""
    attributes, _ = split_attributes(phrase)
    described = " ".join(word for word in phrase.split() if word in attributes)
    ontology = sources.ontology

    def name_all(nouns: Iterable[str], origin: Origin) -> Iterator[NegativeCandidate]:
        return (NegativeCandidate(f"{described} {noun}".strip(), origin, (phrase,)) for noun in nouns)

    swapped: Iterable[str] = swap_attributes(phrase)
    nouns = [split_attributes(other)[1] for other in others] if described else []
    borrowed = _borrow_attributes(phrase, others)
    return chain(
        (NegativeCandidate(other, "attribute", (phrase,)) for other in chain(swapped, borrowed)),
        name_all(nouns, "attribute"),
        name_all(ontology.list_siblings(phrase) if ontology else (), "sibling"),
        (NegativeCandidate(other, "look-alike", (phrase,)) for other in sources.look_alikes.get(phrase, ())),
        name_all(ontology.list_cousins(phrase) if ontology else (), "cousin"),
        name_all(ontology.list_uncles(phrase) if ontology else (), "uncle"),
    )


def _borrow_attributes(phrase: str, others: Sequence[str]) -> Iterator[str]:
    """Yield a phrase without attributes under those of the image's other phrases."""
    if split_attributes(phrase)[0]:
        return
    for other in others:
        words = [word for word in other.split() if word in split_attributes(other)[0]]
        if words:
            yield " ".join([*words, phrase])


def _drop_repeated(candidates: Iterable[NegativeCandidate]) -> Iterator[NegativeCandidate]:
    seen: set[str] = set()
    for candidate in candidates:
        if (key := make_phrase_key(candidate.phrase)) not in seen:
            seen.add(key)
            yield candidate
