"""What a language model is shown of a picture and its masks, at a size that it can afford."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Literal, get_args
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from agent.coordinates import Convention, Frame
from agent.episode import Candidate
from sam3_tool import Instances, Picture
from sam3_tool.contact_sheet import contact_sheet
from sam3_tool.draw import draw_marks, zoom_pair
from sam3_tool.rle import Rle, decode, decode_tight

SMALLEST_SIDE = 32
"""Pixels: one token of a picture."""


@dataclass(frozen=True)
class View:
    """How a language model sees episodes."""

    image_side: int = 1280
    """Pixels of the long side of a picture; a larger one is reduced."""
    coordinates: Literal["auto", Convention] = "auto"
    """How the model writes places; 'auto' is what its name tells, or pixels where there is none."""
    images: int | None = None
    """Most pictures in one request; None = no limit."""
    context: int | None = None
    """Tokens that a request and its reply may have; None = no limit."""

    def __post_init__(self) -> None:
        if self.image_side < SMALLEST_SIDE:
            raise ValueError(f"`image_side` must be at least {SMALLEST_SIDE} pixels, got {self.image_side}")
        if self.coordinates not in ("auto", *get_args(Convention)):
            expected = ", ".join(("auto", *get_args(Convention)))
            raise ValueError(f"`coordinates` must be one of {expected}, got {self.coordinates!r}")

    def frame(self, picture: Picture) -> Frame:
        """How places in `picture` are written."""
        convention: Convention = "pixels" if self.coordinates == "auto" else self.coordinates
        height, width = _fitting(picture.height, picture.width, self.image_side)
        return Frame(convention, picture.width, picture.height, width, height)


_reduced: WeakKeyDictionary[Picture, Picture] = WeakKeyDictionary()
"""A cache: for each picture that is alive, the reduced one that was asked for last."""
_Marks = tuple[tuple[Candidate, ...], tuple[int, ...]]
"""Masks and their numbers."""
_marked: WeakKeyDictionary[Picture, dict[_Marks, Picture]] = WeakKeyDictionary()
"""A cache: for each picture that is alive, the `KEPT` overlays of it that were drawn last, the latest at the end."""
_lock = Lock()
"""Of both caches."""
KEPT = 4
"""Masks that were found are drawn again when they are examined, and when a shorter conversation is asked for."""


def reduced(picture: Picture, side: int) -> Picture:
    """The picture with at most `side` pixels on its long side; itself where it has no more."""
    height, width = _fitting(picture.height, picture.width, side)
    if (height, width) == (picture.height, picture.width):
        return picture
    with _lock:
        known = _reduced.get(picture)
    if known is None or (known.height, known.width) != (height, width):
        known = Picture(cv2.resize(picture.pixels, (width, height), interpolation=cv2.INTER_AREA))
        with _lock:
            _reduced[picture] = known
    return known


def overlay(picture: Picture, candidates: Sequence[Candidate], numbers: Sequence[int], side: int) -> Picture:
    """The masks over the reduced picture, under these numbers."""
    small, marks = reduced(picture, side), (tuple(candidates), tuple(numbers))
    with _lock:
        known = _marked.setdefault(small, {}).get(marks)
    known = known or _overlay(small, *marks)
    with _lock:
        drawn = _marked[small]
        drawn.pop(marks, None)
        drawn[marks] = known
        for oldest in list(drawn)[:-KEPT]:
            del drawn[oldest]
    return known


def _overlay(small: Picture, candidates: Sequence[Candidate], numbers: Sequence[int]) -> Picture:
    masks = np.zeros((len(candidates), small.height, small.width), dtype=bool)
    for mask, candidate in zip(masks, candidates, strict=True):
        _patch(candidate.rle, small.height, small.width).update_mask(mask)
    zeros = np.zeros((len(candidates), 4), np.float32)  # boxes and scores are not drawn
    marked = draw_marks(small, Instances(masks, zeros, zeros[:, 0], 0.0, ""), numbers=numbers)
    return Picture(np.asarray(marked))


def zoomed(picture: Picture, candidate: Candidate, number: int, side: int) -> Picture:
    """Two close-ups of one mask, out of the whole picture."""
    pair = zoom_pair(picture, decode(candidate.rle), candidate.box, number=number)
    return reduced(Picture(np.asarray(pair)), side)


def sheet(picture: Picture, candidates: Sequence[Candidate], numbers: Sequence[int], side: int) -> Picture:
    """Close-ups of all these masks, out of the whole picture."""
    return contact_sheet(picture, [candidate.rle for candidate in candidates], numbers=numbers, side=side)


@dataclass(frozen=True, eq=False)
class _Patch:
    """A mask, cut to where it is."""

    x: int
    y: int
    mask: np.ndarray
    """bool, (height, width)."""

    def update_mask(self, whole: np.ndarray) -> None:
        """Sets its pixels in `whole`, bool (H, W)."""
        height, width = self.mask.shape
        whole[self.y : self.y + height, self.x : self.x + width] = self.mask


@lru_cache(maxsize=128)
def _patch(rle: Rle, height: int, width: int) -> _Patch:
    """The mask in a picture of another size. Cached: a mask is drawn again at every step that shows it.

    A mask with pixels keeps at least one, or nobody could see that it is there.
    """
    x, y, tight = decode_tight(rle)
    if not tight.size:
        return _Patch(0, 0, tight)
    cut = np.ascontiguousarray(tight).view(np.uint8) * 255
    across, down = _scaled(x, cut.shape[1], rle.size[1], width), _scaled(y, cut.shape[0], rle.size[0], height)
    fast = cut.shape[0] <= 2 * len(down) and cut.shape[1] <= 2 * len(across)  # every pixel still counts
    how = cv2.INTER_LINEAR if fast else cv2.INTER_AREA
    shares = cv2.resize(cut, (len(across), len(down)), interpolation=how)
    return _Patch(across.start, down.start, shares >= min(128, int(shares.max())))


def _scaled(start: int, length: int, of: int, to: int) -> range:
    """The pixels of an axis of `to` pixels that a span of an axis of `of` pixels covers; at least one."""
    first = min(start * to // of, to - 1)
    return range(first, max(first + 1, round((start + length) * to / of)))


def _fitting(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width with the long one at most `side`, each at least 1."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
