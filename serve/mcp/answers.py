"""What a call answers: a short text, an overlay as JPEG, a link to each new mask, and the same as structured values."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import PIL.Image
from mcp_types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from agent.core.workspace import Candidate, Workspace
from agent.planners.chat.views import draw_overlay, reduce_image
from sam3_tool import Image
from sam3_tool.masks.rle import compute_areas, decode_mask
from serve.mcp.images import build_handle

MASK_URI = "sam3://images/{image}/masks/{id}.png"
EXPORT_URI = "sam3://images/{image}/exports/{format}/{ids}"
JPEG_QUALITY = 85
MAX_LINKS, MAX_LINES = 16, 40
"""Masks of one answer that have a link and a line of text of their own: each costs a language model some 30 tokens."""


@dataclass(frozen=True)
class MaskAnswer:
    """Masks of an image, and what is said about them."""

    image: Image
    workspace: Workspace
    text: str
    ids: tuple[int, ...]
    has_overlay: bool = True
    """Whether the masks are shown and linked, as those are that the assistant sees for the first time."""
    outcome: str = ""
    reasons: Mapping[int, str] = field(default_factory=dict)
    """Why a mask belongs to the answer, by its number."""

    def to_result(self, overlay_side: int) -> CallToolResult:
        """Build what the protocol carries. `overlay_side`: pixels of the long side of the overlay; 0 = none."""
        candidates = self.workspace.pick(self.ids)
        content: list[ContentBlock] = [TextContent(text="\n".join([self.text, *_list_masks(candidates)]))]
        if self.has_overlay and candidates:
            if overlay_side:
                content.append(encode_preview(_draw_once(self.image, candidates, overlay_side)))
            content += [_build_link(build_handle(self.image), candidate) for candidate in candidates[:MAX_LINKS]]
        return CallToolResult(content=content, structured_content=self._to_values(candidates))

    def _to_values(self, candidates: Sequence[Candidate]) -> dict[str, Any]:
        areas = compute_areas([candidate.rle for candidate in candidates]).tolist()
        masks = [
            {
                "id": candidate.id,
                "phrase": candidate.phrase,
                "score": round(candidate.score, 4),
                "box": [round(edge, 1) for edge in candidate.box],
                "area": area,
                **({"reason": self.reasons[candidate.id]} if candidate.id in self.reasons else {}),
            }
            for candidate, area in zip(candidates, areas, strict=True)
        ]
        outcome = {"outcome": self.outcome} if self.outcome else {}
        return {"image": build_handle(self.image), **outcome, "masks": masks}


def encode_preview(image: Image) -> ImageContent:
    """Encode an image as JPEG, for eyes and language models."""
    content = io.BytesIO()
    # at full resolution of colour too: outlines are one pixel wide, and colours tell masks apart
    image.to_pil().save(content, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
    return ImageContent(data=base64.b64encode(content.getvalue()).decode(), mime_type="image/jpeg")


def build_preview(image: Image, side: int) -> list[ContentBlock]:
    """The image itself with at most `side` pixels on its long side; nothing for a side of 0."""
    return [encode_preview(reduce_image(_copy_handle(image), side))] if side else []


def encode_mask_png(candidate: Candidate) -> bytes:
    """Encode a mask as PNG of the image's size: 255 where it is, 0 elsewhere. Nothing of it is lost."""
    content = io.BytesIO()
    pixels = decode_mask(candidate.rle).astype(np.uint8) * 255
    PIL.Image.fromarray(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()


def _draw_once(image: Image, candidates: Sequence[Candidate], side: int) -> Image:
    return draw_overlay(_copy_handle(image), candidates, [candidate.id for candidate in candidates], side)


def _copy_handle(image: Image) -> Image:
    """The same pixels as another object: what is drawn is remembered as long as its image, and should not be here."""
    return Image(image.pixels)


def _build_link(handle: str, candidate: Candidate) -> ResourceLink:
    uri = MASK_URI.format(image=handle, id=candidate.id)
    return ResourceLink(uri=uri, name=f"mask {candidate.id}", mime_type="image/png")


def _list_masks(candidates: Sequence[Candidate]) -> list[str]:
    """A line for each mask, with its box as the tools take it."""
    lines = [_describe_mask(candidate) for candidate in candidates[:MAX_LINES]]
    more = len(candidates) - MAX_LINES
    return [*lines, f"and {more} more masks, in the structured answer"] if more > 0 else lines


def _describe_mask(candidate: Candidate) -> str:
    box = ", ".join(f"{edge:.0f}" for edge in candidate.box)
    return f"{candidate.id}: {candidate.phrase or 'object'}, score {candidate.score:.2f}, box {box}"
