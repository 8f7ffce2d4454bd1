"""Images and masks as a language model is shown them, at a size that it can afford."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Literal, get_args
from weakref import ReferenceType, WeakKeyDictionary, ref

import cv2
import numpy as np

from agent.core.workspace import Candidate
from agent.planners.chat.coordinates import Convention, CoordinateFrame
from sam3_tool import Image, Instances
from sam3_tool.drawing.contact_sheet import draw_contact_sheet
from sam3_tool.drawing.frame_sheet import MAX_FRAMES
from sam3_tool.drawing.overlay import draw_marks, draw_zoom_pair
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import RleMask, decode_mask, decode_tight

SMALLEST_SIDE = 32
"""Pixels: one token of an image."""


@dataclass(frozen=True)
class View:
    """The way in which a language model sees episodes.

    Raises:
        ValueError: The images would be too small, or there is no such way to write places.

    Example:
        >>> frame = View(image_side=640).build_frame(Image(np.zeros((600, 1280, 3), np.uint8)))
        >>> frame.convention
        'pixels'
    """

    image_side: int = 1280
    """Pixels of the long side of an image; a larger one is reduced."""
    coordinates: Literal["auto", Convention] = "auto"
    """How the model writes places; 'auto' is what its name tells, or pixels where there is none."""
    images: int | None = None
    """Most images in one request; None = no limit."""
    context: int | None = None
    """Tokens that a request and its reply may have; None = no limit."""
    frames: int = 8
    """Frames of a video on one sheet, at most; fewer are shown larger."""

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= MAX_FRAMES:
            raise ValueError(f"`frames` must be from 1 to {MAX_FRAMES}, got {self.frames}")
        if self.image_side < SMALLEST_SIDE:
            raise ValueError(f"`image_side` must be at least {SMALLEST_SIDE} pixels, got {self.image_side}")
        if self.coordinates not in ("auto", *get_args(Convention)):
            expected = ", ".join(("auto", *get_args(Convention)))
            raise ValueError(f"`coordinates` must be one of {expected}, got {self.coordinates!r}")

    def build_frame(self, image: Image, *, is_video: bool = False) -> CoordinateFrame:
        """Build the frame in which the model writes places in an image.

        Args:
            image: The whole image, as the user gave it.
            is_video: Whether it is a frame of a video, whose places are those of the whole frame, however it is shown.

        Returns:
            The frame: from the places that the model writes to pixels of the image, and back.
        """
        convention: Convention = "pixels" if self.coordinates == "auto" else self.coordinates
        height, width = image.height, image.width
        if not is_video:
            height, width = _fit_size(height, width, self.image_side)
        return CoordinateFrame(convention, image.width, image.height, width, height)


@dataclass(frozen=True, eq=False)
class ShownMasks:
    """The masks that an image shows, for whoever cannot see: a simulated model, or a test.

    Example:
        >>> find_shown_masks(Image(np.zeros((4, 6, 3), np.uint8))) is None
        True
    """

    kind: Literal["overlay", "close-up", "sheet"]
    """All of them over the whole image, one of them twice enlarged, or a close-up of each."""
    candidates: tuple[Candidate, ...]
    numbers: tuple[int, ...]
    """The numbers under which they are drawn."""
    raw: "ReferenceType[Image]"
    """The image that they are masks of."""


_shown_masks: WeakKeyDictionary[Image, ShownMasks] = WeakKeyDictionary()
"""For each image that is alive and was drawn here, what it shows. It keeps no image alive."""


def find_shown_masks(image: Image) -> ShownMasks | None:
    """Find the masks that an image shows.

    Args:
        image: An image of a request, as it stands there.

    Returns:
        What was drawn on it; None for an image that was not drawn here.
    """
    with _lock:
        return _shown_masks.get(image)


def _remember_shown_masks(
    drawn: Image,
    kind: Literal["overlay", "close-up", "sheet"],
    image: Image,
    candidates: Sequence[Candidate],
    numbers: Sequence[int],
) -> Image:
    """The same image. What it shows is noted beside it."""
    with _lock:
        _shown_masks[drawn] = ShownMasks(kind, tuple(candidates), tuple(numbers), ref(image))
    return drawn


_reduced_images: WeakKeyDictionary[Image, Image] = WeakKeyDictionary()
"""A cache: for each image that is alive, the reduced one that was asked for last."""
_OverlayKey = tuple[tuple[Candidate, ...], tuple[int, ...]]
"""Masks and their numbers."""
_overlays: WeakKeyDictionary[Image, dict[_OverlayKey, Image]] = WeakKeyDictionary()
"""A cache: for each image that is alive, its `MAX_KEPT_OVERLAYS` overlays drawn last, the latest at the end."""
_lock = Lock()
"""Of all three."""
MAX_KEPT_OVERLAYS = 4
"""Masks that were found are drawn again when they are examined, and when a shorter conversation is asked for."""


def reduce_image(image: Image, side: int) -> Image:
    """The image with at most `side` pixels on its long side; itself where it has no more."""
    height, width = _fit_size(image.height, image.width, side)
    if (height, width) == (image.height, image.width):
        return image
    with _lock:
        known = _reduced_images.get(image)
    if known is None or (known.height, known.width) != (height, width):
        # halving, as in `shrink_pixels`, is quicker, but other pixels would change every recorded conversation
        known = Image(cv2.resize(image.pixels, (width, height), interpolation=cv2.INTER_AREA))
        with _lock:
            _reduced_images[image] = known
    return known


def draw_overlay(image: Image, candidates: Sequence[Candidate], numbers: Sequence[int], side: int) -> Image:
    """The masks over the reduced image, under these numbers."""
    small, marks = reduce_image(image, side), (tuple(candidates), tuple(numbers))
    with _lock:
        known = _overlays.setdefault(small, {}).get(marks)
    known = known or _render_overlay(small, *marks)
    with _lock:
        drawn = _overlays[small]
        drawn.pop(marks, None)
        drawn[marks] = known
        for oldest in list(drawn)[:-MAX_KEPT_OVERLAYS]:
            del drawn[oldest]
    return _remember_shown_masks(known, "overlay", image, *marks)


def _render_overlay(small: Image, candidates: Sequence[Candidate], numbers: Sequence[int]) -> Image:
    masks = np.zeros((len(candidates), small.height, small.width), dtype=bool)
    for mask, candidate in zip(masks, candidates, strict=True):
        _scale_mask(candidate.rle, small.height, small.width).update_mask(mask)
    zeros = np.zeros((len(candidates), 4), np.float32)  # boxes and scores are not drawn
    marked = draw_marks(small, Instances(masks, zeros, zeros[:, 0], 0.0, ""), mask_ids=numbers)
    return Image(np.asarray(marked))


def zoom_to_mask(image: Image, candidate: Candidate, number: int, side: int) -> Image:
    """Two close-ups of one mask, out of the whole image.

    They frame the mask and not the detector's box: where the two disagree, it is the mask that is judged.
    """
    mask = decode_mask(candidate.rle)
    box = masks_to_boxes(mask[None])[0].tolist() if mask.any() else candidate.box
    pair = draw_zoom_pair(image, mask, box, mask_id=number)
    close_up = reduce_image(Image(np.asarray(pair)), side)
    return _remember_shown_masks(close_up, "close-up", image, [candidate], [number])


def draw_sheet(image: Image, candidates: Sequence[Candidate], numbers: Sequence[int], side: int) -> Image:
    """Close-ups of all these masks, out of the whole image."""
    sheet = draw_contact_sheet(image, [candidate.rle for candidate in candidates], mask_ids=numbers, side=side)
    return _remember_shown_masks(sheet, "sheet", image, candidates, numbers)


@dataclass(frozen=True, eq=False)
class _Patch:
    """A mask, cut to where it is."""

    x: int
    y: int
    mask: np.ndarray
    """bool, (height, width)."""

    def update_mask(self, target: np.ndarray) -> None:
        """Sets its pixels in `target`, bool (H, W)."""
        height, width = self.mask.shape
        target[self.y : self.y + height, self.x : self.x + width] = self.mask


@lru_cache(maxsize=128)
def _scale_mask(rle: RleMask, height: int, width: int) -> _Patch:
    """The mask in an image of another size. Cached: a mask is drawn again at every step that shows it.

    A mask with pixels keeps at least one, or nobody could see that it is there.
    """
    x, y, tight = decode_tight(rle)
    if not tight.size:
        return _Patch(0, 0, tight)
    cut = np.ascontiguousarray(tight).view(np.uint8) * 255
    across, down = _scale_span(x, cut.shape[1], rle.size[1], width), _scale_span(y, cut.shape[0], rle.size[0], height)
    fast = cut.shape[0] <= 2 * len(down) and cut.shape[1] <= 2 * len(across)  # every pixel still counts
    how = cv2.INTER_LINEAR if fast else cv2.INTER_AREA
    shares = cv2.resize(cut, (len(across), len(down)), interpolation=how)
    return _Patch(across.start, down.start, shares >= min(128, int(shares.max())))


def _scale_span(start: int, length: int, old_length: int, new_length: int) -> range:
    """Scale a span from an axis of `old_length` pixels to one of `new_length`; it keeps at least one pixel."""
    first = min(start * new_length // old_length, new_length - 1)
    return range(first, max(first + 1, round((start + length) * new_length / old_length)))


def _fit_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width with the long one at most `side`, each at least 1."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
