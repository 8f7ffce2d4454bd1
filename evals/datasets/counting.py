"""Counting: CountBench and PixMo-Count, a phrase or question and a number.

CountBench, parquet with its images inside, as published twice: nielsr/countbench (`image_url, text, number, image`;
some images are null, as their links are dead) and vikhyatk/CountBenchQA (`image, text, question, number`):

    {"image": {"bytes": ...}, "text": "a picture of three dogs", "question": "How many dogs are there?", "number": 3}

PixMo-Count, parquet without images, which are looked for as `images/<image_sha256>` with any ending:

    {"image_url": "https://...", "image_sha256": "5f2a...", "count": 3, "points": {...}, "label": "dogs"}

The noun phrases that SAM 3 was asked were not released; give yours as a JSON object id -> phrase. A phrase goes to
SAM 3 directly, whose instances are counted after suppression by overlap; an agent's answer counts as many as it holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.files import DataSource, hash_files, make_decoding_opener, memoize_by_prediction, to_json
from evals.datasets.formats.one_mask import get_target, read_by_id
from evals.datasets.formats.parquet import Table
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError
from evals.metrics import counting
from evals.metrics.inputs.entries import get_field
from evals.samples import DatasetInfo, Prediction, Sample, Scores
from sam3_tool import Image, ImageError
from sam3_tool.masks.checks import is_number, shorten_value
from sam3_tool.system.files import decode_json

COUNTBENCH_SOURCE = DataSource(
    "CountBench",
    "huggingface.co/datasets/nielsr/countbench or vikhyatk/CountBenchQA",
    "none stated; the images have their own",
)
PIXMO_SOURCE = DataSource(
    "PixMo-Count",
    "huggingface.co/datasets/allenai/pixmo-count, and each image from its image_url",
    "ODC-BY-1.0; the images have their own",
)


@dataset_loader(splits=["test"])
def load_countbench(data: Path, split: str = "test", *, phrases: str | Path | None = None) -> "CountingDataset":
    """`data`: the folder of the parquet files. A caption or question goes to the agent, what `phrases` has to SAM 3."""
    table = Table.open_folder(data, COUNTBENCH_SOURCE)
    query, number = _find_column(table, ("question", "text")), _find_column(table, ("number", "count"))
    given = _read_phrases(phrases)
    rows = zip(table.read_columns([query, number]), table.find_present("image"), strict=True)
    entries = [
        _build_entry(str(place), values[query], values[number], given, _make_row_opener(table, place))
        for place, (values, there) in enumerate(rows)
        if there
    ]
    return CountingDataset("countbench", split, COUNTBENCH_SOURCE, table, entries)


@dataset_loader(splits=["train", "validation", "test"])
def load_pixmo(
    data: Path, split: str, *, phrases: str | Path | None = None, pictures: str | Path | None = None
) -> "CountingDataset":
    """`data`: the folder of that split's parquet files; `pictures`: that of the images, if not `images/` in it."""
    table = Table.open_folder(data, PIXMO_SOURCE, f"**/{split}*.parquet")
    folder = PIXMO_SOURCE.find_first(
        [Path(pictures) if pictures else data / "images"], "the images, named by their image_sha256"
    )
    files = {path.stem: path for path in sorted(folder.iterdir())}
    given = _read_phrases(phrases)
    entries = [
        _build_entry(
            str(place), row["label"], row["count"], given, _make_file_opener(files[row["image_sha256"]]), direct=True
        )
        for place, row in enumerate(table.read_columns(["image_sha256", "count", "label"]))
        if row["image_sha256"] in files
    ]
    if not entries:
        raise PIXMO_SOURCE.build_missing_error(
            f"{folder} holds none of the {len(table)} images", "files named by their image_sha256"
        )
    return CountingDataset("pixmo-count", split, PIXMO_SOURCE, table, entries)


@dataclass(frozen=True, eq=False)
class CountingEntry:
    id: str
    """The row's number."""
    query: str
    number: int
    open_image: Callable[[], Image]
    direct: bool


def _build_entry(
    id: str, query: Any, number: Any, given: Mapping[str, str], open_image: Callable[[], Image], *, direct: bool = False
) -> CountingEntry:
    if not is_number(number) or not float(number).is_integer() or number < 0:
        raise DatasetError(f"row {id}: the number of objects must be a whole number, found {shorten_value(number)}")
    if id not in given and (not isinstance(query, str) or not query.strip()):
        raise DatasetError(f"row {id}: the query must be a text, found {shorten_value(query)}")
    return CountingEntry(id, given.get(id, str(query)).strip(), int(number), open_image, direct or id in given)


def _find_column(table: Table, names: Sequence[str]) -> str:
    """The first of these columns that there is."""
    for name in names:
        if name in table.names:
            return name
    raise table.source.build_broken_error(
        table.files[0], f"has the columns {', '.join(table.names)}, not {' or '.join(names)}"
    )


def _read_phrases(path: str | Path | None) -> dict[str, str]:
    """Row number -> noun phrase."""
    if path is None:
        return {}
    try:
        found = decode_json(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"the phrases {path} cannot be read as JSON ({error})") from error
    if not isinstance(found, dict) or not all(isinstance(phrase, str) and phrase.strip() for phrase in found.values()):
        raise DatasetError(
            f'the phrases {path} must be an object of row numbers and phrases such as {{"0": "red cup"}}'
        )
    return found


def _make_row_opener(table: Table, row: int) -> Callable[[], Image]:
    return make_decoding_opener(
        lambda: table.read_cell(row, "image")["bytes"], f"the image of row {row} in {table.files[0].name}"
    )


def _make_file_opener(path: Path) -> Callable[[], Image]:
    """The image, whose file must be the one that was published."""

    def open_image() -> Image:
        if sha256(path.read_bytes()).hexdigest() != path.stem:
            raise ImageError(f"{path}: not the published image, whose SHA-256 is its name; expected that file")
        return Image.open(path)

    return open_image


@dataclass(frozen=True, eq=False)
class CountingDataset:
    name: str
    split: str
    source: DataSource
    table: Table
    entries: Sequence[CountingEntry]

    version = "2"

    def list_samples(self) -> Sequence[Sample]:
        return [
            Sample(
                id=entry.id,
                query=entry.query,
                source=f"row {entry.id}",
                open_image=entry.open_image,
                group=entry.id,
                slices={"number": str(entry.number) if entry.number < 10 else "10 or more"},
                direct=entry.direct,
                presence=False,
            )
            for entry in self.entries
        ]

    def collect_info(self) -> DatasetInfo:
        root = self.table.files[0].parent
        return DatasetInfo(
            samples=len(self.entries),
            images=len(self.entries),
            hash=hash_files(self.table.files, root),
            published={"countbench": 487, "pixmo-count": 529}[self.name],
            licence=self.source.licence,
            source=self.source.location,
            notes=(
                f"{len(self.entries)} of {len(self.table)} rows have an image; the paper's numbers are of others.",
                "What SAM 3 is asked directly is counted without its presence score, as in the paper's recipe.",
            ),
        )

    @cached_property
    def _entries_by_id(self) -> dict[str, CountingEntry]:
        return {entry.id: entry for entry in self.entries}

    @cached_property
    def _count_predictions(self) -> Callable[[Sequence[Prediction]], list[int]]:
        return memoize_by_prediction(
            lambda predictions: [self._count_prediction(prediction) for prediction in predictions]
        )

    def _count_prediction(self, prediction: Prediction) -> int:
        direct = get_target(self._entries_by_id, prediction).direct
        return counting.count_instances(prediction.masks, prediction.scores) if direct else len(prediction.masks)

    def _pair_counts(self, predictions: Sequence[Prediction]) -> list[tuple[int, int]]:
        counts = self._count_predictions(predictions)
        return [
            (count, self._entries_by_id[prediction.id].number)
            for prediction, count in zip(predictions, counts, strict=True)
        ]

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """There is no official file: a list of `{"id", "count"}`."""
        counts = self._count_predictions(predictions)
        entries = [{"id": prediction.id, "count": count} for prediction, count in zip(predictions, counts, strict=True)]
        return {f"{self.name}_{self.split}.json": to_json(entries)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """A row that the file lacks counts as 0."""
        entries = read_by_id(predictions, self._entries_by_id)
        found = {id: get_field(entry, "count", f"prediction {id!r}") for id, entry in entries.items()}
        scores = counting.score((found.get(id, 0), entry.number) for id, entry in self._entries_by_id.items())
        return {"accuracy": scores["accuracy"], **scores, "absent": len(self._entries_by_id) - len(entries)}

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        pairs = self._pair_counts(predictions)
        alone = {prediction.id: float(a == b) for prediction, (a, b) in zip(predictions, pairs, strict=True)}
        return Scores("accuracy", counting.score(pairs), alone)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        exact = np.array([found == true for found, true in self._pair_counts(predictions)])
        return lambda drawn: 100 * float(np.mean(exact[list(drawn)]))
