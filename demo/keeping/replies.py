"""What a browser keeps of the strip by itself: the conversation about each image, and each image once."""

import json
import zlib
from pathlib import Path
from typing import Any

from agent.conversation.events import ImageShown
from agent.records.episode_file import SavedImage
from demo.actions import Actions
from demo.album.adding import open_entry
from demo.album.entries import AlbumEntry
from demo.album.requests import EntryId
from demo.keeping.files import MAX_KEPT_BYTES, describe_film_file, describe_photo_file
from demo.keeping.ways import describe_tree
from demo.requests import InvalidEventError, PageEvent, SessionId, parse_data
from demo.talk.wording import describe_error
from demo.uploads import Limits
from sam3_tool.errors import UserError

ADVICE = "download the conversation."


class KeepRequest(PageEvent):
    """The browser wants to keep an image's conversation, or an image."""

    session: SessionId
    id: EntryId
    with_image: bool = False
    """The browser does not have the image yet."""


def answer_keep_request(actions: Actions, data: Any) -> dict[str, Any]:
    """Return what a browser keeps of an image.

    Args:
        actions: What a visitor can do.
        data: What the script sent: a `KeepRequest`.

    Returns:
        `text`, the saved conversation without pixels; `ways`, as `describe_tree` returns them, or None; `pictures`,
        the file of the image or the video, or several images with their pixels, if they are asked for; `name`,
        `masks` and `done`. Or `error` alone, a sentence.
    """
    try:
        asked = parse_data(KeepRequest, data)
        entries = actions.album.collect_entries(asked.session)
    except (InvalidEventError, LookupError) as error:
        return {"error": str(error)}
    entry = next((entry for entry in entries if entry.id == asked.id), None)
    if entry is None:
        return {"error": "This image is no longer in the strip."}
    if refused := _refuse_entry(entry, actions.limits):
        return {"error": refused}
    text = zlib.decompress(entry.packed).decode("utf-8", "replace")
    try:
        pictures = _save_subject(actions, entry, text) if asked.with_image else []
    except (UserError, ValueError, OSError) as error:  # its file may be gone
        return {"error": describe_error(error)}
    if _count_bytes(text, pictures) > actions.limits.max_file_bytes:
        return {"error": f"{Path(entry.name).name} with its masks is more than this browser keeps; {ADVICE}"}
    return {
        "name": entry.name,
        "masks": len(entry.answer),
        "done": entry.done,
        "text": text,
        "ways": describe_tree(entry.tree) if entry.tree.ways else None,
        "pictures": pictures,
    }


def _refuse_entry(entry: AlbumEntry, limits: Limits) -> str:
    """Why a browser cannot keep this; '' where it can."""
    most = MAX_KEPT_BYTES if entry.is_video else limits.max_file_bytes * 3 // 4  # base64 makes four bytes of three
    if sum(file.stat().st_size for file in entry.files if file.is_file()) <= most:
        return ""
    return f"{Path(entry.name).name} has more than {most / 2**20:g} MiB, so this browser does not keep it; {ADVICE}"


def _save_subject(actions: Actions, entry: AlbumEntry, text: str) -> list[dict[str, Any]]:
    """The file that the conversation is about, or several images with their pixels."""
    name = Path(entry.name).name
    if entry.is_video:
        return [describe_film_file(entry.files[0], name, text)]
    conversation = open_entry(entry, actions.limits)
    images = {event.image.key: event for event in conversation.events if isinstance(event, ImageShown)}
    if len(images) == len(entry.files) == 1:
        return [describe_photo_file(entry.files[0], name, *images)]
    saved = (SavedImage.from_image(event.image, event.name) for event in images.values())
    return [json.loads(image.model_dump_json()) for image in saved]


def _count_bytes(text: str, pictures: list[dict[str, Any]]) -> int:
    """Of the file that the browser would hand back."""
    return len(text) + sum(len(part) for picture in pictures for part in picture.values() if isinstance(part, str))
