"""What an assistant can call: the agent's own tools, each about one opened image, and those that open, ask and save."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mcp_types import Tool as ToolDefinition
from mcp_types import ToolAnnotations
from pydantic import Field

from agent.core.errors import ToolError
from agent.core.tools.calls import build_call
from agent.tools import Tool
from agent.tools.base import Ids, NonEmptyText
from agent.tools.combine import Combine, Count
from agent.tools.refine import Refine
from agent.tools.segment import Segment
from agent.tools.select import Rank, Relate

MAX_QUERY = 2000
"""Letters."""
READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
"""It changes nothing but what this server remembers, and the same call gives the same answer."""
ADDS_MASKS = ToolAnnotations(read_only_hint=True, idempotent_hint=False, open_world_hint=False)
"""As `READ_ONLY`, but a second call may give further masks."""
WRITES_FILES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
OPENS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=True)
"""As `READ_ONLY`, but it may fetch from hosts that the server was allowed to ask."""
FORGETS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


class OpenImage(Tool):
    """Open an image and get its handle, which every other tool needs. Give one of `path`, `data` and `uri`."""

    name: ClassVar[str] = "open_image"
    field_aliases: ClassVar = {"file": "path", "filename": "path", "base64": "data", "url": "uri"}

    path: str | None = Field(default=None, description="Image file, relative to the server's folder.")
    data: str | None = Field(default=None, description="The file in base64.")
    uri: str | None = Field(default=None, description="data:, file: or https: URI.")


class OpenVideo(OpenImage):
    """Open a video and get its handle, for `ask`, `export` and `close_image`. Give one of `path`, `data` and `uri`."""

    name: ClassVar[str] = "open_video"

    path: str | None = Field(default=None, description="Video file, relative to the server's folder.")


class Ask(Tool):
    """Answer a whole question, e.g. 'the second largest cup left of the plate': an agent runs the other tools.

    The question may refer to the masks shown last.
    """

    name: ClassVar[str] = "ask"
    field_aliases: ClassVar = dict.fromkeys(("question", "text", "prompt"), "query")

    query: NonEmptyText = Field(max_length=MAX_QUERY, description="What to find, in plain words.")


class Export(Tool):
    """Save masks as a new file in a format of other tools. Nothing is overwritten."""

    name: ClassVar[str] = "export"
    field_aliases: ClassVar = {"path": "file", "name": "file", "filename": "file"}

    format: str = Field(description="Such as coco, yolo-seg, png-masks or label-studio.")
    ids: Ids = Field(default=[], description="Numbers of masks; without any, those shown last.")
    file: str = Field(default="", description="Path without an ending, such as 'out/cups'.")


class CloseImage(Tool):
    """Forget an image and its masks."""

    name: ClassVar[str] = "close_image"


def _build_object_schema(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


_TEXT, _WHOLE, _NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
_BOX = {"type": "array", "items": _NUMBER, "description": "x0, y0, x1, y1"}
_MASK = _build_object_schema(
    ("id", "phrase", "score", "box", "area"),
    **{"id": _WHOLE, "phrase": _TEXT, "score": _NUMBER, "box": _BOX, "area": _WHOLE, "reason": _TEXT},
)
MASKS_SCHEMA = _build_object_schema(
    ("image", "masks"), image=_TEXT, outcome=_TEXT, masks={"type": "array", "items": _MASK}
)
VIDEO_SCHEMA = _build_object_schema(
    ("image", "width", "height", "frames", "seconds"),
    image=_TEXT,
    width=_WHOLE,
    height=_WHOLE,
    frames=_WHOLE,
    seconds=_NUMBER,
)
IMAGE_SCHEMA = _build_object_schema(("image", "width", "height"), image=_TEXT, width=_WHOLE, height=_WHOLE)
EXPORT_SCHEMA = _build_object_schema(("masks",), masks=_WHOLE, file=_TEXT, uri=_TEXT)
CLOSED_SCHEMA = _build_object_schema(("closed",), closed={"type": "boolean"})


@dataclass(frozen=True)
class Offer:
    """A tool as assistants see it."""

    tool: type[Tool]
    annotations: ToolAnnotations
    output: Mapping[str, Any]
    """Schema of the structured answer."""
    hidden: frozenset[str] = frozenset()
    """Fields that are taken but not shown: each one shown costs tokens in every conversation."""

    @property
    def needs_image(self) -> bool:
        """Whether a call is about an image that is open."""
        return not issubclass(self.tool, OpenImage)

    def to_definition(self) -> ToolDefinition:
        """Describe the tool, its arguments and its answer as the protocol has it."""
        function = self.tool.to_planner_schema()["function"]
        shown = {
            name: _simplify_schema(field)
            for name, field in function["parameters"]["properties"].items()
            if name not in self.hidden
        }
        required = function["parameters"].get("required", [])
        if self.needs_image:
            shown = {"image": {"type": "string", "description": "Handle from `open_image`."}, **shown}
            required = ["image", *required]
        schema = {"type": "object", "properties": shown, **({"required": required} if required else {})}
        return ToolDefinition(
            name=self.tool.name,
            description=function["description"],
            input_schema=schema,
            output_schema=dict(self.output),
            annotations=self.annotations,
        )

    def read_call(self, arguments: Mapping[str, Any]) -> tuple[str, Tool]:
        """Read the handle of the image, "" where the tool needs none, and the call. Raises ToolError."""
        if not self.needs_image:
            return "", build_call(self.tool, dict(arguments))
        handle = arguments.get("image")
        if not isinstance(handle, str) or not handle.strip():
            raise ToolError(f"`{self.tool.name}` needs `image`, the handle of an open image; call `open_image` first.")
        others = {name: value for name, value in arguments.items() if name != "image"}
        return handle.strip(), build_call(self.tool, others)


def _simplify_schema(field: Mapping[str, Any]) -> dict[str, Any]:
    """Without a default that says no more than that the field may be left out, and without null as a value."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in field.items() if name != "anyOf"}
    simple = {**kinds[0], **rest} if len(kinds) == 1 else dict(field)
    return {name: value for name, value in simple.items() if name != "default" or value}


OFFERS = {
    offer.tool.name: offer
    for offer in (
        Offer(OpenImage, OPENS, IMAGE_SCHEMA),
        Offer(Segment, READ_ONLY, MASKS_SCHEMA, frozenset({"boxes", "negative_boxes", "duplicates", "close_ups"})),
        Offer(Refine, ADDS_MASKS, MASKS_SCHEMA, frozenset({"labels"})),
        Offer(Ask, ADDS_MASKS, MASKS_SCHEMA),
        Offer(Relate, READ_ONLY, MASKS_SCHEMA),
        Offer(Rank, READ_ONLY, MASKS_SCHEMA),
        Offer(Combine, READ_ONLY, MASKS_SCHEMA),
        Offer(Count, READ_ONLY, MASKS_SCHEMA),
        Offer(Export, WRITES_FILES, EXPORT_SCHEMA),
        Offer(CloseImage, FORGETS, CLOSED_SCHEMA),
        Offer(OpenVideo, OPENS, VIDEO_SCHEMA),
    )
}
"""Name -> tool."""


def find_offer(name: str) -> Offer:
    """Raises ToolError where there is no such tool."""
    if name not in OFFERS:
        raise ToolError(f"There is no tool {name[:80]!r}; call one of {', '.join(OFFERS)}.")
    return OFFERS[name]
