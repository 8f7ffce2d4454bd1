"""What the page's scripts send, checked: anybody can send anything."""

from math import inf
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam3_tool.errors import UserError

Coordinate = Annotated[float, Field(gt=-inf, lt=inf)]
Id = Annotated[int, Field(ge=1, lt=10**9)]
EventType = TypeVar("EventType", bound="PageEvent")


class PageEvent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Point(PageEvent):
    x: Coordinate
    """Pixels."""
    y: Coordinate
    positive: bool
    active: Id | None = None
    """The mask that is corrected; None: a new object is wanted."""


class Corners(PageEvent):
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    """x0 y0 x1 y1 in pixels."""


class Kept(PageEvent):
    ids: Annotated[tuple[Id, ...], Field(max_length=2000)]
    """The masks that are to be the answer."""


class Threshold(PageEvent):
    value: Annotated[float, Field(ge=0, le=1)]


class Example(PageEvent):
    name: Annotated[str, Field(max_length=80)]


class InvalidEventError(UserError, ValueError):
    """What was sent is not what the page sends. The message is a sentence."""


def parse_event(event_class: type[EventType], event: Any) -> EventType:
    """Raises NotUnderstood."""
    try:
        return event_class.model_validate(getattr(event, "_data", None))
    except ValidationError as error:
        raise InvalidEventError(
            f"the page sent a {event_class.__name__.lower()} that makes no sense; reload it"
        ) from error
