"""Sets of mask numbers: checked, filtered, and in words."""

from collections.abc import Sequence

import numpy as np

from agent.episode import Observation, Workspace
from agent.tools.base import ToolError
from agent.tools.words import listed, masks


def known_ids(ids: Sequence[int], workspace: Workspace) -> tuple[int, ...]:
    """Each of `ids` once, in the order given. Raises ToolError when there is no such mask."""
    unknown = [id for id in dict.fromkeys(ids) if id not in workspace]
    if unknown and len(workspace) == 0:
        raise ToolError(f"There is no mask {listed(unknown, 'or')}, as none was found so far; call `segment` first.")
    if unknown:
        valid = listed(range(1, len(workspace) + 1))
        raise ToolError(f"There is no mask {listed(unknown, 'or')}; the valid numbers are {valid}.")
    return tuple(dict.fromkeys(ids))


def kept_of(ids: tuple[int, ...], holds: np.ndarray, what: str) -> Observation:
    """Those of `ids` where `holds`, bool (N,), and `what` that means in words."""
    kept = where(ids, holds)
    if kept:
        verb = "is" if len(kept) == 1 else "are"
        return Observation(f"{len(kept)} of {masks(len(ids))} {verb} {what}: {listed(kept)}.", shown=kept)
    return Observation(f"None of {masks(len(ids))} is {what}.", shown=())


def where(ids: Sequence[int], holds: np.ndarray) -> tuple[int, ...]:
    return tuple(id for id, keep in zip(ids, holds.tolist(), strict=True) if keep)


def in_words(ids: Sequence[int]) -> str:
    return f"{masks(len(ids))}: {listed(ids)}" if ids else masks(0)
