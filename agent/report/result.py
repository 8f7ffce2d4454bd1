"""What `result.json` holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from agent.core.episode import Episode
from agent.core.outcome import Outcome
from agent.core.timeline import Timeline
from agent.core.usage import Usage
from agent.core.workspace import Candidate
from agent.doubt.policy import read_doubt
from agent.records.base import Text
from agent.report.coverage import EMPTY_COVERAGE, Coverage
from sam3_tool.masks.boxes import xyxy_to_xywh
from sam3_tool.masks.rle import compute_areas
from sam3_tool.video.masklets import Masklet


class ImageSize(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    width: int
    height: int
    notes: list[Text] = []
    """What had to be decided when its file was read; left out where nothing had to be."""

    @model_serializer(mode="wrap")
    def _leave_out_missing_notes(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        held: dict[str, Any] = handler(self)
        return {name: value for name, value in held.items() if (name, value) != ("notes", [])}


class Segmentation(BaseModel):
    """One mask as COCO files hold it; `pycocotools.mask.decode` reads it as it is."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    size: tuple[int, int]
    """(height, width) in pixels."""
    counts: str


class Track(BaseModel):
    """Where an object of a video is, on every frame on which it belongs to the answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    key_frame: int
    """The frame of `bbox`, `area` and `segmentation`, where the object is largest; frames count from 0."""
    spans: list[tuple[float, float]]
    """When it is seen, in seconds: time stamps of the first and the last frame of each unbroken run."""
    frames: list[int]
    """The frames on which it is seen, increasing."""
    scores: list[float]
    """In [0, 1], one for each of `frames`."""
    counts: list[str]
    """Its mask on each of `frames`: the counts of a segmentation whose size is that of the video."""

    @classmethod
    def from_masklet(cls, masklet: Masklet, key_frame: int, timeline: Timeline) -> "Track":
        times = timeline.times
        return cls(
            key_frame=key_frame,
            spans=[(times[start], times[stop - 1]) for start, stop in masklet.spans],
            frames=[*masklet.frames],
            scores=[*masklet.scores],
            counts=[rle.counts for rle in masklet.rles],
        )


class VideoInfo(BaseModel):
    """The video that the query is about."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    frames: int
    """How many it has."""
    times: list[float]
    """When each frame is shown, in seconds."""
    first_frame: int
    """Of the part that the query is about."""
    last_frame: int
    """Of that part."""

    @classmethod
    def from_timeline(cls, timeline: Timeline) -> "VideoInfo":
        times = [*timeline.times]
        return cls(frames=len(times), times=times, first_frame=timeline.start, last_frame=timeline.stop - 1)


class Mask(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    id: int
    """The mask's number in the episode and on the overlay."""
    phrase: str
    """The noun phrase that found it."""
    score: float
    """In [0, 1]."""
    bbox: tuple[float, float, float, float]
    """x, y, width, height in pixels: the detector's box."""
    area: int
    """Pixels."""
    segmentation: Segmentation
    reason: Text = ""
    """Why it belongs to the answer, where the planner said so."""
    track: Track | None = Field(default=None, exclude_if=lambda track: track is None)
    """In a video: where the object is on every frame; absent for an image."""
    probability: float | None = None
    """In [0, 1]: that its IoU with an object of its phrase is above 0.5; null where SAM 3 is not calibrated for it."""
    label: Text = Field(default="", exclude_if=lambda label: not label)
    """The class that a person gave it; absent where nobody did."""

    @classmethod
    def from_candidate(cls, candidate: Candidate, reason: str = "", track: Track | None = None) -> "Mask":
        x, y, width, height = xyxy_to_xywh(np.array(candidate.box)).tolist()
        return cls(
            id=candidate.id,
            phrase=candidate.phrase,
            score=candidate.score,
            bbox=(x, y, width, height),
            area=int(compute_areas([candidate.rle])[0]),
            segmentation=Segmentation(size=candidate.rle.size, counts=candidate.rle.counts),
            reason=reason,
            track=track,
            probability=candidate.probability,
            label=candidate.label,
        )


class Result(BaseModel):
    """What `result.json` holds: the answer to one query about one image or one video."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    query: Text
    outcome: Outcome
    message: Text
    """The answer in words."""
    image: ImageSize
    masks: list[Mask]
    """The answer; when the outcome is neither answered nor no_match, the best answer so far."""
    count: int
    """How many masks."""
    usage: Usage
    """What the episode cost; its seconds are the episode's alone."""
    seconds: float
    """From the command to the answer, loading the network included."""
    options: list[Text] = []
    """When the outcome is 'asked': the readings between which the user may choose."""
    warnings: list[Text] = Field(default=[], exclude_if=lambda warnings: not warnings)
    """What one must know of how the answer was made, e.g. that the language model sees no images; absent for none."""
    video: VideoInfo | None = Field(default=None, exclude_if=lambda video: video is None)
    """The video that the query is about; absent for an image."""
    in_doubt: list[Mask] = []
    """Masks of the planner's answer that were left out, or that the user is asked about."""
    coverage: Coverage = EMPTY_COVERAGE
    """What was looked for, what is in doubt, and what was not looked at."""

    @classmethod
    def from_episode(cls, episode: Episode, *, seconds: float, warnings: Sequence[str] = ()) -> "Result":
        """Build the result of a finished episode.

        Args:
            episode: An episode with an outcome.
            seconds: Time from the command to the answer, loading the network included.
            warnings: What one must know of how the answer was made.

        Raises:
            ValueError: The episode has no outcome yet.
        """
        if episode.outcome is None:
            raise ValueError(f"the episode has no outcome yet, after {len(episode.steps)} steps")
        image, doubt = episode.task.image, read_doubt(episode)
        chosen, reasons = episode.workspace.pick(doubt.certain), episode.reasons
        return cls(
            query=episode.task.query,
            outcome=episode.outcome,
            message=episode.message,
            image=ImageSize(width=image.width, height=image.height, notes=_list_notes(episode)),
            masks=[
                Mask.from_candidate(candidate, reasons.get(candidate.id, ""), track)
                for candidate, track in zip(chosen, _list_tracks(episode), strict=True)
            ],
            in_doubt=[
                Mask.from_candidate(candidate, reasons.get(candidate.id, ""))
                for candidate in episode.workspace.pick((*doubt.left_out, *doubt.asked))
            ],
            coverage=Coverage.from_episode(episode),
            count=len(chosen),
            usage=episode.usage,
            seconds=round(seconds, 3),
            options=list(episode.steps[-1].observation.options),
            warnings=list(warnings),
            video=None if episode.task.timeline is None else VideoInfo.from_timeline(episode.task.timeline),
        )

    @property
    def is_conclusive(self) -> bool:
        """Whether the agent came to an answer, be it that nothing matches."""
        return self.outcome in ("answered", "no_match")

    def to_json(self) -> str:
        """Return the content of `result.json`, without the line break at its end."""
        return self.model_dump_json(indent=2)


def _list_notes(episode: Episode) -> list[str]:
    """What had to be decided when the image or the video was read."""
    video = episode.task.video
    return [*episode.task.image.notes] if video is None else [*video.notes]


def _list_tracks(episode: Episode) -> list[Track | None]:
    """Where the objects of the answer are in a video; None for each mask of an image."""
    timeline, chosen = episode.task.timeline, episode.workspace.pick(read_doubt(episode).certain)
    if timeline is None:
        return [None] * len(chosen)
    return [
        Track.from_masklet(masklet, candidate.key_frame, timeline)
        for masklet, candidate in zip(episode.masklets.masklets, chosen, strict=True)
    ]


def build_result_schema() -> dict[str, Any]:
    """Return the JSON schema of `result.json`, with a description of each field.

    Example:
        >>> sorted(build_result_schema()["properties"])[:4]
        ['count', 'coverage', 'image', 'in_doubt']
    """
    schema = Result.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
