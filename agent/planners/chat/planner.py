"""A planner that asks a language model. What the model sees is a pure function of the episode."""

from collections.abc import Sequence
from dataclasses import replace

from agent.core.episode import Decision, Episode
from agent.core.errors import PlannerError
from agent.core.tools.toolset import Toolset
from agent.core.tools.verdict import Verdict
from agent.core.usage import NO_COST, Usage
from agent.models.base import ChatModel, Messages, Reply, Schema
from agent.models.tokens import estimate_tokens
from agent.planners.chat import examination, prompt
from agent.planners.chat.coordinates import detect_convention
from agent.planners.chat.examination import VerdictRequest, build_retry, is_judged_singly
from agent.planners.chat.replies import CUT_OFF_NOTE, to_decision
from agent.planners.chat.verdicts import OneVerdict, ParsedVerdicts, SheetVerdicts, parse_verdicts
from agent.planners.chat.views import View
from agent.tools import WORKSPACE, Tool

UNSURE = (0.35, 0.65)
"""Probabilities from where to where a track is looked at once more."""


class ChatPlanner:
    """A planner that tells a language model of the episode and reads its reply.

    Nothing that a model writes raises: what cannot be read is a decision that the loop answers with what to mend.
    It may be shared between threads, as its model may: it holds nothing else, and changes nothing.

    Example:
        >>> from agent import ScriptedModel
        >>> planner = ChatPlanner(ScriptedModel(["I see nothing."]))
        >>> planner.toolset.name, planner.view.image_side
        ('workspace', 1280)
    """

    def __init__(self, model: ChatModel, *, toolset: Toolset = WORKSPACE, view: View | None = None) -> None:
        """Make a planner.

        Args:
            model: The language model.
            toolset: The tools that the model is offered.
            view: How the model sees episodes. What it leaves open follows from the model's name and capabilities.
        """
        self.model = model
        self.toolset = toolset
        self.view = _resolve_view(view or View(), model)
        self.schemas: Sequence[Schema] = prompt.build_schemas(toolset, self.view)

    def with_model(self, model: ChatModel) -> "ChatPlanner":
        """Make the same planner with another model, such as one that records.

        Args:
            model: The language model.

        Returns:
            A planner that asks as this one does.
        """
        return ChatPlanner(model, toolset=self.toolset, view=self.view)

    def build_messages(self, episode: Episode, *, short: bool = False) -> Messages:
        """Build what the model sees next; see `agent.planners.chat.prompt.build_messages`.

        Args:
            episode: Everything that happened so far.
            short: Whether to keep only the last two turns, and of all others the phrases. That is also done where
                the whole would not fit into the view's `context`.

        Returns:
            The conversation, system prompt first. It follows from the episode alone.
        """
        return prompt.build_messages(episode, self.toolset, self.view, short=short)

    def decide(self, episode: Episode) -> Decision:
        """Ask the model for the next call.

        A reply that is cut off, or a request that is refused, is tried once more with less history.

        Args:
            episode: Everything that happened so far.

        Returns:
            The call as the model wrote it, with places in pixels of the image, and the cost of all requests.

        Raises:
            PlannerError: The model cannot be had, or the tools are not for what the task is about.
        """
        self.toolset.require_subject(episode.task)
        messages = self.build_messages(episode)
        reply, shortened = self._ask_model(messages), False
        if _is_worth_shortening(reply) and episode.steps:
            shorter = self.build_messages(episode, short=True)
            if estimate_tokens(shorter) < estimate_tokens(messages):
                again = self._ask_model(shorter)
                reply, shortened = replace(again, usage=reply.usage + again.usage), True
        if reply.error:
            raise PlannerError(reply.error)
        if _is_cut_off(reply) and episode.steps and episode.steps[-1].decision.note == CUT_OFF_NOTE:
            raise PlannerError(
                f"the replies of {self.model.name} are cut off before they call a tool; allow longer ones"
                " (--reply-tokens), or a longer context"
            )
        frame = self.view.build_frame(episode.task.image, is_video=self.toolset.is_for_videos)
        return to_decision(reply, self.toolset, frame, shortened=shortened)

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """Ask the model for verdicts on these masks.

        Each mask has a request of its own where they are few, where it is asked for, and with the paper's tools; else
        up to 12 share a sheet. All requests go out together. What cannot be read is asked for once more. Tracks of a
        video that the model is unsure of are shown to it once more, alone, on more frames.

        Args:
            episode: Everything that happened so far.
            ids: The masks in question.
            closely: Whether each mask has a request of its own.

        Returns:
            At most one verdict for each mask. The first verdict of a request carries its cost; if there is none at
            all, a verdict on mask 0, which no episode has, carries it.
        """
        requests = self.build_verdict_requests(episode, ids, closely=closely)
        tool = OneVerdict if is_judged_singly(ids, self.toolset, closely) else SheetVerdicts
        verdicts = self._collect_verdicts(requests, tool)
        unsure = [verdict.id for verdict in verdicts if _is_unsure(verdict) and verdict.id in episode.workspace]
        if not self.toolset.is_for_videos or not unsure:
            return verdicts
        closer = examination.build_track_requests(episode, unsure, self.view, closer=True)
        return _replace_verdicts(verdicts, self._collect_verdicts(closer, OneVerdict))

    def _collect_verdicts(self, requests: Sequence[VerdictRequest], tool: type[Tool]) -> list[Verdict]:
        """Ask for the verdicts, and once more for those that cannot be read."""
        replies = self._request_verdicts([exam.messages for exam in requests], tool)
        answers = [
            parse_verdicts(reply, exam.ids_by_number, tool) for reply, exam in zip(replies, requests, strict=True)
        ]
        again = [index for index, answer in enumerate(answers) if answer.complaint and not replies[index].error]
        retries = [build_retry(requests[index].messages, replies[index], answers[index].complaint) for index in again]
        costs = [reply.usage for reply in replies]
        for index, reply in zip(again, self._request_verdicts(retries, tool), strict=True):
            parsed = parse_verdicts(reply, requests[index].ids_by_number, tool, is_last=True)
            answers[index] = _merge_verdicts(answers[index], parsed)
            costs[index] += reply.usage
        return _attach_costs(answers, costs)

    def build_verdict_requests(
        self, episode: Episode, ids: Sequence[int], *, closely: bool = False
    ) -> list[VerdictRequest]:
        """Build the requests that `examine` makes.

        Args:
            episode: Everything that happened so far.
            ids: The masks in question.
            closely: Whether each mask has a request of its own.

        Returns:
            The requests. Each mask is in exactly one of them.
        """
        return examination.build_verdict_requests(episode, ids, self.toolset, self.view, closely=closely)

    def _ask_model(self, messages: Messages) -> Reply:
        return self.model.generate_replies([messages], self.schemas)[0]

    def _request_verdicts(self, conversations: Sequence[Messages], tool: type[Tool]) -> list[Reply]:
        return self.model.generate_replies(conversations, [tool.to_planner_schema()]) if conversations else []


def _replace_verdicts(first: Sequence[Verdict], second: Sequence[Verdict]) -> list[Verdict]:
    """The second look counts where there was one; nothing of the cost is lost."""
    again = {verdict.id: verdict for verdict in second}
    latest = [(verdict, again.pop(verdict.id, None)) for verdict in first]
    merged = [old if new is None else replace(new, usage=old.usage + new.usage) for old, new in latest]
    return [*merged, *again.values()]


def _is_unsure(verdict: Verdict) -> bool:
    least, most = UNSURE
    return least <= verdict.probability <= most


def _resolve_view(view: View, model: ChatModel) -> View:
    return replace(
        view,
        coordinates=detect_convention(model.name) if view.coordinates == "auto" else view.coordinates,
        images=model.capabilities.images if view.images is None else view.images,
        context=model.capabilities.context if view.context is None else view.context,
    )


def _is_worth_shortening(reply: Reply) -> bool:
    """Say whether less history might help: no room was left to call a tool, or the request was refused."""
    refused = bool(reply.error) and not reply.recoverable
    return refused or _is_cut_off(reply)


def _is_cut_off(reply: Reply) -> bool:
    return reply.finish_reason == "length" and not reply.calls and not reply.error


def _merge_verdicts(first: ParsedVerdicts, second: ParsedVerdicts) -> ParsedVerdicts:
    """Merge two replies: the first one counts, and the second fills its gaps."""
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
