"""What a visitor shares of an answer: the image with its masks, or the video with its objects, and the words."""

import base64
from io import BytesIO
from shutil import rmtree
from typing import Any

from agent.conversation.conversation import Conversation
from agent.core.errors import ConversationError
from agent.core.text.english import pluralize
from agent.core.text.sanitizing import make_encodable
from agent.exports import ExportAnswer
from agent.planners.chat.views import draw_overlay
from demo.actions import Actions, ModelSelection
from demo.requests import PageEvent, SessionId, parse_data
from demo.talk.wording import describe_answer, describe_error

SIDE, QUALITY = 2048, 90
"""Pixels of the long side of a shared image; of JPEG, from 1 to 95."""
EMPTY_MESSAGE = "There are no masks to share yet."
MAX_WORDS = 500
"""Characters of the words."""


class ShareRequest(PageEvent):
    """A visitor wants to share what is shown."""

    session: SessionId


def answer_share_request(actions: Actions, data: Any) -> dict[str, str]:
    """Return what is shared.

    Args:
        actions: What a visitor can do.
        data: What the script sent: a `ShareRequest`.

    Returns:
        `name`, `type` and `url` of the file, whose bytes are in the address, and `text`, the words; or `error` alone, a
        sentence.
    """
    try:
        session_id = parse_data(ShareRequest, data).session
        conversation = actions.sessions[session_id].conversation
        if conversation is None or not conversation.selected:
            raise ConversationError(EMPTY_MESSAGE)
        stem = ExportAnswer.build_stem(conversation.name or "picture.png")
        if conversation.video is None:
            name, kind, content = f"{stem}.masks.jpg", "image/jpeg", _draw_image(conversation)
        else:
            name, kind, content = f"{stem}.objects.mp4", "video/mp4", _write_film(actions, session_id)
    except Exception as error:  # a page that says so and goes on is worth more than one that is dead
        return {"error": describe_error(error)}
    url = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return {"name": make_encodable(name), "type": kind, "url": url, "text": describe_words(conversation)}


def describe_words(conversation: Conversation) -> str:
    """Return the latest question with its answer; after an edit by hand, the question with what is there now.

    Args:
        conversation: It has an answer.
    """
    asked = next((turn for turn in reversed(conversation.turns) if not turn.task.by_hand), None)
    last, noun = conversation.last_turn, "mask" if conversation.timeline is None else "object"
    if asked is not None and asked is last:
        said = describe_answer(asked.message)
    else:
        chosen = conversation.workspace.pick(conversation.selected)
        names = ", ".join(dict.fromkeys(candidate.category for candidate in chosen if candidate.category))
        said = f"{pluralize(len(chosen), noun)}{': ' if names else ''}{names}."
    return make_encodable(said if asked is None else f"{asked.task.query}\n{said}")[:MAX_WORDS]


def _draw_image(conversation: Conversation) -> bytes:
    """A JPEG file."""
    chosen = tuple(conversation.workspace.pick(conversation.selected))
    drawn, file = draw_overlay(conversation.image, chosen, conversation.selected, SIDE), BytesIO()
    drawn.to_pil().convert("RGB").save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


def _write_film(actions: Actions, session_id: str) -> bytes:
    """An MP4 file."""
    path = actions.download(session_id, "mp4", ModelSelection("", ""))
    try:
        return path.read_bytes()
    finally:
        rmtree(path.parent, ignore_errors=True)
