"""Results in the formats of other tools, shard by shard: no more than one shard is in memory."""

import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from agent.core.errors import UsageError
from agent.core.workspace import Candidate
from agent.exports import EXPORTERS, ExportAnswer, Exporter, select_exporters
from agent.exports.answer import GENERATOR_NAME, to_category
from agent.exports.yolo import build_description, format_corners
from annotate.errors import SourceError
from annotate.plan import Plan
from annotate.shards import Row, ShardFolder, read_shard
from annotate.sources.base import Item, Listing
from sam3_tool.errors import ImageError
from sam3_tool.image import Image
from sam3_tool.image_files.file_kinds import find_suffix
from sam3_tool.image_files.reading import IMAGE_SUFFIXES, is_stored_upright
from sam3_tool.masks.boxes import xyxy_to_xywh
from sam3_tool.masks.rle import RleMask, compute_areas, compute_boxes, decode_mask
from sam3_tool.system.file_names import sanitize_file_name
from sam3_tool.system.files import replace_atomically, write_atomically

MAX_COCO_MASKS = 100_000
"""With more, COCO is one file for each shard: its readers take a file into memory as a whole."""
SET_FORMATS = ("parquet", "coco", "yolo-seg", "webdataset")
"""Formats of whole sets. Any other exporter writes one file for each image."""
YOLO_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Endings of the images that every release of Ultralytics reads; it passes over all others without a word."""
MAX_NAMES = 3
"""How many names a note gives."""


@dataclass(frozen=True, eq=False)
class ExportJob:
    """A finished run, and the images that it was about.

    Args:
        folder: The run.
        plan: Its plan.
        listing: The images, for formats that hold pixels.
        on_progress: Is told, in words, what is being written.
        one_file: Whether COCO is one file however many masks there are.
        max_coco_masks: Else it is one up to so many masks.
        on_note: Is told what is left out, in a sentence.
    """

    folder: ShardFolder
    plan: Plan
    listing: Listing
    on_progress: Callable[[str], Any] = lambda text: None
    one_file: bool = False
    max_coco_masks: int = MAX_COCO_MASKS
    on_note: Callable[[str], Any] = lambda text: None
    _lost: dict[int, str] = field(default_factory=dict, init=False)
    """Images whose file is gone, or changed, since they were asked about: why, by their place in the plan."""

    def write_formats(self, names: Sequence[str]) -> list[Path]:
        """Write every format.

        Returns:
            What was written: a file or a folder for each.

        Raises:
            OSError: Something cannot be written.
            AnnotationError: A shard cannot be read.
            SourceError: The images are not where they were.
        """
        writers = {"parquet": self._name_shards, "coco": self._write_coco, "yolo-seg": self._write_yolo}
        writers["webdataset"] = self._write_webdataset
        written = [writers[name]() if name in writers else self._write_each_image(name) for name in names]
        if self._lost:
            more = f" and {len(self._lost) - MAX_NAMES} more" if len(self._lost) > MAX_NAMES else ""
            shown = ", ".join([*self._lost.values()][:MAX_NAMES])
            self.on_note(
                f"left out of the formats that hold images, as the files can no longer be read: {shown}{more}; the"
                " parquet files have their masks"
            )
        return written

    def _name_shards(self) -> Path:
        return self.folder.get_shard_path(0).parent

    def read_shards(self, purpose: str) -> Iterator[tuple[int, Iterator[list[Row]]]]:
        """Yield number and images of each shard; images that could not be answered are left out."""
        for number in range(self.plan.shards):
            self.on_progress(f"{purpose}: shard {number + 1:,} of {self.plan.shards:,}")
            rows = read_shard(self.folder.get_shard_path(number))
            yield number, (image for image in rows if not image[0].error_kind)

    def list_categories(self) -> list[str]:
        """Return the names of all categories: the phrases; of a query, what its masks were found by."""
        if phrases := self.plan.question.get("phrases"):
            return list(dict.fromkeys(map(to_category, phrases)))
        found = (
            to_category(label)
            for _, images in self.read_shards("categories")
            for rows in images
            for row in rows
            for label in row.labels or ()
        )
        return list(dict.fromkeys(found))

    def _write_coco(self) -> Path:
        """`coco.json`, or a folder with a file for each shard."""
        categories = self.list_categories()
        if self.one_file or self.folder.sum_up().masks <= self.max_coco_masks:
            path = self.folder.path / "coco.json"
            with replace_atomically(path) as unfinished:
                write_coco_file(unfinished, lambda: self._iterate_images("coco"), categories, first_id=1)
            return path
        folder, first_id = self.folder.path / "coco", 1
        folder.mkdir(exist_ok=True)
        for number in range(self.plan.shards):
            self.on_progress(f"coco: shard {number + 1:,} of {self.plan.shards:,}")
            with replace_atomically(folder / f"shard-{number:06d}.json") as unfinished:
                read_images = partial(self._iterate_shard, number)
                first_id = write_coco_file(unfinished, read_images, categories, first_id=first_id)
        return folder

    def _iterate_images(self, purpose: str) -> Iterator[list[Row]]:
        return (rows for _, images in self.read_shards(purpose) for rows in images)

    def _iterate_shard(self, number: int) -> Iterator[list[Row]]:
        return (rows for rows in read_shard(self.folder.get_shard_path(number)) if not rows[0].error_kind)

    def _write_yolo(self) -> Path:
        """A data set that can be trained on: `data.yaml`, `images`, `labels`."""
        root, names = self.folder.path / "yolo-seg", self.list_categories()
        for part in ("images", "labels"):
            (root / part).mkdir(parents=True, exist_ok=True)
        for rows in self._iterate_images("yolo-seg"):
            stem = build_stem(rows[0])
            if not self._place_image(rows[0], root / "images"):
                continue
            lines = (
                f"{names.index(to_category(candidate.phrase))} "
                f"{format_corners(decode_mask(candidate.rle), (rows[0].width, rows[0].height))}\n"
                for candidate in build_candidates(rows)
            )
            (root / "labels" / f"{stem}.txt").write_text("".join(lines), encoding="utf-8")
        (root / "data.yaml").write_text(build_description(names), encoding="utf-8")
        return root

    def _place_image(self, row: Row, folder: Path) -> bool:
        """Put the image's file, as it is or as PNG, beside the others; say whether that could be done."""
        stem, suffix = build_stem(row), _get_suffix(row.image)
        if suffix in YOLO_SUFFIXES and (folder / f"{stem}{suffix}").exists():
            return True
        if (content := self._read_file(row)) is None:
            return False
        suffix = suffix or find_suffix(content)
        path = folder / f"{stem}{suffix if suffix in YOLO_SUFFIXES else '.png'}"
        if not path.exists():
            with replace_atomically(path) as unfinished:
                if suffix == path.suffix:
                    unfinished.write_bytes(content)
                else:
                    self.listing.reader.open_image(self._get_item(row)).to_pil().save(unfinished, "PNG")
        return True

    def _read_file(self, row: Row) -> bytes | None:
        """The image's file as it is; None where it is gone since it was asked about. Raises SourceError without any."""
        try:
            return self.listing.reader.read_bytes(self._get_item(row))
        except (ImageError, OSError) as error:
            if not self.listing.reader.is_there():
                raise SourceError(f"the images are not in {self.plan.source} any more; bring them back") from error
            self._lost[row.index] = row.image
            return None

    def _get_item(self, row: Row) -> Item:
        [item] = self.listing.get_items(row.index, row.index + 1)
        return item

    def _write_webdataset(self) -> Path:
        """A tar archive for each shard: of every image its file, and JSON with what was found.

        The file is as it is, but for photos that lie on their side: most readers of such archives do not turn them.
        """
        folder = self.folder.path / "webdataset"
        folder.mkdir(exist_ok=True)
        for number, images in self.read_shards("webdataset"):
            target = folder / f"shard-{number:06d}.tar"
            if not _is_newer(target, self.folder.get_shard_path(number)):
                with replace_atomically(target) as unfinished, tarfile.open(unfinished, "w") as archive:
                    for rows in images:
                        self._add_sample(archive, rows)
        return folder

    def _add_sample(self, archive: tarfile.TarFile, rows: Sequence[Row]) -> None:
        if (content := self._read_file(rows[0])) is None:
            return
        key, suffix = f"{rows[0].index:09d}", _get_suffix(rows[0].image) or find_suffix(content) or ".img"
        if not is_stored_upright(content):
            content, suffix = _encode_jpeg(self.listing.reader.open_image(self._get_item(rows[0]))), ".jpg"
        told = {
            "image": rows[0].image,
            "height": rows[0].height,
            "width": rows[0].width,
            "presence": {row.phrase: row.presence for row in rows if row.presence is not None},
            "annotations": [annotation for _, annotation in describe_masks(rows)],
            **({"query": rows[0].phrase, "message": rows[0].message} if rows[0].outcome else {}),
        }
        _add_member(archive, f"{key}{suffix}", content)
        _add_member(archive, f"{key}.json", json.dumps(told, ensure_ascii=False).encode("utf-8", "replace"))

    def _write_each_image(self, name: str) -> Path:
        """One file for each image, in a folder for each shard, as an installed exporter writes it."""
        exporter: Exporter = EXPORTERS[name]
        assert exporter.encode is not None  # `parse_formats` refuses formats of videos
        root = self.folder.path / name
        for number, images in self.read_shards(name):
            folder = root / f"{number:06d}"
            folder.mkdir(parents=True, exist_ok=True)
            for rows in images:
                with suppress(ImageError):  # it was readable once; the shards still hold what was found
                    image = self.listing.reader.open_image(self._get_item(rows[0]))
                    answer = ExportAnswer.from_candidates(image, build_candidates(rows), rows[0].image, {})
                    write_atomically(folder / f"{build_stem(rows[0])}{exporter.suffix}", exporter.encode(answer))
        return root


def parse_formats(text: str) -> list[str]:
    """Read `--to`: formats of whole sets, and installed exporters.

    Raises:
        UsageError: There is no format, no such format, or it is for videos only.

    >>> parse_formats("parquet, coco,coco")
    ['parquet', 'coco']
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"--to names no format; give some, with commas: {', '.join(SET_FORMATS)}, or any of --export")
    single = [name for name in names if name not in SET_FORMATS]
    try:
        select_exporters(",".join(single), "image") if single else None
    except UsageError as error:
        raise UsageError(f"--to: {error}; of whole sets there are also {', '.join(SET_FORMATS)}") from error
    return names


def build_candidates(rows: Sequence[Row]) -> list[Candidate]:
    """The masks of an image that have a pixel, numbered from 1."""
    return [
        Candidate(number, mask, (x0, y0, x1, y1), score, phrase)
        for number, (mask, (x0, y0, x1, y1), score, phrase) in enumerate(_iterate_masks(rows), start=1)
    ]


def _iterate_masks(rows: Sequence[Row]) -> Iterator[tuple[RleMask, Sequence[float], float, str]]:
    """Mask, box, score and phrase of everything that was found in an image and has a pixel."""
    for row in rows:
        masks = [RleMask((row.height, row.width), counts) for counts in row.counts]
        labels = row.labels if row.labels is not None else [row.phrase] * len(masks)
        filled = (compute_areas(masks) > 0).tolist()
        for mask, box, score, label, has_pixels in zip(masks, row.boxes, row.scores, labels, filled, strict=True):
            if has_pixels:
                yield mask, box, score, label


def describe_masks(rows: Sequence[Row]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield category and annotation of each mask of an image, without ids."""
    for mask, _, score, label in _iterate_masks(rows):
        [box] = xyxy_to_xywh(compute_boxes([mask])).tolist()
        category = to_category(label)
        yield (
            category,
            {
                "phrase": label,
                "score": round(score, 4),
                "iscrowd": 0,
                "area": int(compute_areas([mask])[0]),
                "bbox": box,
                "segmentation": mask.to_coco(),
            },
        )


def write_coco_file(
    path: Path, read_images: Callable[[], Iterator[list[Row]]], categories: Sequence[str], *, first_id: int
) -> int:
    """Write one COCO file, an annotation at a time.

    Args:
        path: The file.
        read_images: Begins to read the images anew: once for the list of images, once for their masks.
        categories: Their names; the first has the id 1.
        first_id: Of the first annotation.

    Returns:
        The id after the last one.
    """
    ids = {name: number for number, name in enumerate(categories, start=1)}
    with path.open("w", encoding="utf-8", errors="replace") as file:
        head = {"info": {"description": f"made by {GENERATOR_NAME}"}, "licenses": []}
        named: list[Mapping[str, Any]] = [{"id": number, "name": name} for name, number in ids.items()]
        file.write(f"{_to_json(head)[:-1]}, ")
        _write_list(file, "categories", iter(named))
        _write_list(
            file,
            "images",
            (
                {"id": row.index + 1, "file_name": row.image, "width": row.width, "height": row.height}
                for row, *_ in read_images()
            ),
        )
        count = _write_list(file, "annotations", _number_annotations(read_images(), ids, first_id), end="}\n")
    return first_id + count


def _number_annotations(
    images: Iterator[list[Row]], ids: Mapping[str, int], first_id: int
) -> Iterator[Mapping[str, Any]]:
    number = first_id
    for rows in images:
        for category, annotation in describe_masks(rows):
            yield {"id": number, "image_id": rows[0].index + 1, "category_id": ids[category], **annotation}
            number += 1


def _write_list(file: IO[str], name: str, values: Iterator[Mapping[str, Any]], *, end: str = ", ") -> int:
    """Write a list a value at a time; return how many there were."""
    file.write(f'"{name}": [')
    count = 0
    for count, value in enumerate(values, start=1):
        file.write(f"{',' if count > 1 else ''}\n{_to_json(value)}")
    file.write(f"]{end}")
    return count


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def build_stem(row: Row) -> str:
    """The name of an image's files: its number, for two folders may hold files of one name, and its own."""
    return f"{row.index:09d}-{ExportAnswer.build_stem(_drop_parameters(row.image))}"


def _get_suffix(image: str) -> str:
    """How the image's name ends; "" where that is not how names of images end, as of the row of a parquet file."""
    suffix = PurePosixPath(sanitize_file_name(_drop_parameters(image))).suffix.lower()
    return suffix if suffix in IMAGE_SUFFIXES else ""


def _drop_parameters(image: str) -> str:
    """The address of an image without what stands behind its path; any other name as it is."""
    return re.split(r"[?#]", image, maxsplit=1)[0] if "://" in image else image


def _is_newer(target: Path, source: Path) -> bool:
    try:
        return target.stat().st_mtime_ns >= source.stat().st_mtime_ns
    except OSError:
        return False


def _encode_jpeg(image: Image) -> bytes:
    content = BytesIO()
    image.to_pil().save(content, "JPEG", quality=95)
    return content.getvalue()


def _add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # without times and owners, so that equal sets are equal files
    member.size = len(content)
    archive.addfile(member, BytesIO(content))
