"""ReasonSeg: one picture, one implicit query, one mask.

`val/1234_0.jpg` with `val/1234_0.json` beside it (UTF-8, some cp1252), of which only `text[0]` is asked:

    {"text": ["the thing that keeps the rain off"], "is_sentence": true,
     "shapes": [{"label": "target", "points": [[10.5, 20.0], [30.0, 20.0], [30.0, 41.2]]}]}

There are two ground truths, whose numbers must not be mixed. "lisa", the official one: these folders, where what is
labelled "ignore" counts for nothing. "hf-bool", the re-uploaded parquet files (columns image, text, mask, image_id,
ann_id, img_height, img_width), where it is target, scored as VisionReasoner does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from evals.datasets.files import Home, decoded, hash_of, opener, upright_size
from evals.datasets.one_mask import OneMask, Target
from evals.datasets.parquet import Table
from evals.metrics import reasonseg
from evals.metrics.entries import ScoringError
from evals.metrics.reasonseg import Convention
from evals.samples import DataError, Facts, Prediction, Sample, Scores
from evals.stats import Measure

FOLDERS = Home(
    "ReasonSeg",
    "the Google Drive folder that the README of github.com/dvlab-research/LISA names under Dataset",
    "none stated for the data; the pictures are from Open Images and ScanNet",
)
PARQUET = Home(
    "ReasonSeg (hf-bool)",
    "huggingface.co/datasets/Ricky06662/ReasonSeg_val or Ricky06662/ReasonSeg_test",
    FOLDERS.licence,
)
PUBLISHED = {"train": 239, "val": 200, "test": 779}


def load(data: Path, split: str, *, variant: str = "lisa") -> "ReasonSeg":
    """`data`: the folder that holds `val/` or `ReasonSeg/val/`; for "hf-bool" one with that split's parquet files."""
    if split not in PUBLISHED:
        raise DataError(f"ReasonSeg has the splits {', '.join(PUBLISHED)}, not {split!r}")
    match variant:
        case "lisa":
            return _of_folder(data, split)
        case "hf-bool":
            return _of_table(Table.of(data, PARQUET), data, split)
    raise DataError(f"ReasonSeg comes as variant 'lisa' (the official one) or 'hf-bool', not {variant!r}")


@dataclass(frozen=True, eq=False)
class ReasonSeg:
    split: str
    variant: Convention
    root: Path
    files: Sequence[Path]
    """The annotations."""
    asked: Sequence[Sample]
    targets: Mapping[str, Target]

    name = "reasonseg"

    @property
    def version(self) -> str:
        return f"1-{self.variant}"

    def samples(self) -> Sequence[Sample]:
        return self.asked

    def facts(self) -> Facts:
        home = FOLDERS if self.variant == "lisa" else PARQUET
        note = "Ignored pixels count as target, and two empty masks score 0: not comparable with official numbers."
        return Facts(
            samples=len(self.asked),
            pictures=len({sample.group for sample in self.asked}),
            hash=hash_of(self.files, self.root),
            published=PUBLISHED[self.split],
            licence=home.licence,
            home=home.where,
            notes=(f"Ground truth and metric: variant {self.variant}.", *([note] if self.variant == "hf-bool" else [])),
        )

    @cached_property
    def _scorer(self) -> OneMask:
        return OneMask(self.targets, self.variant)

    def submission(self, predictions: Sequence[Prediction]) -> dict[str, bytes]:
        """There is no official file: one mask a sample, in COCO's run lengths."""
        return {f"reasonseg_{self.split}.json": self._scorer.submission(predictions)}

    def score_file(self, predictions: Path) -> Mapping[str, float]:
        return self._scorer.score_file(predictions)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        return self._scorer.score(predictions)

    def resample(self, predictions: Sequence[Prediction]) -> Measure:
        return self._scorer.resample(predictions)


def _of_folder(data: Path, split: str) -> ReasonSeg:
    folder = FOLDERS.first(
        [data / split, data / "ReasonSeg" / split, data / "reason_seg" / "ReasonSeg" / split],
        f"the folder {split}/ with a .json file beside every .jpg",
    )
    pictures = sorted(folder.glob("*.jpg"))
    if not pictures:
        raise FOLDERS.missing(f"{folder} holds no .jpg file", "pictures with a .json file beside each")
    pairs = [_of_picture(picture) for picture in pictures]
    annotations = [picture.with_suffix(".json") for picture in pictures]
    return ReasonSeg(split, "lisa", folder, annotations, [s for s, _ in pairs], {s.id: target for s, target in pairs})


def _of_picture(picture: Path) -> tuple[Sample, Target]:
    annotation = picture.with_suffix(".json")
    if not annotation.exists():
        raise FOLDERS.missing(f"{picture} has no {annotation.name} beside it", "an annotation for every picture")
    try:
        texts, is_sentence = reasonseg.load_texts(annotation)
    except ScoringError as error:
        raise FOLDERS.broken(annotation, f"is not as published ({error})") from error
    if not texts or not isinstance(texts[0], str) or not texts[0].strip():
        raise FOLDERS.broken(annotation, f"asks nothing: its `text` is {texts!r}")
    target = _folder_target(picture, annotation)
    sample = Sample(
        id=picture.stem,
        query=texts[0].strip(),
        source=f"{picture.parent.name}/{picture.name}",
        open=opener(picture),
        group=picture.stem,
        slices={"length": "long" if is_sentence else "short"},
        target=lambda: target.mask() == 1,
    )
    return sample, target


def _folder_target(picture: Path, annotation: Path) -> Target:
    def size() -> tuple[int, int]:
        return upright_size(picture)

    return Target(size, lambda: reasonseg.load_annotation(annotation, *size())[0])


def _of_table(table: Table, data: Path, split: str) -> ReasonSeg:
    pairs = list(_rows(table))
    root = data if data.is_dir() else data.parent
    return ReasonSeg(split, "hf-bool", root, table.files, [s for s, _ in pairs], {s.id: target for s, target in pairs})


def _rows(table: Table) -> Iterator[tuple[Sample, Target]]:
    for number, row in enumerate(table.columns(["text", "ann_id", "image_id", "img_height", "img_width"])):
        target = _row_target(table, number, (int(row["img_height"]), int(row["img_width"])))
        yield (
            Sample(
                id=str(row["ann_id"]),
                query=str(row["text"]).strip(),
                source=str(row["image_id"]),
                open=decoded(lambda number=number: table.cell(number, "image")["bytes"], str(row["image_id"])),  # type: ignore[misc]
                group=str(row["image_id"]),
                target=lambda target=target: target.mask() == 1,  # type: ignore[misc]
            ),
            target,
        )


def _row_target(table: Table, number: int, size: tuple[int, int]) -> Target:
    def mask() -> np.ndarray:
        return table.array(number, "mask").astype(np.uint8)

    return Target(lambda: size, mask)
