"""Edits by hand, as calls of the tools that planners have too."""

import json
from collections.abc import Sequence

from agent.core.episode import Decision, Episode
from agent.core.errors import ConversationError
from agent.core.text.english import format_ids, format_mask_count
from agent.core.workspace import Candidate
from agent.planners.scripted import ScriptedPlanner
from agent.tools import Tool
from agent.tools.combine import find_same_objects
from agent.tools.geometry.terms import SAME_OBJECT
from agent.tools.toolsets import Answer, Combine, ReportNoMask
from sam3_tool.prompts import Box


class ManualPlanner(ScriptedPlanner):
    """Makes a person's calls. A call that a tool refuses is a ConversationError with the tool's sentence."""

    def decide(self, episode: Episode) -> Decision:
        if episode.steps and episode.steps[-1].observation.is_error:
            raise ConversationError(episode.message)
        return super().decide(episode)


def answer_with_current(episode: Episode) -> Tool:
    return answer_with_ids(episode.current_ids, episode)


def answer_with_ids(ids: Sequence[int], episode: Episode) -> Tool:
    selected = episode.task.context.selected
    more, fewer = [id for id in ids if id not in selected], [id for id in selected if id not in ids]
    changes = [f"; added {format_ids(more)}"] * bool(more) + [f"; without {format_ids(fewer)}"] * bool(fewer)
    said = f"{format_mask_count(len(ids))}{''.join(changes)}."
    return Answer(ids=[*ids], message=said) if ids else ReportNoMask(reason=said)


def build_refine_call(x: float, y: float, positive: bool, mask_id: int | None, at: float | None = None) -> Decision:
    """`at`: of a video, the second of the frame."""
    whose, when = {} if mask_id is None else {"id": mask_id}, {} if at is None else {"at": at}
    return _build_decision("refine", points=[{"x": x, "y": y, "positive": positive}], **whose, **when)


def answer_with_refined(mask_id: int | None, episode: Episode) -> Tool:
    """Answer with the corrected mask, or with the new one in the place of the same object, or after all others."""
    selected, workspace = episode.task.context.selected, episode.workspace
    if episode.steps[-1].observation.workspace is None:
        raise ConversationError(episode.message)
    if mask_id is not None:
        return Answer(ids=[*dict.fromkeys([*selected, mask_id])], message=episode.message)
    new = len(workspace)
    same = find_same_objects(selected, [new], workspace)[:, 0].tolist()
    kept = [new if replaced else selected_id for selected_id, replaced in zip(selected, same, strict=True)]
    return Answer(ids=[*dict.fromkeys([*kept, new])], message=episode.message)


def build_exemplar_call(box: Box, at: float | None = None) -> Decision:
    """`at`: of a video, the second of the frame."""
    return _build_decision("segment", phrases=[], boxes=[box], **({} if at is None else {"at": at}))


def build_box_call(box: Box, at: float | None = None) -> Decision:
    """`at`: of a video, the second of the frame."""
    return _build_decision("refine", box=box, **({} if at is None else {"at": at}))


def union_with_answer(episode: Episode) -> Tool:
    """Add what was found now to the answer so far."""
    if not episode.current_ids:
        raise ConversationError("nothing looks like what is in the box, so the answer stays as it was")
    return Combine(op="union", a=[*episode.task.context.selected], b=[*episode.current_ids])


def subtract_from_answer(episode: Episode) -> Tool:
    """Take what was found now from the answer so far."""
    return Combine(op="minus", a=[*episode.task.context.selected], b=[*episode.current_ids])


def exclude_boxed(box: Box, at: float | None, episode: Episode) -> Tool:
    """Leave out what the box itself shows, whether or not SAM 3 found it. `at`: of a video, the second of the frame."""
    timeline = episode.task.timeline
    frame = None if timeline is None or at is None else timeline.find_frame(at)
    kept = [
        candidate.id
        for candidate in episode.workspace.pick(episode.current_ids)
        if not _is_same_box(_find_box(candidate, frame), box)
    ]
    if len(kept) == len(episode.task.context.selected):
        raise ConversationError("nothing in the answer looks like what is in the box, so it stays as it was")
    return answer_with_ids(kept, episode)


def _find_box(candidate: Candidate, frame: int | None) -> Sequence[float]:
    """The mask's box; of a video, that on the frame, which has no inside where the object is not seen."""
    masklet = candidate.masklet
    if masklet is None or frame is None:
        return candidate.box
    place = masklet.find_place(frame)
    return (0.0, 0.0, 0.0, 0.0) if place is None else masklet.boxes[place].tolist()


def _is_same_box(own: Sequence[float], box: Box) -> bool:
    """Tell whether the box of a mask and this one are mostly the same."""
    overlap = _compute_box_area(tuple(map(max, own[:2], box[:2])) + tuple(map(min, own[2:], box[2:])))
    return overlap > SAME_OBJECT * (_compute_box_area(own) + _compute_box_area(box) - overlap)


def _compute_box_area(box: Sequence[float]) -> float:
    """`box`: x0 y0 x1 y1; 0 where it has no inside."""
    x0, y0, x1, y1 = box
    return max(0.0, x1 - x0) * max(0.0, y1 - y0)


def _build_decision(tool: str, **arguments: object) -> Decision:
    return Decision(tool, json.dumps(arguments))


def describe_click(x: float, y: float, positive: bool, mask_id: int | None) -> str:
    if mask_id is None:
        return f"add what is at {x:g}, {y:g}"
    return f"{'add' if positive else 'take'} what is at {x:g}, {y:g} {'to' if positive else 'from'} mask {mask_id}"
