"""`EngineStore`: everything that a data engine knows, for one process that works, one that reviews, many that read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from filelock import FileLock

from engine.errors import EngineError
from engine.media.images import EngineImage
from engine.pairs import Entry, LogRecord, Pair, Proposal
from engine.states import PairDecision, PairHistory, PairState, PairSummary, StatePolicy, compute_state, decide_pair
from engine.store import log, media, proposals
from engine.store.database import EngineDatabase, check_database_file
from engine.store.folder import (
    DATABASE_FILE,
    LOCK_FILE,
    MASKS_FOLDER,
    REVIEW_LOCK_FILE,
    Task,
    acquire_locks,
    check_disk,
    describe_os_error,
    release_locks,
)
from engine.store.forgetting import Removal, clean_shards, forget_image
from engine.store.reading import PairRow, read_pages, read_pair_pages
from engine.store.rows import IMAGE_COLUMNS, PAIR_COLUMNS, to_image, to_pair
from engine.store.settings import EngineSettings, read_settings, read_withdrawn_phrases, write_settings

NO_POLICY = StatePolicy()
MAX_RECENT = 256
"""Proposals that are kept in memory: who reviews asks for each three times, and its file holds hundreds."""


class EngineStore:
    """The folder of a data engine. `create` and `open` make one.

    One process at a time may write, or one works while one lets people review; the threads of a process share its
    store. Others open it with `read_only`.

    >>> import tempfile
    >>> with EngineStore.create(Path(tempfile.mkdtemp(), "cups")) as store:
    ...     store.add_images([EngineImage(key="5d", path=Path("a.png"), width=4, height=3)])
    ...     store.add_pairs([Pair(image="5d", phrase="cup", original="cups", origin="list")])
    ...     [state.name for state in store.iterate_states(StatePolicy())]
    1
    1
    ['proposed']
    """

    def __init__(self, folder: Path, database: EngineDatabase, locks: Sequence[FileLock] = ()) -> None:
        self.folder = folder
        self.database = database
        """For tables of other parts of the engine: `database.write()` gives a connection for one transaction."""
        self._locks = locks
        self._recent: dict[tuple[str, int], Proposal] = {}

    @classmethod
    def create(cls, folder: Path, settings: EngineSettings | None = None) -> "EngineStore":
        """Make a data engine in a folder that is missing or empty, and open it for writing.

        Args:
            folder: The folder.
            settings: What it is to label, and how.

        Raises:
            EngineError: There is something else in the folder, it cannot be written, or it lies on a network drive.
        """
        check_disk(folder)
        _check_folder_is_free(folder)
        try:
            (folder / MASKS_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise describe_os_error(folder, error) from error
        locks = acquire_locks(folder)
        try:
            if not (folder / DATABASE_FILE).exists():
                EngineDatabase.create(folder / DATABASE_FILE)
            store = cls(folder, EngineDatabase(folder / DATABASE_FILE), locks)
            store.write_settings(settings or EngineSettings())
        except BaseException:
            release_locks(locks)
            raise
        return store

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False, task: Task = "all") -> "EngineStore":
        """Open a data engine.

        Args:
            folder: Its folder.
            read_only: Whether nothing is to be written; then other processes may write meanwhile.
            task: What is to be written: "work" is for whoever proposes or changes what is asked, and "review" for
                whoever writes down what people say. "all" is for both, and alone.

        Raises:
            EngineError: There is no engine, it is damaged or of a newer version, another does the same there, or
                it lies on a network drive.
        """
        check_database_file(folder / DATABASE_FILE)
        check_disk(folder)
        if read_only:
            return cls(folder, EngineDatabase(folder / DATABASE_FILE, read_only=True))
        locks = acquire_locks(folder, task)
        try:
            store = cls(folder, EngineDatabase(folder / DATABASE_FILE), locks)
            if task != "review":  # where another process works, what looks unfinished may be its work of now
                clean_shards(store.database, folder / MASKS_FOLDER)
                proposals.remove_unknown_shards(store.database, folder / MASKS_FOLDER)
        except BaseException:
            release_locks(locks)
            raise
        return store

    def close(self) -> None:
        """Close it; another process may write then."""
        self.database.close()
        release_locks(self._locks)

    def __enter__(self) -> "EngineStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read_settings(self) -> EngineSettings:
        """Return what the engine labels, and how."""
        return read_settings(self.database)

    def write_settings(self, settings: EngineSettings) -> None:
        """Keep them in the place of those before. Raises EngineError."""
        write_settings(self.database, settings)

    def images(self) -> Iterator[EngineImage]:
        """Yield every image, near-duplicates too, in the order in which they came."""
        for rows in read_pages(self.database, "images", f"images.id, {IMAGE_COLUMNS}"):
            yield from (to_image(row, self.folder) for row in rows)

    def find_image(self, key: str) -> EngineImage | None:
        """Return the image with a key; None where there is none."""
        with self.database.read() as connection:
            row = connection.execute(f"SELECT {IMAGE_COLUMNS} WHERE images.key = ?", (key,)).fetchone()
        return None if row is None else to_image(row, self.folder)

    def add_images(self, images: Iterable[EngineImage]) -> int:
        """Add images that are not there; return how many. What was forgotten stays forgotten. Raises EngineError."""
        return media.add_images(self.database, images)

    def pairs(self, *, image: str = "", phrase: str = "") -> Iterator[Pair]:
        """Yield every pair, or those of an image or a phrase, in the order in which they came."""
        where = {"image": image, "phrase": phrase}
        for rows in read_pages(self.database, "pairs", f"id, {PAIR_COLUMNS} FROM pairs", where):
            yield from (to_pair(row) for row in rows)

    def find_pair(self, key: str) -> Pair | None:
        """Return the pair with a key; None where there is none."""
        with self.database.read() as connection:
            row = connection.execute(f"SELECT {PAIR_COLUMNS} FROM pairs WHERE key = ?", (key,)).fetchone()
        return None if row is None else to_pair(row)

    def add_pairs(self, pairs: Iterable[Pair]) -> int:
        """Add pairs that are not there; return how many.

        Raises:
            EngineError: A pair is of an image that is not in this engine.
        """
        return media.add_pairs(self.database, pairs)

    def add_proposals(self, found: Sequence[Proposal], *, at: float) -> int:
        """Add what SAM 3 found for pairs, all of it or nothing. A pair's latest proposal is the one that counts.

        Args:
            found: Proposals for pairs of this engine. Where a pair has one already, the log says which of its masks
                are there again.
            at: Seconds since 1970.

        Returns:
            How many pairs have other masks than before.

        Raises:
            EngineError: Nothing can be written, or a pair is not in this engine.
        """
        return proposals.add_proposals(self.database, self.folder / MASKS_FOLDER, found, at=at)

    def read_proposal(self, key: str) -> Proposal | None:
        """Return the latest proposal for a pair; None where there is none. Raises EngineError."""
        return self.read_proposals([key]).get(key)

    def read_proposals(self, keys: Sequence[str]) -> dict[str, Proposal]:
        """Return the latest proposals of pairs that have one, by the pair's key. Raises EngineError."""
        with self.database.read_snapshot():
            return self._read_places(proposals.find_places(self.database, keys))

    def read_numbered_proposals(self, numbers: Iterable[int]) -> dict[int, Proposal]:
        """Return proposals by their number, also those that later ones have taken the place of. Raises EngineError."""
        with self.database.read_snapshot():
            return self._read_places(proposals.find_numbered_places(self.database, numbers))

    def _read_places(self, places: Mapping[proposals.PlaceKey, proposals.Place]) -> dict[proposals.PlaceKey, Proposal]:
        """Read proposals; those that were read lately are in memory. Raises EngineError."""
        kept = {key: self._recent.get((place.shard, place.row)) for key, place in places.items()}
        found = {key: proposal for key, proposal in kept.items() if proposal is not None}
        missing = {key: place for key, place in places.items() if key not in found}
        read = proposals.read_places(self.folder / MASKS_FOLDER, missing)
        if len(self._recent) + len(read) > MAX_RECENT:
            self._recent.clear()
        if len(read) <= MAX_RECENT:
            self._recent.update({(missing[key].shard, missing[key].row): read[key] for key in read})
        return found | read

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """Append to the log, all of it or nothing, durably; return the positions.

        Raises:
            EngineError: Nothing can be written, or an entry is of a pair or a position that is not there.
        """
        return log.append_entries(self.database, entries)

    def entries(self, pair: str | None = None, *, after: int = 0) -> Iterator[LogRecord]:
        """Yield the log in the order of positions: all of it, or what is of one pair; from a position on."""
        return log.read_entries(self.database, pair, after)

    def forget(self, key: str) -> Removal:
        """Remove an image with its pairs, masks and all that was said of it; it never comes back.

        Args:
            key: The image's.

        Returns:
            What was removed.

        Raises:
            EngineError: There is no such image, or nothing can be written.
        """
        if self.find_image(key) is None:
            raise EngineError(f"there is no image {key!r} in {self.folder}; `engine status` lists what there is")
        self._recent.clear()
        return forget_image(self.database, self.folder / MASKS_FOLDER, key)

    @property
    def last_position(self) -> int:
        """The highest position of the log that was ever taken; 0 at first."""
        return log.find_last_position(self.database)

    def find_blocked_phrases(self, *, until: int | None = None) -> frozenset[str]:
        """Return the phrases that a person has flagged, in whichever image, up to a position of the log or by now."""
        return log.find_blocked_phrases(self.database, until)

    def read_decision(self, key: str, policy: StatePolicy = NO_POLICY) -> PairDecision | None:
        """Return the state of one pair without reading its masks; None where there is no such pair."""
        pair = self.find_pair(key)
        if pair is None:
            return None
        with self.database.read_snapshot():
            image, place = self.find_image(pair.image), proposals.find_places(self.database, [key]).get(key)
            policy = self._add_blocked(policy).for_source("" if image is None else image.source)
            return decide_pair(pair.phrase, place.masks if place else None, self.entries(key), policy)

    def read_state(self, key: str, policy: StatePolicy = NO_POLICY, *, until: int | None = None) -> PairState | None:
        """Return the state of one pair; None where there is none.

        Args:
            key: The pair's.
            policy: What judgements are worth.
            until: The last position of the log that counts; None for all of it.

        Raises:
            EngineError: The store cannot be read.
        """
        pair = self.find_pair(key)
        if pair is None:
            return None
        with self.database.read_snapshot():
            image = self.find_image(pair.image)
            policy = self._add_blocked(policy, until).for_source("" if image is None else image.source)
            return compute_state(pair, self.read_proposal(key), log.select_until(self.entries(key), until), policy)

    def iterate_states(self, policy: StatePolicy = NO_POLICY) -> Iterator[PairState]:
        """Yield the state of every pair, with its masks, some hundred in memory at a time. Raises EngineError."""
        return (history.state for history in self.iterate_histories(policy))

    def iterate_histories(self, policy: StatePolicy = NO_POLICY, *, until: int | None = None) -> Iterator[PairHistory]:
        """Yield every pair with its state and what that was computed from, some hundred in memory at a time.

        Args:
            policy: What judgements are worth.
            until: The last position of the log that counts; None for all of it.

        Raises:
            EngineError: The store cannot be read.
        """
        policy = self._add_blocked(policy, until)
        for page in self._read_pair_pages():
            found = proposals.read_places(
                self.folder / MASKS_FOLDER, {row.key: row.place for row in page if row.place is not None}
            )
            for row in page:
                records = log.select_until(row.records, until)
                proposal = found.get(row.key)
                state = compute_state(row.pair, proposal, records, policy.for_source(row.source))
                yield PairHistory(state, proposal, records)

    def iterate_summaries(self, policy: StatePolicy = NO_POLICY) -> Iterator[PairSummary]:
        """Yield every pair and its state without reading masks: for counts and for queues. Raises EngineError."""
        policy = self._add_blocked(policy)
        for page in self._read_pair_pages():
            for row in page:
                masks, made_by = (None, "") if row.place is None else (row.place.masks, row.place.made_by)
                decision = decide_pair(row.pair.phrase, masks, row.records, policy.for_source(row.source))
                yield PairSummary(row.pair, decision, masks or 0, made_by, row.source, row.split, row.group)

    def _read_pair_pages(self) -> Iterator[list[PairRow]]:
        return read_pair_pages(self.database)

    def _add_blocked(self, policy: StatePolicy, until: int | None = None) -> StatePolicy:
        withdrawn = read_withdrawn_phrases(self.database)
        return replace(policy, blocked=policy.blocked | self.find_blocked_phrases(until=until) | withdrawn.keys())


def _check_folder_is_free(folder: Path) -> None:
    """Raise EngineError where a folder holds what is not a data engine's, or a data engine already."""
    if (folder / DATABASE_FILE).exists():
        raise EngineError(f"{folder} holds a data engine already; go on there with: sam3-agent engine run {folder}")
    try:
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
    except OSError as error:
        raise EngineError(f"{folder} cannot be read ({error.strerror or error}); choose another folder") from error
    if others := sorted(name for name in names if not _is_own_name(name)):
        raise EngineError(
            f"{folder} holds other files ({others[0]!r} is one of {len(others):,}); choose a folder that is empty or"
            " not there yet"
        )


def _is_own_name(name: str) -> bool:
    """Whether an engine whose making was interrupted may have left such a name."""
    return name in (MASKS_FOLDER, LOCK_FILE, REVIEW_LOCK_FILE) or name.startswith((".unfinished-", DATABASE_FILE))
