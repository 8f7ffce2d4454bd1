"""What a person does to an answer by hand, as calls of the tools that planners have too."""

import json
from collections.abc import Sequence

from agent.episode import Candidate, Decision, Episode
from agent.scripted import ScriptedPlanner
from agent.tools import Tool
from agent.tools.combining import same_objects
from agent.tools.relations import SAME_OBJECT
from agent.tools.words import listed, masks
from agent.tools.workspace import Answer, Combine, ReportNoMask
from sam3_tool.prompt import Box


class ConversationError(ValueError):
    """What cannot be done at this point of a conversation. The message is one line for the user."""


class ByHand(ScriptedPlanner):
    """A person's calls. One that a tool refuses is a ConversationError, with the tool's sentence."""

    def decide(self, episode: Episode) -> Decision:
        if episode.steps and episode.steps[-1].observation.is_error:
            raise ConversationError(episode.message)
        return super().decide(episode)


def as_answer(episode: Episode) -> Tool:
    return select(episode.shown, episode)


def select(ids: Sequence[int], episode: Episode) -> Tool:
    selected = episode.task.before.selected
    more, fewer = [id for id in ids if id not in selected], [id for id in selected if id not in ids]
    changes = [f"; added {listed(more)}"] * bool(more) + [f"; without {listed(fewer)}"] * bool(fewer)
    said = f"{masks(len(ids))}{''.join(changes)}."
    return Answer(ids=[*ids], message=said) if ids else ReportNoMask(reason=said)


def refine(x: float, y: float, positive: bool, id: int | None) -> Decision:
    return _call("refine", points=[{"x": x, "y": y, "positive": positive}], **({} if id is None else {"id": id}))


def refined(id: int | None, episode: Episode) -> Tool:
    """With the mask that was just made in the place of `id`, or of the same object, or after all others."""
    selected, workspace = episode.task.before.selected, episode.workspace
    if episode.steps[-1].observation.workspace is None:
        raise ConversationError(episode.message)
    new = len(workspace)
    same = same_objects(selected, [new], workspace)[:, 0].tolist() if id is None else [one == id for one in selected]
    kept = [new if replaced else one for one, replaced in zip(selected, same, strict=True)]
    return Answer(ids=[*dict.fromkeys([*kept, new])], message=episode.message)


def like(box: Box) -> Decision:
    return _call("segment", phrases=[], boxes=[box])


def and_before(episode: Episode) -> Tool:
    """The answer so far, and what was found now."""
    if not episode.shown:
        raise ConversationError("nothing looks like what is in the box, so the answer stays as it was")
    return Combine(op="union", a=[*episode.task.before.selected], b=[*episode.shown])


def but_not_these(episode: Episode) -> Tool:
    """The answer so far without what was found now."""
    return Combine(op="minus", a=[*episode.task.before.selected], b=[*episode.shown])


def without_boxed(box: Box, episode: Episode) -> Tool:
    """Without what the box itself shows, whether or not SAM 3 found it."""
    kept = [one.id for one in episode.workspace.pick(episode.shown) if not _fills(one, box)]
    if len(kept) == len(episode.task.before.selected):
        raise ConversationError("nothing in the answer looks like what is in the box, so it stays as it was")
    return select(kept, episode)


def _fills(candidate: Candidate, box: Box) -> bool:
    """Whether the mask's box and this one are mostly the same."""
    overlap = _area(tuple(map(max, candidate.box[:2], box[:2])) + tuple(map(min, candidate.box[2:], box[2:])))
    return overlap > SAME_OBJECT * (_area(candidate.box) + _area(box) - overlap)


def _area(box: Sequence[float]) -> float:
    """`box`: x0 y0 x1 y1; 0 where it has no inside."""
    x0, y0, x1, y1 = box
    return max(0.0, x1 - x0) * max(0.0, y1 - y0)


def _call(tool: str, **arguments: object) -> Decision:
    return Decision(tool, json.dumps(arguments))


def click_said(x: float, y: float, positive: bool, id: int | None) -> str:
    if id is None:
        return f"add what is at {x:g}, {y:g}"
    return f"{'add' if positive else 'take'} what is at {x:g}, {y:g} {'to' if positive else 'from'} mask {id}"
