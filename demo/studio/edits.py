"""The edits that the script sends, several in one request, checked, because anybody can send anything."""

from typing import Annotated, Literal

from pydantic import Field

from demo.requests import Corners, Id, Kept, PageEvent, Point, Threshold
from demo.studio.drawn_edits import Label, MendEdit, PolygonEdit, StrokeEdit, Token

MAX_BATCH = 32
"""Edits of one request; the script sends the others with the next one."""


class PointEdit(Point):
    """A click. Which object it means follows from the edits before it, which the browser may not have seen yet."""

    kind: Literal["point"]
    object: Token
    """The same for all clicks on one object, from the first one, when it has no mask, to the last one."""
    new: bool = False
    """Begin a new object even where a mask is."""
    extend: bool = False
    """A positive click outside the object belongs to it; else it begins another one."""
    label: Label = ""
    """The class of a new object."""


class BoxEdit(Corners):
    """A box around an example."""

    kind: Literal["box"]
    meaning: Literal["one", "alike", "not"] = "alike"
    """Outline the one object in it, add everything that looks like it, or leave that out."""
    label: Label = ""
    """The class of what is added."""


class RelabelEdit(PageEvent):
    """Another class for masks."""

    kind: Literal["relabel"]
    ids: Annotated[tuple[Id, ...], Field(max_length=2000)]
    label: Label


class KeepEdit(Kept):
    """The masks that are to be the answer."""

    kind: Literal["keep"]


class ThresholdEdit(Threshold):
    """The score above which masks are kept."""

    kind: Literal["threshold"]


class StepEdit(PageEvent):
    """One edit back or forth."""

    kind: Literal["undo", "redo"]


Edit = Annotated[
    PointEdit | BoxEdit | RelabelEdit | KeepEdit | ThresholdEdit | StepEdit | StrokeEdit | PolygonEdit | MendEdit,
    Field(discriminator="kind"),
]


class EditBatch(PageEvent):
    """Edits in the order in which they were made."""

    session: Annotated[str, Field(max_length=80)]
    sam3: Annotated[str, Field(max_length=500)]
    page: Annotated[str, Field(max_length=40)]
    """Which loading of the page they come from."""
    first: Token
    """The number of the first one, from 0, counted by the page: an edit that is sent twice is made once."""
    key: Annotated[str, Field(max_length=80)] = ""
    """Of the image that was shown when they were made; '' where the script does not say."""
    revision: Annotated[str, Field(max_length=40)]
    """The revision of the masks that the browser shows."""
    edits: Annotated[list[Edit], Field(max_length=MAX_BATCH)]
