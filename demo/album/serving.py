"""Answers to the film strip's script: what changed in the strip, and sentences on what could not be done."""

from pathlib import Path
from typing import Any

from demo.actions import Actions
from demo.album.actions import UploadedFile
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
from demo.album.telling import StripMemory
from demo.concepts import is_concept_file
from demo.requests import InvalidEventError, parse_data
from demo.talk.wording import describe_error


def answer_album_request(actions: Actions, memory: StripMemory, upload_folder: Path, data: Any) -> dict[str, Any]:
    """Do what the script asks for, and return what changed.

    Args:
        actions: What a visitor can do.
        memory: What pages were told of their strips.
        upload_folder: Where uploads lie; no file of another place is taken.
        data: What the script sent: an `AlbumEnvelope`.

    Returns:
        What `StripMemory.describe_change` says, with `notes`; or `error` alone, a sentence.
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
    return {**memory.describe_change(session, request.session, request.token), **more, "notes": notes, "moved": moved}


def _do_request(actions: Actions, upload_folder: Path, request: Request) -> tuple[list[str], dict[str, Any]]:
    """Sentences, and what is told beside them."""
    session_id = request.session
    match request:
        case AddRequest():
            return _add_files(actions, upload_folder, request)
        case EntryRequest():
            return _change_entry(actions, request), {}
        case ClassesRequest():
            actions.album.set_classes(session_id, request.names)
        case RenameRequest():
            joined = actions.album.rename_class(session_id, request.old, request.new)
            return [joined] if joined else [], {"redraw": True}
        case OptionsRequest():
            actions.album.set_options(session_id, colours_by_class=request.by_class, tolerance=request.tolerance)
            return [], {"redraw": True}
        case MeasureRequest():
            return [], {"measure": measure_tolerance(actions, session_id, request.tolerance)}
        case StopRequest():
            if (run := actions.sessions[session_id].album.run) is not None:
                run.stop_event.set()
    return [], {}


def _add_files(actions: Actions, upload_folder: Path, request: AddRequest) -> tuple[list[str], dict[str, Any]]:
    """Add uploads, and show the first of them where nothing is shown. What concepts show is looked for there."""
    root = upload_folder.resolve()
    files = [UploadedFile(Path(file.path), file.name) for file in request.files]
    if any(not file.path.resolve().is_relative_to(root) for file in files):
        raise InvalidEventError("the page named a file that was not uploaded; reload it")
    before = {entry.id for entry in actions.sessions[request.session].album.entries}
    concepts = [file for file in files if is_concept_file(Path(file.name))]
    notes = actions.album.add_files(request.session, [file for file in files if file not in concepts])
    album = actions.sessions[request.session].album
    fresh = [entry.id for entry in album.entries if entry.id not in before]
    if fresh and (album.current is None or request.alone):
        session = actions.album.show_entry(request.session, fresh[0])
        notes += [session.note] if session.note else []
    notes += [note for file in concepts if (note := _take_concept(actions, request, file))]
    return notes, {"redraw": True} if concepts else {}


def _take_concept(actions: Actions, request: AddRequest, file: UploadedFile) -> str:
    """A sentence on what could not be done, or ''."""
    sam3 = request.sam3 or actions.engine.sam3_name
    try:
        actions.engine.require_offered(actions.engine.default_planner, sam3)
        return actions.take_concept(request.session, file, sam3)
    except Exception as error:  # one damaged file of many is a sentence
        return describe_error(error)


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
