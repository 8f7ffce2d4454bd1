"""What a visitor does with many images: add, show, mark and take out; classes; files of other tools."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from agent.conversation.conversation import Conversation
from agent.conversation.labels import clean_label
from agent.core.episode import Episode
from agent.core.errors import ConversationError
from agent.exports.answer import check_tolerance, get_category
from demo.album.adding import build_entry, collect_conversation, make_unique_name, may_hold_masks, open_entry, open_ways
from demo.album.entries import Album, AlbumEntry
from demo.album.folder import DiskBudget, VisitorFolder
from demo.album.importing import import_files
from demo.remarks import attach_remarks
from demo.sessions import Session, SessionStore
from demo.talk.branches import BranchTree
from demo.talk.ways import TurnInfo, pack_tree
from demo.talk.wording import describe_error
from demo.uploads import Limits

MAX_CLASSES = 200
"""Classes that a visitor may name."""
WAIT_MESSAGE = "Wait for the answer, or stop it first."
GONE_MESSAGE = "This image is no longer in the strip."


@dataclass(frozen=True)
class UploadedFile:
    """A file that was uploaded, and what it is called."""

    path: Path
    name: str
    """With the folders before it, where a folder was uploaded."""


@dataclass(frozen=True)
class AlbumActions:
    """Actions on the film strip of a session. A file that cannot be used is a sentence."""

    sessions: SessionStore
    limits: Limits
    disk: DiskBudget = field(default_factory=DiskBudget)

    def add_files(self, session_id: str, files: Sequence[UploadedFile]) -> list[str]:
        """Add images, videos and conversations to the strip, and masks of other files to the images of their names.

        Returns:
            A sentence for each file that was not taken.
        """
        masks = [file for file in files if may_hold_masks(file.path)]
        notes = [note for file in files if file not in masks and (note := self._add_file(session_id, file))]
        if masks:
            notes += import_files(self, session_id, [(file.name, file.path) for file in masks])
            for file in masks:
                file.path.unlink(missing_ok=True)
        return notes

    def open_file(self, session_id: str, file: UploadedFile) -> Session:
        """Add one file and show it."""
        before = {entry.id for entry in self.sessions[session_id].album.entries}
        notes = self.add_files(session_id, [file])
        fresh = [entry.id for entry in self.sessions[session_id].album.entries if entry.id not in before]
        if fresh and not notes:
            return self.show_entry(session_id, fresh[0])
        return self.sessions.update(session_id, note=" ".join(notes), note_kind="error", unanswered_query="")

    def _add_file(self, session_id: str, file: UploadedFile) -> str:
        """Add one image; return why not, or ''."""
        try:
            folder = self._get_folder(session_id)
            if len(self.sessions[session_id].album.entries) >= self.limits.max_images:
                return f"{file.name}: the strip takes up to {self.limits.max_images:,} images, and it is full."
            entry = build_entry(file.path, file.name, folder, self.limits)
        except Exception as error:  # one damaged file of many is a sentence
            return describe_error(error)
        return self._store_entry(session_id, entry, folder)

    def _store_entry(self, session_id: str, entry: AlbumEntry, folder: VisitorFolder) -> str:
        notes = []

        def add_entry(session: Session) -> Mapping[str, Any]:
            album = session.album
            is_saved = entry.turns > 0  # a saved conversation may go on beside another one about its image
            if not is_saved and (same := [other.name for other in album.entries if other.key == entry.key]):
                notes.append(f"{entry.name} is in the strip already, as {same[0]}.")
                return {}
            name = make_unique_name(entry.name, [other.name for other in album.entries])
            return {"album": album.with_new_entry(replace(entry, name=name))}

        self.sessions.change(session_id, add_entry)
        for file in entry.files if notes else ():
            folder.release_file(file)
        return "".join(notes)

    def _get_folder(self, session_id: str) -> VisitorFolder:
        if (known := self.sessions[session_id].album.folder) is not None:
            return known
        made = VisitorFolder(self.disk, self.limits.max_album_bytes)

        def keep_folder(session: Session) -> Mapping[str, Any]:
            return {} if session.album.folder else {"album": replace(session.album, folder=made)}

        folder = self.sessions.change(session_id, keep_folder).album.folder
        assert folder is not None
        return folder

    def show_entry(self, session_id: str, entry_id: int) -> Session:
        """Show another image; the one that is shown now is kept as it is."""
        with self.sessions.hold_for_edit(session_id) as session:
            if session.pending_answer is not None:
                return self.sessions.update(session_id, note=WAIT_MESSAGE)
            entry = session.album.get_entry(entry_id)
            if entry is None or entry_id == session.album.current:
                return self.sessions.update(session_id, note="" if entry else GONE_MESSAGE)
            try:
                tree, infos = open_ways(entry, self.limits)
            except Exception as error:  # its file may be gone
                return self.sessions.update(session_id, note=describe_error(error), note_kind="error")
            left = collect_current(session)
            return self.sessions.change(session_id, lambda latest: _show(latest, left, entry_id, tree, infos))

    def remove_entry(self, session_id: str, entry_id: int) -> Session:
        """Take an image out of the strip. If it is shown, the next one is."""
        session = self.sessions[session_id]
        if session.album.current == entry_id:
            neighbours = (session.album.find_neighbour(step) for step in (1, -1))
            if (neighbour := next((id for id in neighbours if id is not None), None)) is None:
                return self.sessions.update(session_id, note="The only image stays; add others first.")
            shown = self.show_entry(session_id, neighbour)
            if shown.album.current == entry_id:
                return shown

        def drop(latest: Session) -> Mapping[str, Any]:
            entries = tuple(entry for entry in latest.album.entries if entry.id != entry_id)
            return {"album": replace(latest.album, entries=entries)}

        entry = session.album.get_entry(entry_id)
        changed = self.sessions.change(session_id, drop)
        if entry is not None and session.album.folder is not None:
            for file in entry.files:
                session.album.folder.release_file(file)
        return changed

    def mark_done(self, session_id: str, entry_id: int, done: bool) -> Session:
        """Say whether an image is finished."""
        return self.change_entry(session_id, entry_id, lambda entry: replace(entry, done=done))

    def change_entry(self, session_id: str, entry_id: int, change: Callable[[AlbumEntry], AlbumEntry]) -> Session:
        def change_latest(session: Session) -> Mapping[str, Any]:
            entry = session.album.get_entry(entry_id)
            return {} if entry is None else {"album": session.album.with_entry(change(entry))}

        return self.sessions.change(session_id, change_latest)

    def set_classes(self, session_id: str, names: Sequence[str]) -> Session:
        """Name the classes in the order of their keys. Raises ConversationError."""
        clean = list(dict.fromkeys(name for given in names if (name := clean_label(given))))
        if len(clean) > MAX_CLASSES:
            raise ConversationError(f"there may be up to {MAX_CLASSES} classes, and these are {len(clean)}")
        return self.change_album(session_id, lambda album: replace(album, classes=tuple(clean)))

    def rename_class(self, session_id: str, old: str, new: str) -> str:
        """Give another class to every mask of a class, in all images; each image's undo takes it back there.

        Args:
            session_id: Whose images they are.
            old: The class.
            new: Its name from now on.

        Returns:
            A sentence where there is a class of the new name already, so that the two are one now; else ''.

        Raises:
            ConversationError: The name is none, or an answer is under way; then nothing was changed.
        """
        name = clean_label(new)
        if not name:
            raise ConversationError("a class has a name of a letter or more")
        session = self.sessions[session_id]
        if session.pending_answer is not None:
            raise ConversationError(WAIT_MESSAGE)  # before any image is changed
        album, conversation = session.album, session.conversation
        known = album.list_classes([] if conversation is None else conversation.workspace.pick(conversation.selected))
        for entry in album.entries:
            if entry.id == album.current or any(get_category(candidate) == old for candidate in entry.answer):
                self.edit_entry(session_id, entry.id, lambda conversation: relabel_class(conversation, old, name))
        self.change_album(
            session_id,
            lambda latest: replace(
                latest, classes=tuple(dict.fromkeys(name if each == old else each for each in latest.classes))
            ),
        )
        is_joined = name != old and name in known
        return f"{old} is part of {name} now; undo takes that back, image by image." if is_joined else ""

    def edit_entry(self, session_id: str, entry_id: int, change: Callable[[Conversation], Conversation]) -> None:
        """Make a turn by hand about an image, whether it is shown or not. Raises UserError."""
        with self.sessions.hold_for_edit(session_id) as session:
            if session.album.current == entry_id and session.conversation is not None:
                if session.pending_answer is not None:
                    raise ConversationError(WAIT_MESSAGE)
                self.sessions.update(session_id, conversation=change(session.conversation))
                return
            entry = session.album.get_entry(entry_id)
            if entry is None:
                raise ConversationError(GONE_MESSAGE)
            changed = collect_conversation(entry, change(open_entry(entry, self.limits)))
            self.change_entry(session_id, entry_id, lambda latest: replace(changed, done=latest.done))

    def set_options(self, session_id: str, *, colours_by_class: bool, tolerance: float) -> Session:
        """Choose how masks are coloured, and how coarse exported polygons may be. Raises ValueError."""
        check_tolerance(tolerance)
        return self.change_album(
            session_id, lambda album: replace(album, colours_by_class=colours_by_class, tolerance=tolerance)
        )

    def change_album(self, session_id: str, change: Callable[[Album], Album]) -> Session:
        """Change the album at once."""
        return self.sessions.change(session_id, lambda session: {"album": change(session.album)})

    def collect_entries(self, session_id: str) -> list[AlbumEntry]:
        """Return all entries as they are now."""
        session = self.sessions[session_id]
        current = collect_current(session)
        return [current if current is not None and entry.id == current.id else entry for entry in session.album.entries]


def collect_current(session: Session) -> AlbumEntry | None:
    """Return the entry of the image that is shown, as it is now."""
    entry = session.album.get_entry(session.album.current)
    if entry is None or session.conversation is None:
        return None
    tree = pack_tree(session.tree, session.turn_infos)
    return collect_conversation(entry, session.conversation, session.evolve(note="").remarks, tree)


def relabel_class(conversation: Conversation, old: str, new: str) -> Conversation:
    """Give another class to every mask of a class, those outside the answer too."""
    ids = [
        candidate.id for candidate in conversation.workspace if candidate.category and get_category(candidate) == old
    ]
    return conversation.relabel(ids, new) if ids else conversation


def find_entry(album: Album, name: str) -> AlbumEntry | None:
    """Find the image of a name: by all of it, else by the file name alone, else by that without its ending.

    None where there is no such image, or more than one.
    """
    wanted = PurePosixPath(name.replace("\\", "/"))
    keys: tuple[Callable[[PurePosixPath], str], ...] = (str, lambda path: path.name, lambda path: path.stem)
    for key in keys:
        found = [entry for entry in album.entries if key(PurePosixPath(entry.name)) == key(wanted)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _show(
    latest: Session,
    left: AlbumEntry | None,
    entry_id: int,
    tree: BranchTree,
    infos: Mapping[Episode, TurnInfo],
) -> Mapping[str, Any]:
    conversation = tree.branches[tree.current]
    target = latest.album.get_entry(entry_id)
    was = None if left is None else latest.album.get_entry(left.id)
    kept = None if left is None or was is None else replace(left, done=was.done, note=was.note)
    return {
        "album": replace(latest.album.with_entry(kept), current=entry_id),
        "tree": tree,
        "turn_infos": infos,
        "remarks": () if target is None else attach_remarks(target.remarks, conversation.events),
        "note": _describe_reading(conversation),
        "unanswered_query": "",
        "edited": None,
    }


def _describe_reading(conversation: Conversation) -> str:
    """What had to be decided when an image that nothing was done about was read; '' where nothing had to be."""
    if conversation.turns:
        return ""
    return " ".join(conversation.image.notes if conversation.video is None else conversation.video.notes)
