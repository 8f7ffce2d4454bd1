"""What a language model was sent at each step of an episode, for people to read."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from agent.core.episode import Decision, Episode
from agent.core.errors import ToolError
from agent.core.text.english import pluralize
from agent.core.tools.calls import ValidCall
from agent.core.tools.toolset import Toolset
from agent.models.base import Call, Message, Messages
from agent.tools.combine import Combine
from agent.tools.examine import Examine
from agent.tools.ids import validate_ids
from agent.tools.paper import ExamineEachMask, get_current_ids
from agent.tools.segment import Segment
from agent.tools.toolsets import WORKSPACE
from sam3_tool import Image

if TYPE_CHECKING:
    from agent.planners.chat.views import View
    from agent.records.provenance import Provenance


@dataclass(frozen=True)
class ImageRef:
    """One of `PromptTrace.images`."""

    number: int
    """Counts from 1."""
    width: int
    height: int
    """In pixels, as the model was sent it."""


@dataclass(frozen=True)
class PromptMessage:
    role: str
    parts: tuple[str | ImageRef, ...]
    """Text and images, in reading order."""
    calls: tuple[Call, ...]

    @classmethod
    def from_message(cls, message: Message, numbers: Mapping[str, int]) -> "PromptMessage":
        """`numbers`: of each image, by its key."""
        parts = (
            part if isinstance(part, str) else ImageRef(numbers[part.key], part.width, part.height)
            for part in message.content
        )
        return cls(message.role, tuple(parts), message.calls)

    @property
    def character_count(self) -> int:
        return sum(len(part) for part in self.parts if isinstance(part, str))


@dataclass(frozen=True)
class StepPrompt:
    """What one decision answered, and what its call asked the model."""

    known: tuple[PromptMessage, ...]
    """What the step before had begun with already, word for word."""
    messages: tuple[PromptMessage, ...]
    """The rest of the conversation."""
    shorter: tuple[PromptMessage, ...] = ()
    """The conversation with less history, where it was asked once more: it had been refused, or left no room."""
    exams: tuple[tuple[PromptMessage, ...], ...] = ()
    """The requests for verdicts that the call made, all at once."""
    repeated: int = 0
    """How many of `requests` were sent once more, with the reply and what was wrong with it; that reply is not kept."""
    unshown: int = 0
    """How many further questions a strategy asked, which depend on replies that are not kept."""

    @property
    def summary(self) -> str:
        """How much the conversation is, in words."""
        return _describe_size((*self.known, *self.messages))

    @property
    def shorter_summary(self) -> str:
        return _describe_size(self.shorter)

    @property
    def exams_summary(self) -> str:
        image_refs = {shot for exam in self.exams for shot in _collect_image_refs(exam)}
        repeats = f", {self.repeated} of them sent again after a reply with a gap" if self.repeated else ""
        further = f", and {pluralize(self.unshown, 'request')} more that followed from the replies" * bool(self.unshown)
        return f"{pluralize(len(self.exams), 'request')}, {pluralize(len(image_refs), 'picture')}{repeats}{further}"


def _describe_size(messages: Sequence[PromptMessage]) -> str:
    return f"{pluralize(len(messages), 'message')}, {pluralize(len(_collect_image_refs(messages)), 'picture')}"


def _collect_image_refs(messages: Sequence[PromptMessage]) -> list[ImageRef]:
    return [part for message in messages for part in message.parts if isinstance(part, ImageRef)]


@dataclass(frozen=True, eq=False)
class PromptTrace:
    steps: tuple[StepPrompt, ...] = ()
    """One per step; none where no language model planned."""
    images: tuple[Image, ...] = ()
    """Every image in them, once."""


@dataclass(frozen=True, eq=False)
class _SentMessages:
    """All that a model was sent in one step."""

    messages: Messages
    shorter: Messages
    """Empty where it was not asked for."""
    exams: Sequence[Messages]

    @property
    def images(self) -> list[Image]:
        messages = [message for conversation in (self.messages, self.shorter, *self.exams) for message in conversation]
        return [part for message in messages for part in message.content if isinstance(part, Image)]


def reconstruct_prompts(episode: Episode, provenance: "Provenance") -> PromptTrace:
    """Worked out anew from the episode: conversations are a function of it, and are not saved."""
    if not provenance.model:
        return PromptTrace()
    sent = [_rebuild_sent_messages(index, episode, provenance) for index in range(len(episode.steps))]
    images = {image.key: image for step in sent for image in step.images}
    numbers = {key: number for number, key in enumerate(images, start=1)}
    step_prompts = []
    previous: Sequence[PromptMessage] = ()
    for step, sent_messages in zip(episode.steps, sent, strict=True):
        current = _to_prompt_messages(sent_messages.messages, numbers)
        known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(previous, current, strict=False)))
        exams = tuple(_to_prompt_messages(exam, numbers) for exam in sent_messages.exams)
        others = max(0, step.observation.usage.model_calls - len(exams)) if exams else 0
        repeated, unshown = (0, others) if provenance.strategy else (others, 0)
        shorter = _to_prompt_messages(sent_messages.shorter, numbers)
        step_prompts.append(StepPrompt(current[:known], current[known:], shorter, exams, repeated, unshown))
        previous = current
    return PromptTrace(tuple(step_prompts), tuple(images.values()))


def _to_prompt_messages(messages: Messages, numbers: Mapping[str, int]) -> tuple[PromptMessage, ...]:
    return tuple(PromptMessage.from_message(message, numbers) for message in messages)


def _rebuild_sent_messages(index: int, episode: Episode, provenance: "Provenance") -> _SentMessages:
    """What led to the decision of this step, and what the step asked."""
    from agent.planners.chat.prompt import build_messages  # loads OpenCV
    from agent.planners.chat.views import View

    episode_before, view = replace(episode, steps=episode.steps[:index], outcome=None), View(**provenance.view)
    decision = episode.steps[index].decision
    if provenance.strategy:
        return _rebuild_questions(decision, episode_before, provenance.strategy, view)
    conversation = build_messages(episode_before, provenance.toolset, view)
    short = build_messages(episode_before, provenance.toolset, view, short=True) if decision.shortened else []
    return _SentMessages(conversation, short, _rebuild_examinations(decision, episode_before, provenance.toolset, view))


def _rebuild_questions(decision: Decision, episode: Episode, strategy: str, view: "View") -> _SentMessages:
    """The proposal that led to a search, or the first look at masks; other questions depend on replies."""
    from agent.planners.strategies.options import Strategies
    from agent.planners.strategies.requests import build_look, build_proposal, restate_query

    with suppress(ToolError):
        match WORKSPACE.read_call(decision):
            case ValidCall(Segment() | Combine()) if decision.usage.model_calls:
                return _SentMessages(build_proposal(episode, view, Strategies.parse(strategy)), [], [])
            case ValidCall(Examine() as call):
                looks = build_look(restate_query(episode), validate_ids(call.ids, episode.workspace), view)
                return _SentMessages([], [], [look.messages for look in looks])
    return _SentMessages([], [], [])


def _rebuild_examinations(decision: Decision, episode: Episode, toolset: Toolset, view: "View") -> list[Messages]:
    """The requests that a call made to have masks judged; none where it is no such call, or a mistake."""
    from agent.planners.chat.examination import build_verdict_requests

    with suppress(ToolError):
        match toolset.read_call(decision):
            case ValidCall(Examine() as call):
                requests = build_verdict_requests(
                    episode, validate_ids(call.ids, episode.workspace), toolset, view, closely=call.closely
                )
            case ValidCall(ExamineEachMask()):
                requests = build_verdict_requests(episode, get_current_ids(episode), toolset, view, closely=True)
            case _:
                return []
        return [request.messages for request in requests]
    return []
