"""Which mask a word lies on.

A word lies on a mask where more than half of the word's box is on it. Of several such masks, it is the smallest: the
label, and not the bottle. Of equally small ones, it is the one with the lowest number. A word may lie on none.
"""

from collections.abc import Sequence
from math import ceil, floor

import numpy as np

from agent.tools.reading.lines import TextWord
from sam3_tool.masks.rle import RleMask, compute_areas, decode_tight

LEAST_SHARE = 0.5
"""A word lies on a mask that holds more than this share of the word's box."""


def find_holders(words: Sequence[TextWord], rles: Sequence[RleMask]) -> list[int | None]:
    """Find the mask that each word lies on.

    Args:
        words: In pixels of the image.
        rles: Masks of that image.

    Returns:
        For each word, the index of its mask; None where it lies on none.

    >>> from sam3_tool.masks.rle import encode_mask
    >>> label, bottle = np.zeros((2, 40, 60), bool)
    >>> label[10:20, 10:50] = bottle[:, 5:55] = True
    >>> words = [TextWord("milk", 0.9, ((12.0, 11.0), (40.0, 11.0), (40.0, 19.0), (12.0, 19.0)))]
    >>> find_holders(words, [encode_mask(bottle), encode_mask(label)])
    [1]
    """
    holders: list[int | None] = [None] * len(words)
    for index in np.argsort(compute_areas(rles), kind="stable").tolist() if rles else ():
        left, top, inside = decode_tight(rles[index])
        for place, word in enumerate(words):
            if holders[place] is None and measure_share(word, left, top, inside) > LEAST_SHARE:
                holders[place] = index
    return holders


def measure_share(word: TextWord, left: int, top: int, inside: np.ndarray) -> float:
    """Measure which share of a word's box lies on a mask.

    Args:
        word: In pixels of the image.
        left: The first column of the mask.
        top: Its first row.
        inside: bool, (h, w): the mask from there on.

    Returns:
        In [0, 1].
    """
    import cv2

    height, width = inside.shape
    x0, y0, x1, y1 = word.box
    if x1 <= left or y1 <= top or x0 >= left + width or y0 >= top + height:
        return 0.0
    x, y = floor(x0), floor(y0)
    corners = np.rint(np.array(word.corners) - (x, y)).astype(np.int32)
    drawn = np.zeros((max(1, ceil(y1) - y + 1), max(1, ceil(x1) - x + 1)), np.uint8)
    cv2.fillConvexPoly(drawn, corners, 1)
    rows, columns = slice(max(0, top - y), top + height - y), slice(max(0, left - x), left + width - x)
    seen = drawn[rows, columns]
    begin = max(0, y - top), max(0, x - left)
    part = inside[begin[0] : begin[0] + seen.shape[0], begin[1] : begin[1] + seen.shape[1]]
    return float((seen[: part.shape[0], : part.shape[1]] & part).sum() / drawn.sum())
