"""Entries of SA-Co files: pairs, masks, and what stands beside them."""

from collections.abc import Mapping
from typing import Any

from engine.exports.selection import PairUse
from engine.media.images import EngineImage
from engine.states import PairState
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask

CATEGORIES = [{"id": 1, "name": "object"}]
"""SA-Co files have one category; the phrase stands with the pair."""


def build_pair_entry(
    number: int, state: PairState, use: PairUse, image: EngineImage, file_name: str, phrases: Mapping[str, int]
) -> dict[str, Any]:
    """Build the entry of `images` that stands for a pair.

    Args:
        number: Its id in the file.
        state: The pair.
        use: What it is worth.
        image: Its image.
        file_name: The image's, as the file names it.
        phrases: Number of each phrase.
    """
    return {
        "id": number,
        "file_name": file_name,
        "text_input": state.pair.phrase,
        "width": image.width,
        "height": image.height,
        "queried_category": str(phrases[state.pair.phrase]),
        "is_instance_exhaustive": int(use.is_exhaustive),
        "is_pixel_exhaustive": int(use.is_pixel_exhaustive),
        "pair": state.pair.key,
        "decided_by": state.decided_by,
        "source": image.source,
        "licence": image.licence,
    }


def build_mask_entry(number: int, pair: int, mask: RleMask, *, is_group: bool, source: str) -> dict[str, Any]:
    """Build the entry of `annotations` for a mask. Boxes and areas are shares of the image, unlike COCO's.

    >>> build_mask_entry(1, 7, RleMask((2, 3), "06"), is_group=False, source="human")["bbox"]
    [0.0, 0.0, 1.0, 1.0]
    """
    height, width = mask.size
    x0, y0, x1, y1 = rle.compute_boxes([mask])[0].tolist()
    return {
        "id": number,
        "image_id": pair,
        "category_id": 1,
        "bbox": [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
        "area": float(rle.compute_areas([mask])[0]) / (width * height),
        "segmentation": mask.to_coco(),
        "iscrowd": int(is_group),
        "source": source,
    }
