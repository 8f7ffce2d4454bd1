"""Classes that a person gives to masks, and masks that a person brings along: turns by hand without a network."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.core.episode import Decision, Episode, Observation, Step, Task
from agent.core.errors import ConversationError
from agent.core.text.english import format_ids, format_mask_count
from agent.core.text.sanitizing import drop_unprintable
from agent.core.workspace import Candidate, Workspace
from sam3_tool.masks.rle import RleMask, compute_areas, compute_boxes

MAX_LABEL_LENGTH = 80
"""Characters of a class's name."""
MAX_MASKS_AT_ONCE = 2000
"""Masks that one turn may bring along."""


@dataclass(frozen=True)
class GivenMask:
    """Hold a mask that no network made here: from another tool's file, or drawn by a person.

    Example:
        >>> GivenMask(RleMask((4, 6), "0h0"), "cup").score
        1.0
    """

    rle: RleMask
    """In the size of the image; `check_runs` has passed it where it comes from a file."""
    label: str = ""
    """Its class; empty for none."""
    phrase: str = ""
    """The noun phrase that found it, where that is known."""
    score: float = 1.0
    """In [0, 1]."""


def clean_label(label: str) -> str:
    r"""Return the name of a class on one line, without space around it.

    Args:
        label: What a person wrote.

    Returns:
        The name; empty for no class.

    Raises:
        ConversationError: It is too long.

    Example:
        >>> clean_label("  ripe\n melon ")
        'ripe melon'
    """
    name = drop_unprintable(label)
    if len(name) > MAX_LABEL_LENGTH:
        raise ConversationError(f"a class has a name of up to {MAX_LABEL_LENGTH} letters, and this one has {len(name)}")
    return name


def build_label_turn(task: Task, ids: Sequence[int], label: str) -> Episode:
    """Give known masks a class; an empty one takes it away. The answer stays as it is."""
    workspace = (task.context.workspace or Workspace(task.image.height, task.image.width)).with_labels(
        dict.fromkeys(ids, label)
    )
    said = (
        f"{format_mask_count(len(ids))} now of class {label}." if label else f"{format_mask_count(len(ids))}: no class."
    )
    return end_turn(
        task, Decision("relabel", write_arguments(ids=[*ids], label=label)), workspace, task.context.selected, said
    )


def build_addition_turn(task: Task, masks: Sequence[GivenMask], origin: str) -> Episode:
    """Add masks under new ids, those without a pixel left out, and put them into the answer."""
    workspace = task.context.workspace or Workspace(task.image.height, task.image.width)
    size = workspace.height, workspace.width
    if other := [mask.rle.size for mask in masks if mask.rle.size != size]:
        raise ConversationError(
            f"a mask is {other[0][1]} x {other[0][0]} pixels, and the image is {size[1]} x {size[0]};"
            " bring masks of its size"
        )
    kept = [mask for mask, area in zip(masks, compute_areas([mask.rle for mask in masks]), strict=True) if area]
    if not kept or len(kept) > MAX_MASKS_AT_ONCE:
        raise ConversationError(
            f"there are {len(kept):,} masks with a pixel to add; between 1 and {MAX_MASKS_AT_ONCE:,} can be added"
            " at once"
        )
    boxes = compute_boxes([mask.rle for mask in kept]).tolist()
    added = tuple(
        Candidate(id, mask.rle, (x0, y0, x1, y1), mask.score, mask.phrase, origin, label=clean_label(mask.label))
        for id, (mask, (x0, y0, x1, y1)) in enumerate(zip(kept, boxes, strict=True), start=len(workspace) + 1)
    )
    ids = tuple(candidate.id for candidate in added)
    grown = replace(workspace, candidates=(*workspace.candidates, *added))
    said = f"Added {format_mask_count(len(ids))}: {format_ids(ids)}."
    selected = (*task.context.selected, *ids)
    return end_turn(task, Decision("add_masks", write_arguments(count=len(ids), origin=origin)), grown, selected, said)


def label_new_masks(episode: Episode, label: str) -> Episode:
    """Return the episode in which the masks that it found have this class."""
    known = len(episode.task.context.workspace or ())
    return replace(episode, steps=tuple(_label_step(step, known, label) for step in episode.steps))


def _label_step(step: Step, known: int, label: str) -> Step:
    workspace = step.observation.workspace
    if workspace is None:
        return step
    labelled = workspace.with_labels({candidate.id: label for candidate in workspace if candidate.id > known})
    return replace(step, observation=replace(step.observation, workspace=labelled))


def end_turn(task: Task, decision: Decision, workspace: Workspace, ids: Sequence[int], said: str) -> Episode:
    """Take a turn by hand of one step, after which these masks are the answer."""
    observation = Observation(said, workspace, tuple(ids), "answered" if ids else "no_match")
    return Episode(task, (Step(decision, observation),), observation.outcome)


def write_arguments(**arguments: object) -> str:
    """Write the arguments of a call."""
    return json.dumps(arguments, ensure_ascii=False)
