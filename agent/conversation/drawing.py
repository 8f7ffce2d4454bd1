"""Masks that a person draws: turns by hand that put new pixels in the place of a mask, or make another one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.conversation.labels import MAX_MASKS_AT_ONCE, clean_label, end_turn, write_arguments
from agent.core.episode import Decision, Episode, Task
from agent.core.errors import ConversationError
from agent.core.text.english import format_ids
from agent.core.workspace import Candidate, Workspace
from sam3_tool.masks.rle import RleMask, compute_areas, compute_boxes

DRAWN_ORIGIN, DRAW_TOOL = "drawn by hand", "draw"


@dataclass(frozen=True)
class Drawing:
    """What a person drew, at once.

    Example:
        >>> Drawing({1: RleMask((4, 6), "0h0")}).added
        ()
    """

    changed: Mapping[int, RleMask]
    """Mask id -> its new pixels. The mask keeps its number, score, phrase and class."""
    added: Sequence[tuple[RleMask, int | None]] = ()
    """New masks, each with the id of the mask that it takes score, phrase and class from; None for none."""
    removed: Sequence[int] = ()
    """Ids of masks that leave the answer."""
    label: str = ""
    """The class of new masks that take none from another mask; empty for none."""


def build_drawing_turn(task: Task, drawing: Drawing) -> Episode:
    """Take a turn by hand in which masks are drawn. Raises ConversationError for masks that cannot be."""
    workspace = task.context.workspace or Workspace(task.image.height, task.image.width)
    _check_masks(drawing, (workspace.height, workspace.width))
    grown = workspace
    for id, rle in drawing.changed.items():
        grown = grown.with_correction(_draw_candidate(workspace[id], id, rle))
    ids = range(len(workspace) + 1, len(workspace) + 1 + len(drawing.added))
    label = clean_label(drawing.label)
    added = tuple(
        _draw_candidate(None if source is None else workspace[source], id, rle, label)
        for id, (rle, source) in zip(ids, drawing.added, strict=True)
    )
    grown = replace(grown, candidates=(*grown.candidates, *added))
    kept = [id for id in dict.fromkeys((*task.context.selected, *drawing.changed, *ids)) if id not in drawing.removed]
    call = write_arguments(changed=[*drawing.changed], added=[*ids], removed=[*drawing.removed])
    return end_turn(task, Decision(DRAW_TOOL, call), grown, kept, _describe_drawing(drawing, ids))


def find_drawn_mask(turn: Episode) -> int | None:
    """Find the mask that a turn by hand drew, the first of several; None for other turns, and for damaged ones."""
    for step in turn.steps[:1] if turn.task.by_hand else ():
        try:
            call = json.loads(step.decision.arguments) if step.decision.tool == DRAW_TOOL else {}
            ids = [*call.get("changed", ()), *call.get("added", ())]
        except (ValueError, TypeError, AttributeError):
            return None
        return next((id for id in ids if isinstance(id, int)), None)
    return None


def _check_masks(drawing: Drawing, size: tuple[int, int]) -> None:
    rles = [*drawing.changed.values(), *(rle for rle, _ in drawing.added)]
    if not 1 <= len(rles) <= MAX_MASKS_AT_ONCE:
        raise ConversationError(f"there are {len(rles):,} masks to draw; between 1 and {MAX_MASKS_AT_ONCE:,} can be")
    if other := [rle.size for rle in rles if rle.size != size]:
        raise ConversationError(
            f"a mask is {other[0][1]} x {other[0][0]} pixels, and the image is {size[1]} x {size[0]};"
            " draw masks of its size"
        )
    if not all(compute_areas(rles)):
        raise ConversationError("no pixel of the mask would be left; remove the mask from the answer instead")


def _draw_candidate(source: Candidate | None, id: int, rle: RleMask, label: str = "") -> Candidate:
    """The mask with these pixels. Nobody knows any more how likely it is right."""
    x0, y0, x1, y1 = compute_boxes([rle])[0].tolist()
    if source is None:
        return Candidate(id, rle, (x0, y0, x1, y1), 1.0, "", DRAWN_ORIGIN, label=label)
    return replace(source, id=id, rle=rle, box=(x0, y0, x1, y1), origin=DRAWN_ORIGIN, probability=None)


def _describe_drawing(drawing: Drawing, added: Sequence[int]) -> str:
    said = [
        *([f"{format_ids([*drawing.changed])} drawn anew"] if drawing.changed else []),
        *([f"{format_ids(added)} added"] if added else []),
        *([f"{format_ids([*drawing.removed])} removed"] if drawing.removed else []),
    ]
    return f"Mask {'; mask '.join(said)}."
