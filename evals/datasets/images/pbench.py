"""One split of PBench: five of rising difficulty, with attributes, text and relations, and one of crowds.

`data/level_0-00000-of-00003.parquet` … and those of level_1 to level_4 and dense, with the columns image, expression,
masks (a list of COCO's run lengths), count and id. No mask means that there is nothing to be found. `count` is only for
the report's rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from evals.bootstrap import Measure
from evals.datasets.formats.files import (
    DataSource,
    hash_files,
    make_decoding_opener,
    memoize_by_prediction,
    name_file,
    to_json,
)
from evals.datasets.formats.one_mask import check_mask_sizes, get_target, read_by_id
from evals.datasets.formats.parquet import Table
from evals.errors import ScoringError
from evals.metrics import pbench
from evals.metrics.inputs.entries import Entry, get_field, require_list
from evals.metrics.inputs.segments import to_rle
from evals.metrics.pbench import Outcome
from evals.samples import DatasetInfo, Prediction, Sample, Scores
from sam3_tool import Image
from sam3_tool.masks import rle
from sam3_tool.masks.checks import is_number, shorten_value
from sam3_tool.masks.rle import RleMask

SOURCE = DataSource(
    "PBench",
    "huggingface.co/datasets/tiiuae/PBench",
    "as its page says; none is stated in the metadata",
)
PUBLISHED = {"level_0": 1930, "level_1": 1108, "level_2": 969, "level_3": 1089, "level_4": 861, "dense": 381}
SUBMISSION = "pbench_{split}.json"


def load_split(data: Path, split: str) -> "PBench":
    """`data`: the folder of the parquet files; `split`: one of PUBLISHED. Raises DatasetError."""
    in_folders = f"**/{split}/*.parquet"
    named = data.is_file() or not any(data.glob(in_folders))
    table = Table.open_folder(data, SOURCE, f"**/{split}-*.parquet" if named else in_folders)
    rows = table.read_columns(["expression", *(["count"] if "count" in table.names else [])])
    if not rows:
        raise SOURCE.build_broken_error(table.files[0], "holds no row")
    table.find_present("masks")
    table.find_present("image")
    return PBench(split, table, [_build_sample(table, split, number, row) for number, row in enumerate(rows)])


def _build_sample(table: Table, split: str, number: int, row: Entry) -> Sample:
    text, count = row["expression"], row.get("count")
    if not isinstance(text, str) or not text.strip():
        raise SOURCE.build_broken_error(table.files[0], f"asks nothing in row {number}: {shorten_value(text)}")
    name = f"{split}-{number}"
    open_image = make_decoding_opener(partial(_read_image, table, number), name)
    return Sample(
        id=str(number),
        query=text.strip(),
        source=name,
        open_image=open_image,
        group=name,
        slices=_build_slices(count),
        target=lambda: _merge_targets(read_targets(table, number), open_image),
    )


def _build_slices(count: Any) -> dict[str, str]:
    """By how many objects are meant, where the row says it."""
    if not is_number(count) or count < 0:
        return {}
    return {"targets": ("none", "one", "several")[min(int(count), 2)]}


def _read_image(table: Table, number: int) -> bytes:
    cell = table.read_cell(number, "image")
    content = cell.get("bytes") if isinstance(cell, Mapping) else None
    return content if isinstance(content, bytes) else b""


def read_targets(table: Table, number: int) -> list[RleMask]:
    """The masks of a row. Raises DatasetError."""
    name = f"row {number}"
    with name_file(table.files[0], SOURCE.name):
        masks = require_list(table.read_cell(number, "masks"), f"{name}: `masks`")
        return [to_rle(mask, {}, lambda place=place: f"{name}, mask {place}") for place, mask in enumerate(masks)]  # type: ignore[misc]


def _merge_targets(targets: Sequence[RleMask], open_image: Callable[[], Image]) -> np.ndarray:
    """bool, (H, W); the image says the size where there is no mask."""
    if targets:
        return rle.decode_mask(rle.merge_masks(targets))
    image = open_image()
    return np.zeros((image.height, image.width), bool)


@dataclass(frozen=True, eq=False)
class PBench:
    split: str
    table: Table
    loaded_samples: Sequence[Sample]

    name = "pbench"
    version = "1"

    @property
    def thresholds(self) -> Sequence[float]:
        """Of IoU: one for crowds, ten otherwise."""
        return pbench.DENSE_THRESHOLDS if self.split == "dense" else pbench.THRESHOLDS

    def list_samples(self) -> Sequence[Sample]:
        return self.loaded_samples

    def collect_info(self) -> DatasetInfo:
        return DatasetInfo(
            samples=len(self.loaded_samples),
            images=len(self.loaded_samples),
            hash=hash_files(self.table.files, self.table.files[0].parent),
            published=PUBLISHED[self.split],
            licence=SOURCE.licence,
            source=SOURCE.location,
            notes=(
                f"F1 is the mean over {len(self.thresholds)} thresholds of IoU and the samples with a target.",
                "No row says which image it shares, so that every one counts as an image of its own.",
            ),
        )

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {sample.id: number for number, sample in enumerate(self.loaded_samples)}

    @cached_property
    def _judge_predictions(self) -> Callable[[Sequence[Prediction]], list[Outcome]]:
        return memoize_by_prediction(
            lambda predictions: [self._judge_prediction(prediction) for prediction in predictions]
        )

    def _judge_prediction(self, prediction: Prediction) -> Outcome:
        number = get_target(self._numbers, prediction)
        targets = read_targets(self.table, number)
        if targets:
            check_mask_sizes(prediction, *targets[0].size)
        return self._judge_masks(number, prediction.masks, targets)

    def _judge_masks(self, number: int, masks: Sequence[RleMask], targets: Sequence[RleMask]) -> Outcome:
        with name_file(self.table.files[0], f"{SOURCE.name}, row {number}"):
            return pbench.judge_sample(masks, targets, self.thresholds)

    def build_submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """There is no official file: a list of `{"id", "masks"}`, in COCO's run lengths."""
        entries = [
            {"id": prediction.id, "masks": [mask.to_coco() for mask in prediction.masks]} for prediction in predictions
        ]
        return {SUBMISSION.format(split=self.split): to_json(entries)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        """A sample that the file lacks counts as one without a mask. Masks of another size are resized, officially."""
        entries = read_by_id(predictions, self._numbers)
        outcomes = [self._judge_entry(id, number, entries.get(id)) for id, number in self._numbers.items()]
        return {**_select_scores(outcomes), "absent": len(self._numbers) - len(entries)}

    def _judge_entry(self, id: str, number: int, entry: Entry | None) -> Outcome:
        name = f"prediction {id!r}"
        listed = () if entry is None else require_list(get_field(entry, "masks", name), f"{name}: `masks`")
        masks = [to_rle(mask, {}, lambda: name) for mask in listed]
        targets = read_targets(self.table, number)
        size = (targets or masks)[0].size if targets or masks else (1, 1)
        return self._judge_masks(number, [pbench.resize_mask(mask, *size) for mask in masks], targets)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """F1 as a fraction, and how many samples were rightly or wrongly left empty (`il_tn`, `il_fn` …)."""
        outcomes = self._judge_predictions(predictions)
        if not outcomes:
            raise ScoringError("PBench: no samples were asked, so that there is nothing to score")
        alone = {p.id: _score_alone(outcome) for p, outcome in zip(predictions, outcomes, strict=True)}
        return Scores("f1", _select_scores(outcomes), alone)

    def build_measure(self, predictions: Sequence[Prediction]) -> Measure:
        outcomes = self._judge_predictions(predictions)
        return lambda drawn: pbench.compute_f1([outcomes[place] for place in drawn])


def _select_scores(outcomes: Sequence[Outcome]) -> dict[str, float]:
    return {name: value for name, value in pbench.score_outcomes(outcomes).items() if name != "official"}


def _score_alone(outcome: Outcome) -> float:
    """A sample's own number: its F1; without a target, whether nothing was predicted."""
    return outcome.f1 if outcome.is_counted else float(outcome.predicted == 0)
