"""How far each verifier agrees with people: confusion, accuracy against the majority of the others, calibration."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from engine.pairs import Judgement, Stage
from engine.quality.measures.calibration import compute_calibration_error, compute_coverage_curve
from engine.quality.measures.evidence import PairEvidence
from engine.quality.measures.people import Subject, group_opinions
from engine.verifiers.labels import collect_coverage_labels, collect_mask_labels

ACCEPTING = frozenset({"accept", "accept_text"})


@dataclass(frozen=True)
class Comparison:
    """What a verifier and people say of the same mask, or of the coverage of the same masks."""

    by: str
    """The verifier, "model:NAME@HASH"."""
    says_right: bool
    probability: float | None
    is_right: bool
    """What people say: their correction, else their majority."""
    is_random: bool
    """Whether people were shown the pair at random."""


@dataclass(frozen=True)
class VerifierScore:
    """How far a verifier agrees with people in one stage."""

    stage: Stage
    by: str
    """ "model:NAME@HASH"."""
    confusion: Counter[tuple[str, str]]
    """(what it says, what people say), both "right" or "wrong", of items drawn at random."""
    risky: Counter[tuple[str, str]]
    """The same of all other items, which say nothing of the rest."""
    calibration_error: float | None
    """In [0, 1], of those drawn at random; None where there are none."""
    curve: list[tuple[float, float]]
    """Coverage and accuracy of those drawn at random, both in [0, 1]."""
    others: int
    """Answers of single people that could be held against a majority of the others."""
    accuracy: float | None
    """The verifier's, against these majorities; None without any."""
    human_accuracy: float | None
    """The single people's, against the same."""

    @property
    def items(self) -> int:
        """Items drawn at random."""
        return self.confusion.total()


def compare_verifiers(pairs: Sequence[PairEvidence], stage: Stage) -> list[Comparison]:
    """Compare every verifier's latest judgement of each thing with what people say of it."""
    rows: list[Comparison] = []
    for pair in pairs:
        entries = list(pair.entries)
        collect = collect_mask_labels if stage == "mv" else collect_coverage_labels
        right = {label.mask: label.is_right for label in collect(pair.proposal, entries, pair.pair.image)}
        shown = _find_shown(pair)
        latest = {
            (entry.by, entry.mask): entry
            for entry in entries
            if isinstance(entry, Judgement) and entry.stage == stage and not entry.is_human
            if stage == "mv" or {*entry.shown} == shown
        }
        rows += [
            Comparison(by, _says_right(entry), entry.probability, right[mask], pair.is_random)
            for (by, mask), entry in latest.items()
            if mask in right
        ]
    return rows


def _find_shown(pair: PairEvidence) -> set[int]:
    """Return the masks about whose coverage people have spoken: those that they saw last, else all."""
    said = [entry for entry in pair.by_people if isinstance(entry, Judgement) and entry.stage == "ev"]
    return {*said[-1].shown} if said else {*range(len(pair.proposal.masks))}


def _says_right(entry: Judgement) -> bool:
    return entry.choice in ACCEPTING if entry.probability is None else entry.probability >= 0.5


def score_verifiers(pairs: Sequence[PairEvidence], stage: Stage) -> list[VerifierScore]:
    """Score every verifier that has judged what people have judged, in the order of their names."""
    rows: dict[str, list[Comparison]] = defaultdict(list)
    for row in compare_verifiers(pairs, stage):
        rows[row.by].append(row)
    votes = group_opinions(pairs, stage)
    said = _group_verdicts(pairs, stage)
    return [_score_verifier(stage, by, rows[by], compare_with_majority(votes, said[by])) for by in sorted(rows)]


def _score_verifier(
    stage: Stage, by: str, rows: Sequence[Comparison], against: Sequence[tuple[bool, bool]]
) -> VerifierScore:
    random = [row for row in rows if row.is_random]
    chances = [(row.probability, row.is_right) for row in random if row.probability is not None]
    values, right = [value for value, _ in chances], [is_right for _, is_right in chances]
    count = len(against)
    return VerifierScore(
        stage,
        by,
        _count_confusion(random),
        _count_confusion([row for row in rows if not row.is_random]),
        compute_calibration_error(values, right) if values else None,
        compute_coverage_curve(values, right) if values else [],
        count,
        sum(verifier for _, verifier in against) / count if count else None,
        sum(person for person, _ in against) / count if count else None,
    )


def _count_confusion(rows: Sequence[Comparison]) -> Counter[tuple[str, str]]:
    return Counter((_name_answer(row.says_right), _name_answer(row.is_right)) for row in rows)


def _name_answer(is_right: bool) -> str:
    return "right" if is_right else "wrong"


def _group_verdicts(pairs: Sequence[PairEvidence], stage: Stage) -> dict[str, dict[Subject, bool]]:
    """Return, by verifier, what it said last of each subject."""
    said: dict[str, dict[Subject, bool]] = defaultdict(dict)
    for pair in pairs:
        for entry in pair.entries:
            if isinstance(entry, Judgement) and entry.stage == stage and not entry.is_human:
                said[entry.by][entry.pair, entry.mask, tuple(sorted(entry.shown))] = _says_right(entry)
    return said


def compare_with_majority(
    opinions: dict[Subject, dict[str, str]], verdicts: dict[Subject, bool]
) -> list[tuple[bool, bool]]:
    """Hold each person, and the verifier, against the majority of the other people who judged the same.

    Args:
        opinions: As `group_opinions` gives them.
        verdicts: What the verifier says of the same subjects.

    Returns:
        For each person with a majority of others, none of them tied: whether the person, and the verifier, say the
        same as that majority.

    >>> subject = ("c4", 0, ())
    >>> compare_with_majority({subject: {"human:a": "accept", "human:b": "reject"}}, {subject: True})
    [(False, False), (False, True)]
    """
    rows = []
    for subject, said in opinions.items():
        if subject not in verdicts:
            continue
        for person, choice in said.items():
            others = [other in ACCEPTING for by, other in said.items() if by != person]
            if 2 * sum(others) != len(others):
                majority = 2 * sum(others) > len(others)
                rows.append(((choice in ACCEPTING) == majority, verdicts[subject] == majority))
    return rows
