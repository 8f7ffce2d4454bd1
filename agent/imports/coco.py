"""COCO instance files: run lengths, polygons, or boxes alone."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from agent.imports.base import MAX_FILE_MASKS, ImportedImage, ImportedMask, check_score, draw_polygons
from sam3_tool.masks.checks import is_number
from sam3_tool.masks.rle import RleMask, check_runs, from_runs


def is_coco(content: Any) -> bool:
    """Tell whether a JSON file may be of COCO."""
    return isinstance(content, dict) and isinstance(content.get("images"), list) and "annotations" in content


def read_coco(content: Mapping[str, Any]) -> list[ImportedImage]:
    """Return the images of a COCO file with their masks. Raises ValueError for what cannot be understood."""
    annotations = content["annotations"]
    if not isinstance(annotations, list) or len(annotations) > MAX_FILE_MASKS:
        raise ValueError(f"`annotations` must be a list of up to {MAX_FILE_MASKS:,}")
    names = {_get_id(row): str(row.get("name", "")) for row in content.get("categories") or []}
    masks: dict[Any, list[ImportedMask]] = {_get_id(row): [] for row in content["images"]}
    for number, annotation in enumerate(annotations, start=1):
        if not isinstance(annotation, dict) or annotation.get("image_id") not in masks:
            raise ValueError(f"annotation {number} is about no image of the file")
        if annotation.get("category_id") not in names:
            raise ValueError(f"annotation {number} is of no category of the file")
        masks[annotation["image_id"]].append(_read_annotation(annotation, names[annotation["category_id"]]))
    return [
        ImportedImage(str(row.get("file_name", "")), tuple(masks[row["id"]]), row.get("width"), row.get("height"))
        for row in content["images"]
    ]


def _get_id(row: Any) -> Any:
    if not isinstance(row, dict) or not isinstance(row.get("id"), int | str):
        raise ValueError("an image and a category have an `id`")
    return row["id"]


def _read_annotation(annotation: Mapping[str, Any], label: str) -> ImportedMask:
    segmentation = annotation.get("segmentation") or _outline_box(annotation.get("bbox"))
    return ImportedMask(label, partial(draw_segmentation, segmentation), check_score(annotation.get("score")))


def draw_segmentation(segmentation: Any, height: int, width: int) -> RleMask:
    """Draw what stands in `segmentation`. Raises ValueError where it is no mask of this size."""
    if isinstance(segmentation, list):
        return draw_polygons(segmentation, height, width)
    match segmentation:
        case {"size": [tall, wide], "counts": counts} if (tall, wide) == (height, width):
            if isinstance(counts, list):
                return from_runs(counts, height, width)
            mask = RleMask((height, width), counts)
            check_runs(mask)
            return mask
        case {"size": [tall, wide]}:
            raise ValueError(f"a mask is {wide} x {tall} pixels, and its image is {width} x {height}")
    raise ValueError("a `segmentation` is a list of polygons, or run lengths with their size")


def _outline_box(box: Any) -> list[list[float]]:
    """The outline of a box x y w h, for data sets without masks."""
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_number, box)):
        raise ValueError("an annotation has neither a `segmentation` nor a `bbox` of four numbers")
    x, y, width, height = box
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]
