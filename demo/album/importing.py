"""Masks of other tools' files onto the images of the strip, by the images' names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.conversation.labels import MAX_MASKS_AT_ONCE, GivenMask
from agent.imports.base import ImportedImage
from agent.imports.reading import read_files
from demo.talk.wording import describe_error, format_sentence

if TYPE_CHECKING:
    from agent.conversation.conversation import Conversation
    from demo.album.actions import AlbumActions

MAX_NOTES = 8
"""Sentences on images that a file names and the strip lacks; the others are counted."""


def import_files(album_actions: AlbumActions, session_id: str, files: Sequence[tuple[str, Path]]) -> list[str]:
    """Put the masks of files onto the images of their names.

    Args:
        album_actions: What a visitor can do.
        session_id: Whose images they are.
        files: The name of each file and where it lies.

    Returns:
        A sentence for each file, image or mask that could not be used, and one on what was.
    """
    from demo.album.actions import find_entry

    images, problems = read_files([*files])
    notes = [format_sentence(problem) for problem in problems]
    taken = masks = 0
    missing: list[str] = []
    for image in images:
        entry = find_entry(album_actions.sessions[session_id].album, image.name)
        if entry is None:
            missing += [image.name or "an image without a name"] if image.masks else []
            continue
        added, problem = _import_image(album_actions, session_id, entry.id, image)
        notes += [problem] if problem else []
        taken, masks = taken + (added > 0), masks + added
    if missing:
        more = f" and {len(missing) - MAX_NOTES:,} others" if len(missing) > MAX_NOTES else ""
        notes.append(f"No image of the strip, or more than one, is called {', '.join(missing[:MAX_NOTES])}{more}.")
    if masks:
        notes.append(f"{masks:,} masks were put onto {taken:,} images.")
    return notes


def _import_image(album_actions: AlbumActions, session_id: str, entry_id: int, image: ImportedImage) -> tuple[int, str]:
    """Put masks onto an image; return how many, and what was wrong with the others."""
    added: list[int] = []
    problems: list[str] = []

    def add(conversation: Conversation) -> Conversation:
        masks = _draw_masks(image, conversation.image.height, conversation.image.width, problems)
        if not masks:
            return conversation
        changed = conversation.add_masks(masks, f"take {len(masks)} masks from a file", origin="from a file")
        added.append(len(changed.workspace) - len(conversation.workspace))
        return changed

    try:
        album_actions.edit_entry(session_id, entry_id, add)
    except Exception as error:  # one image of many is a sentence
        problems.append(describe_error(error))
    return sum(added), format_sentence(f"{image.name}: {problems[0]}") if problems else ""


def _draw_masks(image: ImportedImage, height: int, width: int, problems: list[str]) -> list[GivenMask]:
    """The masks that fit; why the others do not goes into `problems`."""
    if image.width and image.height and (image.width, image.height) != (width, height):
        problems.append(f"the file says {image.width} x {image.height} pixels, and the image has {width} x {height}")
        return []
    if len(image.masks) > MAX_MASKS_AT_ONCE:
        problems.append(f"{len(image.masks):,} masks, and an image takes {MAX_MASKS_AT_ONCE:,} at once")
    given = []
    for mask in image.masks[:MAX_MASKS_AT_ONCE]:
        try:
            given.append(GivenMask(mask.draw(height, width), mask.label[:80], score=mask.score))
        except ValueError as error:
            problems.append(str(error))
    return given
