"""Masks that a visitor draws or mends: what each such edit does to the conversation."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from agent.conversation.conversation import Conversation
from agent.conversation.drawing import Drawing
from agent.core.errors import ConversationError
from agent.core.text.english import format_ids
from demo.studio.drawn_edits import DrawEdit, MendEdit, PolygonEdit, StrokeEdit
from sam3_tool.masks.editing import (
    fill_holes,
    paint_polygon,
    paint_stroke,
    remove_specks,
    smooth_outline,
    split_parts,
)
from sam3_tool.masks.rle import RleMask, compute_coverage, from_run_ends, merge_masks

MENDERS: Mapping[str, tuple[str, Callable[[RleMask], RleMask]]] = {
    "fill": ("fill the holes of", fill_holes),
    "specks": ("remove the specks of", remove_specks),
    "smooth": ("smooth the outline of", smooth_outline),
}


def draw_mask(edit: DrawEdit, conversation: Conversation, target: int | None) -> Conversation:
    """Paint or erase with a brush or a polygon.

    Args:
        edit: What was drawn.
        conversation: What it was drawn on.
        target: The id of the mask that it changes; None for a new one.

    Returns:
        The conversation with the turn.

    Raises:
        ConversationError: It would leave a mask without a pixel, or there is none to take from.
    """
    if target is None and edit.erase:
        raise ConversationError("there is no mask to take anything from; choose one first")
    before = _get_empty_mask(conversation) if target is None else conversation.workspace[target].rle
    after = paint_mask(edit, before)
    if after == before:
        raise ConversationError("nothing was changed: the drawing lies outside the image, or within the mask")
    what = "polygon" if isinstance(edit, PolygonEdit) else "brush"
    if target is None:
        return conversation.draw(Drawing({}, added=[(after, None)], label=edit.label), f"draw a mask with the {what}")
    verb = "take from" if edit.erase else "add to"
    return conversation.draw(Drawing({target: after}), f"{verb} mask {target} with the {what}")


def touches_mask(edit: DrawEdit, conversation: Conversation, id: int) -> bool:
    """Whether what was drawn lies on the mask of this id in part."""
    drawn = paint_mask(edit.model_copy(update={"erase": False}), _get_empty_mask(conversation))
    return bool(compute_coverage([drawn], [conversation.workspace[id].rle])[0, 0] > 0)


def mend_masks(edit: MendEdit, conversation: Conversation) -> Conversation:
    """Fill, clean, smooth, merge, split or duplicate masks of the answer. Raises ConversationError."""
    ids = [*dict.fromkeys(edit.ids)]
    if unknown := [id for id in ids if id not in conversation.selected]:
        raise ConversationError(f"mask {format_ids(unknown, 'or')} is not in the answer; choose one that is")
    rles = conversation.workspace.get_rles(ids)
    match edit.how:
        case "merge":
            return _merge_masks(conversation, ids, rles)
        case "split":
            return _split_mask(conversation, ids[0], rles[0])
        case "duplicate":
            copies = [(rle, id) for rle, id in zip(rles, ids, strict=True)]
            return conversation.draw(Drawing({}, added=copies), f"duplicate mask {format_ids(ids)}")
    verb, mender = MENDERS[edit.how]
    changed = {id: mended for id, rle in zip(ids, rles, strict=True) if (mended := mender(rle)) != rle}
    if not changed:
        raise ConversationError(f"there was nothing to mend in mask {format_ids(ids)}")
    return conversation.draw(Drawing(changed), f"{verb} mask {format_ids(ids)}")


def _merge_masks(conversation: Conversation, ids: Sequence[int], rles: Sequence[RleMask]) -> Conversation:
    """Make them one mask, with the number of the first."""
    if len(ids) < 2:
        raise ConversationError("a mask can be merged with another one; choose two")
    drawing = Drawing({ids[0]: merge_masks(rles)}, removed=ids[1:])
    return conversation.draw(drawing, f"merge mask {format_ids(ids)}")


def _split_mask(conversation: Conversation, id: int, rle: RleMask) -> Conversation:
    """Cut it into its parts: the largest keeps the number, the others get the next ones."""
    first, *others = split_parts(rle)
    if not others:
        raise ConversationError(f"mask {id} is in one part already; erase a line through it to split it")
    return conversation.draw(Drawing({id: first}, added=[(part, id) for part in others]), f"split mask {id}")


def paint_mask(edit: DrawEdit, rle: RleMask) -> RleMask:
    """Paint on a mask, or erase from it."""
    if isinstance(edit, StrokeEdit):
        return paint_stroke(rle, edit.points, edit.radius, erase=edit.erase)
    return paint_polygon(rle, edit.points, erase=edit.erase)


def _get_empty_mask(conversation: Conversation) -> RleMask:
    height, width = conversation.image.height, conversation.image.width
    return from_run_ends(np.zeros(0, np.int64), height, width)
