"""The answers of several planners to one question, side by side."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from agent.core.episode import Episode
from agent.core.text.sanitizing import make_encodable
from demo.sessions import Session
from demo.talk.branches import Version
from demo.talk.costs import describe_cost, make_chip
from demo.talk.wording import describe_answer
from sam3_tool.masks.rle import RleMask, compute_ious

SAME_IOU = 0.5
"""Two masks are of the same object from this intersection over union on, as COCO counts."""
MAX_CHIPS = 12
"""Numbers of masks in a row of the table."""


def compare_versions(place: int, episode: Episode, session: Session) -> Iterator[dict[str, Any]]:
    """Yield one entry that compares the answers to a question that several planners answered; none for others.

    Args:
        place: Of the question among the events of the conversation.
        episode: The answer that is shown.
        session: What is shown.
    """
    versions = [version for version in session.tree.list_versions(place) if _asks_the_same(version, episode)]
    if len(versions) < 2 or len({_get_planner(version, session) for version in versions}) < 2:
        return
    yield {
        "kind": "comparison",
        "rows": [_build_row(version, place, episode, session) for version in versions],
    }


def _asks_the_same(version: Version, episode: Episode) -> bool:
    other = version.event
    return isinstance(other, Episode) and not other.task.by_hand and other.task.query == episode.task.query


def _get_planner(version: Version, session: Session) -> str:
    info = session.turn_infos.get(version.event) if isinstance(version.event, Episode) else None
    return "" if info is None else info.planner


def _build_row(version: Version, place: int, shown: Episode, session: Session) -> dict[str, Any]:
    answer = version.event
    assert isinstance(answer, Episode)
    ids, is_shown = answer.current_ids if answer.outcome != "no_match" else (), answer is shown
    return {
        "planner": _get_planner(version, session) or "an earlier planner",
        "text": make_encodable(describe_answer(answer.message)),
        "masks": [make_chip(id) for id in ids[:MAX_CHIPS]],
        "more": max(0, len(ids) - MAX_CHIPS),
        "steps": len(answer.steps),
        "cost": describe_cost(answer.usage, session.turn_infos.get(answer)),
        "agreement": "" if is_shown else _describe_agreement(shown, answer),
        "branch": version.branch,
        "turn": place,
        "shown": is_shown,
    }


def _describe_agreement(shown: Episode, other: Episode) -> str:
    """How far two answers are the same objects; '' for videos, whose objects are tracks."""
    if shown.task.timeline is not None:
        return ""
    masks = [
        tuple(candidate.rle for candidate in answer.workspace.pick(answer.current_ids)) for answer in (shown, other)
    ]
    return describe_overlap(*masks)


@lru_cache(maxsize=256)
def describe_overlap(shown: Sequence[RleMask], others: Sequence[RleMask]) -> str:
    """Return how far two sets of masks are the same objects.

    Args:
        shown: The masks of one answer.
        others: The masks of another one, of the same image.

    Example:
        >>> describe_overlap((), ())
        'Both found nothing'
    """
    if not shown and not others:
        return "Both found nothing"
    ious = compute_ious(shown, others) if shown and others else None
    pairs = 0
    while ious is not None and ious.max() >= SAME_IOU:
        row, column = divmod(int(ious.argmax()), ious.shape[1])
        ious[row, :] = ious[:, column] = 0.0
        pairs += 1
    only = [f"{len(shown) - pairs} only in the answer shown"] * (len(shown) > pairs)
    only += [f"{len(others) - pairs} only here"] * (len(others) > pairs)
    return ", ".join([f"{pairs} the same", *only])
