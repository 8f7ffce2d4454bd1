"""A data set as one COCO instance file: https://cocodataset.org/#format-data, read by pycocotools."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from agent.core.workspace import Candidate
from agent.exports.answer import GENERATOR_NAME, get_category
from agent.exports.coco import draw_polygons
from agent.exports.sets.base import ImageSet, SetExporter
from sam3_tool.masks.rle import compute_areas, compute_boxes, decode_mask

Segmentation = Callable[[Candidate], Any]


def write_runs(images: ImageSet, path: Path) -> None:
    """Masks as run lengths, which hold them exactly."""
    _write_file(images, path, lambda candidate: candidate.rle.to_coco())


def write_polygons(images: ImageSet, path: Path) -> None:
    """Masks as polygons, one for each part."""
    _write_file(images, path, lambda candidate: draw_polygons(decode_mask(candidate.rle), images.tolerance))


def _write_file(images: ImageSet, path: Path, segmentation: Segmentation) -> None:
    names = images.list_categories()
    content = {
        "info": {"description": f"made by {GENERATOR_NAME}"},
        "licenses": [],
        "images": [
            {"id": number, "file_name": image.name, "width": image.width, "height": image.height}
            for number, image in enumerate(images.images, start=1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": [*_list_annotations(images, names, segmentation)],
    }
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8", errors="replace")


def _list_annotations(images: ImageSet, names: list[str], segmentation: Segmentation) -> Iterator[dict[str, Any]]:
    """Yield the annotations of all images. `score` and `phrase` are not COCO's; readers pass over them."""
    numbers = count(1)
    for image_id, image in enumerate(images.images, start=1):
        for candidate in image.filled:
            [(x0, y0, x1, y1)] = compute_boxes([candidate.rle]).astype(np.float64).tolist()
            yield {
                "id": next(numbers),
                "image_id": image_id,
                "category_id": names.index(get_category(candidate)) + 1,
                "iscrowd": 0,
                "area": int(compute_areas([candidate.rle])[0]),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "segmentation": segmentation(candidate),
                "score": round(candidate.score, 4),
                "phrase": candidate.phrase,
                **({"reason": reason} if (reason := image.reasons.get(candidate.id)) else {}),
            }


RUNS = SetExporter(".coco.json", "COCO JSON, run lengths", write_runs)
POLYGONS = SetExporter(".coco-polygons.json", "COCO JSON, polygons", write_polygons)
