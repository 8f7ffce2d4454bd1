"""What a worker does with one unit of work: read the images ahead, ask, write the rows. The same in every process."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

from annotate.asking import Asker, build_error_row, decode_ahead
from annotate.errors import WorkerError
from annotate.shards import Row, ShardFolder, Summary
from annotate.sources.base import ImageReader, Item
from sam3_tool.errors import UserError

DECODERS = 2
"""Threads that read images."""
MAX_FAILURES = 32
"""Images in a row that fail, though not because they are no images: then it is not the images."""
OWN_FAULT = "ImageError"
"""The kind of error that an image has by itself, unless the whole source is gone."""
REPORT_INTERVAL = 0.5
"""Seconds between two reports, at least."""


@dataclass(frozen=True)
class Unit:
    """Images of one shard that one worker answers: all of them, or those that are not yet in a part."""

    shard: int
    items: tuple[Item, ...]
    wanted: int
    """Images of the whole shard."""

    @property
    def is_whole(self) -> bool:
        """Whether this is all of the shard."""
        return len(self.items) == self.wanted

    def split(self) -> "tuple[Unit, Unit]":
        """Return its two halves."""
        middle = len(self.items) // 2
        first, second = (Unit(self.shard, half, self.wanted) for half in (self.items[:middle], self.items[middle:]))
        return first, second


@dataclass(frozen=True)
class Ready:
    """A worker has loaded what it needs."""

    made_by: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class Advance:
    """So many more images were answered."""

    images: int
    errors: Mapping[str, int]
    cost: float = 0.0
    """Of language models."""


@dataclass(frozen=True)
class Finished:
    """A unit is on the disk: all of it, or as much as was done when the worker was told to stop."""

    shard: int
    indexes: tuple[int, ...]
    summary: Summary


@dataclass(frozen=True)
class Failed:
    """The worker cannot go on, whatever it is given."""

    message: str
    errno: int | None = None
    """Of a file that could not be written."""
    exit_code: int = 1
    """Of the command: 2 where what it was given cannot be used."""


Message = Ready | Advance | Finished | Failed


@dataclass(frozen=True)
class WorkerSetup:
    """All that a worker is told once. It can be pickled."""

    out: Path
    reader: ImageReader
    build_asker: Callable[[str], Asker]
    """Loads the networks onto a device, e.g. "cuda:1"."""
    ahead: int = 16
    """Images that are read ahead of the question."""
    plan: str = ""
    """The hash of the plan, for the footers."""


def _ignore_progress(progress: Advance) -> None:
    pass


@dataclass(eq=False)
class ShardWorker:
    """Answers units, one after the other."""

    setup: WorkerSetup
    device: str = "auto"
    is_stopping: Event = field(default_factory=Event)
    """Once set, the unit in hand ends early, and what it has so far is kept."""
    on_progress: Callable[[Advance], Any] = _ignore_progress

    def __post_init__(self) -> None:
        self._asker = self.setup.build_asker(self.device)
        self._folder = ShardFolder(self.setup.out)
        self.made_by = {**self._asker.describe_maker(), "plan": self.setup.plan}
        self._failures = count(1)

    def run_unit(self, unit: Unit) -> Finished:
        """Answer every image of a unit and write the rows.

        Raises WorkerError where every image fails for the same reason, and OSError where nothing can be written.
        """
        setup = self.setup
        images = decode_ahead(unit.items, setup.reader.open_image, threads=DECODERS, ahead=setup.ahead)
        with self._folder.write_rows(unit.shard, unit.wanted, self.made_by) as writer:
            for rows in self._report_progress(self._asker.answer_images(images)):
                self._check_failures(rows)
                writer.add_image(rows)
                if self.is_stopping.is_set():
                    break
        return Finished(unit.shard, tuple(writer.indexes), writer.summary)

    def _report_progress(self, answers: Iterator[list[Row]]) -> Iterator[list[Row]]:
        """Pass on the rows of each image, and tell now and then how many there were."""
        images, errors, cost, reported = 0, Counter[str](), 0.0, perf_counter()
        for rows in answers:
            yield rows
            images += 1
            cost += sum(row.cost or 0.0 for row in rows)
            if rows[0].error_kind:
                errors[rows[0].error_kind] += 1
            if perf_counter() - reported > REPORT_INTERVAL:
                self.on_progress(Advance(images, dict(errors), cost))
                images, errors, cost, reported = 0, Counter(), 0.0, perf_counter()
        self.on_progress(Advance(images, dict(errors), cost))

    def _check_failures(self, rows: list[Row]) -> None:
        """Raise WorkerError once images fail one after the other through no fault of theirs."""
        if not rows[0].error_kind:
            self._failures = count(1)
        elif next(self._failures) >= MAX_FAILURES:
            self._failures = count(1)
            if rows[0].error_kind != OWN_FAULT or not self.setup.reader.is_there():
                raise WorkerError(f"{MAX_FAILURES} images in a row failed, the last one with: {rows[0].error}")


def bury_item(folder: ShardFolder, unit: Unit, reason: str) -> Finished:
    """Write the row of an image that ended its worker, which is the only one of its unit. Raises OSError."""
    with folder.write_rows(unit.shard, unit.wanted, {}) as writer:
        writer.add_image([build_error_row(unit.items[0], WorkerError(reason), "WorkerDeath")])
    return Finished(unit.shard, tuple(writer.indexes), writer.summary)


def describe_failure(error: OSError | UserError) -> Failed:
    """Say why a worker cannot go on."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UserError):
        return Failed(text, exit_code=error.exit_code)
    # what pyarrow says of a full disk is no sentence
    return Failed(text if error.errno is None else os.strerror(error.errno), error.errno)
