"""A video that a browser kept: its file goes into the file of its saved conversation, and comes out of it again."""

import base64
import json
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pydantic import Field, ValidationError

from agent.conversation.conversation import Conversation
from agent.conversation.storage import SavedConversation
from agent.records.base import first_validation_error
from demo.album.folder import VisitorFolder
from demo.requests import PageEvent
from demo.uploads import Limits, open_video
from sam3_tool import Video
from sam3_tool.errors import RecordError, UserError
from sam3_tool.system.file_names import sanitize_file_name

MAX_KEPT_BYTES = 16 * 2**20
"""Of the file of a video that a browser is given to keep."""


class KeptFilm(PageEvent):
    """A file of a video in JSON."""

    key: Annotated[str, Field(max_length=80)]
    """Of the video, as its conversation names it."""
    name: Annotated[str, Field(max_length=500)]
    film: Annotated[str, Field(max_length=2 * MAX_KEPT_BYTES)]
    """The bytes of the file in base64."""


def describe_film_file(path: Path, name: str, text: str) -> dict[str, Any]:
    """Return the file of a video as a browser keeps it, beside the pictures of images.

    Args:
        path: The file.
        name: What it was called.
        text: The saved conversation, which names the video.

    Returns:
        A `KeptFilm` as JSON has it.
    """
    [key] = {event["video"]["key"] for event in json.loads(text)["events"] if event.get("video")}
    film = base64.b64encode(path.read_bytes()).decode("ascii")
    return KeptFilm(key=key, name=name, film=film).model_dump()


def open_kept_film(held: Any, text: bytes, folder: VisitorFolder, limits: Limits) -> tuple[Conversation, Path]:
    """Open a conversation about a video that a browser kept.

    Args:
        held: A `KeptFilm`, unchecked.
        text: The saved conversation, unchecked.
        folder: Where the file of the video goes.
        limits: What a video and a conversation may have.

    Returns:
        The conversation with its video, and the file in the folder.

    Raises:
        RecordError: It is damaged, beyond a limit, or about another video.
        VideoError: The video is damaged, or beyond a limit.
        NoRoomError: The folder is full.
    """
    try:
        kept = KeptFilm.model_validate(held)
        saved = SavedConversation.model_validate_json(text)
        content = base64.b64decode(kept.film, validate=True)
    except ValidationError as error:
        raise RecordError(f"the kept video is damaged: {first_validation_error(error)}") from error
    except ValueError as error:
        raise RecordError(f"the kept video is damaged: {error}") from error
    saved.check_limits("the kept video", max_pixels=None, max_masks=limits.max_masks, max_steps=limits.max_steps)
    moved = _write_film(content, kept.name, folder)
    try:
        return _hand_in_video(zlib.compress(text, level=1), open_video(moved, limits), kept.name), moved
    except UserError as error:
        folder.release_file(moved)
        raise type(error)(str(error).replace(moved.name, kept.name)) from error


def _write_film(content: bytes, name: str, folder: VisitorFolder) -> Path:
    with TemporaryDirectory(prefix="sam3-agent-") as made:
        path = Path(made) / sanitize_file_name(name, default="video")
        path.write_bytes(content)
        return folder.take_file(path)


def _hand_in_video(packed: bytes, video: Video, name: str) -> Conversation:
    """The packed conversation with its video. Raises RecordError where it is about another one."""
    begun = Conversation.start_video(video, name)
    try:
        conversation = Conversation.unpack(packed, [begun.image])
    except ValueError as error:
        raise RecordError(f"the kept video is damaged: {error}") from error
    if conversation.timeline is None or conversation.latest_image.video_key != video.key:
        raise RecordError("the kept video is damaged: its conversation is about another one")
    return conversation.show_video(video, name)
