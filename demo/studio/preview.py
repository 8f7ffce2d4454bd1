"""What a click would find under the pointer, shown before it is made. It edits nothing."""

from typing import Annotated, Any

from pydantic import Field

from agent.tools.refine import PRESENT
from demo.engine import Engine
from demo.picture.outlines import trace_stretched_outline
from demo.requests import Coordinate, InvalidEventError, PageEvent, parse_data
from demo.sessions import SessionExpiredError, SessionStore
from sam3_tool import Image, Sam3

PREVIEW_SIDE = 600
"""Pixels of the long side. A mask is made at this reduced size: in an image of 50 megapixels, one at the full size
takes a second and more, and the next one comes soon."""


class PreviewRequest(PageEvent):
    """Where the pointer rests."""

    session: Annotated[str, Field(max_length=80)]
    sam3: Annotated[str, Field(max_length=500)]
    key: Annotated[str, Field(max_length=80)]
    """Of the image, so that a late request is not answered with another image."""
    x: Coordinate
    y: Coordinate


class MaskPreviewer:
    """Finds the mask that a click would make. It never makes anybody wait for an image to be encoded."""

    def __init__(self, engine: Engine, sessions: SessionStore) -> None:
        self.engine = engine
        self.sessions = sessions

    def preview(self, data: Any) -> dict[str, Any]:
        """Answer a request of the page.

        Args:
            data: What the script sent, a `PreviewRequest`.

        Returns:
            `ready`: whether the image is encoded; it is being encoded otherwise. `path`: of an SVG in the image's
            pixels, '' where nothing is. `score`: what the mask scores.
        """
        try:
            asked = parse_data(PreviewRequest, data)
            session = self.sessions[asked.session]
        except (InvalidEventError, SessionExpiredError):
            return describe_preview("", 0.0)
        conversation = session.conversation
        if conversation is None or conversation.video is not None or conversation.image.key != asked.key:
            return describe_preview("", 0.0)
        sam3 = self.engine.get_loaded_sam3(asked.sam3)
        if sam3 is None or session.pending_answer is not None:
            return describe_preview("", 0.0, ready=False)
        if not sam3.is_encoded(conversation.image):
            sam3.prefetch(conversation.image)
            return describe_preview("", 0.0, ready=False)
        return preview_mask(sam3, conversation.image, asked.x, asked.y)


def preview_mask(sam3: Sam3, image: Image, x: float, y: float) -> dict[str, Any]:
    """Find the object at x, y in pixels as a first click would, and describe it as `MaskPreviewer.preview` does."""
    if not (0 <= x < image.width and 0 <= y < image.height):
        return describe_preview("", 0.0)
    found = sam3.refine(image, [(x, y)], fill_holes=True, tidy=True, mask_side=PREVIEW_SIDE)
    if not len(found) or found.presence < PRESENT:
        return describe_preview("", 0.0)
    return describe_preview(trace_stretched_outline(found.masks[0], image), float(found.scores[0]))


def describe_preview(path: str, score: float, *, ready: bool = True) -> dict[str, Any]:
    """Describe what the page shows under the pointer: an SVG path and its score.

    >>> describe_preview("", 0.0, ready=False)
    {'ready': False, 'path': '', 'score': 0.0}
    """
    return {"ready": ready, "path": path, "score": round(score, 2)}
