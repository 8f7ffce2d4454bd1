"""What clients send, checked. Answers are built in `answers`, for their masks are many letters."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

MAX_PHRASES = 64
MAX_LETTERS = 2000
MAX_BOXES = 64
MAX_POINTS = 256

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Text = Annotated[str, Strict(), Field(max_length=MAX_LETTERS)]
ImageKey = Annotated[str, Strict(), Field(max_length=64, examples=["9b2d0c2e64d64c7c8b3fd53db2b7ee2c"])]
"""What an upload was answered with."""
MaskFormat = Literal["rle", "png", "polygons", "none"]
BoxInput = Annotated[list[Number], Field(min_length=4, max_length=4, examples=[[10, 20, 64, 48]])]
"""x, y, width, height in pixels."""
PointInput = Annotated[list[Number], Field(min_length=2, max_length=2, examples=[[32, 48]])]
"""x, y in pixels."""
Label = Literal[0, 1]


class ApiRequest(BaseModel):
    """A JSON body."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class UrlUpload(ApiRequest):
    """An image that the server is to fetch."""

    url: Annotated[str, Strict(), Field(max_length=MAX_LETTERS)]
    """An https address, of a host that the server was allowed to fetch from."""


class SegmentRequest(ApiRequest):
    """A search for every instance of concepts: of phrases, of what boxes show, or of both."""

    image: ImageKey
    """Where to search."""
    phrases: Annotated[list[Text], Field(max_length=MAX_PHRASES)] = []
    """Short English noun phrases; each has a result of its own. Optional if `boxes` are given."""
    boxes: Annotated[list[BoxInput], Field(max_length=MAX_BOXES)] = []
    """Exemplars, x, y, width, height in pixels of `like`, or else of `image`."""
    box_labels: Annotated[list[Label], Field(max_length=MAX_BOXES)] = []
    """1 = like this, 0 = not like this, one per box; left out, all are 1."""
    threshold: Annotated[Number, Field(ge=0, lt=1)] = 0.5
    """Instances that score strictly above it are returned."""
    like: ImageKey | None = None
    """The image that `boxes` lie in, if it is another one."""
    masks: MaskFormat = "rle"
    """How masks are written."""


class MaskInput(ApiRequest):
    """A mask as COCO files hold it, and as this server writes it."""

    size: Annotated[list[Annotated[int, Strict(), Field(ge=1)]], Field(min_length=2, max_length=2)]
    """Height and width in pixels: those of the image."""
    counts: Annotated[str, Strict()]


class RefineRequest(ApiRequest):
    """A search for the one object that clicks, a box, or a mask show."""

    image: ImageKey
    """Where to search."""
    points: Annotated[list[PointInput], Field(max_length=MAX_POINTS)] = []
    """Clicks, x, y in pixels."""
    labels: Annotated[list[Label], Field(max_length=MAX_POINTS)] = []
    """1 = on the object, 0 = beside it, one per point; left out, all are 1."""
    box: BoxInput | None = None
    """Around the object: x, y, width, height in pixels."""
    mask: MaskInput | None = None
    """An answer to be mended."""
    multimask: Annotated[bool, Strict()] = True
    """Three candidates, best first; false for a single one."""
    fill_holes: Annotated[bool, Strict()] = False
    """Fill small holes of the masks."""
    masks: MaskFormat = "rle"
    """How masks are written."""
