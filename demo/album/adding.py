"""Making entries of uploaded files: images, videos and saved conversations; the others may hold masks."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from agent.conversation import storage
from agent.conversation.conversation import Conversation
from agent.conversation.events import ImageShown
from agent.core.episode import Episode
from agent.imports.reading import SUFFIXES
from agent.planners.chat.views import reduce_image
from agent.sources.opening import VIDEO_SUFFIXES, is_animation
from demo.album.entries import AlbumEntry
from demo.album.folder import VisitorFolder
from demo.keeping.files import open_kept_file
from demo.keeping.parts import take_parts
from demo.keeping.ways import parse_tree
from demo.picture.canvas import get_subject_key
from demo.picture.film import encode_film
from demo.remarks import Remark, detach_remarks
from demo.studio.rows import encode_data_url
from demo.talk.branches import BranchTree
from demo.talk.ways import PackedTree, TurnInfo, unpack_tree
from demo.uploads import Limits, open_conversation, open_image, open_video
from sam3_tool import Image
from sam3_tool.errors import RecordError, UserError
from sam3_tool.image_files.reading import IMAGE_SUFFIXES

THUMBNAIL_SIDE = 112
"""Pixels of the long side of an image in the strip."""


def may_hold_masks(path: Path) -> bool:
    """Tell whether a file is neither an image nor a video nor a conversation, but may hold masks for images."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or suffix in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
        return False
    return suffix != ".json" or not _is_conversation(path)


def _is_conversation(path: Path) -> bool:
    try:
        held = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(held, dict) and held.get("format") == storage.FORMAT


def build_entry(path: Path, name: str, folder: VisitorFolder, limits: Limits) -> AlbumEntry:
    """Make an entry of a file, which moves into the folder or is removed.

    Raises ImageError, VideoError, RecordError, NoRoomError or MissingPackageError: one sentence for the page.
    """
    try:
        if path.suffix.lower() == ".json":
            return _build_conversation_entry(path, name, folder, limits)
        if path.suffix.lower() in VIDEO_SUFFIXES or is_animation(path):
            return _build_video_entry(path, name, folder, limits)
        conversation = Conversation.start(open_image(path, limits), name)
        return _begin_entry(conversation, name, [folder.take_file(path)])
    finally:
        path.unlink(missing_ok=True)


def _build_conversation_entry(path: Path, name: str, folder: VisitorFolder, limits: Limits) -> AlbumEntry:
    """A conversation, with its other ways and the file that it is about where a browser kept it."""
    parts, files = take_parts(path), list[Path]()
    try:
        if parts.held is None:
            conversation = open_conversation(path, limits)
        else:
            is_video = parts.film is not None
            conversation, *files = open_kept_file(parts.held, path.read_bytes(), folder, limits, is_video=is_video)
        tree = parse_tree(parts.ways, conversation, limits)
        files = files or _save_images(conversation, folder)
    except RecordError as error:
        for file in files:
            folder.release_file(file)
        raise RecordError(_put_name_first(str(error), path.name)) from error
    return collect_conversation(replace(_begin_entry(conversation, name, files), tree=tree), conversation)


def _put_name_first(said: str, name: str) -> str:
    return said if said.startswith(name) else f"{name}: {said}"


def _build_video_entry(path: Path, name: str, folder: VisitorFolder, limits: Limits) -> AlbumEntry:
    """A video reads its file for as long as it is used, so that the file moves first."""
    moved = folder.take_file(path)
    try:
        conversation = Conversation.start_video(open_video(moved, limits), name)
        assert conversation.video is not None
        encode_film(conversation.video)  # a server that cannot do it should say so now
        return _begin_entry(conversation, name, [moved])
    except UserError as error:
        folder.release_file(moved)
        raise type(error)(str(error).replace(moved.name, path.name)) from error


def _begin_entry(conversation: Conversation, name: str, files: Sequence[Path]) -> AlbumEntry:
    image = conversation.image
    return AlbumEntry(
        id=0,
        name=conversation.name if Path(name).suffix.lower() == ".json" and conversation.name else name,
        key=get_subject_key(conversation),
        files=tuple(files),
        is_video=conversation.video is not None,
        width=image.width,
        height=image.height,
        thumbnail=encode_data_url(reduce_image(image, THUMBNAIL_SIDE), quality=60),
        packed=conversation.pack(),
    )


def _save_images(conversation: Conversation, folder: VisitorFolder) -> list[Path]:
    """The images of a conversation as files."""
    shown = {event.image.key: event for event in conversation.events if isinstance(event, ImageShown)}
    files = []
    with TemporaryDirectory(prefix="sam3-agent-") as made:
        for number, event in enumerate(shown.values()):
            path = Path(made) / f"{number}.png"
            event.image.to_pil().save(path, "PNG", compress_level=1)
            files.append(folder.take_file(path))
    return files


def open_entry(entry: AlbumEntry, limits: Limits) -> Conversation:
    """Open the conversation of an entry with its images. Raises ImageError or VideoError."""
    return _build_opener(entry, limits)(entry.packed)


def open_ways(entry: AlbumEntry, limits: Limits) -> tuple[BranchTree, dict[Episode, TurnInfo]]:
    """Open every way that the conversation of an entry went, and who answered. Raises ImageError or VideoError."""
    open_way = _build_opener(entry, limits)
    return unpack_tree(entry.tree, open_way(entry.packed), open_way)


def _build_opener(entry: AlbumEntry, limits: Limits) -> Callable[[bytes], Conversation]:
    """What opens a packed conversation about an entry; its files are read once."""
    if not entry.is_video:
        images = [Image.open(file, max_pixels=limits.max_pixels) for file in entry.files]
        return lambda packed: Conversation.unpack(packed, images)
    video = open_video(entry.files[0], limits)
    begun = Conversation.start_video(video, entry.name)
    return lambda packed: Conversation.unpack(packed, [begun.image]).show_video(video, entry.name)


def collect_conversation(
    entry: AlbumEntry,
    conversation: Conversation,
    remarks: Sequence[Remark] | None = None,
    tree: PackedTree | None = None,
) -> AlbumEntry:
    """Return the entry with what its conversation has come to."""
    return replace(
        entry,
        packed=conversation.pack(),
        tree=entry.tree if tree is None else tree,
        answer=tuple(conversation.workspace.pick(conversation.selected)),
        reasons=conversation.reasons,
        turns=len(conversation.turns),
        remarks=entry.remarks if remarks is None else detach_remarks(remarks),
    )


def make_unique_name(name: str, taken: Collection[str]) -> str:
    """Return a name that no other image has.

    >>> make_unique_name("b/a.png", ["b/a.png", "b/a (2).png"])
    'b/a (3).png'
    """
    path = PurePosixPath(name)
    numbered = (name if number == 1 else str(path.with_stem(f"{path.stem} ({number})")) for number in count(1))
    folded = {other.casefold() for other in taken}
    return next(candidate for candidate in numbered if candidate.casefold() not in folded)
