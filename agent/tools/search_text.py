"""The masks that SAM 3 found for a phrase: without those that nobody can see, and in words."""

from collections.abc import Iterable

from agent.core.text.english import format_ids, format_mask_count, format_scores
from agent.core.workspace import SearchRecord, Workspace
from sam3_tool import Instances
from sam3_tool.masks.rle import compute_ious

NEAR_DUPLICATE = 0.8
"""Two masks of one phrase with a greater IoU are one object, found twice."""


def drop_empty(found: Instances) -> Instances:
    """A detection whose mask has no pixel cannot be drawn, pointed at or chosen."""
    return found[found.areas > 0]


def drop_near_duplicates(found: Instances) -> Instances:
    """Without the masks that nearly repeat a better one."""
    repeats = compute_ious(found.rles, found.rles) > NEAR_DUPLICATE
    kept: list[int] = []
    for index in range(len(found)):
        if not repeats[index, kept].any():
            kept.append(index)
    return found[kept]


def describe_search(
    search: SearchRecord, workspace: Workspace, numbers: Iterable[int] = (), *, again: bool = False
) -> str:
    """`numbers`: what the planner calls the masks, where that is not their id. `again`: they were found before.

    E.g. "3 masks for 'red cup': 1 to 3 (scores 0.91 to 0.72)" or "nothing for 'plate' (presence 0.04), as before".
    """
    before = ", as before" if again else ""
    what = repr(search.phrase) if search.phrase else "the examples"
    if not search.ids:
        return f"nothing for {what} (presence {search.presence:.2f}){before}"
    found = format_scores([candidate.score for candidate in workspace.pick(search.ids)])
    return f"{format_mask_count(len(search.ids))} for {what}: {format_ids(numbers or search.ids)} ({found}){before}"
