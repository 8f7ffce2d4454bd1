"""What a page draws of an item: the image at a size that fits, a close-up, and its masks as outlines."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from threading import Lock
from typing import Any

import numpy as np

from demo.picture.outlines import trace_outline
from demo.studio.rows import build_studio_rows
from demo.studio.value import StudioMask
from engine.media.images import EngineImage
from engine.pairs import Proposal
from engine.review.entries import parse_accepted
from engine.review.queue.tables import QueueItem
from sam3_tool.drawing.overlay import compute_close_up, shrink_pixels
from sam3_tool.image import Image
from sam3_tool.masks.rle import RleMask, compute_areas, compute_boxes

SCENE_SIDE, ZOOM_SIDE = 1280, 900
"""Pixels of the long side of what is sent; a larger part of an image is reduced."""
MASK_SHARE = 0.25
"""Of the close-up that a mask fills at most."""
JPEG_QUALITY = 92
"""It took an eighth of the processor time of a WebP of about this quality, and a quarter in the browser."""
PIXEL_BYTES, FILE_BYTES = 512 * 2**20, 128 * 2**20
"""Room for images that were decoded, and for what was made of them."""
REJECTED = "rejected"
"""The label of a mask that people or models have refused, while somebody corrects its pair."""
SMALL_SHARE, LARGE_SHARE = 0.01, 0.10
"""Of the image's area, between which a mask is 'medium'."""

Box = tuple[int, int, int, int]
"""x0 y0 x1 y1 in pixels of the image."""


class ByteCache:
    """Values by key up to a number of bytes; the least recently used leave first.

    >>> cache = ByteCache(3)
    >>> [cache.get_or_make(key, lambda: "ab", len) for key in "xy"], len(cache)
    (['ab', 'ab'], 1)
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._held: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get_or_make(self, key: Any, make: Callable[[], Any], measure: Callable[[Any], int]) -> Any:
        """Return the value of a key; a new one is made while others may go on."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
        value = make()
        with self._lock:
            if key not in self._held:
                self._held[key] = value, measure(value)
                self._bytes += measure(value)
            while self._bytes > self._max_bytes and len(self._held) > 1:
                _, (_, size) = self._held.popitem(last=False)
                self._bytes -= size
        return value


class ImageViews:
    """The images of a project as files for a browser."""

    def __init__(self) -> None:
        self._images, self._files = ByteCache(PIXEL_BYTES), ByteCache(FILE_BYTES)

    def open_image(self, image: EngineImage) -> Image:
        """Return the pixels of an image. Raises ImageError where the file is gone or has changed."""
        opened: Image = self._images.get_or_make(image.key, image.open_pixels, lambda decoded: decoded.pixels.nbytes)
        return opened

    def encode_part(self, image: EngineImage, box: Box, side: int) -> bytes:
        """Return a part of an image as a JPEG file whose long side has at most `side` pixels.

        Raises:
            ImageError: The file is gone or has changed.
            ValueError: The part is empty, or reaches beyond the image.
        """

        def encode() -> bytes:
            pixels = self.open_image(image).crop(*box).pixels
            scale = min(1.0, side / max(pixels.shape[:2]))
            size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
            file = BytesIO()
            picture = Image(shrink_pixels(pixels, size)).to_pil()
            picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)  # edges of colour stay where they are
            return file.getvalue()

        content: bytes = self._files.get_or_make((image.key, box, side), encode, len)
        return content


@dataclass(frozen=True)
class MaskView:
    """A mask as a page draws it."""

    index: int
    """Of the proposal's masks."""
    path: str
    """Of an SVG, in pixels of the image."""
    at: tuple[float, float]
    """A point well inside it."""
    box: Box
    is_accepted: bool


def build_view(item: QueueItem, proposal: Proposal, image: EngineImage) -> dict[str, Any]:
    """Return all that a page draws of an item, without what a model thinks of it.

    Args:
        item: One of the queue.
        proposal: Of its pair.
        image: Of its pair.

    Returns:
        In JSON: id, stage, phrase; `image` (key, width, height); `masks`; `focus`, x0 y0 x1 y1 of the close-up; and
        `rows`, the same masks as the work area of a page edits them, where they are to be corrected.
    """
    accepted = set(parse_accepted(item.version))
    chosen = _choose_masks(item, proposal, accepted)
    boxes = compute_boxes([proposal.masks[index] for index in chosen])
    masks = [
        _describe_mask(index, proposal.masks[index], box, is_accepted=item.stage == "mv" or index in accepted)
        for index, box in zip(chosen, boxes, strict=True)
    ]
    whole = (0, 0, image.width, image.height)
    return {
        "id": item.id,
        "stage": item.stage,
        "phrase": item.phrase,
        "image": {"key": image.key, "width": image.width, "height": image.height},
        "masks": [vars(mask) for mask in masks],
        "rows": _build_rows(masks, proposal) if item.stage == "correct" else [],
        "focus": _find_focus(masks, proposal, image) if item.stage == "mv" else whole,
    }


def _choose_masks(item: QueueItem, proposal: Proposal, accepted: set[int]) -> list[int]:
    if item.mask is not None:
        return [item.mask] if item.mask < len(proposal.masks) else []
    # whoever sees rejected masks says that everything is covered
    return [index for index in range(len(proposal.masks)) if item.stage == "correct" or index in accepted]


def _describe_mask(index: int, rle: RleMask, box: np.ndarray, *, is_accepted: bool) -> MaskView:
    path, x, y = trace_outline(rle)
    x0, y0, x1, y1 = (int(value) for value in box)
    return MaskView(index, path, (x, y), (x0, y0, x1, y1), is_accepted)


def _build_rows(masks: Sequence[MaskView], proposal: Proposal) -> list[dict[str, Any]]:
    """The masks as a work area takes them; each has the number of its place in the proposal, from 1."""
    return build_studio_rows(
        [
            StudioMask.from_rle(
                mask.index + 1,
                proposal.masks[mask.index],
                label="" if mask.is_accepted else REJECTED,
            )
            for mask in masks
        ]
    )


def _find_focus(masks: Sequence[MaskView], proposal: Proposal, image: EngineImage) -> Box:
    if not masks:
        return 0, 0, image.width, image.height
    [area] = compute_areas([proposal.masks[masks[0].index]])
    crop = compute_close_up(np.array(masks[0].box), max(1, int(area)), MASK_SHARE, image.height, image.width)
    x0, y0, x1, y1 = (int(value) for value in crop)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def classify_size(rles: Sequence[RleMask], image: EngineImage) -> str:
    """Return 'small', 'medium' or 'large' by the median area of masks; '' without any.

    Small is below 1 % of the image, large is 10 % and more.
    """
    if not rles:
        return ""
    share = float(np.median(compute_areas(rles))) / (image.width * image.height)
    return "small" if share < SMALL_SHARE else "medium" if share < LARGE_SHARE else "large"
