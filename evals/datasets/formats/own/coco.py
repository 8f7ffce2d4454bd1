"""COCO files of one's own: a query is the caption of an annotation, or the name of its category."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evals.datasets.formats.files import find_file, name_file, read_upright_size
from evals.datasets.formats.own.entry import SOURCE, Box, OwnEntry, OwnFile, are_shares
from evals.errors import ScoringError
from evals.metrics.inputs import boxes
from evals.metrics.inputs.entries import Entry, get_field, require_list, require_object
from evals.metrics.inputs.segments import to_rle
from evals.metrics.reasonseg import IGNORED
from sam3_tool.masks import rle
from sam3_tool.masks.checks import shorten_value
from sam3_tool.masks.rle import RleMask


def read_coco(file: Path, image_folder: str | Path | None) -> OwnFile:
    """Read the file; `image_folder`: where its file names lie. Raises DatasetError, which names the entry."""
    content = SOURCE.read_json(file)
    with name_file(file, SOURCE.name):
        listing = CocoListing.from_json(content)
        groups = listing.group_annotations()
    if not groups:
        return OwnFile(())
    folders = [Path(image_folder)] if image_folder else [file.parent, file.parent / "images"]
    folder = SOURCE.find_image_folder(folders, str(listing.images[next(iter(groups))[0]]["file_name"]))
    entries = []
    for number, ((image, query), annotations) in enumerate(groups.items(), start=1):
        path = find_file(folder, str(listing.images[image]["file_name"]))
        if path is None:
            path = folder / str(listing.images[image]["file_name"])  # said by whoever opens it
        with name_file(file, SOURCE.name):
            entries.append(_build_entry(file, f"{image}-{number}", query, listing.images[image], path, annotations))
    return OwnFile(tuple(entries), tuple(listing.describe_rest(groups)))


Groups = dict[tuple[str, str], list[Entry]]
"""(image id, query) -> annotations."""


@dataclass(frozen=True, eq=False)
class CocoListing:
    """A file's images and categories by id, as a text: files of label tools have 4 in one place and "4" in another."""

    images: Mapping[str, Entry]
    categories: Mapping[str, str]
    """Id -> name."""
    annotations: Sequence[Entry]

    @classmethod
    def from_json(cls, content: Any) -> "CocoListing":
        """Raises ScoringError."""
        file = require_object(content, "the file")
        images = _index_entries(get_field(file, "images", "the file"), "image")
        categories = _index_entries(file.get("categories", ()), "category")
        annotations = require_list(get_field(file, "annotations", "the file"), "`annotations`")
        return cls(
            images,
            {id: _get_name(category, f"category {id}", "name") for id, category in categories.items()},
            [require_object(entry, f"annotation {place} in the list") for place, entry in enumerate(annotations)],
        )

    def group_annotations(self) -> Groups:
        """One group a query: the annotations of one image with one caption or category. Raises ScoringError."""
        groups: Groups = {}
        for place, entry in enumerate(self.annotations):
            name = _name_annotation(entry, place)
            query, image = self._get_query(entry, name), _to_key(get_field(entry, "image_id", name), name, "image_id")
            if image not in self.images:
                raise ScoringError(f"{name} is of image {image}, which `images` does not list")
            _get_name(self.images[image], f"image {image}", "file_name")
            groups.setdefault((image, query), []).append(entry)
        return groups

    def _get_query(self, entry: Entry, name: str) -> str:
        if "caption" in entry:
            return _get_name(entry, name, "caption")
        if "category_id" not in entry:
            raise ScoringError(
                f"{name} has neither a `caption` nor a `category_id`; add `caption`, which is what is asked"
            )
        category = _to_key(entry["category_id"], name, "category_id")
        if category not in self.categories:
            raise ScoringError(f"{name} has the category {category}, which `categories` does not list")
        return self.categories[category]

    def describe_rest(self, groups: Groups) -> Iterator[str]:
        """Say what is not asked, or not scored."""
        if idle := len(self.images) - len({image for image, _ in groups}):
            yield f"{idle} of {len(self.images)} images have no annotation, and are not asked."
        if by_name := sum("caption" not in group[0] for group in groups.values()):
            yield f"{by_name} of {len(groups)} queries are names of categories, as their annotations have no `caption`."
        partly = [group for group in groups.values() if _is_partly(group, "segmentation") or _is_partly(group, "bbox")]
        if partly:
            yield (
                f"{len(partly)} of {len(groups)} queries have a `segmentation` or a `bbox` for some objects only, and"
                " are not scored by it."
            )


def _index_entries(listing: Any, what: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    plural = {"image": "images", "category": "categories"}[what]
    for place, entry in enumerate(require_list(listing, f"`{plural}`")):
        key = _to_key(get_field(entry, "id", f"{what} {place} in the list"), f"{what} {place} in the list", "id")
        if key in found:
            raise ScoringError(f"`{plural}` has the id {key} twice; every {what} needs one of its own")
        found[key] = entry
    return found


def _to_key(id: Any, name: str, key: str) -> str:
    if isinstance(id, bool) or not isinstance(id, str | int | float) or (isinstance(id, float) and not id.is_integer()):
        raise ScoringError(f"{name}: `{key}` must be a whole number or a text, found {shorten_value(id)}")
    return id.strip() if isinstance(id, str) else str(int(id))


def _get_name(entry: Entry, name: str, key: str) -> str:
    text = entry.get(key)
    if not isinstance(text, str) or not text.strip():
        raise ScoringError(f"{name}: `{key}` must be a text, found {shorten_value(text)}")
    return text.strip()


def _name_annotation(entry: Entry, place: int | None = None) -> str:
    return f"annotation {entry['id']!r}" if "id" in entry or place is None else f"annotation {place} in the list"


def _is_partly(group: Sequence[Entry], key: str) -> bool:
    given = [_has(entry, key) for entry in group if not _is_crowd(entry)]
    return any(given) and not all(given)


def _has_all(group: Sequence[Entry], key: str) -> bool:
    return bool(group) and all(_has(entry, key) for entry in group)


def _has(entry: Entry, key: str) -> bool:
    """Tell whether an annotation has a mask or a box; label tools write a box of zeros where they have none."""
    value = entry.get(key)
    return bool(value) and not (key == "bbox" and value == [0, 0, 0, 0])


def _is_crowd(entry: Entry) -> bool:
    """Raises ScoringError for "false", which would be true."""
    value = entry.get("iscrowd") or 0
    if value not in (0, 1):
        raise ScoringError(f"{_name_annotation(entry, 0)}: `iscrowd` must be 0 or 1, found {shorten_value(value)}")
    return bool(value)


def _build_entry(
    file: Path, id: str, query: str, image: Entry, image_path: Path, annotations: Sequence[Entry]
) -> OwnEntry:
    objects = [entry for entry in annotations if not _is_crowd(entry)]
    crowds = [entry for entry in annotations if _is_crowd(entry) and entry.get("segmentation")]
    corners = tuple(_get_corners(entry) for entry in objects if _has(entry, "bbox"))
    is_drawn, is_boxed = (_has_all(objects, key) for key in ("segmentation", "bbox"))
    return OwnEntry(
        id=id,
        query=query,
        image_path=image_path,
        mask=_make_mask_reader(file, image, image_path, objects, crowds) if is_drawn else None,
        mask_file=None,
        boxes=corners if is_boxed else None,
        place=_name_annotation(annotations[0]) if "id" in annotations[0] else f"query {id}",
    )


def _get_corners(annotation: Entry) -> Box:
    name = _name_annotation(annotation, 0)
    x, y, w, h = boxes.check_box(annotation["bbox"], name)
    if w <= 0 or h <= 0 or are_shares((x, y, w, h)):
        raise ScoringError(
            f"{name}: `bbox` is x, y, w, h in pixels with w and h above 0, found {shorten_value(annotation['bbox'])}"
        )
    return (x, y, x + w, y + h)


def _make_mask_reader(
    file: Path, image: Entry, image_path: Path, objects: Sequence[Entry], crowds: Sequence[Entry]
) -> Callable[[], np.ndarray]:
    def read_drawn_mask() -> np.ndarray:
        size = read_upright_size(image_path)
        target = np.zeros(size, np.uint8)
        with name_file(file, SOURCE.name):
            for value, annotations in ((IGNORED, crowds), (1, objects)):
                for annotation in annotations:
                    target[rle.decode_mask(_draw_annotation(annotation, image, size))] = value
        return target

    return read_drawn_mask


def _lie_outside(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> bool:
    """Tell whether no polygon reaches into the image, of `size` (height, width)."""
    corners = [np.array(polygon, float).reshape(-1, 2) for polygon in polygons]
    return all((points.max(axis=0) <= 0).any() or (points.min(axis=0) >= size[::-1]).any() for points in corners)


def _draw_annotation(annotation: Entry, image: Entry, size: tuple[int, int]) -> RleMask:
    """`size`: (height, width) of the image's file. Raises ScoringError."""
    name = _name_annotation(annotation, 0)
    sides = {key: image.get(key, side) for key, side in zip(("height", "width"), size, strict=True)}
    segmentation = annotation["segmentation"]
    drawn = to_rle(segmentation, sides, lambda: name)
    if isinstance(segmentation, list) and all(are_shares(polygon) for polygon in segmentation):
        raise ScoringError(f"{name}: a polygon is in pixels, found shares of the image, {shorten_value(segmentation)}")
    if drawn.size != size:
        found = f"{drawn.size[1]} x {drawn.size[0]}"
        raise ScoringError(f"{name}: its mask is {found} pixels, its image is {size[1]} x {size[0]}")
    if isinstance(segmentation, list) and _lie_outside(segmentation, size):
        raise ScoringError(f"{name}: its polygons lie outside its image, which is {size[1]} x {size[0]} pixels")
    return drawn
