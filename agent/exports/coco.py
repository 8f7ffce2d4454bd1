"""COCO instance files: https://cocodataset.org/#format-data, read by pycocotools."""

from collections.abc import Callable
from typing import Any

import numpy as np

from agent.episode import Candidate
from agent.exports import polygons
from agent.exports.answer import MODEL, Answer, as_json, category
from sam3_tool.boxes import tight


def with_runs(answer: Answer) -> bytes:
    """Masks as run lengths, which hold them exactly; none is a crowd."""
    return _file(answer, lambda one, mask: one.rle.to_coco())


def with_polygons(answer: Answer) -> bytes:
    """Masks as polygons, one for each part; COCO's rasteriser draws exactly the mask from them."""
    return _file(answer, lambda one, mask: [_flat(ring) for ring in polygons.parts(mask)])


def _flat(ring: polygons.Ring) -> list[float]:
    """x0, y0, x1, y1, …"""
    numbers: list[float] = polygons.as_edges(ring).ravel().tolist()
    return numbers


def _file(answer: Answer, segmentation: Callable[[Candidate, np.ndarray], Any]) -> bytes:
    size = {"width": answer.picture.width, "height": answer.picture.height}
    names = answer.categories
    rows = [_annotation(answer, one, mask, names.index(category(one)) + 1) for one, mask in answer.masks()]
    shapes = (segmentation(one, mask) for one, mask in answer.masks())
    content = {
        "info": {"description": f"made by {MODEL}"},
        "licenses": [],
        "images": [{"id": 1, "file_name": answer.name, **size}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": [{**row, "segmentation": shape} for row, shape in zip(rows, shapes, strict=True)],
    }
    return as_json(content)


def _annotation(answer: Answer, one: Candidate, mask: np.ndarray, category_id: int) -> dict[str, Any]:
    """`score` and `reason` are not COCO's; readers pass over them."""
    x0, y0, x1, y1 = tight(mask)
    return {
        **answer.facts(one),
        "image_id": 1,
        "category_id": category_id,
        "iscrowd": 0,
        "area": int(np.count_nonzero(mask)),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
    }
