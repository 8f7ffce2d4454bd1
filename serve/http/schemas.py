"""What clients send, checked; and what the OpenAPI document says of answers.

`answers` builds these as plain values: to check a million letters of masks would take longer than to write them.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

from sam3_tool.concepts.file import MAX_BYTES as MAX_CONCEPT_BYTES

MAX_PHRASES = 64
MAX_LETTERS = 2000
MAX_BOXES = 64
MAX_POINTS = 256
MAX_CONCEPT_LETTERS = 4 * -(-MAX_CONCEPT_BYTES // 3)
VIDEO_ROUTES = (
    "this route takes images; ask about videos at /v1/episodes, /v1/conversations, /v1/jobs and /v1/responses"
)

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Text = Annotated[str, Strict(), Field(max_length=MAX_LETTERS)]
ImageKey = Annotated[str, Strict(), Field(max_length=64, examples=["9b2d0c2e64d64c7c8b3fd53db2b7ee2c"])]
"""What an upload was answered with."""
MaskFormat = Literal["rle", "png", "polygons", "none"]


def _check_extent(box: list[float]) -> list[float]:
    if not (box[2] > 0 and box[3] > 0):
        raise ValueError("a box is x, y, width, height, with width and height above 0")
    return box


BoxInput = Annotated[
    list[Number], Field(min_length=4, max_length=4, examples=[[10, 20, 64, 48]]), AfterValidator(_check_extent)
]
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


class ImageRequest(ApiRequest):
    """A JSON body of a route that takes images alone."""

    @model_validator(mode="before")
    @classmethod
    def refuse_video(cls, value: Any) -> Any:
        """Refuse a video, and name the routes that take one."""
        if isinstance(value, dict) and "video" in value:
            raise ValueError(VIDEO_ROUTES)
        return value


class MaskInput(ApiRequest):
    """A mask as COCO files hold it, and as this server writes it."""

    size: Annotated[list[Annotated[int, Strict(), Field(ge=1)]], Field(min_length=2, max_length=2)]
    """Height and width in pixels: those of the image."""
    counts: Annotated[str, Strict()]


class SegmentRequest(ImageRequest):
    """A search for every instance of concepts: of phrases, of what examples show, or of both."""

    image: ImageKey
    """Where to search."""
    phrases: Annotated[list[Text], Field(max_length=MAX_PHRASES)] = []
    """Short English noun phrases; each has a result of its own. Optional if there are examples."""
    boxes: Annotated[list[BoxInput], Field(max_length=MAX_BOXES)] = []
    """Exemplars, x, y, width, height in pixels of `like`, or else of `image`."""
    box_labels: Annotated[list[Label], Field(max_length=MAX_BOXES)] = []
    """1 = like this, 0 = not like this, one per box; left out, all are 1."""
    exemplar_masks: Annotated[list[MaskInput], Field(max_length=MAX_BOXES)] = []
    """Exemplars, masks of the size of `like`, or else of `image`. The box around a mask is what SAM 3 reads."""
    mask_labels: Annotated[list[Label], Field(max_length=MAX_BOXES)] = []
    """As `box_labels`, one per mask."""
    concept: Annotated[str, Strict(), Field(max_length=MAX_CONCEPT_LETTERS)] | None = None
    """Examples that were described before: the file that `sam3-agent describe` wrote, in base64. It takes the place of
    boxes and masks. Phrases beside it are looked for along with it."""
    threshold: Annotated[Number, Field(ge=0, lt=1)] = 0.5
    """Instances that score strictly above it are returned."""
    like: ImageKey | None = None
    """The image that boxes and masks lie in, if it is another one."""
    masks: MaskFormat = "rle"
    """How masks are written."""


class RefineRequest(ImageRequest):
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


class EverythingRequest(ImageRequest):
    """A search for everything, without a prompt."""

    image: ImageKey
    """Where to search."""
    points_per_side: Annotated[int | None, Field(strict=True, ge=1, le=64)] = None
    """Points of the grid along each side; left out, 32, or as many as lie 8 pixels apart."""
    min_score: Annotated[Number, Field(ge=0, lt=1)] | None = None
    """Masks with a predicted IoU above it are kept; left out, what suits the weights."""
    min_stability: Annotated[Number, Field(ge=0, le=1)] | None = None
    """Masks that are at least as stable are kept; left out, what suits the weights."""
    max_box_iou: Annotated[Number, Field(ge=0, le=1)] = 0.7
    """Of masks whose boxes overlap by more, one is kept."""
    crop_layers: Annotated[int, Field(strict=True, ge=0, le=1)] = 0
    """1 searches four parts of the image as well, which finds smaller things."""
    min_region_area: Annotated[int, Field(strict=True, ge=0, le=10**6)] = 0
    """Pixels; smaller holes are filled, and smaller islands dropped."""
    masks: MaskFormat = "rle"
    """How masks are written."""


class ApiAnswer(BaseModel):
    """A JSON answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ImageAnswer(ApiAnswer):
    """An image that is kept."""

    image: str
    """The key by which other requests name it. It is of no use to another tenant."""
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    expires: float
    """Seconds without use after which it is forgotten; or earlier, if others need its room."""


class UploadAnswer(ImageAnswer):
    """An image that was uploaded."""

    notes: list[str]
    """What had to be decided when the file was read, e.g. which of several pages it is."""


class UsageAnswer(ApiAnswer):
    """What an answer has cost."""

    encodes: int
    """Images that went through the vision encoder for it."""
    decodes: int
    """Prompts that were answered."""
    seconds: float
    """From the beginning of the work on; time in the line is not counted."""


class SegmentationAnswer(ApiAnswer):
    """A mask as COCO files hold it."""

    size: tuple[int, int]
    """Height and width in pixels."""
    counts: str
    """Run lengths, compressed; `pycocotools.mask.decode` reads them."""


class InstanceAnswer(ApiAnswer):
    """An object that was found. Its mask is in the field that `masks` asked for, and in no other."""

    id: int
    """Counts from 1 through the whole answer."""
    phrase: str
    """What found it; empty for boxes and clicks."""
    score: float
    """In [0, 1]."""
    bbox: tuple[float, float, float, float]
    """x, y, width, height in pixels."""
    area: int
    """Pixels of the mask."""
    segmentation: SegmentationAnswer | None = None
    """For `rle`."""
    png: str | None = None
    """For `png`: an image of one bit a pixel, in base64."""
    polygons: list[list[float]] | None = None
    """For `polygons`: x, y, x, y, … in pixels, one list for each part, from which COCO draws exactly the mask."""


class PhraseAnswer(ApiAnswer):
    """What one phrase has found."""

    phrase: str
    """The phrase; empty for examples alone."""
    presence: float
    """In [0, 1]: how sure SAM 3 is that there is any."""
    instances: list[InstanceAnswer]
    """Best score first."""
    warnings: list[str] = []
    """What one should know before one trusts it, e.g. a word that the weights do not know; left out for none."""


class SegmentAnswer(ApiAnswer):
    """What phrases and examples have found."""

    image: str
    """Where."""
    results: list[PhraseAnswer]
    """One for each phrase, in order; or one for the examples alone."""
    usage: UsageAnswer


class RefineAnswer(ApiAnswer):
    """What clicks have found."""

    image: str
    """Where."""
    presence: float
    """In [0, 1]: how sure SAM 3 is that there is an object."""
    candidates: list[InstanceAnswer]
    """Best first. Their scores are the predicted IoU, their boxes the extents of the masks."""
    usage: UsageAnswer


class EverythingAnswer(ApiAnswer):
    """Everything that was found."""

    image: str
    """Where."""
    instances: list[InstanceAnswer]
    """Best first. Their scores are the predicted IoU, their boxes the extents of the masks."""
    seconds: float
    """From the beginning of the work on."""
