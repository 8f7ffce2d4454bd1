"""What the page's scripts send, checked: anybody can send anything."""

from math import inf
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Coordinate = Annotated[float, Field(gt=-inf, lt=inf)]
Id = Annotated[int, Field(ge=1, lt=10**9)]
Kind = TypeVar("Kind", bound="Sent")


class Sent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Point(Sent):
    x: Coordinate
    """Pixels."""
    y: Coordinate
    positive: bool
    active: Id | None = None
    """The mask that is corrected; None: a new object is wanted."""


class Corners(Sent):
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    """x0 y0 x1 y1 in pixels."""


class Kept(Sent):
    ids: Annotated[tuple[Id, ...], Field(max_length=2000)]
    """The masks that are to be the answer."""


class Threshold(Sent):
    value: Annotated[float, Field(ge=0, le=1)]


class Example(Sent):
    name: Annotated[str, Field(max_length=80)]


class NotUnderstood(ValueError):
    """What was sent is not what the page sends. The message is a sentence."""


def received(kind: type[Kind], event: Any) -> Kind:
    """Raises NotUnderstood."""
    try:
        return kind.model_validate(getattr(event, "_data", None))
    except ValidationError as error:
        raise NotUnderstood(f"the page sent a {kind.__name__.lower()} that makes no sense; reload it") from error
