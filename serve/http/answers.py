"""Instances as JSON: the fields of `result.json`, with masks as run lengths, images, polygons, or left out."""

import json
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import PIL.Image

from sam3_tool import Instances, Sam3
from sam3_tool.masks.boxes import xyxy_to_xywh
from sam3_tool.masks.rle import compute_areas
from serve.http.schemas import MaskFormat


def list_instances(found: Instances, masks: MaskFormat, *, first_id: int = 1) -> list[dict[str, Any]]:
    """Return JSON values of instances, best first.

    Args:
        found: The instances.
        masks: How their masks are written: `segmentation` (COCO's run lengths), `png` (base64), `polygons` (COCO's),
            or not at all.
        first_id: The id of the first one; the others count on.

    >>> list_instances(Instances.empty(4, 6), "rle")
    []
    """
    boxes, scores = xyxy_to_xywh(found.boxes).tolist(), found.scores.tolist()
    areas = compute_areas(found.rles).tolist() if len(found) else []
    written = _write_masks(found, masks)
    return [
        {"id": first_id + index, "phrase": found.phrase, "score": score, "bbox": box, "area": area, **mask}
        for index, (score, box, area, mask) in enumerate(zip(scores, boxes, areas, written, strict=True))
    ]


def list_warnings(found: Instances, sam3: Sam3) -> list[str]:
    """Return what one should know of an answer, e.g. that SAM 3 does not know a word of the phrase."""
    warning = sam3.vocabulary_warning(found.phrase)
    # what is true of any phrase is worth saying only where nothing was found
    is_said = bool(warning) and (not len(found) or warning != sam3.vocabulary_warning(""))
    return [warning] if is_said else []


def _write_masks(found: Instances, masks: MaskFormat) -> Sequence[dict[str, Any]]:
    match masks:
        case "rle":
            return [{"segmentation": rle.to_coco()} for rle in found.rles]
        case "png":
            return [{"png": encode_png(mask)} for mask in found.masks]
        case "polygons":
            from sam3_tool.masks.polygons import mask_to_polygons  # OpenCV

            return [{"polygons": mask_to_polygons(mask)} for mask in found.masks]
        case "none":
            return [{}] * len(found)


def encode_png(mask: np.ndarray) -> str:
    """Return a mask, bool (H, W), as a PNG of one bit a pixel, in base64."""
    content = BytesIO()
    PIL.Image.fromarray(mask).save(content, "PNG")
    return b64encode(content.getvalue()).decode()


def dump_json(value: Any) -> bytes:
    """Return compact JSON in ASCII."""
    return json.dumps(value, separators=(",", ":")).encode()
