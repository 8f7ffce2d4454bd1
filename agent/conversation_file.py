"""A saved conversation: one JSON file with every turn, what was undone too, and each picture once."""

import json
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import ValidationError

from agent.conversation import Conversation, Event, Shown, before
from agent.episode import Episode, Outcome, Task
from agent.transcript import (
    Saved,
    SavedPicture,
    SavedStep,
    Text,
    TranscriptError,
    content_of,
    first_fault,
    resumed,
    saved_steps,
)
from sam3_tool import Picture
from sam3_tool.files import write_whole

FORMAT = "sam3-agent conversation"
VERSION: Final = 1


class SavedShown(Saved):
    kind: Literal["picture"] = "picture"
    picture: str
    """Its content key."""
    name: Text


class SavedTurn(Saved):
    """An episode without what was there before it, which follows from the events before it."""

    kind: Literal["turn"] = "turn"
    query: Text
    by_hand: bool
    outcome: Outcome
    steps: tuple[SavedStep, ...]

    @classmethod
    def of(cls, episode: Episode) -> Self:
        task = episode.task
        outcome = episode.outcome or "failed"
        return cls(query=task.query, by_hand=task.by_hand, outcome=outcome, steps=saved_steps(episode))


class SavedConversation(Saved):
    format: Literal["sam3-agent conversation"] = "sam3-agent conversation"
    version: Literal[1] = VERSION
    cursor: int
    """How many of the events count; the others were undone."""
    events: tuple[SavedShown | SavedTurn, ...]
    pictures: tuple[SavedPicture, ...]
    """Each once."""

    @property
    def pixels(self) -> int:
        """In all pictures together."""
        return sum(picture.width * picture.height for picture in self.pictures)

    @property
    def masks(self) -> int:
        return sum(len(step.added.candidates) for step in self._steps if step.added is not None)

    @property
    def length(self) -> int:
        """Pictures shown, turns taken, and their steps."""
        return len(self.events) + len(self._steps)

    @property
    def _steps(self) -> list[SavedStep]:
        return [step for event in self.events if isinstance(event, SavedTurn) for step in event.steps]

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        shown = [event for event in conversation.events if isinstance(event, Shown)]
        pictures = {event.picture.key: SavedPicture.of(event.picture, event.name) for event in reversed(shown)}
        return cls(
            cursor=conversation.cursor,
            events=tuple(_saved(event) for event in conversation.events),
            pictures=tuple(pictures[key] for key in dict.fromkeys(event.picture.key for event in shown)),
        )

    def conversation(self) -> Conversation:
        """Raises ValueError if its parts do not fit together."""
        pictures = {saved.key: saved.picture() for saved in self.pictures}
        if changed := [key for key, picture in pictures.items() if picture.key != key]:
            raise ValueError(f"the pixels of the picture {changed[0]} are not those that were saved")
        events: list[Event] = []
        for number, saved in enumerate(self.events, start=1):
            try:
                events.append(_event(saved, events, pictures))
            except ValueError as error:
                raise ValueError(f"at event {number}: {error}") from error
        return Conversation(tuple(events), self.cursor)


def save(conversation: Conversation, path: str | Path) -> None:
    """Writes it whole or not at all. Raises OSError."""
    held = SavedConversation.of(conversation).model_dump()
    write_whole(Path(path), json.dumps(held, ensure_ascii=False, indent=1).encode("utf-8", "replace"))


def load(
    path: str | Path, *, most_pixels: int | None = None, most_masks: int | None = None, most_steps: int | None = None
) -> Conversation:
    """Raises TranscriptError for a file that is missing, foreign or damaged, or beyond a limit.

    `most_pixels`: in all its pictures together. `most_masks`: in all its turns. `most_steps`: a picture that is shown,
    a turn, and a step of a turn are one each.
    """
    held = content_of(path, what="conversation", format=FORMAT, versions=(VERSION,))
    try:
        saved = SavedConversation.model_validate(held)
        if most_pixels is not None and saved.pixels > most_pixels:
            found, limit = f"{saved.pixels / 1e6:.1f} megapixels", f"{most_pixels / 1e6:g}"
            raise TranscriptError(f"{path} is too large: its pictures have {found} together, and {limit} are allowed")
        if most_masks is not None and saved.masks > most_masks:
            raise TranscriptError(f"{path} is too large: it has {saved.masks} masks, and {most_masks} are allowed")
        if most_steps is not None and saved.length > most_steps:
            found = f"{saved.length} pictures, turns and steps"
            raise TranscriptError(f"{path} is too long: it has {found} together, and {most_steps} are allowed")
        return saved.conversation()
    except TranscriptError:
        raise
    except ValidationError as error:
        raise TranscriptError(f"{path} is damaged: {first_fault(error)}") from error
    except ValueError as error:
        raise TranscriptError(f"{path} is damaged: {error}") from error


def _saved(event: Event) -> SavedShown | SavedTurn:
    return SavedTurn.of(event) if isinstance(event, Episode) else SavedShown(picture=event.picture.key, name=event.name)


def _event(saved: SavedShown | SavedTurn, earlier: list[Event], pictures: dict[str, Picture]) -> Event:
    if isinstance(saved, SavedShown):
        if saved.picture not in pictures:
            raise ValueError(f"it shows a picture {saved.picture!r} that the file does not hold")
        return Shown(pictures[saved.picture], Path(saved.name).name)
    shown = next((event for event in reversed(earlier) if isinstance(event, Shown)), None)
    if shown is None:
        raise ValueError("a turn was taken before any picture was shown")
    return resumed(Task(shown.picture, saved.query, before(earlier), saved.by_hand), saved.steps, saved.outcome)
