"""The final pairs of a data engine as of one position of its log: spooled into a file, and read image by image."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.exports.opinions import Opinion, list_opinions
from engine.exports.reading import ImageNamer
from engine.exports.selection import REASONS, PairUse, decide_final_use
from engine.media.images import EngineImage
from engine.pairs import Pair
from engine.states import PairDecision, PairHistory, PairState, StatePolicy, list_standing_entries
from engine.store.changes import LogMoment
from engine.store.store import EngineStore
from sam3_tool.errors import ImageError
from sam3_tool.masks.rle import RleMask

MADE_BY = "sam3-agent engine export"
EXCLUDED_FILE = "excluded.jsonl"
SPOOL_FILE = ".pairs.sqlite"


@dataclass(frozen=True, eq=False)
class FinalPair:
    """A pair that is exported."""

    state: PairState
    """With its masks."""
    use: PairUse
    """What its masks cover."""
    image: EngineImage
    file_name: str
    """Of the image, as files name it."""
    trail: list[dict[str, Any]]
    """What was said of the pair and counts, in order; empty unless it was asked for."""
    opinions: tuple[Opinion, ...]
    """Of the first three people who each finished the pair; () where fewer did."""


@dataclass
class ExportCounts:
    """What an export holds, and what it leaves out."""

    pairs: Counter[str] = field(default_factory=Counter)
    """By split."""
    images: Counter[str] = field(default_factory=Counter)
    """By split."""
    decided_by: Counter[str] = field(default_factory=Counter)
    """Pairs that people alone have decided ("human"), and those in which a model had a part ("model")."""
    licences: Counter[str] = field(default_factory=Counter)
    """Images by licence; "" where nobody has said one."""
    negatives: int = 0
    """Pairs of which it is final that nothing is there."""
    partial: int = 0
    """Pairs whose masks are perhaps not all."""
    excluded: Counter[str] = field(default_factory=Counter)
    """Pairs by reason."""

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values; labels of people and of models are never one number."""
        total = self.decided_by.total()
        shares = {who: {"pairs": n, "share": n / total} for who, n in sorted(self.decided_by.items())}
        return {
            "pairs": dict(self.pairs),
            "images": dict(self.images),
            "decided_by": shares,
            "licences": dict(sorted(self.licences.items())),
            "negatives": self.negatives,
            "not_exhaustive": self.partial,
            "excluded": dict(sorted(self.excluded.items())),
        }


class FinalPairs:
    """Reads the final pairs of an engine once, and yields them as often as wanted, image by image.

    Of the pairs, one page is in memory at a time; the others lie in a file in the unfinished export.

    Args:
        store: The data engine.
        folder: The export's.
        unfinished: Where it is written until it is whole.
        policy: What judgements are worth.
        with_trail: Whether each pair is to have what was said of it.
        on_note: Called with a sentence about each image that cannot be read.

    Raises:
        EngineError: Nothing is final, the images lie on several drives, or the engine was changed meanwhile in a way
            that no position of the log stands for.
    """

    def __init__(
        self,
        store: EngineStore,
        folder: Path,
        unfinished: Path,
        *,
        policy: StatePolicy,
        with_trail: bool = False,
        on_note: Callable[[str], None] = lambda text: None,
    ) -> None:
        moment = LogMoment(store.database)
        self.position = moment.position
        """The last of the log that counts."""
        self._images = {image.key: image for image in store.images()}
        self._ranks = {key: rank for rank, key in enumerate(self._images)}
        self._namer = ImageNamer(self._images.values(), folder, unfinished)
        self._told: set[str] = set()
        self._on_note, self._with_trail = on_note, with_trail
        self._path = unfinished / SPOOL_FILE
        self.policy = policy
        self.counts = ExportCounts()
        with closing(self._open_spool()) as spool, (unfinished / EXCLUDED_FILE).open("w", encoding="utf-8") as excluded:
            for history in store.iterate_histories(policy, until=self.position):
                if (row := self._add_history(spool, history)) is not None:
                    excluded.write(json.dumps(row, ensure_ascii=False) + "\n")
            spool.commit()
            self._count_images(spool)
        self._check_counts(store)
        moment.check_masks()

    @property
    def img_folder(self) -> str:
        """The folder that file names are relative to."""
        return str(self._namer.root)

    @property
    def copied(self) -> int:
        """Images saved anew, because a plain reader would see other pixels."""
        return self._namer.copied

    @property
    def splits(self) -> list[str]:
        """Those that hold a pair."""
        return sorted(self.counts.pairs)

    def build_info(self, form: str) -> dict[str, Any]:
        """Build what an export says of itself: how far the log counts, whose labels they are, and licences."""
        thresholds = {
            stage: {"accept": limits.accept, "reject": limits.reject, "by": limits.by}
            for stage in ("mv", "ev")
            for limits in [self.policy.get_thresholds(stage)]
        }
        head = {"made_by": MADE_BY, "format": form, "log_position": self.position, "img_folder": self.img_folder}
        return {**head, "thresholds": thresholds, **self.counts.to_json()}

    def read_pairs(self, split: str = "") -> Iterator[FinalPair]:
        """Yield the pairs of a split, or all; those of an image one after the other, in the order of the engine."""
        query = "SELECT image, body FROM pairs WHERE :split IN ('', split) ORDER BY image, id"
        keys = list(self._images)
        with closing(self._open_spool()) as spool:
            for rank, body in spool.execute(query, {"split": split}):
                yield self._to_pair(self._images[keys[rank]], json.loads(body))

    def find_path(self, pair: FinalPair) -> Path:
        """Return where the file of a pair's image lies once the export is whole."""
        return self._namer.root / pair.file_name  # an absolute name wins

    def find_file(self, pair: FinalPair) -> Path:
        """Return where the file of a pair's image lies now: copies lie in the unfinished export."""
        return self._namer.find_copy(pair.image) or self.find_path(pair)

    def list_phrases(self) -> list[str]:
        """List the phrases of all pairs, in alphabetical order."""
        with closing(self._open_spool()) as spool:
            return [phrase for (phrase,) in spool.execute("SELECT DISTINCT phrase FROM pairs ORDER BY phrase")]

    def list_zero_shot(self) -> dict[str, list[str]]:
        """List the phrases of each other split that no pair of the split train has: a model does not train on them."""
        query = (
            "SELECT DISTINCT split, phrase FROM pairs WHERE split <> 'train'"
            " AND phrase NOT IN (SELECT phrase FROM pairs WHERE split = 'train') ORDER BY split, phrase"
        )
        found: dict[str, list[str]] = {split: [] for split in self.splits if split != "train"}
        with closing(self._open_spool()) as spool:
            for split, phrase in spool.execute(query):
                found[split].append(phrase)
        return found

    def remove_spool(self) -> None:
        """Remove the file of pairs; no pair can be read afterwards."""
        self._path.unlink()

    def _open_spool(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path)
        connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            " CREATE TABLE IF NOT EXISTS pairs (id INTEGER PRIMARY KEY, image INT, split TEXT, phrase TEXT, body TEXT);"
            " CREATE INDEX IF NOT EXISTS pairs_of_images ON pairs (image, id)"
        )
        return connection

    def _add_history(self, spool: sqlite3.Connection, history: PairHistory) -> dict[str, Any] | None:
        """Spool a pair, or return the line that says why it is left out."""
        state = history.state
        image = self._images.get(state.pair.image)
        if image is None:
            return None  # added after the list of images was read
        use = decide_final_use(state)
        reason, text = str(use.reason), REASONS[use.reason] if use.reason else ""
        name = ""
        if use.is_used:
            try:
                name = self._namer.name_image(image)
            except ImageError as error:
                reason, text = "unreadable", str(error)
                self._tell_unreadable(image, text)
        if reason:
            self.counts.excluded[reason] += 1
            row = {"pair": state.pair.key, "image": str(image.path), "phrase": state.pair.phrase, "state": state.name}
            return {**row, "reason": reason, "text": text}
        self._spool_pair(spool, history, use, image, name)
        return None

    def _spool_pair(
        self, spool: sqlite3.Connection, history: PairHistory, use: PairUse, image: EngineImage, name: str
    ) -> None:
        state, counts = history.state, self.counts
        entries = list_standing_entries(history.records) if self._with_trail else []
        body = {
            "pair": state.pair.model_dump(),
            "file_name": name,
            "masks": [mask.to_coco() for mask in state.masks],
            "groups": state.groups,
            "is_exhaustive": state.is_exhaustive,
            "decided_by": state.decided_by,
            "use": [use.is_exhaustive, use.is_pixel_exhaustive],
            "trail": [entry.model_dump(mode="json") for entry in entries],
            "opinions": [opinion.to_json() for opinion in list_opinions(history)],
        }
        spool.execute(
            "INSERT INTO pairs (image, split, phrase, body) VALUES (?, ?, ?, ?)",
            (self._ranks[image.key], image.split, state.pair.phrase, json.dumps(body)),
        )
        counts.pairs[image.split] += 1
        counts.decided_by[state.decided_by] += 1
        counts.negatives += state.is_negative
        counts.partial += not use.is_pixel_exhaustive

    def _count_images(self, spool: sqlite3.Connection) -> None:
        images = list(self._images.values())
        for (rank,) in spool.execute("SELECT DISTINCT image FROM pairs"):
            self.counts.images[images[rank].split] += 1
            self.counts.licences[images[rank].licence] += 1

    def _to_pair(self, image: EngineImage, body: dict[str, Any]) -> FinalPair:
        decision = PairDecision("final", is_exhaustive=body["is_exhaustive"], decided_by=body["decided_by"])
        masks = tuple(RleMask.from_coco(mask) for mask in body["masks"])
        state = PairState(Pair.model_validate(body["pair"]), decision, masks, tuple(body["groups"]))
        use = PairUse("", *body["use"])
        opinions = tuple(Opinion.from_json(opinion) for opinion in body["opinions"])
        return FinalPair(state, use, image, body["file_name"], body["trail"], opinions)

    def _tell_unreadable(self, image: EngineImage, text: str) -> None:
        if image.key not in self._told:
            self._told.add(image.key)
            self._on_note(text)

    def _check_counts(self, store: EngineStore) -> None:
        """Raise EngineError where nothing is final."""
        if not self.counts.pairs:
            left_out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.counts.excluded.items()))
            raise EngineError(
                f"{store.folder} has no final pair to export ({left_out or 'it has no pairs'}); judge some with:"
                f" sam3-agent engine review {store.folder}"
            )
