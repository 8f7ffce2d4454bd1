"""Counting: CountBench and PixMo-Count, a phrase or question and a number.

CountBench, parquet with its pictures inside, as published twice: nielsr/countbench (`image_url, text, number, image`;
some pictures are null, as their links are dead) and vikhyatk/CountBenchQA (`image, text, question, number`):

    {"image": {"bytes": ...}, "text": "a picture of three dogs", "question": "How many dogs are there?", "number": 3}

PixMo-Count, parquet without pictures, which are looked for as `images/<image_sha256>` with any ending:

    {"image_url": "https://...", "image_sha256": "5f2a...", "count": 3, "points": {...}, "label": "dogs"}

The noun phrases that SAM 3 was asked were not released; give yours as a JSON object id -> phrase. A phrase goes to
SAM 3 directly, whose instances are counted after suppression by overlap; an agent's answer counts as many as it holds.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from evals.datasets.files import Home, decoded, hash_of, once, to_json
from evals.datasets.one_mask import by_id, target_of
from evals.datasets.parquet import Table
from evals.metrics import counting
from evals.metrics.entries import field
from evals.samples import DataError, Facts, Prediction, Sample, Scores
from evals.stats import Measure
from sam3_tool import Picture, PictureError

COUNTBENCH = Home(
    "CountBench",
    "huggingface.co/datasets/nielsr/countbench or vikhyatk/CountBenchQA",
    "none stated; the pictures have their own",
)
PIXMO = Home(
    "PixMo-Count",
    "huggingface.co/datasets/allenai/pixmo-count, and each picture from its image_url",
    "ODC-BY-1.0; the pictures have their own",
)


def load_countbench(data: Path, split: str, *, phrases: str | Path | None = None) -> "Counting":
    """`data`: the folder of the parquet files. A caption or question goes to the agent, what `phrases` has to SAM 3."""
    table = Table.of(data, COUNTBENCH)
    query, number = _column(table, ("question", "text")), _column(table, ("number", "count"))
    given = _phrases(phrases)
    rows = zip(table.columns([query, number]), table.present("image"), strict=True)
    entries = [
        _entry(str(place), values[query], values[number], given, _stored(table, place))
        for place, (values, there) in enumerate(rows)
        if there
    ]
    return Counting("countbench", split, COUNTBENCH, table, entries)


def load_pixmo(
    data: Path, split: str, *, phrases: str | Path | None = None, pictures: str | Path | None = None
) -> "Counting":
    """`data`: the folder of that split's parquet files; `pictures`: that of the pictures, if not `images/` in it."""
    table = Table.of(data, PIXMO, f"**/{split}*.parquet")
    folder = PIXMO.first([Path(pictures) if pictures else data / "images"], "the pictures, named by their image_sha256")
    files = {path.stem: path for path in sorted(folder.iterdir())}
    given = _phrases(phrases)
    entries = [
        _entry(str(place), row["label"], row["count"], given, _fetched(files[row["image_sha256"]]), direct=True)
        for place, row in enumerate(table.columns(["image_sha256", "count", "label"]))
        if row["image_sha256"] in files
    ]
    if not entries:
        raise PIXMO.missing(f"{folder} holds none of the {len(table)} pictures", "files named by their image_sha256")
    return Counting("pixmo-count", split, PIXMO, table, entries)


@dataclass(frozen=True, eq=False)
class Entry:
    id: str
    """The row's number."""
    query: str
    number: int
    open: Callable[[], Picture]
    direct: bool


def _entry(
    id: str, query: Any, number: Any, given: Mapping[str, str], open: Callable[[], Picture], *, direct: bool = False
) -> Entry:
    return Entry(id, given.get(id, str(query)).strip(), int(number), open, direct or id in given)


def _column(table: Table, names: Sequence[str]) -> str:
    """The first of these columns that there is."""
    for name in names:
        if name in table.names:
            return name
    raise table.home.broken(table.files[0], f"has the columns {', '.join(table.names)}, not {' or '.join(names)}")


def _phrases(path: str | Path | None) -> dict[str, str]:
    """Row number -> noun phrase."""
    if path is None:
        return {}
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"the phrases {path} cannot be read as JSON ({error})") from error
    if not isinstance(found, dict) or not all(isinstance(phrase, str) and phrase.strip() for phrase in found.values()):
        raise DataError(f'the phrases {path} must be an object of row numbers and phrases such as {{"0": "red cup"}}')
    return found


def _stored(table: Table, row: int) -> Callable[[], Picture]:
    return decoded(lambda: table.cell(row, "image")["bytes"], f"the picture of row {row} in {table.files[0].name}")


def _fetched(path: Path) -> Callable[[], Picture]:
    """The picture, whose file must be the one that was published."""

    def picture() -> Picture:
        if sha256(path.read_bytes()).hexdigest() != path.stem:
            raise PictureError(f"{path}: not the published picture, whose SHA-256 is its name; expected that file")
        return Picture.open(path)

    return picture


@dataclass(frozen=True, eq=False)
class Counting:
    name: str
    split: str
    home: Home
    table: Table
    entries: Sequence[Entry]

    version = "2"

    def samples(self) -> Sequence[Sample]:
        return [
            Sample(
                id=entry.id,
                query=entry.query,
                source=f"row {entry.id}",
                open=entry.open,
                group=entry.id,
                slices={"number": str(entry.number) if entry.number < 10 else "10 or more"},
                direct=entry.direct,
                presence=False,
            )
            for entry in self.entries
        ]

    def facts(self) -> Facts:
        root = self.table.files[0].parent
        return Facts(
            samples=len(self.entries),
            pictures=len(self.entries),
            hash=hash_of(self.table.files, root),
            published={"countbench": 487, "pixmo-count": 529}[self.name],
            licence=self.home.licence,
            home=self.home.where,
            notes=(
                f"{len(self.entries)} of {len(self.table)} rows have a picture; the paper's numbers are of others.",
                "What SAM 3 is asked directly is counted without its presence score, as in the paper's recipe.",
            ),
        )

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        return {entry.id: entry for entry in self.entries}

    @cached_property
    def _counts(self) -> Callable[[Sequence[Prediction]], list[int]]:
        return once(lambda predictions: [self._count(prediction) for prediction in predictions])

    def _count(self, prediction: Prediction) -> int:
        direct = target_of(self._entries, prediction).direct
        return counting.count(prediction.masks, prediction.scores) if direct else len(prediction.masks)

    def _pairs(self, predictions: Sequence[Prediction]) -> list[tuple[int, int]]:
        counts = self._counts(predictions)
        return [(count, self._entries[one.id].number) for one, count in zip(predictions, counts, strict=True)]

    def submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """There is no official file: a list of `{"id", "count"}`."""
        counts = self._counts(predictions)
        entries = [{"id": one.id, "count": count} for one, count in zip(predictions, counts, strict=True)]
        return {f"{self.name}_{self.split}.json": to_json(entries)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """A row that the file lacks counts as 0."""
        entries = by_id(predictions, self._entries)
        found = {id: field(entry, "count", f"prediction {id!r}") for id, entry in entries.items()}
        scores = counting.score((found.get(id, 0), entry.number) for id, entry in self._entries.items())
        return {"accuracy": scores["accuracy"], **scores, "absent": len(self._entries) - len(entries)}

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        pairs = self._pairs(predictions)
        alone = {one.id: float(a == b) for one, (a, b) in zip(predictions, pairs, strict=True)}
        return Scores("accuracy", counting.score(pairs), alone)

    def resample(self, predictions: Sequence[Prediction]) -> Measure:
        exact = np.array([found == true for found, true in self._pairs(predictions)])
        return lambda drawn: 100 * float(np.mean(exact[list(drawn)]))
