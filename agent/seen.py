"""What a language model saw before each step of an episode, for people to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from agent.episode import Episode
from agent.models import Call, Message, Messages
from agent.tools.words import counted
from sam3_tool import Picture

if TYPE_CHECKING:
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
    """The conversation that one decision answered."""

    known: tuple[Turn, ...]
    """What the step before had begun with already, word for word."""
    turns: tuple[Turn, ...]
    """The rest."""

    @property
    def said(self) -> str:
        """How much it is, in words."""
        turns = (*self.known, *self.turns)
        shots = [part for turn in turns for part in turn.parts if isinstance(part, Shot)]
        return f"{counted(len(turns), 'message')}, {counted(len(shots), 'picture')}"


@dataclass(frozen=True, eq=False)
class Seen:
    sights: tuple[Sight, ...] = ()
    """One per step; none where no language model planned."""
    pictures: tuple[Picture, ...] = ()
    """Every picture in them, once."""


def seen(episode: Episode, made_by: "MadeBy") -> Seen:
    """Worked out anew from the episode: conversations are a function of it, and are not saved."""
    if not made_by.model:
        return Seen()
    talks = [_before(index, episode, made_by) for index in range(len(episode.steps))]
    pictures = {part.key: part for talk in talks for part in _pictures(talk)}
    numbers = {key: number for number, key in enumerate(pictures, start=1)}
    turns = [[Turn.of(message, numbers) for message in talk] for talk in talks]
    sights = [_sight(before, now) for before, now in zip([[], *turns], turns, strict=False)]
    return Seen(tuple(sights), tuple(pictures.values()))


def _before(index: int, episode: Episode, made_by: "MadeBy") -> Messages:
    """What led to the decision of this step."""
    from agent.messages import View, messages  # loads OpenCV

    begun = replace(episode, steps=episode.steps[:index], outcome=None)
    return messages(begun, made_by.protocol, View(**made_by.view))


def _pictures(talk: Messages) -> list[Picture]:
    return [part for message in talk for part in message.content if isinstance(part, Picture)]


def _sight(before: Sequence[Turn], now: Sequence[Turn]) -> Sight:
    known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False)))
    return Sight(tuple(now[:known]), tuple(now[known:]))
