"""COCO instance files: https://cocodataset.org/#format-data, read by pycocotools."""

from collections.abc import Callable
from typing import Any

import numpy as np

from agent.core.workspace import Candidate
from agent.exports.answer import GENERATOR_NAME, ExportAnswer, get_category, to_json_bytes
from agent.exports.base import Exporter
from agent.exports.video.coco import write_frames
from sam3_tool.masks import polygons
from sam3_tool.masks.boxes import mask_to_box


def encode_with_runs(answer: ExportAnswer) -> bytes:
    """Masks as run lengths, which hold them exactly; none is a crowd."""
    return _encode_file(answer, lambda candidate, mask: candidate.rle.to_coco())


def encode_with_polygons(answer: ExportAnswer) -> bytes:
    """Masks as polygons, one for each part; COCO's rasteriser draws exactly the mask from them, without a tolerance."""
    return _encode_file(answer, lambda candidate, mask: draw_polygons(mask, answer.tolerance))


def draw_polygons(mask: np.ndarray, tolerance: float) -> list[list[float]]:
    """Return the polygons of `mask`, bool (H, W), that miss its edge by `tolerance` pixels at most."""
    return [_flatten_ring(ring) for ring in polygons.trace_rings(mask, tolerance=tolerance)]


def _flatten_ring(ring: polygons.Ring) -> list[float]:
    """List a ring's coordinates as x0, y0, x1, y1 and so on."""
    coordinates: list[float] = polygons.to_edge_coordinates(ring).ravel().tolist()
    return coordinates


def _encode_file(answer: ExportAnswer, segmentation: Callable[[Candidate, np.ndarray], Any]) -> bytes:
    size = {"width": answer.image.width, "height": answer.image.height}
    names = answer.categories
    rows = [
        _build_annotation(answer, candidate, mask, names.index(get_category(candidate)) + 1)
        for candidate, mask in answer.iterate_masks()
    ]
    shapes = (segmentation(candidate, mask) for candidate, mask in answer.iterate_masks())
    content = {
        "info": {"description": f"made by {GENERATOR_NAME}"},
        "licenses": [],
        "images": [{"id": 1, "file_name": answer.name, **size}],
        "categories": [{"id": category_id, "name": name} for category_id, name in enumerate(names, start=1)],
        "annotations": [{**row, "segmentation": shape} for row, shape in zip(rows, shapes, strict=True)],
    }
    return to_json_bytes(content)


def _build_annotation(answer: ExportAnswer, candidate: Candidate, mask: np.ndarray, category_id: int) -> dict[str, Any]:
    """`score` and `reason` are not COCO's; readers pass over them."""
    x0, y0, x1, y1 = mask_to_box(mask)
    return {
        **answer.describe_mask(candidate),
        "image_id": 1,
        "category_id": category_id,
        "iscrowd": 0,
        "area": int(np.count_nonzero(mask)),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
    }


RUN_LENGTHS = Exporter(".coco.json", "COCO JSON, run lengths", encode_with_runs, write_video=write_frames)
POLYGONS = Exporter(".coco-polygons.json", "COCO JSON, polygons", encode_with_polygons)
