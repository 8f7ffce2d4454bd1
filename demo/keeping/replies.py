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
from demo.keeping.films import MAX_KEPT_BYTES, describe_film_file
from demo.keeping.ways import describe_tree
from demo.requests import InvalidEventError, PageEvent, SessionId, parse_data
from demo.talk.wording import describe_error
from sam3_tool.errors import UserError

MAX_KEPT_PIXELS = 12 * 10**6
"""Of an image that a browser is given to keep; a larger one is kept by downloading its conversation."""
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
        the saved images with their pixels, or the file of the video, if they are asked for; `name`, `masks` and
        `done`. Or `error` alone, a sentence.
    """
    try:
        asked = parse_data(KeepRequest, data)
        entries = actions.album.collect_entries(asked.session)
    except (InvalidEventError, LookupError) as error:
        return {"error": str(error)}
    entry = next((entry for entry in entries if entry.id == asked.id), None)
    if entry is None:
        return {"error": "This image is no longer in the strip."}
    if refused := _refuse_entry(entry):
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


def _refuse_entry(entry: AlbumEntry) -> str:
    """Why a browser cannot keep this; '' where it can."""
    name = Path(entry.name).name
    if entry.is_video:
        most = MAX_KEPT_BYTES / 2**20
        is_small = entry.files[0].is_file() and entry.files[0].stat().st_size <= MAX_KEPT_BYTES
        fault = f"{name} has more than {most:g} MiB, so this browser does not keep it; {ADVICE}"
        return "" if is_small else fault
    if entry.width * entry.height > MAX_KEPT_PIXELS:
        most = MAX_KEPT_PIXELS / 1e6
        return f"{name} has more than {most:g} megapixels, so this browser does not keep it; {ADVICE}"
    return ""


def _save_subject(actions: Actions, entry: AlbumEntry, text: str) -> list[dict[str, Any]]:
    """The images of a conversation with their pixels, or the file of its video."""
    if entry.is_video:
        return [describe_film_file(entry.files[0], Path(entry.name).name, text)]
    conversation = open_entry(entry, actions.limits)
    images = {event.image.key: event for event in conversation.events if isinstance(event, ImageShown)}
    saved = (SavedImage.from_image(event.image, event.name) for event in images.values())
    return [json.loads(image.model_dump_json()) for image in saved]


def _count_bytes(text: str, pictures: list[dict[str, Any]]) -> int:
    """Of the file that the browser would hand back."""
    return len(text) + sum(len(part) for picture in pictures for part in picture.values() if isinstance(part, str))
