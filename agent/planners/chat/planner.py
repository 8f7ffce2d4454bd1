"""A planner that asks a language model. What the model sees is a pure function of the episode."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from math import ceil

from agent.core.episode import NO_COST, Decision, Episode, Usage, Verdict
from agent.core.errors import PlannerError, ToolError
from agent.core.toolset import Toolset
from agent.models.base import Call, ChatModel, Message, Messages, Reply, Schema
from agent.models.tokens import estimate_tokens
from agent.planners.chat import prompt
from agent.planners.chat.coordinates import CoordinateFrame, detect_convention
from agent.planners.chat.prompt import View
from agent.planners.chat.verdicts import OneVerdict, ParsedVerdicts, SheetVerdicts, parse_verdicts
from agent.tools import WORKSPACE, Tool, parse_call
from agent.tools.segment import MAX_PHRASES, Segment
from sam3_tool.drawing.contact_sheet import MAX_MASKS

MAX_SINGLE_VERDICTS = 3
"""Masks that are judged one by one, whether that was asked for or not."""
CUT_OFF_NOTE = "The reply was cut off before it called a tool; think less and call one."


@dataclass(frozen=True, eq=False)
class VerdictRequest:
    """A request for verdicts."""

    messages: Messages
    ids_by_number: dict[int, int]
    """The numbers by which the model knows the masks in question -> their ids."""


class ChatPlanner:
    """Tells a language model of the episode and reads its reply: one tool call, or what comes nearest to one.

    Nothing that a model writes raises: what cannot be read is a decision that the loop answers with what to mend.
    Safe to share between threads, as its model is: it holds nothing else, and changes nothing.
    """

    def __init__(self, model: ChatModel, *, toolset: Toolset = WORKSPACE, view: View | None = None) -> None:
        """`toolset`: what the model is offered. `view`: what it leaves open is taken from the model's name and its capabilities."""
        self.model = model
        self.toolset = toolset
        self.view = _resolve_view(view or View(), model)
        self.schemas: Sequence[Schema] = prompt.build_schemas(toolset, self.view)

    def build_messages(self, episode: Episode, *, short: bool = False) -> Messages:
        """What the model sees next; see `agent.build_messages`."""
        return prompt.build_messages(episode, self.toolset, self.view, short=short)

    def decide(self, episode: Episode) -> Decision:
        """The next call. A reply that is cut off, or a request that is refused, is tried once more with less history.

        Raises PlannerError when the model cannot be had.
        """
        messages = self.build_messages(episode)
        reply, shortened = self._ask_model(messages), False
        if _is_worth_shortening(reply) and episode.steps:
            shorter = self.build_messages(episode, short=True)
            if estimate_tokens(shorter) < estimate_tokens(messages):
                again = self._ask_model(shorter)
                reply, shortened = replace(again, usage=reply.usage + again.usage), True
        if reply.error:
            raise PlannerError(reply.error)
        return replace(to_decision(reply, self.toolset, self.view.build_frame(episode.task.image)), shortened=shortened)

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """Verdicts on these masks: each in a request of its own where they are few, where it is asked for, and in the
        paper's protocol; else up to 12 on a sheet. All requests go out together.

        What cannot be read is asked for once more; a mask without a verdict after that is left out. The cost of a
        request is carried by its first verdict. If there is none at all, a verdict on mask 0, which no episode has,
        carries the cost.
        """
        requests = self.build_verdict_requests(episode, ids, closely=closely)
        tool = OneVerdict if _is_judged_singly(ids, self.toolset, closely) else SheetVerdicts
        replies = self._request_verdicts([exam.messages for exam in requests], tool)
        answers = [
            parse_verdicts(reply, exam.ids_by_number, tool) for reply, exam in zip(replies, requests, strict=True)
        ]
        again = [index for index, answer in enumerate(answers) if answer.complaint and not replies[index].error]
        frame = self.view.build_frame(episode.task.image)
        retries = [
            _build_retry(requests[index].messages, replies[index], answers[index].complaint, frame) for index in again
        ]
        costs = [reply.usage for reply in replies]
        for index, reply in zip(again, self._request_verdicts(retries, tool), strict=True):
            answers[index] = _merge_verdicts(answers[index], parse_verdicts(reply, requests[index].ids_by_number, tool))
            costs[index] += reply.usage
        return _attach_costs(answers, costs)

    def build_verdict_requests(
        self, episode: Episode, ids: Sequence[int], *, closely: bool = False
    ) -> list[VerdictRequest]:
        """The requests that `examine` makes; see `build_verdict_requests`."""
        return build_verdict_requests(episode, ids, self.toolset, self.view, closely=closely)

    def _ask_model(self, messages: Messages) -> Reply:
        return self.model.generate_replies([messages], self.schemas)[0]

    def _request_verdicts(self, conversations: Sequence[Messages], tool: type[Tool]) -> list[Reply]:
        return self.model.generate_replies(conversations, [tool.to_planner_schema()]) if conversations else []


def build_verdict_requests(
    episode: Episode, ids: Sequence[int], toolset: Toolset, view: View, *, closely: bool = False
) -> list[VerdictRequest]:
    """The requests for verdicts on these masks, as a model is sent them first: a pure function of the episode."""
    ids = list(dict.fromkeys(ids))
    number_by_id = {id: prompt.get_display_number(id, episode, toolset) for id in ids}
    if _is_judged_singly(ids, toolset, closely):
        return [
            VerdictRequest(prompt.build_examination(episode, id, toolset, view), {number_by_id[id]: id}) for id in ids
        ]
    sheets = list(_split_evenly(ids, MAX_MASKS))
    conversations = prompt.build_sheet_examinations(episode, sheets, toolset, view)
    return [
        VerdictRequest(messages, {number_by_id[id]: id for id in group})
        for messages, group in zip(conversations, sheets, strict=True)
    ]


def _is_judged_singly(ids: Sequence[int], toolset: Toolset, closely: bool) -> bool:
    return closely or toolset.renumbers_masks or len(set(ids)) <= MAX_SINGLE_VERDICTS


def to_decision(reply: Reply, toolset: Toolset, frame: CoordinateFrame) -> Decision:
    """The decision that a reply stands for, with regions in pixels of the whole picture."""
    decision = Decision("", "", reply.text, reply.usage, reply.reasoning)
    if not reply.calls:
        return replace(decision, note=CUT_OFF_NOTE if reply.finish_reason == "length" else "")
    call, note = _select_call(reply.calls, toolset, frame)
    return replace(decision, tool=call.tool, arguments=call.arguments, note=note)


def _resolve_view(view: View, model: ChatModel) -> View:
    return replace(
        view,
        coordinates=detect_convention(model.name) if view.coordinates == "auto" else view.coordinates,
        images=model.capabilities.images if view.images is None else view.images,
        context=model.capabilities.context if view.context is None else view.context,
    )


def _is_worth_shortening(reply: Reply) -> bool:
    """Whether less history might help: no room was left to call a tool, or the request was refused as it is."""
    refused = bool(reply.error) and not reply.recoverable
    return refused or (reply.finish_reason == "length" and not reply.calls and not reply.error)


def _select_call(calls: Sequence[Call], toolset: Toolset, frame: CoordinateFrame) -> tuple[Call, str]:
    """The call to make, and a note on what is left out. Calls of `segment` that ask alike are one call."""
    distinct = list(dict.fromkeys(calls))
    first, *others = distinct
    alike = [] if toolset.renumbers_masks else _find_mergeable_calls(distinct, toolset)
    if not alike or (not others and alike[0].region is None):
        call = first if toolset.renumbers_masks else _convert_to_pixels(first, toolset, frame)
        return call, _note_dropped_calls(len(distinct), len(others))
    phrases = list(dict.fromkeys(phrase for call in alike for phrase in call.phrases))
    merged = alike[0].model_copy(update={"phrases": phrases[:MAX_PHRASES]})
    notes = (
        _note_dropped_calls(len(distinct), len(distinct) - len(alike)),
        _note_dropped_phrases(phrases[MAX_PHRASES:]),
    )
    return _to_pixel_call(merged, toolset, frame), " ".join(filter(None, notes))


def _find_mergeable_calls(calls: Sequence[Call], toolset: Toolset) -> list[Segment]:
    """The first calls, as far as they are calls of `segment` that differ in their phrases alone."""
    read = list(takewhile(lambda call: call is not None, (_parse_segment(call, toolset) for call in calls)))
    questions = [call.model_copy(update={"phrases": []}) for call in read if call is not None]
    same = sum(1 for _ in takewhile(lambda question: question == questions[0], questions))
    return [call for call in read[:same] if call is not None]


def _parse_segment(call: Call, toolset: Toolset) -> Segment | None:
    with suppress(ToolError):
        tool = parse_call(Decision(call.tool, call.arguments), toolset.tools)
        return tool if isinstance(tool, Segment) else None
    return None


def _to_pixel_call(call: Segment, toolset: Toolset, frame: CoordinateFrame) -> Call:
    return _convert_to_pixels(Call(call.name, call.to_decision().arguments), toolset, frame)


def _convert_to_pixels(call: Call, toolset: Toolset, frame: CoordinateFrame) -> Call:
    """The call with the places in it in pixels of the whole picture."""
    decision = Decision(call.tool, call.arguments)
    return Call(call.tool, prompt.convert_coordinates(decision, toolset.tools, frame.to_pixel_units))


def _note_dropped_calls(calls: int, dropped: int) -> str:
    if not dropped:
        return ""
    made = "the first" if calls - dropped == 1 else f"the first {calls - dropped}"
    return f"Of the {calls} calls in that reply only {made} was made; make the rest next if it is still needed."


def _note_dropped_phrases(phrases: Sequence[str]) -> str:
    named = ", ".join(map(repr, phrases))
    return f"One call takes {MAX_PHRASES} phrases, so these were not asked for: {named}." if phrases else ""


def _build_retry(messages: Messages, reply: Reply, complaint: str, frame: CoordinateFrame) -> list[Message]:
    """The request once more, after the reply and what is wrong with it."""
    call = reply.calls[0] if reply.calls else Call("", "")
    return [*messages, *prompt.build_turn(Decision(call.tool, call.arguments, reply.text), (complaint,), (), frame)]


def _merge_verdicts(first: ParsedVerdicts, second: ParsedVerdicts) -> ParsedVerdicts:
    """What was said at first counts; the second reply fills the gaps."""
    known = {verdict.id for verdict in first.verdicts}
    return ParsedVerdicts((*first.verdicts, *(verdict for verdict in second.verdicts if verdict.id not in known)))


def _attach_costs(answers: Sequence[ParsedVerdicts], costs: Sequence[Usage]) -> list[Verdict]:
    lost = sum((cost for answer, cost in zip(answers, costs, strict=True) if not answer.verdicts), NO_COST)
    verdicts = [
        replace(verdict, usage=cost if place == 0 else NO_COST)
        for answer, cost in zip(answers, costs, strict=True)
        for place, verdict in enumerate(answer.verdicts)
    ]
    if verdicts:
        return [replace(verdicts[0], usage=verdicts[0].usage + lost), *verdicts[1:]]
    return [Verdict(0, accept=True, probability=0.5, usage=lost)] if lost != NO_COST else []


def _split_evenly(ids: Sequence[int], max_size: int) -> Iterator[list[int]]:
    """In order, in as few groups of at most `max_size` as there can be, of nearly equal size.

    >>> [len(group) for group in _split_evenly(range(13), 12)]
    [6, 7]
    """
    groups = ceil(len(ids) / max_size)
    edges = [round(len(ids) * group / groups) for group in range(groups + 1)] if groups else []
    yield from (list(ids[low:high]) for low, high in pairwise(edges))
