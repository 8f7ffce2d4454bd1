"""ReasonSeg: one image, one implicit query, one mask.

`val/1234_0.jpg` with `val/1234_0.json` beside it (UTF-8, some cp1252), of which only `text[0]` is asked:

    {"text": ["the thing that keeps the rain off"], "is_sentence": true,
     "shapes": [{"label": "target", "points": [[10.5, 20.0], [30.0, 20.0], [30.0, 41.2]]}]}

There are two ground truths, whose numbers must not be mixed. "lisa", the official one: these folders, where what is
labelled "ignore" counts for nothing. "hf-bool", the re-uploaded parquet files (columns image, text, mask, image_id,
ann_id, img_height, img_width), where it is target, scored as VisionReasoner does.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from evals.datasets.formats.files import (
    DataSource,
    hash_files,
    make_decoding_opener,
    make_image_opener,
    name_file,
    read_upright_size,
)
from evals.datasets.formats.one_mask import OneMaskBenchmark, OneMaskScorer, Target
from evals.datasets.formats.parquet import Table
from evals.datasets.loading import dataset_loader
from evals.errors import DatasetError, ScoringError
from evals.metrics import reasonseg
from evals.metrics.inputs.segments import read_image_size
from evals.metrics.reasonseg import Convention
from evals.samples import DatasetInfo, Sample

LISA_SOURCE = DataSource(
    "ReasonSeg",
    "the Google Drive folder that the README of github.com/dvlab-research/LISA names under Dataset",
    "none stated for the data; the images are from Open Images and ScanNet",
)
HF_BOOL_SOURCE = DataSource(
    "ReasonSeg (hf-bool)",
    "huggingface.co/datasets/Ricky06662/ReasonSeg_val or Ricky06662/ReasonSeg_test",
    LISA_SOURCE.licence,
)
PHOTO_ENDINGS = {".jpg", ".jpeg"}
OTHER_ENDINGS = {".png", ".webp", ".bmp", ".tif", ".tiff"}
"""Of images, in small letters or capitals. The published ones are .jpg."""
PUBLISHED = {"train": 239, "val": 200, "test": 779}


@dataset_loader(splits=PUBLISHED)
def load(data: Path, split: str, *, variant: str = "lisa") -> "ReasonSeg":
    """`data`: the folder that holds `val/` or `ReasonSeg/val/`; for "hf-bool" one with that split's parquet files."""
    if split not in PUBLISHED:
        raise DatasetError(f"ReasonSeg has the splits {', '.join(PUBLISHED)}, not {split!r}")
    match variant:
        case "lisa":
            return _load_folder(data, split)
        case "hf-bool":
            return _load_table(Table.open_folder(data, HF_BOOL_SOURCE), data, split)
    raise DatasetError(f"ReasonSeg comes as variant 'lisa' (the official one) or 'hf-bool', not {variant!r}")


@dataclass(frozen=True, eq=False)
class ReasonSeg(OneMaskBenchmark):
    split: str
    variant: Convention
    root: Path
    files: Sequence[Path]
    """The annotations."""
    loaded_samples: Sequence[Sample]
    targets: Mapping[str, Target]

    name = "reasonseg"

    @property
    def version(self) -> str:
        return f"{2 if self.variant == 'lisa' else 1}-{self.variant}"

    def list_samples(self) -> Sequence[Sample]:
        return self.loaded_samples

    def collect_info(self) -> DatasetInfo:
        source = LISA_SOURCE if self.variant == "lisa" else HF_BOOL_SOURCE
        note = "Ignored pixels count as target, and two empty masks score 0: not comparable with official numbers."
        return DatasetInfo(
            samples=len(self.loaded_samples),
            images=len({sample.group for sample in self.loaded_samples}),
            hash=hash_files(self.files, self.root),
            published=PUBLISHED[self.split],
            licence=source.licence,
            source=source.location,
            notes=(f"Ground truth and metric: variant {self.variant}.", *([note] if self.variant == "hf-bool" else [])),
        )

    @cached_property
    def _scorer(self) -> OneMaskScorer:
        return OneMaskScorer(self.targets, self.variant)

    @property
    def _submission_name(self) -> str:
        return f"reasonseg_{self.split}.json"


def _load_folder(data: Path, split: str) -> ReasonSeg:
    folder = LISA_SOURCE.find_first(
        [data / split, data / "ReasonSeg" / split, data / "reason_seg" / "ReasonSeg" / split],
        f"the folder {split}/ with a .json file beside every .jpg",
    )
    image_paths = _list_images(folder)
    pairs = [_load_sample(image_path) for image_path in image_paths]
    annotations = [_find_annotation(image_path) for image_path in image_paths]
    return ReasonSeg(split, "lisa", folder, annotations, [s for s, _ in pairs], {s.id: target for s, target in pairs})


def _list_images(folder: Path) -> list[Path]:
    """Every image that has an annotation. Raises DatasetError for one without the other."""
    photos, annotations = (_group_by_stem(folder, endings) for endings in (PHOTO_ENDINGS, {".json"}))
    images = _group_by_stem(folder, OTHER_ENDINGS) | photos  # beside a photo, another image is something else
    if not images or (not annotations and not photos):
        raise LISA_SOURCE.build_missing_error(f"{folder} holds no .jpg file", "images with a .json file beside each")
    if alone := sorted(photos.keys() - annotations.keys()):
        raise LISA_SOURCE.build_missing_error(
            f"{images[alone[0]][0]} has no {alone[0]}.json beside it", "an annotation for every image"
        )
    strays = [annotations[stem][0] for stem in sorted(annotations.keys() - images.keys())]
    if lost := [path for path in strays if _is_annotation(path)]:
        raise LISA_SOURCE.build_missing_error(f"{lost[0]} has no image beside it", "an image for every annotation")
    if several := [paths for stem, paths in images.items() if stem in annotations and len(paths) > 1]:
        names = " and ".join(path.name for path in several[0])
        raise LISA_SOURCE.build_broken_error(folder, f"has {names} for one annotation; keep the image that it is of")
    return sorted(images[stem][0] for stem in annotations.keys() & images.keys())


def _is_annotation(path: Path) -> bool:
    try:
        reasonseg.load_texts(path)
    except ScoringError:
        return False
    return True


def _group_by_stem(folder: Path, endings: Set[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in endings and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found


def _load_sample(image_path: Path) -> tuple[Sample, Target]:
    annotation = _find_annotation(image_path)
    try:
        texts, is_sentence = reasonseg.load_texts(annotation)
    except ScoringError as error:
        raise LISA_SOURCE.build_broken_error(annotation, f"is not as published ({error})") from error
    if not texts or not texts[0].strip():
        raise LISA_SOURCE.build_broken_error(annotation, f"asks nothing: its `text` is {texts!r}")
    target = _make_folder_target(image_path, annotation)
    sample = Sample(
        id=image_path.stem,
        query=texts[0].strip(),
        source=f"{image_path.parent.name}/{image_path.name}",
        open_image=make_image_opener(image_path),
        group=image_path.stem,
        slices={"length": "long" if is_sentence else "short"},
        target=lambda: target.mask() == 1,
    )
    return sample, target


def _find_annotation(image_path: Path) -> Path:
    """The annotation beside an image, whose ending may be in capitals."""
    small = image_path.with_suffix(".json")
    return small if small.exists() else image_path.with_suffix(".JSON")


def _make_folder_target(image_path: Path, annotation: Path) -> Target:
    def read_size() -> tuple[int, int]:
        return read_upright_size(image_path)

    return Target(read_size, lambda: reasonseg.load_annotation(annotation, *read_size())[0])


def _load_table(table: Table, data: Path, split: str) -> ReasonSeg:
    pairs = list(_load_rows(table))
    root = data if data.is_dir() else data.parent
    return ReasonSeg(split, "hf-bool", root, table.files, [s for s, _ in pairs], {s.id: target for s, target in pairs})


def _load_rows(table: Table) -> Iterator[tuple[Sample, Target]]:
    for number, row in enumerate(table.read_columns(["text", "ann_id", "image_id", "img_height", "img_width"])):
        if not isinstance(row["text"], str) or not row["text"].strip():
            raise table.source.build_broken_error(table.files[0], f"asks nothing in row {number}: {row['text']!r}")
        if row["ann_id"] is None:
            raise table.source.build_broken_error(table.files[0], f"has no `ann_id` in row {number}")
        with name_file(table.files[0], table.source.name):
            size = read_image_size({"height": row["img_height"], "width": row["img_width"]}, f"row {number}")
        target = _make_row_target(table, number, size)
        yield (
            Sample(
                id=str(row["ann_id"]),
                query=str(row["text"]).strip(),
                source=str(row["image_id"]),
                open_image=make_decoding_opener(partial(_read_image, table, number), str(row["image_id"])),
                group=str(row["image_id"]),
                target=lambda target=target: target.mask() == 1,  # type: ignore[misc]
            ),
            target,
        )


def _read_image(table: Table, row: int) -> bytes:
    encoded: bytes | None = (table.read_cell(row, "image") or {}).get("bytes")
    return encoded or b""


def _make_row_target(table: Table, number: int, size: tuple[int, int]) -> Target:
    def read_mask() -> np.ndarray:
        found = table.read_array(number, "mask").astype(np.uint8)
        if found.shape != size:
            raise table.source.build_broken_error(
                table.files[0], f"has in row {number} a mask of {found.shape}, its image is {size}"
            )
        return found

    return Target(lambda: size, read_mask)
