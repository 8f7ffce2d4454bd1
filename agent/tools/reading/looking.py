"""Words that are read on masks: in the whole image first, then in each mask enlarged where too little was read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agent.core.workspace import Candidate
from agent.tools.reading.binding import find_holders
from agent.tools.reading.lines import TextLine, TextWord
from agent.tools.reading.recognition import GOOD_SIDE, read_text_lines
from agent.tools.regions.region import MIN_SIDE, Region
from sam3_tool import Image

Words = tuple[TextWord, ...]
Ink = Literal["any", "dark", "light", "darkest", "lightest"]
IsEnough = Callable[[Words], bool]
"""Whether what was read on a mask will do, so that it is not looked at enlarged."""

MAX_CLOSER_LOOKS = 24
"""Masks that are read enlarged, as each look takes a network's time."""
LEAST_WINDOW = 128
"""Pixels: the shortest side of what is looked at enlarged, so that letters do not become larger than is read well."""
CLEAR_SCORE = 0.9
"""A mask whose words are this certain at two looks says something else: it is not looked at again."""
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
    """Dark or light letters stand out from a coloured ground in the largest or the smallest of red, green and blue.
    The darkest and the lightest also stand out from dots and stripes, as all that is less so is washed out."""
    is_turned: bool = False
    """By a quarter: the reader turns steep lines itself, but overlooks short ones."""


PLAIN_LOOK = Look()
CLOSE_LOOKS = (Look(320), Look(480, "dark"), Look(480, "light"), PLAIN_LOOK)
"""How a mask is looked at enlarged, in turn, until enough is read; the last only where any text was seen."""
HARD_LOOKS = (
    *(Look(640), Look(480, "darkest"), Look(480, "lightest")),
    *(Look(640, is_turned=True), Look(480, "light", is_turned=True), Look(480, "dark", is_turned=True)),
)
"""How masks are looked at once more where on none of them enough was read: small, steep or patterned text."""


def read_view(image: Image, region: Region, look: Look = PLAIN_LOOK) -> tuple[TextLine, ...]:
    """Find the lines of text in a region, in pixels of the image."""
    view = bring_out_ink(region.crop_image(image), look.ink)
    if not look.is_turned:
        return tuple(line.move_by(region.x0, region.y0) for line in read_text_lines(view, side=look.side))
    turned = read_text_lines(Image(np.ascontiguousarray(np.rot90(view.pixels))), side=look.side)
    return tuple(line.turn_back(view.width).move_by(region.x0, region.y0) for line in turned)


def bring_out_ink(image: Image, ink: Ink) -> Image:
    """Return a grey image in which letters of a kind stand out from a coloured ground; the image itself for any ink."""
    if ink == "any":
        return image
    is_dark = ink.startswith("dark")
    grey = image.pixels.max(axis=2) if is_dark else image.pixels.min(axis=2)
    if ink.endswith("est"):
        grey = wash_out(grey) if is_dark else 255 - wash_out(255 - grey)
    return Image(np.repeat(grey[:, :, None], 3, axis=2))


def wash_out(grey: np.ndarray) -> np.ndarray:
    """Make everything white but what is nearly as dark as the darkest.

    Args:
        grey: uint8, (H, W).

    Returns:
        uint8, (H, W): 0 at the darkest hundredth of the pixels, 255 from half way to the median on.

    >>> wash_out(np.array([[0, 20, 50, 100, 100, 100, 200]], np.uint8)).tolist()
    [[0, 97, 252, 255, 255, 255, 255]]
    """
    darkest, median = np.percentile(grey, (1, 50))
    washed: np.ndarray = np.clip((grey - darkest) / max(1.0, (median - darkest) / 2), 0, 1)
    return np.asarray(np.rint(255 * washed).astype(np.uint8))


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
    windows = {
        place: window
        for place, candidate in enumerate(candidates)
        if not is_enough(found[place]) and (window := _find_closer_window(whole, candidate))
    }
    looked_at = [*windows][:MAX_CLOSER_LOOKS]
    for looks in (CLOSE_LOOKS, HARD_LOOKS):
        if looks == HARD_LOOKS and any(map(is_enough, found)):
            break
        for place in looked_at:
            closer = _read_closely(image, windows[place], candidates, place, is_enough, looks)
            found[place] = closer if is_enough(closer) or not found[place] else found[place]
    return found, [candidates[place].id for place in [*windows][MAX_CLOSER_LOOKS:]]


def _read_closely(
    image: Image,
    window: Region,
    candidates: Sequence[Candidate],
    place: int,
    is_enough: IsEnough,
    looks: Sequence[Look],
) -> Words:
    """Return the words on one mask in a part of the image, looked at until they are enough or clearly others."""
    words: Words = ()
    for look in looks:
        if look == PLAIN_LOOK and not words:
            break
        seen = _bind_words(read_view(image, window, look), candidates)[place]
        if is_enough(seen):
            return seen
        if seen and _agree(seen, words):
            break
        words = seen or words
    return words


def _agree(seen: Words, before: Words) -> bool:
    """Whether two looks read the same with certainty: one alone may take steep letters for others."""
    is_same = [word.text for word in seen] == [word.text for word in before]
    return is_same and all(word.score >= CLEAR_SCORE for word in seen)


def _find_closer_window(whole: Region, candidate: Candidate) -> Region | None:
    """Return the part of a region to look at enlarged; None where it would be seen as it was before."""
    window = build_window(whole, candidate)
    is_closer = window is not None and _measure_area(window) <= LARGEST_PART * _measure_area(whole)
    return window if is_closer else None


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
