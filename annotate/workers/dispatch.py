"""Hands out shards to workers, and takes care of each way in which that can end.

A worker that dies takes only its unit with it. The unit is cut in two, and each half is tried again, until the image
that ends its worker is alone. If it does so once more, it gets a row that says so. For a shard of 256 images that takes
10 restarts.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from filelock import FileLock

from annotate.errors import AnnotationError, WorkerError
from annotate.plan import Plan
from annotate.shards import ShardFolder
from annotate.sources.base import Listing
from annotate.workers.worker import Advance, Failed, Finished, Message, Ready, Unit, bury_item

MAX_BURIED = 8
"""Images in a row that end their worker, while nothing else succeeds: then it is not the images."""
MAX_STILLBORN = 3
"""Workers one after the other that die while they load."""
POLL_INTERVAL = 1.0
"""Seconds between two looks at shards that another run holds."""
GRACE = 120.0
"""Seconds that workers get to bring to disk what they have, once somebody wants the run to end."""


@dataclass(frozen=True)
class Death:
    """A worker is gone, without a word."""

    reason: str
    """Words that go on from "its worker", e.g. "was ended by SIGKILL"."""


Event = tuple[int, Message | Death]
"""A worker's number, and what came from it."""


class Crew(Protocol):
    """Workers, wherever they run. They are numbered from 0; each works on one unit at a time."""

    size: int

    def start_worker(self, worker: int) -> None:
        """Start a worker, again where it died; it says Ready once."""
        ...

    def assign_unit(self, worker: int, unit: Unit) -> None:
        """Give a worker that has nothing to do a unit."""
        ...

    def wait_for_events(self, timeout: float) -> list[Event]:
        """Return what came from workers, after `timeout` seconds at most."""
        ...

    def stop_units(self) -> None:
        """Have all workers end their units early, and keep what they have."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...


@dataclass(eq=False)
class Dispatcher:
    """Brings every shard of a plan to its end, and never two runs the same shard at a time."""

    plan: Plan
    listing: Listing
    folder: ShardFolder
    crew: Crew
    on_ready: Callable[[Ready], Any]
    """Is told what a worker has loaded, before it gets a unit; it may raise."""
    on_advance: Callable[[Advance], Any]
    on_note: Callable[[str], Any]
    on_idle: Callable[[], Any]
    """Is called now and then, so that somebody sees that the run goes on."""
    share: tuple[int, int] = (0, 1)
    """Take every `share[1]`-th shard, from number `share[0]` on."""
    _pending: deque[int] = field(init=False)
    """Shards that nobody has looked at yet."""
    _held: dict[int, FileLock] = field(default_factory=dict, init=False)
    """The claims on shards that are not done, by their number."""
    _elsewhere: set[int] = field(default_factory=set, init=False)
    """Shards that another run is at work on."""
    _cut: deque[Unit] = field(default_factory=deque, init=False)
    """Units that must be tried again."""
    _missing: dict[int, set[int]] = field(default_factory=dict, init=False)
    """Shard -> its images that are not on the disk yet, of shards that are in parts."""
    _idle: set[int] = field(default_factory=set, init=False)
    _busy: dict[int, Unit] = field(default_factory=dict, init=False)
    _suspects: set[int] = field(default_factory=set, init=False)
    """Images that were alone in a unit once, whose worker died."""
    _buried: int = field(default=0, init=False)
    _stillborn: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        done = self.folder.find_done()
        numbers = range(self.share[0], self.plan.shards, self.share[1])
        self._pending = deque(number for number in numbers if number not in done)

    def run_shards(self) -> None:
        """Bring every shard to its end.

        Raises WorkerError where workers cannot go on; OSError where nothing can be written; KeyboardInterrupt after
        what is in hand was kept.
        """
        try:
            for worker in range(self.crew.size):
                self.crew.start_worker(worker)
            while not self._is_finished():
                self._handle_events(self.crew.wait_for_events(POLL_INTERVAL))
                self.on_idle()
        except (KeyboardInterrupt, WorkerError):
            self._keep_units()
            raise
        finally:
            self.crew.close()
            for number, claim in self._held.items():
                self.folder.release_claim(number, claim)

    def _is_finished(self) -> bool:
        """Give units to idle workers; True once there is nothing to do, whoever is still being started."""
        while self._idle and (unit := self._find_unit()) is not None:
            worker = min(self._idle)
            self._idle.remove(worker)
            self._busy[worker] = unit
            self.crew.assign_unit(worker, unit)
        return not (self._busy or self._cut or self._pending or self._elsewhere)

    def _find_unit(self) -> Unit | None:
        """Return the next unit; None while there is none."""
        if self._cut:
            return self._cut.popleft()
        while self._pending:
            if (unit := self._open_shard(self._pending.popleft())) is not None:
                return unit
        for number in sorted(self._elsewhere):
            if (unit := self._open_shard(number)) is not None:
                return unit
        return None

    def _open_shard(self, number: int) -> Unit | None:
        """Claim a shard and return what is to do of it; None where it is done, or another run holds it."""
        if not self.folder.is_done(number):
            claim = self.folder.try_claim(number)
            if claim is None:
                self._elsewhere.add(number)
                return None
            self._held[number] = claim
        self._elsewhere.discard(number)
        if self.folder.is_done(number):
            self._finish_shard(number)
            return None
        start, stop = self.plan.get_range(number)
        missing = {*range(start, stop)} - self.folder.find_covered(number)
        if len(missing) < stop - start:
            self._missing[number] = missing
        if not missing:
            self._join_shard(number)
            return None
        items = tuple(item for item in self.listing.get_items(start, stop) if item.index in missing)
        return Unit(number, items, stop - start)

    def _handle_events(self, events: Sequence[Event]) -> None:
        for worker, event in events:
            match event:
                case Ready():
                    self._stillborn = 0
                    self.on_ready(event)
                    self._idle.add(worker)
                case Advance():
                    self.on_advance(event)
                case Finished():
                    self._buried = 0
                    self._keep_result(self._busy.pop(worker), event)
                    self._idle.add(worker)
                case Failed():
                    self._busy.pop(worker, None)
                    raise _to_error(event)
                case Death(reason):
                    self._replace_worker(worker, reason)

    def _keep_result(self, unit: Unit, result: Finished) -> None:
        if unit.is_whole and len(result.indexes) == unit.wanted:
            self._finish_shard(unit.shard)
            return
        start, stop = self.plan.get_range(unit.shard)
        missing = self._missing.setdefault(unit.shard, {*range(start, stop)})
        missing.difference_update(result.indexes)
        if not missing:
            self._join_shard(unit.shard)

    def _join_shard(self, number: int) -> None:
        self.folder.join_parts(number, *self.plan.get_range(number))
        self._finish_shard(number)

    def _finish_shard(self, number: int) -> None:
        self._missing.pop(number, None)
        if (claim := self._held.pop(number, None)) is not None:
            self.folder.release_claim(number, claim)

    def _replace_worker(self, worker: int, reason: str) -> None:
        """Start a worker again, and cut its unit in two; an image that was alone has been found."""
        unit = self._busy.pop(worker, None)
        if worker in self._idle:  # somebody ended it
            self._idle.remove(worker)
        elif unit is None:
            self._count_stillborn(reason)
        elif len(unit.items) > 1:
            self.on_note(f"a worker {reason}; looking for the image among {len(unit.items)}")
            self._cut.extendleft(reversed(unit.split()))
        elif unit.items[0].index not in self._suspects:
            self._suspects.add(unit.items[0].index)  # somebody else may have ended it: it is tried once more
            self._cut.appendleft(unit)
        else:
            self._bury_image(unit, reason)
        self.crew.start_worker(worker)

    def _count_stillborn(self, reason: str) -> None:
        """Raise WorkerError where workers die again and again before they can begin."""
        self._stillborn += 1
        if self._stillborn >= MAX_STILLBORN:
            raise WorkerError(
                f"a worker {reason} before it could begin; is there memory for --workers {self.crew.size}?"
            )

    def _bury_image(self, unit: Unit, reason: str) -> None:
        self._buried += 1
        if self._buried > MAX_BURIED:
            raise WorkerError(
                f"{MAX_BURIED} images one after the other ended their worker, which {reason}; it is not the images:"
                " is there memory enough? Fewer --workers, or a smaller --batch, need less"
            )
        self.on_note(f"{unit.items[0].name}: its worker {reason}; the image is left out")
        result = bury_item(self.folder, unit, f"its worker {reason}")
        self.on_advance(Advance(1, result.summary.errors))
        self._keep_result(unit, result)

    def _keep_units(self) -> None:
        """Have workers keep what they have, and wait for that."""
        self.crew.stop_units()
        end = monotonic() + GRACE
        while self._busy and monotonic() < end:
            for worker, event in self.crew.wait_for_events(0.2):
                if isinstance(event, Finished):
                    self._keep_result(self._busy.pop(worker), event)
                elif isinstance(event, Failed | Death):
                    self._busy.pop(worker, None)


def _to_error(failed: Failed) -> Exception:
    if failed.errno is not None:
        return OSError(failed.errno, failed.message)
    return (
        AnnotationError(failed.message)
        if failed.exit_code == AnnotationError.exit_code
        else WorkerError(failed.message)
    )
