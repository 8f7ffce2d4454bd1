"""What a visitor can download: the answer in the formats that fit it, the conversation, and how it was found."""

from typing import Any

from agent.conversation.conversation import Conversation
from agent.exports import list_formats
from demo.actions import CONVERSATION, TRACE


def describe_downloads(conversation: Conversation | None) -> dict[str, Any]:
    """Return the choices of the list, and which of them is chosen at first.

    Args:
        conversation: It is about an image, or about a video. None is as about an image.
    """
    is_video = conversation is not None and conversation.timeline is not None
    downloads = {
        **{name: exporter.description for name, exporter in list_formats("video" if is_video else "image").items()},
        CONVERSATION: "This conversation, to go on with later",
        TRACE: "The latest answer, step by step (HTML)",
    }
    choices = [(description, name) for name, description in downloads.items()]
    return {"choices": choices, "value": "mp4" if is_video else "png-masks"}
