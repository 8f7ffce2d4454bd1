"""An image or a video that a browser kept: its file goes into that of its saved conversation, and comes out again."""

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pydantic import Field, ValidationError

from agent.conversation.conversation import Conversation
from agent.conversation.storage import SavedConversation
from agent.records.base import first_validation_error
from demo.album.folder import VisitorFolder
from demo.requests import PageEvent
from demo.uploads import Limits, open_image, open_video
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


class KeptPhoto(PageEvent):
    """A file of an image in JSON."""

    key: Annotated[str, Field(max_length=80)]
    """Of the image, as its conversation names it."""
    name: Annotated[str, Field(max_length=500)]
    photo: str
    """The bytes of the file in base64; `Limits.max_file_bytes` holds for all that comes with it."""


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
    return KeptFilm(key=key, name=name, film=_encode_file(path)).model_dump()


def describe_photo_file(path: Path, name: str, key: str) -> dict[str, Any]:
    """Return the file of an image as a browser keeps it: a photograph's has a tenth of the bytes of its pixels.

    Args:
        path: The file.
        name: What it was called.
        key: The content key of its pixels.

    Returns:
        A `KeptPhoto` as JSON has it.
    """
    return KeptPhoto(key=key, name=name, photo=_encode_file(path)).model_dump()


def _encode_file(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def open_kept_file(
    held: Any, text: bytes, folder: VisitorFolder, limits: Limits, *, is_video: bool
) -> tuple[Conversation, Path]:
    """Open a conversation about an image or a video that a browser kept.

    Args:
        held: A `KeptFilm` or a `KeptPhoto`, unchecked.
        text: The saved conversation, unchecked.
        folder: Where the file of the image or video goes.
        limits: What it and a conversation may have.
        is_video: Which of the two it is.

    Returns:
        The conversation with its image or video, and the file in the folder.

    Raises:
        RecordError: It is damaged, beyond a limit, or about another image or video.
        ImageError: The image is damaged, or beyond a limit.
        VideoError: The video is damaged, or beyond a limit.
        NoRoomError: The folder is full.
    """
    kind = "video" if is_video else "image"
    with _name_fault(kind):
        kept = (KeptFilm if is_video else KeptPhoto).model_validate(held)
        saved = SavedConversation.model_validate_json(text)
        content = base64.b64decode(kept.film if isinstance(kept, KeptFilm) else kept.photo, validate=True)
    most_pixels = None if is_video else limits.max_pixels
    saved.check_limits(
        f"the kept {kind}", max_pixels=most_pixels, max_masks=limits.max_masks, max_steps=limits.max_steps
    )

    def hand_in(path: Path) -> Conversation:
        video = open_video(path, limits) if is_video else None
        image = Conversation.start_video(video, kept.name).image if video else open_image(path, limits)
        _check_subject(saved, video.key if video else image.key, kind)
        with _name_fault(kind):
            conversation = Conversation.unpack(zlib.compress(text, level=1), [image])
        return conversation.show_video(video, kept.name) if video else conversation

    return _open_file(content, kept.name, folder, hand_in)


@contextmanager
def _name_fault(kind: str) -> Iterator[None]:
    """What cannot be read is a RecordError of one sentence about the kept image or video."""
    try:
        yield
    except ValidationError as error:
        raise RecordError(f"the kept {kind} is damaged: {first_validation_error(error)}") from error
    except RecordError:
        raise
    except ValueError as error:
        raise RecordError(f"the kept {kind} is damaged: {error}") from error


def _open_file(
    content: bytes, name: str, folder: VisitorFolder, open_path: Callable[[Path], Conversation]
) -> tuple[Conversation, Path]:
    """Put a file into the folder and open it there; it does not stay where it cannot be opened."""
    moved = _write_file(content, name, folder)
    try:
        return open_path(moved), moved
    except UserError as error:
        folder.release_file(moved)
        raise type(error)(str(error).replace(moved.name, name)) from error


def _write_file(content: bytes, name: str, folder: VisitorFolder) -> Path:
    with TemporaryDirectory(prefix="sam3-agent-") as made:
        path = Path(made) / sanitize_file_name(name, default="kept")
        path.write_bytes(content)
        return folder.take_file(path)


def _check_subject(saved: SavedConversation, key: str, kind: str) -> None:
    """Raise RecordError where the conversation is about an image or a video other than that with the content key."""
    shown = [event for event in saved.events[: saved.cursor] if event.kind == "picture"]
    if not shown or key != (shown[-1].video.key if shown[-1].video else shown[-1].picture):
        raise RecordError(f"the kept {kind} is damaged: its conversation is about another one")
