"""Edits of a studio that belongs to no conversation: the page sends the masks with them, and nothing is remembered."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError

from agent.core.errors import ConversationError
from demo.studio.drawing import MENDERS, paint_mask
from demo.studio.drawn_edits import DrawEdit, MendEdit, PolygonEdit, StrokeEdit
from demo.studio.rows import build_studio_rows
from demo.studio.value import MAX_MASKS, StudioMask, StudioModel
from sam3_tool.masks.checks import check_size
from sam3_tool.masks.editing import split_parts
from sam3_tool.masks.rle import compute_areas, from_run_ends, merge_masks


class LocalRequest(StudioModel):
    """An edit with the masks that it is about."""

    size: tuple[int, int]
    """Height and width of the image, in pixels."""
    masks: Annotated[tuple[StudioMask, ...], Field(max_length=MAX_MASKS)]
    """Those that are changed, the first one above all."""
    next_id: Annotated[int, Field(ge=1, lt=10**9)]
    """The id that the next new mask gets."""
    edit: Annotated[StrokeEdit | PolygonEdit | MendEdit, Field(discriminator="kind")]


def edit_masks(data: Any) -> dict[str, Any]:
    """Make an edit.

    Args:
        data: What the script sent, a `LocalRequest`.

    Returns:
        `rows`: the masks that are new or changed. `gone`: ids that are no more. `active`: the mask that is edited. Or
        `error` alone, a sentence.
    """
    try:
        asked = LocalRequest.model_validate(data)
        check_size(*asked.size)
        if any(mask.size != asked.size for mask in asked.masks):
            raise ConversationError("a mask has another size than the image")
        masks, gone = change_masks(asked)
    except (ValidationError, ValueError, ConversationError) as error:
        is_sentence = isinstance(error, ConversationError)
        return {"error": str(error) if is_sentence else "the page sent an edit that makes no sense; reload it"}
    return {"rows": build_studio_rows(masks), "gone": gone, "active": masks[0].id}


def change_masks(asked: LocalRequest) -> tuple[list[StudioMask], list[int]]:
    """Return the masks that are new or changed, the edited one first, and the ids that are no more.

    Raises ConversationError for an edit that leaves no pixel, or changes nothing.
    """
    if isinstance(asked.edit, DrawEdit):
        changed = [_draw_mask(asked, asked.edit)]
    else:
        changed = _mend_masks(asked, asked.edit.how)
    if not all(compute_areas([mask.rle for mask in changed])):
        raise ConversationError("no pixel of the mask would be left; delete it instead")
    gone = (
        [mask.id for mask in asked.masks[1:]] if isinstance(asked.edit, MendEdit) and asked.edit.how == "merge" else []
    )
    return changed, gone


def _draw_mask(asked: LocalRequest, edit: StrokeEdit | PolygonEdit) -> StudioMask:
    if not asked.masks and edit.erase:
        raise ConversationError("there is no mask to take anything from; choose one first")
    empty = from_run_ends(np.zeros(0, np.int64), *asked.size)
    before = asked.masks[0] if asked.masks else StudioMask.from_rle(asked.next_id, empty, label=edit.label)
    after = paint_mask(edit, before.rle)
    if after == before.rle:
        raise ConversationError("nothing was changed: the drawing lies outside the image, or within the mask")
    return before.model_copy(update={"counts": after.counts})


def _mend_masks(asked: LocalRequest, how: str) -> list[StudioMask]:
    if not asked.masks:
        raise ConversationError("there is no mask to mend; choose one first")
    first = asked.masks[0]
    if how == "merge":
        return [first.model_copy(update={"counts": merge_masks([mask.rle for mask in asked.masks]).counts})]
    if how == "duplicate":
        return [first.model_copy(update={"id": asked.next_id})]
    if how == "split":
        return _split_mask(first, asked.next_id)
    return [first.model_copy(update={"counts": MENDERS[how][1](first.rle).counts})]


def _split_mask(mask: StudioMask, next_id: int) -> list[StudioMask]:
    parts = split_parts(mask.rle)
    ids: Sequence[int] = (mask.id, *range(next_id, next_id + len(parts) - 1))
    return [mask.model_copy(update={"id": id, "counts": part.counts}) for id, part in zip(ids, parts, strict=True)]
