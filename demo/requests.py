"""The events that the page's scripts send, checked, because anybody can send anything."""

from math import inf
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam3_tool.errors import UserError

Coordinate = Annotated[float, Field(gt=-inf, lt=inf)]
Id = Annotated[int, Field(ge=1, lt=10**9)]
MAX_QUERY_LENGTH = 2000
"""Characters of a query."""
EventType = TypeVar("EventType", bound="PageEvent")


class PageEvent(BaseModel):
    """The data of an event."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


Frame = Annotated[int, Field(ge=0, lt=10**6)]


class Point(PageEvent):
    """A click that adds an object or corrects a mask."""

    x: Coordinate
    """Pixels."""
    y: Coordinate
    """Pixels."""
    positive: bool
    """The point belongs to the object."""
    active: Id | None = None
    """The id of the mask that is corrected; None for a new object."""
    frame: Frame | None = None
    """Of a video: which frame was clicked, from 0."""


class Corners(PageEvent):
    """A box around an example."""

    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    """x0 y0 x1 y1 in pixels."""
    frame: Frame | None = None
    """Of a video: which frame it is on, from 0."""


class Kept(PageEvent):
    """The masks that are checked in the list."""

    ids: Annotated[tuple[Id, ...], Field(max_length=2000)]
    """The ids of the masks that are to be the answer."""


class Threshold(PageEvent):
    """The slider that hides masks by their scores."""

    value: Annotated[float, Field(ge=0, le=1)]


class Example(PageEvent):
    """An example image that was chosen."""

    name: Annotated[str, Field(max_length=80)]


SessionId = Annotated[str, Field(max_length=80)]
Place = Annotated[int, Field(ge=0, lt=10**6)]
"""The number of an event among those of a conversation, or of a way among those that it went."""


class Question(PageEvent):
    """A query, written or tapped."""

    session: SessionId
    query: Annotated[str, Field(max_length=MAX_QUERY_LENGTH)]
    planner: Annotated[str, Field(max_length=500)]
    sam3: Annotated[str, Field(max_length=500)]
    place: Place | None = None
    """Of an earlier question that is asked otherwise, or of another planner."""
    beside: bool = False
    """Whether its answer is only to be compared."""


class ShownStep(PageEvent):
    """A step of a turn that was opened."""

    session: SessionId
    event: Place
    """The number of the turn among the conversation's events; the one that is under way counts."""
    step: Annotated[int, Field(ge=-1, lt=10**6)]
    """From 0; -1 for the turn's answer."""
    branch: Place | None = None
    """Of the way that the turn is on; None for the one that is shown."""


class ShownImage(ShownStep):
    """An image that a language model was sent for a step."""

    image: Place
    """Counts from 1 within the turn."""


class ChosenBranch(PageEvent):
    """Another way of the conversation that is to be shown."""

    session: SessionId
    branch: Place


class Look(PageEvent):
    """What the page shows, so that it is told what has changed since."""

    session: SessionId
    version: Annotated[int, Field(ge=0, lt=10**15)] = 0
    """Of the session that it was told of last."""
    keys: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=5000)] = ()
    """Of the entries that it shows."""
    canvas: Annotated[str, Field(max_length=400)] = ""
    """The key of the image that it shows."""
    revision: Annotated[str, Field(max_length=40)] = ""
    """The revision of the masks that it shows."""
    heard: tuple[Place, Place] = (0, 0)
    """What it has of the thought that is under way: the number of the reply, and how many characters."""
    wait: bool = False
    """Whether to answer only once something has changed."""


class InvalidEventError(UserError, ValueError):
    """An event is not one that the page sends. The message is a sentence."""


def parse_event(event_class: type[EventType], event: Any) -> EventType:
    """Check the data of an event.

    Args:
        event_class: What the event should be.
        event: Gradio's `EventData`.

    Returns:
        The data as an instance of `event_class`.

    Raises:
        InvalidEventError: The page would never send this.
    """
    return parse_data(event_class, getattr(event, "_data", None))


def parse_data(event_class: type[EventType], data: Any) -> EventType:
    """Check what the page's script sent. Raises InvalidEventError.

    Args:
        event_class: What it should be.
        data: Whatever came.

    Returns:
        The data as an instance of `event_class`.
    """
    try:
        return event_class.model_validate(data)
    except ValidationError as error:
        raise InvalidEventError(
            f"the page sent a {event_class.__name__.lower()} that makes no sense; reload it"
        ) from error
