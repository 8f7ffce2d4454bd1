"""A saved conversation: one JSON file with every turn, undone ones too, and each image once."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError

from agent.conversation.events import Event, ImageShown, build_context
from agent.core.episode import Episode
from agent.core.outcome import Outcome
from agent.records.base import SavedModel, Text, first_validation_error, read_versioned_json
from agent.records.episode_file import (
    SavedImage,
    SavedStep,
    SavedVideo,
    has_correction,
    has_label,
    rebuild_episode,
    to_saved_steps,
)
from sam3_tool import Image
from sam3_tool.errors import RecordError
from sam3_tool.system.files import write_atomically

FORMAT = "sam3-agent conversation"
VERSION: Final = 1
VIDEO_VERSION: Final = 2
"""Of a conversation in which a video was shown; all others are as version 1 has them."""
CORRECTION_VERSION: Final = 3
"""Of a conversation in which a person corrected a mask in its place; about images and videos."""
LABEL_VERSION: Final = 4
"""Of a conversation in which a mask has a class that a person gave it."""
READABLE_VERSIONS = (VERSION, VIDEO_VERSION, CORRECTION_VERSION, LABEL_VERSION)


class SavedImageShown(SavedModel):
    kind: Literal["picture"] = "picture"
    picture: str
    """Its content key."""
    name: Text
    video: SavedVideo | None = Field(default=None, exclude_if=lambda video: video is None)
    """The video, of which the picture is a frame; None for an image."""


class SavedTurn(SavedModel):
    """An episode without what was there before it, which follows from the events before it."""

    kind: Literal["turn"] = "turn"
    query: Text
    by_hand: bool
    outcome: Outcome
    steps: tuple[SavedStep, ...]
    plan: Annotated[dict[str, Any] | None, Field(exclude_if=lambda plan: plan is None)] = None
    """How the planner understood the query, in its own form; None where it did not say, as in older files."""

    @classmethod
    def from_episode(cls, episode: Episode) -> Self:
        task = episode.task
        outcome = episode.outcome or "failed"
        steps = to_saved_steps(episode)
        return cls(query=task.query, by_hand=task.by_hand, outcome=outcome, steps=steps, plan=episode.plan)


class SavedConversation(SavedModel):
    format: Literal["sam3-agent conversation"] = "sam3-agent conversation"
    version: Literal[1, 2, 3, 4] = VERSION
    cursor: int
    """How many of the events count; the others were undone."""
    events: tuple[SavedImageShown | SavedTurn, ...]
    pictures: tuple[SavedImage, ...]
    """Each once."""

    @property
    def pixel_count(self) -> int:
        """In all images together."""
        return sum(image.width * image.height for image in self.pictures)

    @property
    def mask_count(self) -> int:
        return sum(len(step.added.candidates) + len(step.added.corrected) for step in self._steps if step.added)

    @property
    def event_and_step_count(self) -> int:
        """Images shown, turns taken, and their steps."""
        return len(self.events) + len(self._steps)

    def check_limits(
        self, path: str | Path, *, max_pixels: int | None, max_masks: int | None, max_steps: int | None
    ) -> None:
        """Raise RecordError if the file is beyond a limit; None means that there is no such limit."""
        if max_pixels is not None and self.pixel_count > max_pixels:
            found, limit = f"{self.pixel_count / 1e6:.1f} megapixels", f"{max_pixels / 1e6:g}"
            raise RecordError(f"{path} is too large: its images have {found} together, and {limit} are allowed")
        if max_masks is not None and self.mask_count > max_masks:
            raise RecordError(f"{path} is too large: it has {self.mask_count} masks, and {max_masks} are allowed")
        if max_steps is not None and self.event_and_step_count > max_steps:
            found = f"{self.event_and_step_count} images, turns and steps"
            raise RecordError(f"{path} is too long: it has {found} together, and {max_steps} are allowed")

    @property
    def _steps(self) -> list[SavedStep]:
        return [step for event in self.events if isinstance(event, SavedTurn) for step in event.steps]

    @classmethod
    def from_events(cls, events: Sequence[Event], cursor: int, *, pixels: bool = True) -> Self:
        image_events = [event for event in events if isinstance(event, ImageShown)]
        images = {
            event.image.key: SavedImage.from_image(event.image, event.name, pixels=pixels)
            for event in reversed(image_events)
        }
        saved = tuple(_to_saved_event(event) for event in events)
        return cls(
            version=_choose_version(saved),
            cursor=cursor,
            events=saved,
            pictures=tuple(images[key] for key in dict.fromkeys(event.image.key for event in image_events)),
        )

    def restore_events(self, known: Mapping[str, Image] = MappingProxyType({})) -> tuple[Event, ...]:
        """Rebuild the events. Raises ValueError if the parts of the file do not fit together.

        `known`: images by their keys, whose pixels are taken from here.
        """
        images = {saved.key: known.get(saved.key) or saved.to_image() for saved in self.pictures}
        if changed := [key for key, image in images.items() if image.key != key]:
            raise ValueError(f"the pixels of the image {changed[0]} are not those that were saved")
        events: list[Event] = []
        for number, saved in enumerate(self.events, start=1):
            try:
                events.append(_restore_event(saved, events, images))
            except ValueError as error:
                raise ValueError(f"at event {number}: {error}") from error
        return tuple(events)


def save_conversation(events: Sequence[Event], cursor: int, path: str | Path) -> None:
    """Write the events as one JSON file, whole or not at all. Raises OSError."""
    held = SavedConversation.from_events(events, cursor).model_dump()
    write_atomically(Path(path), json.dumps(held, ensure_ascii=False, indent=1).encode("utf-8", "replace"))


def pack_events(events: Sequence[Event], cursor: int) -> bytes:
    """Return the events as few bytes, without the pixels of their images."""
    held = SavedConversation.from_events(events, cursor, pixels=False).model_dump()
    return zlib.compress(json.dumps(held, ensure_ascii=False).encode("utf-8", "surrogatepass"), level=1)


def unpack_events(packed: bytes, images: Mapping[str, Image]) -> tuple[tuple[Event, ...], int]:
    """Rebuild events of `pack_events`, and how many of them count. Raises ValueError where an image is another one."""
    held = json.loads(zlib.decompress(packed).decode("utf-8", "surrogatepass"))
    saved = SavedConversation.model_validate(held)
    return saved.restore_events(images), saved.cursor


def load_conversation(
    path: str | Path, *, max_pixels: int | None = None, max_masks: int | None = None, max_steps: int | None = None
) -> tuple[tuple[Event, ...], int]:
    """Read the events of a saved conversation, and how many of them count. `Conversation.open` says what limits mean.

    Raises RecordError for a file that is missing, foreign or damaged, or beyond a limit.
    """
    held = read_versioned_json(path, kind="conversation", format=FORMAT, versions=READABLE_VERSIONS)
    try:
        saved = SavedConversation.model_validate(held)
        saved.check_limits(path, max_pixels=max_pixels, max_masks=max_masks, max_steps=max_steps)
        return saved.restore_events(), saved.cursor
    except RecordError:
        raise
    except ValidationError as error:
        raise RecordError(f"{path} is damaged: {first_validation_error(error)}") from error
    except ValueError as error:
        raise RecordError(f"{path} is damaged: {error}") from error


def _choose_version(events: Sequence[SavedImageShown | SavedTurn]) -> Literal[1, 2, 3, 4]:
    """The earliest version that can hold these events."""
    if any(isinstance(event, SavedTurn) and has_label(event.steps) for event in events):
        return LABEL_VERSION
    if any(isinstance(event, SavedTurn) and has_correction(event.steps) for event in events):
        return CORRECTION_VERSION
    has_video = any(isinstance(event, SavedImageShown) and event.video is not None for event in events)
    return VIDEO_VERSION if has_video else VERSION


def _to_saved_event(event: Event) -> SavedImageShown | SavedTurn:
    return (
        SavedTurn.from_episode(event)
        if isinstance(event, Episode)
        else SavedImageShown(picture=event.image.key, name=event.name, video=SavedVideo.from_task(event.build_task("")))
    )


def _restore_event(saved: SavedImageShown | SavedTurn, earlier: list[Event], images: dict[str, Image]) -> Event:
    if isinstance(saved, SavedImageShown):
        if saved.picture not in images:
            raise ValueError(f"it shows an image {saved.picture!r} that the file does not hold")
        timeline = None if saved.video is None else saved.video.to_timeline()
        key = "" if saved.video is None else saved.video.key
        return ImageShown(images[saved.picture], Path(saved.name).name, timeline=timeline, video_key=key)
    image_event = next((event for event in reversed(earlier) if isinstance(event, ImageShown)), None)
    if image_event is None:
        raise ValueError("a turn was taken before any image was shown")
    task = image_event.build_task(saved.query, build_context(earlier), by_hand=saved.by_hand)
    return _restore_plan(rebuild_episode(task, saved.steps, saved.outcome), saved.plan)


def _restore_plan(episode: Episode, plan: dict[str, Any] | None) -> Episode:
    """Return the episode whose first decision carries the plan, as it did when it was made."""
    if plan is None or not episode.steps:
        return episode
    first, *others = episode.steps
    return replace(episode, steps=(replace(first, decision=replace(first.decision, plan=plan)), *others))
