"""Sets of mask numbers: checked, filtered, and in words."""

from collections.abc import Sequence

import numpy as np

from agent.core.episode import Observation
from agent.core.errors import ToolError
from agent.core.text.english import format_ids, format_mask_count
from agent.core.workspace import Workspace


def validate_ids(ids: Sequence[int], workspace: Workspace) -> tuple[int, ...]:
    """Each of `ids` once, in the order given. Raises ToolError when there is no such mask."""
    unknown = [id for id in dict.fromkeys(ids) if id not in workspace]
    if unknown and len(workspace) == 0:
        raise ToolError(
            f"There is no mask {format_ids(unknown, 'or')}, as none was found so far; call `segment` first."
        )
    if unknown:
        valid = format_ids(range(1, len(workspace) + 1))
        raise ToolError(f"There is no mask {format_ids(unknown, 'or')}; the valid numbers are {valid}.")
    return tuple(dict.fromkeys(ids))


def build_kept_observation(ids: tuple[int, ...], holds: np.ndarray, condition: str) -> Observation:
    """Those of `ids` where `holds`, bool (N,), and `condition` that means in words."""
    kept = filter_ids(ids, holds)
    if kept:
        verb = "is" if len(kept) == 1 else "are"
        return Observation(
            f"{len(kept)} of {format_mask_count(len(ids))} {verb} {condition}: {format_ids(kept)}.", shown=kept
        )
    return Observation(f"None of {format_mask_count(len(ids))} is {condition}.", shown=())


def filter_ids(ids: Sequence[int], holds: np.ndarray) -> tuple[int, ...]:
    return tuple(id for id, keep in zip(ids, holds.tolist(), strict=True) if keep)


def describe_ids(ids: Sequence[int]) -> str:
    return f"{format_mask_count(len(ids))}: {format_ids(ids)}" if ids else format_mask_count(0)
