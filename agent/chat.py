"""A planner that asks a language model. What the model sees is a pure function of the episode."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from math import ceil
from typing import get_args

from agent import messages as told
from agent.coordinates import Frame, convention_of
from agent.episode import NO_COST, Decision, Episode, Usage, Verdict
from agent.messages import View
from agent.models import Call, ChatModel, Message, Messages, Reply, Schema
from agent.models.tokens import estimate_tokens
from agent.planner import PlannerError
from agent.protocols import Protocol
from agent.tools import TOOLS_OF, Tool, ToolError, parse_call
from agent.tools.segment import MOST_PHRASES, Segment
from agent.verdicts import Heard, OneVerdict, SheetVerdicts, heard
from sam3_tool.contact_sheet import MOST

FEW = 3
"""Masks that are judged one by one, whether that was asked for or not."""
CUT_OFF = "The reply was cut off before it called a tool; think less and call one."


@dataclass(frozen=True, eq=False)
class Exam:
    """A request for verdicts."""

    talk: Messages
    ids: dict[int, int]
    """The numbers by which the model knows the masks in question -> their ids."""


class ChatPlanner:
    """Tells a language model of the episode and reads its reply: one tool call, or what comes nearest to one.

    Nothing that a model writes raises: what cannot be read is a decision that the loop answers with what to mend.
    Safe to share between threads, as its model is: it holds nothing else, and changes nothing.
    """

    def __init__(self, model: ChatModel, *, protocol: Protocol = "workspace", view: View | None = None) -> None:
        """`view`: what it leaves open is taken from the model's name and its capabilities."""
        if protocol not in get_args(Protocol):
            raise ValueError(f"`protocol` must be 'workspace' or 'paper', got {protocol!r}")
        self.model = model
        self.protocol = protocol
        self.view = _settled(view or View(), model)
        self.schemas: Sequence[Schema] = told.schemas(protocol, self.view)

    def messages(self, episode: Episode, *, short: bool = False) -> Messages:
        """What the model sees next; see `agent.messages`."""
        return told.messages(episode, self.protocol, self.view, short=short)

    def decide(self, episode: Episode) -> Decision:
        """The next call. A reply that is cut off, or a request that is refused, is tried once more with less history.

        Raises PlannerError when the model cannot be had.
        """
        talk = self.messages(episode)
        reply, shortened = self._ask(talk), False
        if _is_too_much(reply) and episode.steps:
            shorter = self.messages(episode, short=True)
            if estimate_tokens(shorter) < estimate_tokens(talk):
                again = self._ask(shorter)
                reply, shortened = replace(again, usage=reply.usage + again.usage), True
        if reply.error:
            raise PlannerError(reply.error)
        return replace(decision_of(reply, self.protocol, self.view.frame(episode.task.picture)), shortened=shortened)

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """Verdicts on these masks: each in a request of its own where they are few, where it is asked for, and in the
        paper's protocol; else up to 12 on a sheet. All requests go out together.

        What cannot be read is asked for once more; a mask without a verdict after that is left out. The cost of a
        request is carried by its first verdict. If there is none at all, a verdict on mask 0, which no episode has,
        carries the cost.
        """
        exams = self.examinations(episode, ids, closely=closely)
        tool = OneVerdict if _one_by_one(ids, self.protocol, closely) else SheetVerdicts
        replies = self._judge([exam.talk for exam in exams], tool)
        answers = [heard(reply, exam.ids, tool) for reply, exam in zip(replies, exams, strict=True)]
        again = [index for index, answer in enumerate(answers) if answer.complaint and not replies[index].error]
        frame = self.view.frame(episode.task.picture)
        retries = [_retold(exams[index].talk, replies[index], answers[index].complaint, frame) for index in again]
        costs = [reply.usage for reply in replies]
        for index, reply in zip(again, self._judge(retries, tool), strict=True):
            answers[index] = _both(answers[index], heard(reply, exams[index].ids, tool))
            costs[index] += reply.usage
        return _with_costs(answers, costs)

    def examinations(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Exam]:
        """The requests that `examine` makes; see `examinations`."""
        return examinations(episode, ids, self.protocol, self.view, closely=closely)

    def _ask(self, talk: Messages) -> Reply:
        return self.model.reply([talk], self.schemas)[0]

    def _judge(self, talks: Sequence[Messages], tool: type[Tool]) -> list[Reply]:
        return self.model.reply(talks, [tool.schema_for_planner()]) if talks else []


def examinations(
    episode: Episode, ids: Sequence[int], protocol: Protocol, view: View, *, closely: bool = False
) -> list[Exam]:
    """The requests for verdicts on these masks, as a model is sent them first: a pure function of the episode."""
    ids = list(dict.fromkeys(ids))
    number = {id: told.number_of(id, episode, protocol) for id in ids}
    if _one_by_one(ids, protocol, closely):
        return [Exam(told.examination(episode, id, protocol, view), {number[id]: id}) for id in ids]
    sheets = list(_shared_out(ids, MOST))
    talks = told.sheet_examination(episode, sheets, protocol, view)
    return [Exam(talk, {number[id]: id for id in group}) for talk, group in zip(talks, sheets, strict=True)]


def _one_by_one(ids: Sequence[int], protocol: Protocol, closely: bool) -> bool:
    return closely or protocol == "paper" or len(set(ids)) <= FEW


def decision_of(reply: Reply, protocol: Protocol, frame: Frame) -> Decision:
    """The decision that a reply stands for, with regions in pixels of the whole picture."""
    said = Decision("", "", reply.text, reply.usage, reply.reasoning)
    if not reply.calls:
        return replace(said, note=CUT_OFF if reply.finish_reason == "length" else "")
    call, note = _taken(reply.calls, protocol, frame)
    return replace(said, tool=call.tool, arguments=call.arguments, note=note)


def _settled(view: View, model: ChatModel) -> View:
    return replace(
        view,
        coordinates=convention_of(model.name) if view.coordinates == "auto" else view.coordinates,
        images=model.capabilities.images if view.images is None else view.images,
        context=model.capabilities.context if view.context is None else view.context,
    )


def _is_too_much(reply: Reply) -> bool:
    """Whether less history might help: no room was left to call a tool, or the request was refused as it is."""
    refused = bool(reply.error) and not reply.recoverable
    return refused or (reply.finish_reason == "length" and not reply.calls and not reply.error)


def _taken(calls: Sequence[Call], protocol: Protocol, frame: Frame) -> tuple[Call, str]:
    """The call to make, and a note on what is left out. Calls of `segment` that ask alike are one call."""
    distinct = list(dict.fromkeys(calls))
    first, *others = distinct
    alike = _alike(distinct) if protocol == "workspace" else []
    if not alike or (not others and alike[0].region is None):
        call = _in_pixels(first, frame) if protocol == "workspace" else first
        return call, _left_out(len(distinct), len(others))
    phrases = list(dict.fromkeys(phrase for call in alike for phrase in call.phrases))
    merged = alike[0].model_copy(update={"phrases": phrases[:MOST_PHRASES]})
    notes = (_left_out(len(distinct), len(distinct) - len(alike)), _not_asked(phrases[MOST_PHRASES:]))
    return _written(merged, frame), " ".join(filter(None, notes))


def _alike(calls: Sequence[Call]) -> list[Segment]:
    """The first calls, as far as they are calls of `segment` that differ in their phrases alone."""
    read = list(takewhile(lambda call: call is not None, map(_as_segment, calls)))
    questions = [call.model_copy(update={"phrases": []}) for call in read if call is not None]
    same = sum(1 for _ in takewhile(lambda question: question == questions[0], questions))
    return [call for call in read[:same] if call is not None]


def _as_segment(call: Call) -> Segment | None:
    with suppress(ToolError):
        tool = parse_call(Decision(call.tool, call.arguments), TOOLS_OF["workspace"])
        return tool if isinstance(tool, Segment) else None
    return None


def _written(call: Segment, frame: Frame) -> Call:
    return _in_pixels(Call(call.name, call.as_decision().arguments), frame)


def _in_pixels(call: Call, frame: Frame) -> Call:
    """The call with the places in it in pixels of the whole picture."""
    return Call(call.tool, told.moved(Decision(call.tool, call.arguments), frame.in_pixels))


def _left_out(calls: int, left: int) -> str:
    if not left:
        return ""
    made = "the first" if calls - left == 1 else f"the first {calls - left}"
    return f"Of the {calls} calls in that reply only {made} was made; make the rest next if it is still needed."


def _not_asked(phrases: Sequence[str]) -> str:
    named = ", ".join(map(repr, phrases))
    return f"One call takes {MOST_PHRASES} phrases, so these were not asked for: {named}." if phrases else ""


def _retold(talk: Messages, reply: Reply, complaint: str, frame: Frame) -> list[Message]:
    """The request once more, after the reply and what is wrong with it."""
    call = reply.calls[0] if reply.calls else Call("", "")
    return [*talk, *told.turn(Decision(call.tool, call.arguments, reply.text), (complaint,), frame)]


def _both(first: Heard, second: Heard) -> Heard:
    """What was said at first counts; the second reply fills the gaps."""
    known = {verdict.id for verdict in first.verdicts}
    return Heard((*first.verdicts, *(verdict for verdict in second.verdicts if verdict.id not in known)))


def _with_costs(answers: Sequence[Heard], costs: Sequence[Usage]) -> list[Verdict]:
    lost = sum((cost for answer, cost in zip(answers, costs, strict=True) if not answer.verdicts), NO_COST)
    verdicts = [
        replace(verdict, usage=cost if place == 0 else NO_COST)
        for answer, cost in zip(answers, costs, strict=True)
        for place, verdict in enumerate(answer.verdicts)
    ]
    if verdicts:
        return [replace(verdicts[0], usage=verdicts[0].usage + lost), *verdicts[1:]]
    return [Verdict(0, accept=True, probability=0.5, usage=lost)] if lost != NO_COST else []


def _shared_out(ids: Sequence[int], most: int) -> Iterator[list[int]]:
    """In order, in as few groups of at most `most` as there can be, of nearly equal size.

    >>> [len(group) for group in _shared_out(range(13), 12)]
    [6, 7]
    """
    groups = ceil(len(ids) / most)
    edges = [round(len(ids) * group / groups) for group in range(groups + 1)] if groups else []
    yield from (list(ids[low:high]) for low, high in pairwise(edges))
