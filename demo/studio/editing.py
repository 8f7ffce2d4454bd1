"""Edits by hand, one after the other: each click finds the object that it means in what the edits before it made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.conversation.conversation import Conversation
from demo.actions import Actions, get_second
from demo.picture.canvas import canvas_state
from demo.requests import InvalidEventError, parse_data
from demo.sessions import EditedObject, Session
from demo.studio.deltas import describe_change
from demo.studio.drawing import draw_mask, mend_masks, touches_mask
from demo.studio.drawn_edits import DrawEdit, MendEdit, PolygonEdit
from demo.studio.edits import BoxEdit, Edit, EditBatch, KeepEdit, PointEdit, RelabelEdit, StepEdit, ThresholdEdit
from sam3_tool import Sam3

OTHER_IMAGE = "Another image is shown now, so that your last edit of the one before was not made."


@dataclass(frozen=True)
class ClickTarget:
    """Which object a click means."""

    mask_id: int | None
    """The mask that it corrects; None for an object without one."""


def answer_request(actions: Actions, data: Any) -> dict[str, Any]:
    """Make the edits of a request, and return what changed on the page.

    Args:
        actions: What a visitor can do.
        data: What the script sent, an `EditBatch`.

    Returns:
        What `describe_change` says, with sentences on edits that were refused; or `error` alone, a sentence.
    """
    try:
        batch = parse_data(EditBatch, data)
        session = actions.sessions[batch.session]
        actions.engine.require_offered(actions.engine.default_planner, batch.sam3)
    except (InvalidEventError, LookupError) as error:
        return {"error": str(error)}
    with session.batch_lock:
        session = actions.sessions[batch.session]
        before = canvas_state(session)
        is_shown = batch.key in ("", before["key"]) or count_made(session, batch) == len(batch.edits)
        notes = apply_batch(actions, batch) if is_shown else [OTHER_IMAGE]
        after = canvas_state(actions.sessions[batch.session])
    return {
        **describe_change(before, after, batch.revision),
        "notes": notes,
        "done": batch.first + len(batch.edits),
    }


def count_made(session: Session, batch: EditBatch) -> int:
    """Count the edits of a batch that were made already, when it came before: its answer was lost."""
    page, made = session.made_edits
    return min(len(batch.edits), max(0, made - batch.first)) if page == batch.page else 0


def apply_batch(actions: Actions, batch: EditBatch) -> list[str]:
    """Make the edits in order, but those that were made already, and return why some were refused."""
    skipped = count_made(actions.sessions[batch.session], batch)
    notes = []
    for number, edit in enumerate(batch.edits[skipped:], start=batch.first + skipped):
        session = apply_edit(actions, batch.session, batch.sam3, edit)
        notes += [session.note] if session.note else []
        actions.sessions.update(batch.session, made_edits=(batch.page, number + 1))
    return list(dict.fromkeys(notes))


def apply_edit(actions: Actions, session_id: str, sam3_name: str, edit: Edit) -> Session:
    """Make one edit. Where it is refused, the session is as it was but for a note."""
    if isinstance(edit, DrawEdit):
        return _apply_drawing(actions, session_id, edit)
    if not isinstance(edit, PointEdit):
        actions.sessions.update(session_id, edited=None)
        return actions.edit(session_id, partial(_make_edit, edit, partial(actions.engine.get_sam3, sam3_name)))
    edited: list[EditedObject] = []

    def click(conversation: Conversation) -> Conversation:
        target = find_target(conversation, edit, actions.sessions[session_id].edited)
        loaded, at = actions.engine.get_sam3(sam3_name), get_second(conversation, edit.frame)
        clicked = conversation.click(
            edit.x,
            edit.y,
            loaded,
            positive=edit.positive,
            mask_id=target.mask_id,
            new=edit.positive,
            label=edit.label,
            at=at,
        )
        edited.append(EditedObject(edit.object, target.mask_id or len(clicked.workspace)))
        return clicked

    session = actions.edit(session_id, click)
    return actions.sessions.update(session_id, edited=edited[0]) if edited else session


def _apply_drawing(actions: Actions, session_id: str, edit: DrawEdit) -> Session:
    edited: list[EditedObject] = []

    def draw(conversation: Conversation) -> Conversation:
        target = find_edited_mask(conversation, edit, actions.sessions[session_id].edited)
        drawn = draw_mask(edit, conversation, target)
        edited.append(EditedObject(edit.object, target or len(drawn.workspace)))
        return drawn

    session = actions.edit(session_id, draw)
    return actions.sessions.update(session_id, edited=edited[0]) if edited else session


def find_edited_mask(conversation: Conversation, edit: DrawEdit, edited: EditedObject | None) -> int | None:
    """Find the mask that a drawing changes: the one that is being edited; None for a new one.

    A polygon that does not touch it begins another one, unless it is to extend it. What is erased without one is
    taken from the mask of the answer where the drawing begins.
    """
    active = edited.mask_id if edited is not None and edited.token == edit.object else edit.active
    active = active if active in conversation.selected else None
    if active is None:
        x, y = edit.points[0]
        inside = 0 <= x < conversation.image.width and 0 <= y < conversation.image.height
        return conversation.mask_at(x, y) if edit.erase and inside else None
    is_other = isinstance(edit, PolygonEdit) and not edit.extend and not edit.erase
    return None if is_other and not touches_mask(edit, conversation, active) else active


def find_target(conversation: Conversation, edit: PointEdit, edited: EditedObject | None) -> ClickTarget:
    """Find the object that a click means.

    A positive click inside the object that is being edited corrects it. Outside, it corrects the mask of the answer
    that is there, or else begins another object, unless it is to extend the one that is edited. A negative click
    takes away from the mask that is there, or else from the one that is edited.
    """
    active = edited.mask_id if edited is not None and edited.token == edit.object else edit.active
    active = active if active in conversation.selected else None
    at = get_second(conversation, edit.frame)
    find: Callable[[Sequence[int] | None], int | None] = lambda ids: conversation.mask_at(  # noqa: E731
        edit.x, edit.y, candidate_ids=ids, at=at
    )
    if active is not None and (edit.extend or find([active]) == active):
        return ClickTarget(active)
    there = None if edit.new and edit.positive else find(None)
    return ClickTarget(active if there is None and not edit.positive else there)


def _make_edit(edit: Edit, load_sam3: Callable[[], Sam3], conversation: Conversation) -> Conversation:
    match edit:
        case BoxEdit():
            return _apply_box(edit, load_sam3(), conversation)
        case RelabelEdit():
            return conversation.relabel(edit.ids, edit.label)
        case MendEdit():
            return mend_masks(edit, conversation)
        case KeepEdit():
            return keep_masks(conversation, edit.ids)
        case ThresholdEdit():
            return conversation.filter_by_score(edit.value)
        case StepEdit():
            return conversation.undo() if edit.kind == "undo" else conversation.redo()
    raise InvalidEventError(f"there is no edit {edit.kind!r}")


def _apply_box(edit: BoxEdit, sam3: Sam3, conversation: Conversation) -> Conversation:
    at = get_second(conversation, edit.frame)
    if edit.meaning == "one":
        return conversation.outline_box(*edit.box, sam3, label=edit.label, at=at)
    return conversation.apply_box(*edit.box, sam3, positive=edit.meaning == "alike", label=edit.label, at=at)


def keep_masks(conversation: Conversation, ids: Sequence[int]) -> Conversation:
    """Make these masks the answer, by the one step that says what changed."""
    gone = [id for id in conversation.selected if id not in ids]
    new = [id for id in ids if id not in conversation.selected]
    if gone and not new:
        return conversation.remove(gone)
    return conversation.restore(new) if new and not gone else conversation.select(ids)
