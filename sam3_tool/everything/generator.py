"""Everything mode: ask about each point of a grid, in the whole image and in parts of it, and keep one mask of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sam3_tool.everything.crops import Crop, build_crops, build_grid, choose_points_per_side
from sam3_tool.everything.filters import find_cut_off, remove_small_regions, suppress_duplicates
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.rle import RleMask, compute_boxes, decode_mask, decode_tight, encode_mask, encode_mask_at
from sam3_tool.prompts import PointsPrompt

CROP_OVERLAP = 512 / 1500
"""Of neighbouring crops, as published."""


@dataclass(frozen=True)
class EverythingRules:
    """What everything mode looks for; see `Sam3.segment_everything`.

    Raises:
        ValueError: A number is out of its range.
    """

    points_per_side: int | None
    min_score: float
    min_stability: float
    stability_offset: float
    max_box_iou: float
    crop_layers: int
    min_region_area: int

    def __post_init__(self) -> None:
        if self.points_per_side is not None and self.points_per_side < 1:
            raise ValueError(f"`points_per_side` must be at least 1, got {self.points_per_side}")
        if self.crop_layers < 0 or self.min_region_area < 0:
            raise ValueError("`crop_layers` and `min_region_area` must be at least 0")
        if not 0 <= self.max_box_iou <= 1:
            raise ValueError(f"`max_box_iou` must lie in [0, 1], got {self.max_box_iou}")


AskPoints = Callable[[Image, PointsPrompt], Instances]
"""Gives the masks that are good enough under any of many points of an image."""


def split_points(prompt: PointsPrompt, most: int | None) -> Iterator[PointsPrompt]:
    """Split a question about many points, so that it can be given up between two parts.

    Args:
        prompt: Many points.
        most: Points of a part, at least 1; None for one part.

    Yields:
        The parts, in the order of the points.

    >>> prompt = PointsPrompt(np.zeros((5, 2), np.float32), min_score=0.88, min_stability=0.95, stability_offset=1.0)
    >>> [len(part.points) for part in split_points(prompt, 2)]
    [2, 2, 1]
    """
    size = most or max(1, len(prompt.points))
    for first in range(0, len(prompt.points), size):
        yield replace(prompt, points=prompt.points[first : first + size])


def find_everything(image: Image, ask: AskPoints, rules: EverythingRules) -> Instances:
    """Find the masks of everything in an image, best score first."""
    crops = build_crops(image.height, image.width, rules.crop_layers, CROP_OVERLAP)
    parts = [_search_crop(image, crop, ask, rules) for crop in crops]
    found = join_instances(parts, image)
    if len(crops) > 1:
        # of duplicates, the one from the smallest crop is the most exact
        preferences = np.repeat([1 / crop.area for crop in crops], [len(part) for part in parts])
        found = found[suppress_duplicates(_get_extents(found), preferences, rules.max_box_iou)]
    if rules.min_region_area:
        found = _clean_regions(found, rules)
    return found[(-found.scores).argsort(kind="stable")]


def _search_crop(image: Image, crop: Crop, ask: AskPoints, rules: EverythingRules) -> Instances:
    """Return the masks of one crop without duplicates, at their places in the whole image."""
    part = image if crop.layer == 0 else image.crop(crop.x0, crop.y0, crop.x1, crop.y1)
    per_side = rules.points_per_side or choose_points_per_side(part.height, part.width)
    prompt = PointsPrompt(
        build_grid(per_side, part.height, part.width),
        min_score=rules.min_score,
        min_stability=rules.min_stability,
        stability_offset=rules.stability_offset,
    )
    found = ask(part, prompt)
    if crop.layer:
        found = _move_into_image(found, crop, image)
    extents = _get_extents(found)
    whole = np.flatnonzero(~find_cut_off(extents, crop, image.height, image.width))
    return found[whole[suppress_duplicates(extents[whole], found.scores[whole], rules.max_box_iou)]]


def _move_into_image(found: Instances, crop: Crop, image: Image) -> Instances:
    rles = []
    for mask in found.rles:
        left, top, pixels = decode_tight(mask)
        rles.append(encode_mask_at(pixels, crop.x0 + left, crop.y0 + top, image.height, image.width))
    boxes = found.boxes + np.array([crop.x0, crop.y0, crop.x0, crop.y0], np.float32)
    return _build_instances(rles, image, boxes, found.scores, found.presence)


def _get_extents(found: Instances) -> np.ndarray:
    """Return float, (N, 4): first and last pixels, as the published code measures boxes; zeros for no pixel."""
    return np.asarray((found.boxes - [0, 0, 1, 1]).clip(min=0))


def join_instances(parts: list[Instances], image: Image) -> Instances:
    """Join what parts of a search have found: the masks in their order, and the highest presence."""
    rles = [mask for part in parts for mask in part.rles]
    boxes, scores = (np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes", "scores"))
    return _build_instances(rles, image, boxes, scores, max(part.presence for part in parts))


def _build_instances(
    rles: list[RleMask], image: Image, boxes: np.ndarray, scores: np.ndarray, presence: float
) -> Instances:
    size = (image.height, image.width)
    return Instances.from_rles(rles, size, boxes=boxes, scores=scores, presence=presence, phrase="")


def _clean_regions(found: Instances, rules: EverythingRules) -> Instances:
    """Remove small holes and islands, and duplicates that come of it: a mask that was whole before is preferred."""
    masks = [encode_mask(remove_small_regions(decode_mask(mask), rules.min_region_area)) for mask in found.rles]
    unchanged = np.array([new == old for new, old in zip(masks, found.rles, strict=True)], float)
    cleaned = Instances.from_rles(
        masks,
        found.size,
        boxes=compute_boxes(masks),
        scores=found.scores,
        presence=found.presence,
        phrase="",
    )
    return cleaned[suppress_duplicates(_get_extents(cleaned), unchanged, rules.max_box_iou)]
