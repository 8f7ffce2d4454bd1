"""How a data engine stands: counts of images, pairs and states, told apart by who decided."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.media.images import SPLITS
from engine.phrases.phrase_log import count_dropped
from engine.proposing import get_recipe
from engine.states import STATE_NAMES, PairSummary, StatePolicy
from engine.store.files import count_files
from engine.store.media import count_forgotten
from engine.store.settings import read_withdrawn_phrases
from engine.store.store import EngineStore


@dataclass(frozen=True)
class ImageCounts:
    """What became of image files.

    >>> ImageCounts(files=3, images=2, kept=1).near_duplicates
    1
    """

    files: int = 0
    """Listed."""
    unread: int = 0
    """Of them, not read yet."""
    errors: int = 0
    """Of them, that cannot be read."""
    images: int = 0
    """Different ones."""
    kept: int = 0
    """Of them, that are labelled: of near-duplicates one alone is."""
    unreadable: int = 0
    """Of them, that could be read before and cannot be read now."""
    forgotten: int = 0

    @property
    def near_duplicates(self) -> int:
        """Images that another one stands for."""
        return self.images - self.kept


@dataclass(frozen=True)
class PairCounts:
    """What became of pairs, all of them or those of a split.

    >>> counts = PairCounts()
    >>> counts.total, counts.human_share
    (0, None)
    """

    states: Counter[str] = field(default_factory=Counter)
    """By name."""
    ends: Counter[str] = field(default_factory=Counter)
    """Pairs at their end, by who decided: "human" or "model"."""
    final: Counter[str] = field(default_factory=Counter)
    """Final ones: "positive", "negative", and "incomplete" where masks do not cover everything."""
    needs: Counter[str] = field(default_factory=Counter)
    """What must happen next; with "person" after it where a person must do it, e.g. "mv person"."""

    @property
    def total(self) -> int:
        """All pairs."""
        return self.states.total()

    @property
    def human_share(self) -> float | None:
        """In [0, 1]: of the pairs that were decided, those that people alone have decided; None while there is none."""
        return self.ends["human"] / self.ends.total() if self.ends.total() else None

    def add_pair(self, summary: PairSummary) -> None:
        """Count a pair."""
        decision = summary.decision
        self.states[decision.name] += 1
        if decision.is_end and decision.decided_by:
            self.ends[decision.decided_by] += 1
        if decision.name == "final":
            kind = "negative" if decision.is_negative else "positive"
            self.final[kind if decision.is_exhaustive else "incomplete"] += 1
        if decision.needs:
            self.needs[f"{decision.needs} person" if decision.needs_person else decision.needs] += 1

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        counts = {name: dict(getattr(self, name)) for name in ("states", "ends", "final", "needs")}
        return {"pairs": self.total, **counts, "human_share": self.human_share}


@dataclass(frozen=True)
class EngineStanding:
    """How an engine stands as a whole."""

    images: ImageCounts
    pairs: PairCounts
    splits: Mapping[str, PairCounts]
    """By name of the split."""
    split_images: Mapping[str, int]
    """Images that are labelled, by name of the split."""
    recipes: Mapping[str, int]
    """Pairs by the weights and thresholds that proposed their masks."""
    phrases: int
    """Different ones among the pairs."""
    blocked: tuple[str, ...]
    """Phrases that a person has flagged."""
    withdrawn: Mapping[str, str]
    """Phrases whose pairs a list has withdrawn, with why."""
    dropped: Mapping[str, int]
    """Texts that are not asked about, by the kind of the reason."""
    position: int
    """The last of the log."""

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return {
            "images": {**vars(self.images), "near_duplicates": self.images.near_duplicates},
            "pairs": self.pairs.to_json(),
            "splits": {
                name: {"images": self.split_images.get(name, 0), **counts.to_json()}
                for name, counts in self.splits.items()
            },
            "recipes": dict(self.recipes),
            "phrases": self.phrases,
            "blocked_phrases": list(self.blocked),
            "withdrawn_phrases": dict(self.withdrawn),
            "dropped_phrases": dict(self.dropped),
            "position": self.position,
        }


def read_standing(store: EngineStore, policy: StatePolicy) -> EngineStanding:
    """Read how an engine stands; no mask is read.

    Args:
        store: The engine.
        policy: What judgements are worth.

    Returns:
        Counts that belong together, as of one pass over all pairs.
    """
    pairs = PairCounts()
    splits: dict[str, PairCounts] = {name: PairCounts() for name in SPLITS}
    recipes, phrases = Counter[str](), set[str]()
    for summary in store.iterate_summaries(policy):
        pairs.add_pair(summary)
        splits.setdefault(summary.split, PairCounts()).add_pair(summary)
        phrases.add(summary.pair.phrase)
        recipes.update([get_recipe(summary.made_by)] if summary.made_by else [])
    images, split_images = _count_images(store)
    blocked = tuple(sorted(store.find_blocked_phrases()))
    return EngineStanding(
        images,
        pairs,
        splits,
        split_images,
        recipes,
        len(phrases),
        blocked,
        read_withdrawn_phrases(store.database),
        count_dropped(store),
        store.last_position,
    )


def _count_images(store: EngineStore) -> tuple[ImageCounts, Counter[str]]:
    files, unread, errors = count_files(store.database)
    images = kept = unreadable = 0
    splits = Counter[str]()
    for image in store.images():
        images, kept, unreadable = images + 1, kept + image.is_kept, unreadable + bool(image.error)
        splits.update([image.split] if image.is_kept else [])
    counts = ImageCounts(files, unread, errors, images, kept, unreadable, count_forgotten(store.database))
    return counts, splits


def describe_standing(standing: EngineStanding) -> list[tuple[str, str, str]]:
    """Say how an engine stands: heading, name and value of each line, for people."""
    images, pairs = standing.images, standing.pairs
    lines: list[tuple[str, str, object]] = [
        ("images", "files", images.files),
        ("images", "not read yet", images.unread),
        ("images", "cannot be read", images.errors + images.unreadable),
        ("images", "different", images.images),
        ("images", "near-duplicates", images.near_duplicates),
        ("images", "forgotten", images.forgotten),
        *(("images", f"labelled, {name}", count) for name, count in sorted(standing.split_images.items())),
        ("pairs", "all", pairs.total),
        ("pairs", "phrases", standing.phrases),
        *(("pairs", name, pairs.states[name]) for name in STATE_NAMES),
        ("final", "positive", pairs.final["positive"]),
        ("final", "negative", pairs.final["negative"]),
        ("final", "not exhaustive", pairs.final["incomplete"]),
        *(("waiting", describe_need(need), count) for need, count in sorted(pairs.needs.items())),
    ]
    told = [(heading, name, f"{value:,}") for heading, name, value in lines if isinstance(value, int) and value]
    told += [("masks by", f"{count:,} pairs", recipe) for recipe, count in standing.recipes.items()]
    parts = [("all", pairs), *standing.splits.items()]
    told += [("finished", name, describe_deciders(counts)) for name, counts in parts]
    told += [("not asked", kind.replace("_", " "), f"{count:,}") for kind, count in sorted(standing.dropped.items())]
    told += [("blocked phrases", phrase, "flagged") for phrase in standing.blocked]
    return told + [("withdrawn phrases", phrase, reason) for phrase, reason in standing.withdrawn.items()]


def describe_need(need: str) -> str:
    """Say in words what pairs wait for.

    >>> describe_need("mv"), describe_need("ev person")
    ('mask verification', 'exhaustivity verification, by a person')
    """
    names = {
        "masks": "masks by SAM 3",
        "mv": "mask verification",
        "ev": "exhaustivity verification",
        "correct": "correction",
    }
    name, _, person = need.partition(" ")
    return names[name] + (", by a person" if person else "")


def describe_deciders(counts: PairCounts) -> str:
    """Say how many pairs are at their end, and by whom: labels of people and of models are never one number.

    >>> describe_deciders(PairCounts(states=Counter(final=4), ends=Counter(human=3, model=1)))
    '4 of 4: 3 by people (75 %), 1 with a model (25 %)'
    """
    ended = counts.ends.total()
    if not ended:
        return f"0 of {counts.total:,}"
    human, model = counts.ends["human"], counts.ends["model"]
    return (
        f"{ended:,} of {counts.total:,}: {human:,} by people ({100 * human / ended:.0f} %), {model:,} with a model"
        f" ({100 * model / ended:.0f} %)"
    )
