"""What a language model was sent at each step of an episode, for people to read."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from agent.episode import Decision, Episode
from agent.models import Call, Message, Messages
from agent.protocols import Protocol
from agent.tools import TOOLS_OF, ToolError, parse_call
from agent.tools.ids import known_ids
from agent.tools.judging import Examine
from agent.tools.paper import ExamineEachMask, current
from agent.tools.words import counted
from sam3_tool import Picture

if TYPE_CHECKING:
    from agent.messages import View
    from agent.transcript import MadeBy


@dataclass(frozen=True)
class Shot:
    """One of `Seen.pictures`."""

    number: int
    """Counts from 1."""
    width: int
    height: int
    """In pixels, as the model was sent it."""


@dataclass(frozen=True)
class Turn:
    role: str
    parts: tuple[str | Shot, ...]
    """Text and pictures, in reading order."""
    calls: tuple[Call, ...]

    @classmethod
    def of(cls, message: Message, numbers: Mapping[str, int]) -> "Turn":
        """`numbers`: of each picture, by its key."""
        parts = (
            part if isinstance(part, str) else Shot(numbers[part.key], part.width, part.height)
            for part in message.content
        )
        return cls(message.role, tuple(parts), message.calls)

    @property
    def letters(self) -> int:
        return sum(len(part) for part in self.parts if isinstance(part, str))


@dataclass(frozen=True)
class Sight:
    """What one decision answered, and what its call asked the model."""

    known: tuple[Turn, ...]
    """What the step before had begun with already, word for word."""
    turns: tuple[Turn, ...]
    """The rest of the conversation."""
    shorter: tuple[Turn, ...] = ()
    """The conversation with less history, where it was asked once more: it had been refused, or left no room."""
    exams: tuple[tuple[Turn, ...], ...] = ()
    """The requests for verdicts that the call made, all at once."""
    repeated: int = 0
    """How many of `exams` were sent once more, with the reply and what was wrong with it; that reply is not kept."""

    @property
    def said(self) -> str:
        """How much the conversation is, in words."""
        return _said((*self.known, *self.turns))

    @property
    def shorter_said(self) -> str:
        return _said(self.shorter)

    @property
    def exams_said(self) -> str:
        shots = {shot for exam in self.exams for shot in _shots(exam)}
        again = f", {self.repeated} of them sent again after a reply with a gap" if self.repeated else ""
        return f"{counted(len(self.exams), 'request')}, {counted(len(shots), 'picture')}{again}"


def _said(turns: Sequence[Turn]) -> str:
    return f"{counted(len(turns), 'message')}, {counted(len(_shots(turns)), 'picture')}"


def _shots(turns: Sequence[Turn]) -> list[Shot]:
    return [part for turn in turns for part in turn.parts if isinstance(part, Shot)]


@dataclass(frozen=True, eq=False)
class Seen:
    sights: tuple[Sight, ...] = ()
    """One per step; none where no language model planned."""
    pictures: tuple[Picture, ...] = ()
    """Every picture in them, once."""


@dataclass(frozen=True, eq=False)
class _Sent:
    """All that a model was sent in one step."""

    talk: Messages
    shorter: Messages
    """Empty where it was not asked for."""
    exams: Sequence[Messages]

    @property
    def pictures(self) -> list[Picture]:
        messages = [message for talk in (self.talk, self.shorter, *self.exams) for message in talk]
        return [part for message in messages for part in message.content if isinstance(part, Picture)]


def seen(episode: Episode, made_by: "MadeBy") -> Seen:
    """Worked out anew from the episode: conversations are a function of it, and are not saved."""
    if not made_by.model:
        return Seen()
    sent = [_sent(index, episode, made_by) for index in range(len(episode.steps))]
    pictures = {picture.key: picture for step in sent for picture in step.pictures}
    numbers = {key: number for number, key in enumerate(pictures, start=1)}
    sights = []
    before: Sequence[Turn] = ()
    for step, one in zip(episode.steps, sent, strict=True):
        now = _turns(one.talk, numbers)
        known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False)))
        exams = tuple(_turns(exam, numbers) for exam in one.exams)
        repeated = max(0, step.observation.usage.model_calls - len(exams)) if exams else 0
        sights.append(Sight(now[:known], now[known:], _turns(one.shorter, numbers), exams, repeated))
        before = now
    return Seen(tuple(sights), tuple(pictures.values()))


def _turns(talk: Messages, numbers: Mapping[str, int]) -> tuple[Turn, ...]:
    return tuple(Turn.of(message, numbers) for message in talk)


def _sent(index: int, episode: Episode, made_by: "MadeBy") -> _Sent:
    """What led to the decision of this step, and what the step asked."""
    from agent.messages import View, messages  # loads OpenCV

    begun, view = replace(episode, steps=episode.steps[:index], outcome=None), View(**made_by.view)
    decision = episode.steps[index].decision
    talk = messages(begun, made_by.protocol, view)
    short = messages(begun, made_by.protocol, view, short=True) if decision.shortened else []
    return _Sent(talk, short, _exams(decision, begun, made_by.protocol, view))


def _exams(decision: Decision, episode: Episode, protocol: Protocol, view: "View") -> list[Messages]:
    """The requests that a call made to have masks judged; none where it is no such call, or a mistake."""
    from agent.chat import examinations

    with suppress(ToolError):
        match parse_call(decision, TOOLS_OF[protocol]):
            case Examine() as call:
                exams = examinations(
                    episode, known_ids(call.ids, episode.workspace), protocol, view, closely=call.closely
                )
            case ExamineEachMask():
                exams = examinations(episode, current(episode), protocol, view, closely=True)
            case _:
                return []
        return [exam.talk for exam in exams]
    return []
