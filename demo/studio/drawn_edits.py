"""The edits that draw or mend masks, as the script sends them, checked, because anybody can send anything."""

from typing import Annotated, Literal

from pydantic import Field

from demo.requests import Id, PageEvent
from sam3_tool.masks.editing import MAX_COORDINATE, MAX_POINTS

NearCoordinate = Annotated[float, Field(ge=-MAX_COORDINATE, le=MAX_COORDINATE)]
NearPoint = tuple[NearCoordinate, NearCoordinate]
Token = Annotated[int, Field(ge=0, lt=10**9)]
Label = Annotated[str, Field(max_length=200)]
MAX_RADIUS = 4000
"""Pixels of the image."""


class DrawEdit(PageEvent):
    """What was drawn, and on which object."""

    points: Annotated[tuple[NearPoint, ...], Field(min_length=1, max_length=MAX_POINTS)]
    """x y in pixels."""
    object: Token
    """As of a click: the same for all edits of one object."""
    active: Id | None = None
    """The id of the mask that is changed; None for a new one."""
    extend: bool = False
    """A polygon outside the object belongs to it; else it begins another one."""
    erase: bool = False
    label: Label = ""
    """The class of a new mask."""


class StrokeEdit(DrawEdit):
    """The way of a round brush."""

    kind: Literal["stroke"]
    radius: Annotated[float, Field(gt=0, le=MAX_RADIUS)]
    """Pixels of the image."""


class PolygonEdit(DrawEdit):
    """The corners of a polygon."""

    kind: Literal["polygon"]
    points: Annotated[tuple[NearPoint, ...], Field(min_length=3, max_length=MAX_POINTS)]


class MendEdit(PageEvent):
    """Masks that are mended, merged, split or duplicated."""

    kind: Literal["mend"]
    how: Literal["fill", "specks", "smooth", "merge", "split", "duplicate"]
    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=100)]
