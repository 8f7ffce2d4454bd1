"""What the script of the film strip asks for, checked, because anybody can send anything."""

from typing import Annotated, Literal

from pydantic import Field

from demo.requests import MAX_QUERY_LENGTH, PageEvent

EntryId = Annotated[int, Field(ge=1, lt=10**9)]
ClassName = Annotated[str, Field(max_length=200)]


class AlbumRequest(PageEvent):
    """Any request."""

    session: Annotated[str, Field(max_length=80)]
    token: Annotated[str, Field(max_length=40)] = ""
    """Of the strip that the page shows, as it was told it; '' where it shows none."""


class LookRequest(AlbumRequest):
    """How is it going?"""

    kind: Literal["look"]


class Upload(PageEvent):
    """A file that Gradio has taken."""

    path: Annotated[str, Field(max_length=2000)]
    name: Annotated[str, Field(min_length=1, max_length=500)]


class AddRequest(AlbumRequest):
    """Files are to be added."""

    kind: Literal["add"]
    files: Annotated[list[Upload], Field(max_length=2000)]
    alone: bool = False
    """It was the only file: it is shown."""
    sam3: Annotated[str, Field(max_length=500)] = ""
    """Who looks for what the file of a concept shows; '' for the one that the page was started with."""


class EntryRequest(AlbumRequest):
    """An image is to be shown, taken out, or marked."""

    kind: Literal["show", "remove", "done", "undone"]
    id: EntryId


class ClassesRequest(AlbumRequest):
    """The classes in the order of their keys."""

    kind: Literal["classes"]
    names: Annotated[list[ClassName], Field(max_length=1000)]


class RenameRequest(AlbumRequest):
    """A class gets another name in all images."""

    kind: Literal["rename"]
    old: ClassName
    new: ClassName


class OptionsRequest(AlbumRequest):
    """How masks are coloured, and how coarse polygons may be."""

    kind: Literal["options"]
    by_class: bool
    tolerance: Annotated[float, Field(ge=0, le=100)]


class MeasureRequest(AlbumRequest):
    """What does this tolerance cost?"""

    kind: Literal["measure"]
    tolerance: Annotated[float, Field(ge=0, le=100)]


class StopRequest(AlbumRequest):
    """The question over all images is to be stopped."""

    kind: Literal["stop"]


class AskAll(PageEvent):
    """A question over all images."""

    query: Annotated[str, Field(max_length=MAX_QUERY_LENGTH)]


class DataSet(PageEvent):
    """A data set is to be written."""

    format: Annotated[str, Field(max_length=80)]
    only_done: bool = False
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.2


Request = (
    LookRequest
    | AddRequest
    | EntryRequest
    | ClassesRequest
    | RenameRequest
    | OptionsRequest
    | MeasureRequest
    | StopRequest
)
AnyRequest = Annotated[Request, Field(discriminator="kind")]


class AlbumEnvelope(PageEvent):
    """One request."""

    request: AnyRequest
