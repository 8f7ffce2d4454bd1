"""What a person does to an answer by hand, as calls of the tools that planners have too."""

import json
from collections.abc import Sequence

from agent.episode import Candidate, Decision, Episode
from agent.planner import PlannerError
from agent.scripted import ScriptedPlanner
from agent.tools import Tool
from agent.tools.relations import SAME_OBJECT
from agent.tools.words import listed, masks
from agent.tools.workspace import Answer, Combine, ReportNoMask
from sam3_tool.prompt import Box

MOST_PHRASES = 8
"""As many as `segment` takes."""


class ByHand(ScriptedPlanner):
    """A person's calls, which are not tried again."""

    def decide(self, episode: Episode) -> Decision:
        if episode.steps and episode.steps[-1].observation.is_error:
            raise PlannerError("the call was refused")
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
    """With the new mask in the place of `id`, or after all others."""
    selected, new = episode.task.before.selected, new_masks(episode)
    replaced = [new[0] if one == id else one for one in selected]
    return select(replaced if id in selected else [*selected, *new], episode)


def new_masks(episode: Episode) -> range:
    """The numbers of the masks that this turn has made."""
    known = episode.task.before.workspace
    return range(1 + (len(known) if known else 0), len(episode.workspace) + 1)


def like(box: Box) -> Decision:
    return _call("segment", phrases=[], boxes=[box])


def unlike(box: Box, answer: Sequence[Candidate]) -> Decision:
    """What the answer was found by, once more, but for what the box shows."""
    phrases = [phrase for phrase in dict.fromkeys(candidate.phrase for candidate in answer) if phrase]
    examples = [] if phrases else [candidate.id for candidate in answer]
    return _call("segment", phrases=phrases[:MOST_PHRASES], exemplars=examples, negative_boxes=[box])


def and_before(episode: Episode) -> Tool:
    """The answer so far, and what was found now."""
    return Combine(op="union", a=[*episode.task.before.selected], b=[*episode.shown])


def still_found(episode: Episode) -> Tool:
    """What of the answer so far was found now as well."""
    return Combine(op="intersect", a=[*episode.task.before.selected], b=[*episode.shown])


def without_boxed(box: Box, episode: Episode) -> Tool:
    """Without what the box itself shows, even if SAM 3 finds it again."""
    return select([one.id for one in episode.workspace.pick(episode.shown) if not _fills(one, box)], episode)


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
