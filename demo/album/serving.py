"""Answers to the film strip's script: what changed in the strip, and sentences on what could not be done."""

from pathlib import Path
from typing import Any

from agent.report.text import format_css_color
from demo.actions import Actions
from demo.album.actions import UploadedFile
from demo.album.entries import AlbumEntry
from demo.album.exporting import measure_tolerance
from demo.album.requests import (
    AddRequest,
    AlbumEnvelope,
    ClassesRequest,
    EntryRequest,
    MeasureRequest,
    OptionsRequest,
    RenameRequest,
    Request,
    StopRequest,
)
from demo.requests import InvalidEventError, parse_data
from demo.sessions import Session
from demo.studio.deltas import compute_revision
from demo.studio.rows import choose_mask_ink
from demo.talk.wording import describe_error
from sam3_tool.drawing.outlines import get_mask_color


def answer_album_request(actions: Actions, upload_folder: Path, data: Any) -> dict[str, Any]:
    """Do what the script asks for, and return what changed.

    Args:
        actions: What a visitor can do.
        upload_folder: Where uploads lie; no file of another place is taken.
        data: What the script sent: an `AlbumEnvelope`.

    Returns:
        What `describe_album` says, with `notes`; or `error` alone, a sentence.
    """
    try:
        request = parse_data(AlbumEnvelope, {"request": data}).request
        session = actions.sessions[request.session]
    except (InvalidEventError, LookupError) as error:
        return {"error": str(error)}
    shown = session.album.current
    try:
        notes, more = _do_request(actions, upload_folder, request)
    except Exception as error:  # a page that says so and goes on is worth more than one that is dead
        notes, more = [describe_error(error)], {}
    session = actions.sessions[request.session]
    moved = session.album.current != shown
    return {**describe_album(session, request.known), **more, "notes": notes, "moved": moved}


def _do_request(actions: Actions, upload_folder: Path, request: Request) -> tuple[list[str], dict[str, Any]]:
    """Sentences, and what is told beside them."""
    session_id = request.session
    match request:
        case AddRequest():
            return _add_files(actions, upload_folder, request), {}
        case EntryRequest():
            return _change_entry(actions, request), {}
        case ClassesRequest():
            actions.album.set_classes(session_id, request.names)
        case RenameRequest():
            actions.album.rename_class(session_id, request.old, request.new)
            return [], {"redraw": True}
        case OptionsRequest():
            actions.album.set_options(session_id, colours_by_class=request.by_class, tolerance=request.tolerance)
            return [], {"redraw": True}
        case MeasureRequest():
            return [], {"measure": measure_tolerance(actions, session_id, request.tolerance)}
        case StopRequest():
            if (run := actions.sessions[session_id].album.run) is not None:
                run.stop_event.set()
    return [], {}


def _add_files(actions: Actions, upload_folder: Path, request: AddRequest) -> list[str]:
    """Add uploads, and show the first of them where nothing is shown."""
    root = upload_folder.resolve()
    files = [UploadedFile(Path(file.path), file.name) for file in request.files]
    if any(not file.path.resolve().is_relative_to(root) for file in files):
        raise InvalidEventError("the page named a file that was not uploaded; reload it")
    before = {entry.id for entry in actions.sessions[request.session].album.entries}
    notes = actions.album.add_files(request.session, files)
    album = actions.sessions[request.session].album
    fresh = [entry.id for entry in album.entries if entry.id not in before]
    if fresh and (album.current is None or request.alone):
        session = actions.album.show_entry(request.session, fresh[0])
        notes += [session.note] if session.note else []
    return notes


def _change_entry(actions: Actions, request: EntryRequest) -> list[str]:
    match request.kind:
        case "show":
            session = actions.album.show_entry(request.session, request.id)
            is_refused = session.album.current != request.id
        case "remove":
            session = actions.album.remove_entry(request.session, request.id)
            is_refused = session.album.get_entry(request.id) is not None
        case _:
            session = actions.album.mark_done(request.session, request.id, request.kind == "done")
            is_refused = False
    return [session.note] if is_refused and session.note else []


def describe_album(session: Session, known: dict[str, str]) -> dict[str, Any]:
    """Return the strip as the page needs it.

    Args:
        session: Whose strip it is.
        known: The revision of each entry that the page has, by its id.

    Returns:
        `order`: the ids. `entries`: those that the page does not have, each with its revision. `classes`, with
        colours. `current`, `run`, `by_class`, `tolerance`.
    """
    album = session.album
    if album.run is not None:
        album.run.notice_look()
    asked = album.run.entry if album.run is not None else None
    rows = [_describe_entry(entry, session, asked) for entry in album.entries]
    conversation = session.conversation
    live = () if conversation is None else conversation.workspace.pick(conversation.selected)
    return {
        "order": [entry.id for entry in album.entries],
        "entries": [_leave_out_thumbnail(row, known) for row in rows if known.get(str(row["id"])) != row["revision"]],
        "classes": [_describe_class(name, place) for place, name in enumerate(album.list_classes(live), start=1)],
        "current": album.current,
        "run": None if album.run is None else album.run.describe(),
        "by_class": album.colours_by_class,
        "tolerance": album.tolerance,
    }


def _describe_class(name: str, place: int) -> dict[str, str]:
    return {"name": name, "color": format_css_color(place), "ink": choose_mask_ink(get_mask_color(place))}


def _describe_entry(entry: AlbumEntry, session: Session, asked: int | None) -> dict[str, Any]:
    """A row of the strip, with its revision."""
    is_shown, conversation = entry.id == session.album.current, session.conversation
    masks, turns = len(entry.answer), entry.turns
    if is_shown and conversation is not None:
        masks, turns = len(conversation.selected), len(conversation.turns)
    state = "done" if entry.done else "work" if turns or masks else "new"
    row = {
        "id": entry.id,
        "name": entry.name,
        "state": state,
        "masks": masks,
        "note": entry.note,
        "video": entry.is_video,
        "asked": entry.id == asked,
        "thumbnail": entry.thumbnail,
    }
    return {**row, "revision": compute_revision([row])}


def _leave_out_thumbnail(row: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    """The row without its image where the page has that already."""
    return row if str(row["id"]) not in known else {name: value for name, value in row.items() if name != "thumbnail"}
