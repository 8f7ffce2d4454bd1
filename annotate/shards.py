"""Shard files: a shard is done when its file is there, whole. Nothing else is recorded anywhere.

OUT/shards/shard-000017.parquet    every image of shard 17, in order
OUT/parts/000017-….parquet         some images of shard 17, until all are there
OUT/claims/000017.lock             held by the run that is at work on shard 17
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import reduce
from itertools import groupby
from operator import add, attrgetter
from pathlib import Path
from secrets import token_hex
from typing import Any

import pyarrow as pa
from filelock import FileLock, Timeout
from pyarrow import parquet

from annotate.errors import AnnotationError
from sam3_tool.system.unfinished_files import build_unfinished_path, clear_folder_once, hold_file

SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("image", pa.string()),
        ("key", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("phrase", pa.string()),
        ("presence", pa.float32()),
        ("scores", pa.list_(pa.float32())),
        ("boxes", pa.list_(pa.list_(pa.float32(), 4))),
        ("counts", pa.list_(pa.string())),
        ("labels", pa.list_(pa.string())),
        ("outcome", pa.string()),
        ("message", pa.string()),
        ("tokens", pa.int64()),
        ("cost", pa.float64()),
        ("seconds", pa.float32()),
        ("error_kind", pa.string()),
        ("error", pa.string()),
    ]
)
MAX_GROUP_ROWS, MAX_GROUP_LETTERS = 16_384, 2**25
"""Rows, and letters of run lengths, that are in memory before they are written."""
FOOTER = b"sam3-agent"
"""The key of the footer that says what made the rows, and sums them up."""
SHARDS, PARTS, CLAIMS = "shards", "parts", "claims"


@dataclass(slots=True)
class Row:
    """What was found in one image for one phrase or query; or, with `error`, why nothing could be."""

    index: int
    """The image's place in the plan, from 0."""
    image: str
    key: str = ""
    height: int = 0
    width: int = 0
    phrase: str = ""
    """The phrase, or the query."""
    presence: float | None = None
    """In [0, 1]: how sure SAM 3 is that the phrase is in the image at all; None for queries."""
    scores: Sequence[float] = ()
    boxes: Sequence[Sequence[float]] = ()
    """x0 y0 x1 y1 in pixels."""
    counts: Sequence[str] = ()
    """Run lengths of each mask, as COCO writes them; their size is `height`, `width`."""
    labels: Sequence[str] | None = None
    """Of a query: the phrase that found each mask."""
    outcome: str | None = None
    """Of a query: how the episode ended."""
    message: str | None = None
    """Of a query: what the agent says."""
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    """Its share of the time of SAM 3, or of the agent."""
    error_kind: str = ""
    error: str = ""
    """One sentence; empty where the image was answered."""


to_values = attrgetter(*SCHEMA.names)
"""The values of a row, in the order of the columns."""


def remove_empty_folders(folders: Iterable[Path]) -> None:
    """Remove those of these folders, the innermost first, that have nothing in them."""
    for folder in folders:
        with suppress(OSError):  # there is something in it
            folder.rmdir()


@dataclass(frozen=True)
class Summary:
    """What is in shard files, added up.

    >>> (Summary(images=2, rows=4) + Summary(images=1, errors={"ImageError": 1})).errors
    {'ImageError': 1}
    """

    images: int = 0
    rows: int = 0
    masks: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    tokens: int = 0
    bytes: int = 0
    """Of the files."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Images that could not be answered, by kind."""

    def __add__(self, other: "Summary") -> "Summary":
        numbers = {name: mine + getattr(other, name) for name, mine in vars(self).items() if name != "errors"}
        return Summary(**numbers, errors=dict(Counter(self.errors) + Counter(other.errors)))

    @classmethod
    def from_image(cls, rows: Sequence[Row]) -> "Summary":
        """Sum up the rows of one image."""
        return cls(
            images=1,
            rows=len(rows),
            masks=sum(len(row.scores) for row in rows),
            seconds=sum(row.seconds or 0.0 for row in rows),
            cost=sum(row.cost or 0.0 for row in rows),
            tokens=sum(row.tokens or 0 for row in rows),
            errors=dict(Counter(row.error_kind for row in rows if row.error_kind)),
        )


class RowWriter:
    """Writes rows into one file, some thousands at a time, and sums them up."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._rows: list[Row] = []
        self._letters = 0
        self.summary = Summary()
        self.indexes: list[int] = []
        """The images that were written, in order."""

    def add_image(self, rows: Sequence[Row]) -> None:
        """Write the rows of an image. Raises OSError."""
        self.indexes.append(rows[0].index)
        self.summary += Summary.from_image(rows)
        for row in rows:
            self._rows.append(row)
            self._letters += sum(map(len, row.counts))
            if len(self._rows) >= MAX_GROUP_ROWS or self._letters >= MAX_GROUP_LETTERS:
                self._flush_rows()

    def _flush_rows(self) -> None:
        if self._rows:
            values = zip(*map(to_values, self._rows), strict=True)
            columns = [pa.array(column, kind) for column, kind in zip(values, SCHEMA.types, strict=True)]
            self._file.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))
            self._rows, self._letters = [], 0

    def finish(self, made_by: Mapping[str, Any]) -> None:
        """Write what is left, and the footer. Raises OSError."""
        self._flush_rows()
        footer = {"made_by": made_by, "summary": {**asdict(self.summary), "bytes": 0}}
        self._file.add_key_value_metadata({FOOTER: json.dumps(footer)})
        self._file.close()


@dataclass(frozen=True)
class ShardFolder:
    """The files of a run, by the number of the shard."""

    path: Path

    def make_folders(self) -> None:
        """Raises OSError."""
        for name in (SHARDS, PARTS, CLAIMS):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def remove_empty_folders(self) -> None:
        """Leave nothing behind of a run that could not begin."""
        remove_empty_folders(self.path / name for name in (SHARDS, PARTS, CLAIMS, ""))

    def get_shard_path(self, number: int) -> Path:
        return self.path / SHARDS / f"shard-{number:06d}.parquet"

    def get_lock_path(self, name: str) -> Path:
        return self.path / CLAIMS / f"{name}.lock"

    def is_done(self, number: int) -> bool:
        return self.get_shard_path(number).exists()

    def find_done(self) -> set[int]:
        """Return the numbers of all shards that are done."""
        with suppress(FileNotFoundError):
            names = (path.name for path in os.scandir(self.path / SHARDS))
            return {int(name[6:-8]) for name in names if name.startswith("shard-") and name.endswith(".parquet")}
        return set()

    def sum_up(self) -> Summary:
        """Add up what all shards that are done hold. Raises AnnotationError."""
        return reduce(
            add, (read_summary(self.get_shard_path(number)) for number in sorted(self.find_done())), Summary()
        )

    def find_parts(self, number: int) -> list[Path]:
        """Return the files that hold some images of a shard."""
        with suppress(FileNotFoundError):
            return sorted(path for path in (self.path / PARTS).glob(f"{number:06d}-*.parquet"))
        return []

    def find_covered(self, number: int) -> set[int]:
        """Return the images of a shard that parts hold."""
        return {index for part in self.find_parts(number) for index in _read_indexes(part)}

    @contextmanager
    def write_rows(self, number: int, wanted: int | None, made_by: Mapping[str, Any]) -> Iterator[RowWriter]:
        """Give a writer of rows; what it wrote appears as a file when the block ends, whole or not at all.

        Args:
            number: The number of the shard.
            wanted: Images of the whole shard: once so many were written, the file is that of the shard. Fewer, or
                None, make a part of it. No image makes no file.
            made_by: What made the rows.
        """
        clear_folder_once(self.path / PARTS)
        unfinished = build_unfinished_path(self.path / PARTS)
        with hold_file(unfinished):
            with parquet.ParquetWriter(unfinished, SCHEMA, compression="zstd") as file:
                writer = RowWriter(file)
                yield writer
                writer.finish(made_by)
            if writer.indexes:
                part = self.path / PARTS / f"{number:06d}-{token_hex(8)}.parquet"
                target = self.get_shard_path(number) if len(writer.indexes) == wanted else part
                _move_durably(unfinished, target)

    def join_parts(self, number: int, start: int, stop: int) -> None:
        """Make the file of a shard of its parts, which must hold every image of it. Raises OSError.

        An image that two parts hold, as two runs can leave it behind, is taken from the first.
        """
        parts = self.find_parts(number)
        taken: set[int] = set()
        tables = []
        for part in parts:
            table = parquet.read_table(part, schema=SCHEMA)
            fresh = {*table["index"].to_pylist()} - taken
            tables.append(table.filter(pa.array([index in fresh for index in table["index"].to_pylist()], pa.bool_())))
            taken |= fresh
        if missing := {*range(start, stop)} - taken:
            raise AnnotationError(f"the parts of shard {number} lack {len(missing)} images; run the same command again")
        rows = pa.concat_tables(tables).sort_by("index")
        made_by = read_footer(parts[0])["made_by"] if parts else {}
        with self.write_rows(number, stop - start, made_by) as writer:
            for group in group_rows(rows.to_batches(max_chunksize=1024)):
                writer.add_image(group)
        self.remove_parts(number)

    def remove_parts(self, number: int) -> None:
        """Remove the parts of a shard that is done."""
        for part in self.find_parts(number):
            part.unlink(missing_ok=True)

    def reopen_errors(self, number: int) -> int:
        """Let the images of a shard that could not be answered be asked again; return how many there are."""
        path = self.get_shard_path(number)
        if not (count := sum(read_summary(path).errors.values())):
            return 0
        self.remove_parts(number)
        with self.write_rows(number, None, read_footer(path)["made_by"]) as writer:
            for rows in read_shard(path):
                if not any(row.error_kind for row in rows):
                    writer.add_image(rows)
        path.unlink()
        return count

    def try_claim(self, number: int) -> FileLock | None:
        """Take a shard, or return None where another run holds it."""
        lock = FileLock(self.get_lock_path(f"{number:06d}"), thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except NotImplementedError:
            pass  # a file system without locks: two runs may do a shard twice, and the last of them has it
        return lock

    def release_claim(self, number: int, claim: FileLock) -> None:
        """Give a shard back; whoever takes it next looks first whether it is done."""
        if self.is_done(number):
            with suppress(OSError):
                self.get_lock_path(f"{number:06d}").unlink(missing_ok=True)
        claim.release()


def read_shard(path: Path) -> Iterator[list[Row]]:
    """Yield the rows of each image of a shard file, some of them in memory at a time. Raises AnnotationError."""
    with _name_file(path):
        yield from group_rows(parquet.ParquetFile(path).iter_batches(batch_size=1024, use_threads=False))


def group_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[list[Row]]:
    """Yield the rows of one image after the other."""
    rows = (Row(**values) for batch in batches for values in batch.to_pylist())
    return (list(group) for _, group in groupby(rows, key=lambda row: row.index))


def read_footer(path: Path) -> dict[str, Any]:
    """Return what the footer of a shard file says: `made_by` and `summary`. Raises AnnotationError."""
    with _name_file(path):
        footer: dict[str, Any] = json.loads(parquet.read_metadata(path).metadata[FOOTER])
        return footer


def read_summary(path: Path) -> Summary:
    """Return the sums of a shard file. Raises AnnotationError."""
    return Summary(**{**read_footer(path)["summary"], "bytes": path.stat().st_size})


@contextmanager
def _name_file(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise AnnotationError(
            f"{path} is no shard that can be read ({said}); remove it, and the same command makes it again"
        ) from error


def _read_indexes(path: Path) -> Iterable[int]:
    with _name_file(path):
        indexes: list[int] = parquet.read_table(path, columns=["index"])["index"].unique().to_pylist()
        return indexes


def _move_durably(unfinished: Path, target: Path) -> None:
    """Put a file in its place so that it is there, whole, after a loss of power as well. Raises OSError."""
    _sync_to_disk(unfinished)
    unfinished.replace(target)
    _sync_to_disk(target.parent)


def _sync_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
