"""The words for where things are and how they compare: what the tools accept and `geometry` computes."""

from typing import Literal, get_args

Relation = Literal[
    "left_of",
    "right_of",
    "above",
    "below",
    "inside",
    "on",
    "under",
    "touching",
    "overlapping",
    "next_to",
    "between",
    "nearest",
    "farthest",
    "larger",
    "smaller",
]
Place = Literal[
    "left", "right", "top", "bottom", "middle", "top_left", "top_right", "bottom_left", "bottom_right"
]  # fmt: skip
Measure = Literal["size", "x", "y", "score", "distance", "width", "height"]

RELATIONS: tuple[str, ...] = get_args(Relation)
PLACES: tuple[str, ...] = get_args(Place)
MEASURES: tuple[str, ...] = get_args(Measure)

SAME_OBJECT = 0.5
"""Masks whose IoU is above this are one object."""
