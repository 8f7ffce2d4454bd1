"""Words that are read on masks: in the whole image first, then in each mask enlarged where too little was read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agent.core.workspace import Candidate
from agent.tools.reading.binding import find_holders
from agent.tools.reading.lines import TextLine, TextWord
from agent.tools.reading.recognition import GOOD_SIDE, read_text_lines
from agent.tools.region import MIN_SIDE, Region
from sam3_tool import Image

Words = tuple[TextWord, ...]
Ink = Literal["any", "dark", "light"]
IsEnough = Callable[[Words], bool]
"""Whether what was read on a mask will do, so that it is not looked at enlarged."""

MAX_CLOSER_LOOKS = 24
"""Masks that are read enlarged, as each look takes a network's time."""
LEAST_WINDOW = 128
"""Pixels: the shortest side of what is looked at enlarged, so that letters do not become larger than is read well."""
CLEAR_SCORE = 0.9
"""A mask whose words are this certain says something else: it is not looked at again."""
GRID = 16
"""Pixels: borders of what is looked at lie on it, so that nearly equal masks are read once."""
MARGIN = 0.2
"""Of a mask's width and height: what is seen around it."""
LARGEST_PART = 0.7
"""Of the whole view: a mask that fills more of it would be seen as it was before."""


@dataclass(frozen=True)
class Look:
    """How a part of an image is shown to the reader."""

    side: int = GOOD_SIDE
    """Pixels that its short side is enlarged to."""
    ink: Ink = "any"
    """Dark or light letters stand out from a coloured ground in the largest or the smallest of red, green and blue."""


PLAIN_LOOK = Look()
CLOSE_LOOKS = (Look(320), Look(480, "dark"), Look(480, "light"), PLAIN_LOOK)
"""How a mask is looked at enlarged, in turn, until enough is read; the last only where any text was seen."""


def read_view(image: Image, region: Region, look: Look = PLAIN_LOOK) -> tuple[TextLine, ...]:
    """Find the lines of text in a region, in pixels of the image."""
    view = bring_out_ink(region.crop_image(image), look.ink)
    return tuple(line.move_by(region.x0, region.y0) for line in read_text_lines(view, side=look.side))


def bring_out_ink(image: Image, ink: Ink) -> Image:
    """Return a grey image in which letters of a kind stand out from a coloured ground; the image itself for any ink."""
    if ink == "any":
        return image
    grey = image.pixels.max(axis=2) if ink == "dark" else image.pixels.min(axis=2)
    return Image(np.repeat(grey[:, :, None], 3, axis=2))


def read_masks(
    image: Image, candidates: Sequence[Candidate], is_enough: IsEnough, *, region: Region | None = None
) -> tuple[list[Words], list[int]]:
    """Read what stands on masks.

    Args:
        image: The image.
        candidates: Masks of it. A word that several of them hold lies on the smallest.
        is_enough: Whether the words of a mask will do.
        region: What to read first; the whole image by default.

    Returns:
        The words on each mask in reading order; and the numbers of masks that were not looked at enlarged although too
        little was read on them, because there were too many.

    Raises:
        MissingPackageError: The extra 'ocr' is not installed.
    """
    whole = region or Region.from_box(image, None)
    found = _bind_words(read_view(image, whole), candidates)
    left_out = []
    looks = 0
    for place, candidate in enumerate(candidates):
        window = build_window(whole, candidate)
        if is_enough(found[place]) or window is None or _measure_area(window) > LARGEST_PART * _measure_area(whole):
            continue
        if looks == MAX_CLOSER_LOOKS:
            left_out.append(candidate.id)
            continue
        looks += 1
        closer = _read_closely(image, window, candidates, place, is_enough)
        found[place] = closer if is_enough(closer) or not found[place] else found[place]
    return found, left_out


def _read_closely(
    image: Image, window: Region, candidates: Sequence[Candidate], place: int, is_enough: IsEnough
) -> Words:
    """Return the words on one mask in a part of the image, looked at until they are enough or clearly others."""
    words: Words = ()
    for look in CLOSE_LOOKS:
        if look == PLAIN_LOOK and not words:
            break
        words = _bind_words(read_view(image, window, look), candidates)[place] or words
        if is_enough(words) or (words and all(word.score >= CLEAR_SCORE for word in words)):
            break
    return words


def build_window(whole: Region, candidate: Candidate) -> Region | None:
    """Return the part of a region to look at for the text of a mask: its box with a margin; None where it lies outside.

    >>> from sam3_tool.masks.rle import RleMask
    >>> mask = Candidate(1, RleMask((600, 900), ""), (300.0, 300.0, 500.0, 340.0), 0.9, "sign")
    >>> build_window(Region(0, 0, 900, 600), mask)
    Region(x0=256, y0=256, x1=544, y1=400)
    """
    x0, y0, x1, y1 = candidate.box
    across = max((x1 - x0) * (0.5 + MARGIN), LEAST_WINDOW / 2)
    down = max((y1 - y0) * (0.5 + MARGIN), LEAST_WINDOW / 2)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = (int(edge // GRID) * GRID for edge in (x - across, y - down))
    right, bottom = (int(edge // GRID + 1) * GRID for edge in (x + across, y + down))
    left, top = max(whole.x0, left), max(whole.y0, top)
    right, bottom = min(whole.x1, right), min(whole.y1, bottom)
    return Region(left, top, right, bottom) if min(right - left, bottom - top) >= MIN_SIDE else None


def _measure_area(region: Region) -> int:
    return (region.x1 - region.x0) * (region.y1 - region.y0)


def _bind_words(lines: Sequence[TextLine], candidates: Sequence[Candidate]) -> list[Words]:
    words = [word for line in lines for word in line.words]
    holders = find_holders(words, [candidate.rle for candidate in candidates])
    return [
        tuple(word for word, holder in zip(words, holders, strict=True) if holder == place)
        for place in range(len(candidates))
    ]
