"""Masks as polygons from which the same mask is drawn again, holes and parts included."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

Ring = np.ndarray
"""int, (P, 2), x y of a closed outline in half pixels: pixel p has the places 2 p and 2 p + 1. P is 4 or more."""


def trace_rings(mask: np.ndarray) -> list[Ring]:
    """Return one ring for each connected part of `mask`, bool (H, W); none for an empty one.

    A polygon cannot have holes; a ring goes into each of them along a cut of no width, around it, and back the same
    way, which every even-odd rasteriser undoes. Because the outline is taken at twice the resolution, it has an area
    even around a single pixel.
    """
    # at twice the resolution even a single pixel has an outline with an area
    twice = np.repeat(np.repeat(mask.view(np.uint8), 2, axis=0), 2, axis=1)
    outlines, family = cv2.findContours(twice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if family is None:
        return []
    rings = [outline.reshape(-1, 2) for outline in outlines]
    return [
        join_rings([rings[outer], *(rings[hole] for hole in _find_holes(outer, family[0]))])
        for outer, (*_, parent) in enumerate(family[0])
        if parent < 0
    ]


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Return the polygons of `mask`, bool (H, W), as COCO files hold them: x0, y0, x1, y1, … in pixels, one per part.

    >>> mask_to_polygons(np.ones((1, 1), bool))
    [[0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75, 0.25]]
    """
    return [to_edge_coordinates(ring).ravel().tolist() for ring in trace_rings(mask)]


def _find_holes(outer: int, family: np.ndarray) -> Iterator[int]:
    """Yield the holes of an outline. `family`: next and previous outline, first child, parent of each; -1 for none."""
    hole = family[outer][2]
    while hole >= 0:
        yield int(hole)
        hole = family[hole][0]


def join_rings(rings: Sequence[Ring]) -> Ring:
    """Return one ring that goes around all, from each to the next along a cut and back."""
    whole = rings[0]
    for ring in rings[1:]:
        here = int(np.abs(whole - ring[0]).sum(axis=1).argmin())
        whole = np.concatenate([whole[: here + 1], ring, ring[:1], whole[here:]])
    return whole


def to_edge_coordinates(ring: Ring) -> np.ndarray:
    """Return float64, (P, 2), in pixels, where pixel p reaches from p to p + 1, as COCO counts.

    The outline lies a quarter of a pixel inside the mask's edge, so that exactly the mask's pixel centres are within.
    """
    return (ring + 0.5) / 2


def to_pixel_coordinates(ring: Ring) -> np.ndarray:
    """Return float64, (P, 2), in pixels, where p is pixel p itself, as OpenCV draws.

    The fractions 0.2 and 0.4 are lost whether a reader rounds or cuts them off.
    """
    return ring // 2 + 0.2 + 0.2 * (ring % 2)
