"""cIoU and gIoU over the sentences of RefCOCO, RefCOCO+ and RefCOCOg, and their target masks.

Source: dvlab-research/LISA `train_ds.py: validate()` (which papers quote, as cIoU) and `utils/dataset.py: ValDataset`;
henghuiding/ReLA `refer.py: getMask`. Every sentence is a sample; the formulas are those of `reasonseg`.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np

from evals.errors import ScoringError
from evals.metrics import reasonseg
from evals.metrics.inputs.entries import Entry, get_field
from evals.metrics.inputs.segments import read_image_size, read_parts, to_rle
from sam3_tool.masks import rle
from sam3_tool.masks.checks import shorten_value
from sam3_tool.masks.rle import RleMask


def score(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], *, convention: reasonseg.Convention = "lisa"
) -> dict[str, float]:
    """`{"giou", "ciou", "n"}` of (prediction bool (H, W), target (H, W)), one per sentence, as fractions.

    "hf-bool" is VisionReasoner's: plain ratios, over whatever is not 0 in the target.

    >>> target = np.array([[1, 2, 0, 0]], np.uint8)  # 2: two parts of one annotation overlap there
    >>> round(score([(target > 0, target)])["ciou"], 3)
    0.5
    """
    return reasonseg.score(pairs, convention=convention)


def build_target(
    annotation: Entry, height: int, width: int, *, convention: Literal["lisa", "rela"] = "lisa"
) -> np.ndarray:
    """uint8, (H, W): the mask of a COCO annotation.

    "lisa" adds up the parts: where two overlap the value is 2, which is neither target nor ignored. "rela" is their
    union. No segmentation gives an empty mask.
    """
    if convention not in ("lisa", "rela"):
        raise ScoringError(f"`convention` must be 'lisa' or 'rela', found {convention!r}")
    name = f"annotation {annotation.get('id')!r}"
    size = {"height": height, "width": width}
    summed = np.zeros(read_image_size(size, lambda: f"the image of {name}"), np.uint8)
    for part in _parse_parts(get_field(annotation, "segmentation", name), size, lambda: name):
        if part.size != summed.shape:
            found = f"{part.size[1]} x {part.size[0]}"
            raise ScoringError(f"{name}: its mask is {found} pixels, its image is {width} x {height}")
        summed += rle.decode_mask(part)
    return np.asarray(np.minimum(summed, 1) if convention == "rela" else summed)


def _parse_parts(segmentation: Any, image: Entry, name: Callable[[], str]) -> list[RleMask]:
    match segmentation:
        case []:
            return []
        case [{"counts": str() | bytes()}, *_]:
            return [to_rle(part, image, name) for part in segmentation]
        case list():
            return read_parts(segmentation, image, name)
    raise ScoringError(
        f"{name()}: `segmentation` must be a list of polygons or of compressed masks, found"
        f" {shorten_value(segmentation)}"
    )
