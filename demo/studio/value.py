"""What a `MaskStudio` shows and hands back: an image, its masks, the tool, and the part of the image that is seen."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sam3_tool import Image
from sam3_tool.masks.rle import RleMask, check_runs, encode_mask

MAX_MASKS = 2000
MAX_RUN_LETTERS = 2_000_000
"""Letters of a mask's run lengths."""
Tool = Literal["smart", "select", "add", "remove", "box", "brush", "eraser", "polygon", "hand"]


class StudioModel(BaseModel):
    """A value that is checked and never changed."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, arbitrary_types_allowed=True)


class StudioMask(StudioModel):
    """A mask with its number, class and score.

    >>> mask = np.zeros((4, 6), bool)
    >>> mask[1:3, 2:5] = True
    >>> int(StudioMask.from_array(1, mask, label="cup").to_array().sum())
    6
    """

    id: Annotated[int, Field(ge=1, lt=10**9)]
    """No two masks of a value have the same."""
    size: tuple[int, int]
    """Height and width in pixels: those of the image."""
    counts: Annotated[str, Field(max_length=MAX_RUN_LETTERS)]
    """Run lengths as COCO compresses them."""
    label: Annotated[str, Field(max_length=200)] = ""
    """The class."""
    score: Annotated[float, Field(ge=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _check_runs(self) -> "StudioMask":
        check_runs(self.rle)  # before native code decodes it
        return self

    @classmethod
    def from_array(cls, id: int, mask: np.ndarray, *, label: str = "", score: float = 1.0) -> "StudioMask":
        """Make a mask of bool, (height, width)."""
        return cls.from_rle(id, encode_mask(mask), label=label, score=score)

    @classmethod
    def from_rle(cls, id: int, rle: RleMask, *, label: str = "", score: float = 1.0) -> "StudioMask":
        """Make a mask of run lengths."""
        return cls(id=id, size=rle.size, counts=rle.counts, label=label, score=score)

    @property
    def rle(self) -> RleMask:
        """The run lengths with their size."""
        return RleMask(self.size, self.counts)

    def to_array(self) -> np.ndarray:
        """Return bool, (height, width)."""
        from sam3_tool.masks.rle import decode_mask

        return decode_mask(self.rle)


class StudioView(StudioModel):
    """The part of the image that is seen."""

    scale: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Screen pixels of an image pixel."""
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """x0 y0 x1 y1 in pixels of the image."""


class StudioValue(StudioModel):
    """An image with its masks.

    >>> value = StudioValue(image=np.zeros((4, 6, 3), np.uint8))
    >>> value.image.width, value.masks, value.tool
    (6, (), 'smart')
    """

    image: Image | None = None
    """Also taken as uint8 (height, width, 3). Handed back while the server remembers it, else None."""
    masks: Annotated[tuple[StudioMask, ...], Field(max_length=MAX_MASKS)] = ()
    active: int | None = None
    """The id of the chosen mask."""
    tool: Tool = "smart"
    view: StudioView | None = None
    """Handed back; None where nothing is shown yet."""

    @field_validator("image", mode="before")
    @classmethod
    def _read_image(cls, image: Any) -> Any:
        return Image(image) if isinstance(image, np.ndarray) else image

    @model_validator(mode="after")
    def _check_masks(self) -> "StudioValue":
        ids = [mask.id for mask in self.masks]
        if len(set(ids)) < len(ids):
            raise ValueError("two masks have the same id; give each its own")
        size = None if self.image is None else (self.image.height, self.image.width)
        if size and any(mask.size != size for mask in self.masks):
            raise ValueError(f"a mask has another size than the image, which is {size[0]} high and {size[1]} wide")
        return self


class StudioClick(StudioModel):
    """A click that finds or corrects an object: the data of the event `click`."""

    x: float
    """Column in pixels."""
    y: float
    """Row in pixels."""
    positive: bool
    """The pixel belongs to the object; else it does not."""
    id: int | None = None
    """The mask that is corrected; None for a new object."""


class StudioBox(StudioModel):
    """A box that was drawn: the data of the event `box`."""

    box: tuple[float, float, float, float]
    """x0 y0 x1 y1 in pixels."""
    meaning: Literal["one", "alike", "not"]
    """The one object in it, everything that looks like it, or that this is to be left out."""


def read_studio_event(event: Any) -> StudioClick | StudioBox:
    """Read the data of an event `click` or `box`.

    Args:
        event: Gradio's `EventData`.

    Returns:
        The click or the box.

    Raises:
        ValueError: It is neither.
    """
    data = getattr(event, "_data", None)
    is_box = isinstance(data, Mapping) and "box" in data
    return StudioBox.model_validate(data) if is_box else StudioClick.model_validate(data)
