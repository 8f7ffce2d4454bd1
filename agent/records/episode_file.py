"""A saved episode, complete and replayable: Episode <-> JSON."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
import PIL.Image
from PIL.PngImagePlugin import PngInfo
from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WrapSerializer,
    field_serializer,
)

from agent.core.context import EMPTY_CONTEXT, ConversationContext, PastTurn
from agent.core.episode import Decision, Episode, Observation, Step, Task
from agent.core.outcome import Outcome
from agent.core.text.sanitizing import make_encodable
from agent.core.timeline import Timeline
from agent.core.tools.verdict import Verdict
from agent.core.usage import Usage
from agent.core.workspace import Candidate, SearchRecord, Workspace
from agent.records.base import SavedModel, Text, first_validation_error, read_versioned_json
from agent.records.provenance import UNKNOWN_PROVENANCE, Provenance
from sam3_tool import Image, Masklet, Video
from sam3_tool.errors import RecordError
from sam3_tool.image_files.reading import BOMBS, guard_pillow
from sam3_tool.masks import rle
from sam3_tool.system.files import write_atomically

FORMAT = "sam3-agent episode"
VERSION: Final = 3
VIDEO_VERSION: Final = 4
"""Of an episode about a video; those about images are as version 3 has them."""
CORRECTION_VERSION: Final = 5
"""Of an episode in which a person corrected a mask in its place; about an image or a video."""
LABEL_VERSION: Final = 6
"""Of an episode in which a mask has a class that a person gave it."""
READABLE_VERSIONS = (1, 2, 3, 4, 5, 6)
"""Version 1 is without what a language model adds: reasoning, notes, reasons, options, the model and its view.

Version 2 is without what was said before in a conversation.
"""

_NOTES_KEYWORD = "Comment"
"""Of the text in a PNG file that holds an image's notes, one in each line."""


class SavedImage(SavedModel):
    """An image without loss; or only which image it is, where its pixels are kept elsewhere."""

    name: Text
    """Name of the file that it came from, without folders; it may be empty."""
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    key: str
    """The image's content key."""
    png: str = ""
    """The image's PNG file in base64; empty where the pixels are left out. Its comment holds the image's notes."""

    @classmethod
    def from_image(cls, image: Image, name: str, *, pixels: bool = True) -> Self:
        png = _encode_png(image) if pixels else ""
        return cls(name=name, width=image.width, height=image.height, key=image.key, png=png)

    def with_pixels(self, image: Image) -> Self:
        """Add the pixels. Raise ValueError if they are those of another image."""
        if image.key != self.key:
            raise ValueError(
                f"it is about another image of {self.width} x {self.height} pixels"
                f" than the one given, which has {image.width} x {image.height}"
            )
        return self.model_copy(update={"png": _encode_png(image)})

    def to_image(self) -> Image:
        """Decode the image. Raise ValueError if it is damaged or was left out."""
        if not self.png:
            raise ValueError("its image was left out when it was saved")
        try:
            file = BytesIO(base64.b64decode(self.png, validate=True))
            with guard_pillow(self.width * self.height), PIL.Image.open(file, formats=["PNG"]) as image:
                size = image.size
                if size == (self.width, self.height):  # before anything large is decoded
                    notes = str(image.info.get(_NOTES_KEYWORD, "")).splitlines()
                    return Image(np.asarray(image.convert("RGB")), tuple(notes))
        except BOMBS as error:
            raise ValueError(f"its image has more pixels than {self.width} x {self.height}") from error
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError("its image is damaged") from error
        raise ValueError(f"its image is {size[0]} x {size[1]}, not {self.width} x {self.height}")


def _encode_png(image: Image) -> str:
    """Encode an image as PNG in base64, with its notes, which earlier versions of the program do not read."""
    file, notes = BytesIO(), PngInfo()
    if image.notes:
        notes.add_text(_NOTES_KEYWORD, make_encodable("\n".join(image.notes)))
    # the quickest level: the usual one takes 5 times as long for 12 % fewer bytes (benchmarks/NOTES.md)
    image.to_pil().save(file, "PNG", compress_level=1, pnginfo=notes)
    return base64.b64encode(file.getvalue()).decode("ascii")


class SavedVideo(SavedModel):
    """Which video it is, and when its frames are shown. Its pixels stay where they are."""

    key: str
    """The video's content key."""
    times: Annotated[tuple[float, ...], Field(min_length=1)]
    """Seconds, one for each frame."""
    start: int
    """The first frame of the part that the query is about."""
    stop: int
    """The frame after the last one of that part."""

    @classmethod
    def from_task(cls, task: Task) -> Self | None:
        if task.timeline is None:
            return None
        timeline = task.timeline
        key = task.video.key if task.video is not None else task.video_key
        return cls(key=key, times=timeline.times, start=timeline.start, stop=timeline.stop)

    def to_timeline(self) -> Timeline:
        """Rebuild the times. Raise ValueError if they do not fit together."""
        return Timeline(self.times, self.start, self.stop)


def _write_candidate(candidate: Candidate, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
    """Write the object of a video as its own short form, and leave it out for an image; so with what nobody knows."""
    held: dict[str, Any] = handler(replace(candidate, masklet=None))
    del held["masklet"]
    if candidate.probability is None:  # as every file was before masks had one
        del held["probability"]
    if not candidate.label:  # and a class
        del held["label"]
    return held if candidate.masklet is None else {**held, "masklet": candidate.masklet.to_dict()}


def _read_candidate(held: Any) -> Any:
    """Read the object of a video, whose masks are of the size of the candidate's."""
    if not isinstance(held, dict) or held.get("masklet") is None:
        return held
    match held.get("rle"):
        case {"size": [int() as height, int() as width]}:
            return {**held, "masklet": Masklet.from_dict(held["masklet"], (height, width))}
    raise ValueError("a mask of a video has no size")


SavedCandidate = Annotated[Candidate, WrapSerializer(_write_candidate), BeforeValidator(_read_candidate)]


class WorkspaceDelta(SavedModel):
    """What a step added to the workspace; earlier steps hold the rest."""

    candidates: tuple[SavedCandidate, ...] = ()
    searches: tuple[SearchRecord, ...] = ()
    corrected: tuple[SavedCandidate, ...] = Field(default=(), exclude_if=lambda corrected: not corrected)
    """Masks that take the place of earlier ones, whose ids they have."""
    labelled: tuple[tuple[int, Text], ...] = Field(default=(), exclude_if=lambda labelled: not labelled)
    """Masks that get another class, and it; an empty one takes the class away."""

    @classmethod
    def diff(cls, before: Workspace, after: Workspace) -> Self:
        old, searched = len(before.candidates), len(before.searches)
        if len(after.candidates) < old or after.searches[:searched] != before.searches:
            raise ValueError("a step lost masks or searches of an earlier one; a workspace can only grow")
        pairs = [*zip(before.candidates, after.candidates, strict=False)]
        return cls(
            candidates=after.candidates[old:],
            searches=after.searches[searched:],
            corrected=tuple(new for was, new in pairs if _is_other_mask(was, new)),
            labelled=tuple((new.id, new.label) for was, new in pairs if new.label != was.label),
        )

    @property
    def has_label(self) -> bool:
        """Whether a mask gets a class, or loses it."""
        return bool(self.labelled) or any(candidate.label for candidate in (*self.candidates, *self.corrected))

    def apply_to(self, before: Workspace) -> Workspace:
        """Add what the step added. Raise ValueError for masks that fit neither the image nor the numbering."""
        for id, candidate in enumerate(self.candidates, start=len(before) + 1):
            _check_candidate(candidate, id, before)
        for candidate in self.corrected:
            if candidate.id not in before:
                raise ValueError(f"it corrects mask {candidate.id}, which no step has found")
            _check_candidate(candidate, candidate.id, before)
            before = before.with_correction(candidate)
        if unknown := [id for id, _ in self.labelled if id not in before]:
            raise ValueError(f"it gives a class to mask {unknown[0]}, which no step has found")
        before = before.with_labels(dict(self.labelled))
        candidates = (*before.candidates, *self.candidates)
        return Workspace(before.height, before.width, candidates, (*before.searches, *self.searches))


def _is_other_mask(was: Candidate, new: Candidate) -> bool:
    """Tell whether more than the class differs."""
    return replace(new, label=was.label) != was or new.masklet is not was.masklet


def _check_candidate(candidate: Candidate, id: int, workspace: Workspace) -> None:
    """Raise ValueError for a mask that fits neither this id, nor the image, nor its own video."""
    if candidate.id != id or candidate.rle.size != (workspace.height, workspace.width):
        raise ValueError(f"mask {candidate.id} of size {candidate.rle.size} stands where mask {id} should")
    rle.check_runs(candidate.rle)
    if candidate.masklet is not None and candidate.rle not in candidate.masklet.rles:
        raise ValueError(f"mask {candidate.id} is none of those that it has in the video")


class SavedStep(SavedModel):
    decision: Decision
    text: Text
    added: WorkspaceDelta | None
    """None where the observation brought no workspace."""
    shown: tuple[int, ...] | None
    outcome: Outcome | None
    is_error: bool
    usage: Usage
    """The cost of the observation; the decision has its own."""
    seconds: float
    options: tuple[Text, ...] = ()
    reasons: tuple[tuple[int, Text], ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    spans: tuple[tuple[int, float, float], ...] = Field(default=(), exclude_if=lambda spans: not spans)
    """Of an answer about a video."""

    @field_serializer("decision", mode="wrap")
    def _leave_out_unused(self, decision: Decision, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the plan, which a conversation keeps with the turn, and what no server wrote with the call."""
        held: dict[str, Any] = handler(decision)
        return {name: value for name, value in held.items() if name != "plan" and (name != "extra" or value)}

    @classmethod
    def from_step(cls, step: Step, before: Workspace) -> Self:
        observation = step.observation
        return cls(
            decision=step.decision,
            text=observation.text,
            added=None if observation.workspace is None else WorkspaceDelta.diff(before, observation.workspace),
            shown=observation.shown,
            outcome=observation.outcome,
            is_error=observation.is_error,
            usage=observation.usage,
            seconds=step.seconds,
            options=observation.options,
            reasons=observation.reasons,
            verdicts=observation.verdicts,
            spans=observation.spans,
        )

    def to_step(self, before: Workspace) -> Step:
        workspace = None if self.added is None else self.added.apply_to(before)
        if unknown := [id for id in self.shown or () if id not in (workspace or before)]:
            raise ValueError(f"it shows masks {unknown} that no step has found")
        observation = Observation(
            text=self.text,
            workspace=workspace,
            shown=self.shown,
            outcome=self.outcome,
            is_error=self.is_error,
            usage=self.usage,
            options=self.options,
            reasons=self.reasons,
            verdicts=self.verdicts,
            spans=self.spans,
        )
        return Step(self.decision, observation, self.seconds)


class SavedContext(SavedModel):
    """What a conversation had come to before an episode began."""

    added: WorkspaceDelta
    """Every mask and search of the conversation."""
    selected: tuple[int, ...]
    turns: tuple[PastTurn, ...]

    @field_serializer("turns", mode="wrap")
    def _leave_out_missing_plans(
        self, turns: tuple[PastTurn, ...], handler: SerializerFunctionWrapHandler
    ) -> list[dict[str, Any]]:
        """Turns whose planner does not say how it understood the query are written without a plan."""
        held: list[dict[str, Any]] = [*handler(turns)]
        return [{name: value for name, value in turn.items() if (name, value) != ("plan", None)} for turn in held]

    @classmethod
    def from_context(cls, context: ConversationContext, image: Image) -> Self:
        nothing = Workspace(image.height, image.width)
        added = WorkspaceDelta.diff(nothing, context.workspace or nothing)
        return cls(added=added, selected=context.selected, turns=context.turns)

    def to_context(self, image: Image) -> ConversationContext:
        """Rebuild the context. Raise ValueError if its parts do not fit together."""
        workspace = self.added.apply_to(Workspace(image.height, image.width))
        if unknown := [id for id in self.selected if id not in workspace]:
            raise ValueError(f"its earlier answer has masks {unknown} that nobody found")
        return ConversationContext(workspace, self.selected, self.turns)


class Transcript(SavedModel):
    """One episode and what made it, as a file holds them.

    Example:
        >>> episode = Episode(Task(Image(np.zeros((4, 6, 3), np.uint8)), "cups"))
        >>> transcript = Transcript.from_episode(episode, provenance=Provenance(planner="grammar", sam3="tiny"))
        >>> transcript.picture.width, transcript.made_by.toolset.name
        (6, 'workspace')
    """

    format: Literal["sam3-agent episode"] = "sam3-agent episode"
    version: Literal[1, 2, 3, 4, 5, 6] = VERSION
    made_by: Provenance
    query: Text
    by_hand: bool = False
    before: SavedContext | None = None
    """None where the query began a conversation."""
    outcome: Outcome | None
    steps: tuple[SavedStep, ...]
    picture: SavedImage
    """Of a video, the first frame of the part that the query is about."""
    video: SavedVideo | None = Field(default=None, exclude_if=lambda video: video is None)
    """None for an episode about an image."""

    @classmethod
    def from_episode(
        cls, episode: Episode, *, provenance: Provenance, source: str | Path = "", pixels: bool = True
    ) -> Self:
        """Hold an episode.

        Args:
            episode: It may be unfinished.
            provenance: What made it.
            source: The image's file, of which only the name is kept.
            pixels: Whether the image itself is held. Else `load_episode` must be given the image.

        Returns:
            What a file holds.
        """
        task, steps = episode.task, to_saved_steps(episode)
        before = None if task.context == EMPTY_CONTEXT else SavedContext.from_context(task.context, task.image)
        return cls(
            version=_choose_version(task, before, steps),
            made_by=provenance,
            query=task.query,
            by_hand=task.by_hand,
            before=before,
            outcome=episode.outcome,
            steps=steps,
            picture=SavedImage.from_image(task.image, Path(source).name, pixels=pixels),
            video=SavedVideo.from_task(task),
        )

    @cached_property
    def episode(self) -> Episode:
        """The episode that was saved. Its first use raises ValueError if the file's parts do not fit together."""
        image = self.picture.to_image()
        context = EMPTY_CONTEXT if self.before is None else self.before.to_context(image)
        timeline = None if self.video is None else self.video.to_timeline()
        task = Task(image, self.query, context, self.by_hand, timeline=timeline, video_key=self.video_key)
        return rebuild_episode(task, self.steps, self.outcome)

    def hand_in_video(self, video: Video) -> None:
        """Give the episode the frames of its video.

        Args:
            video: The video that it is about.

        Raises:
            ValueError: It is about another video, or about an image.
        """
        if self.video_key != video.key:
            raise ValueError("it is about another video than the one given")
        episode = self.episode
        self.__dict__["episode"] = replace(episode, task=replace(episode.task, video=video))

    @property
    def video_key(self) -> str:
        """The content key of the video; empty for an episode about an image."""
        return "" if self.video is None else self.video.key


def to_saved_steps(episode: Episode) -> tuple[SavedStep, ...]:
    """Turn the steps into what a file holds of them: each with what it added."""
    workspaces = [replace(episode, steps=episode.steps[:index]).workspace for index in range(len(episode.steps))]
    return tuple(
        SavedStep.from_step(step, workspace) for step, workspace in zip(episode.steps, workspaces, strict=True)
    )


def _choose_version(task: Task, before: SavedContext | None, steps: Sequence[SavedStep]) -> Literal[3, 4, 5, 6]:
    """The earliest version that can hold these steps."""
    if has_label(steps) or (before is not None and before.added.has_label):
        return LABEL_VERSION
    if has_correction(steps):
        return CORRECTION_VERSION
    return VERSION if task.timeline is None else VIDEO_VERSION


def has_correction(steps: Sequence[SavedStep]) -> bool:
    """Tell whether a mask was corrected in its place."""
    return any(step.added is not None and step.added.corrected for step in steps)


def has_label(steps: Sequence[SavedStep]) -> bool:
    """Tell whether a step gave a mask a class, or took it away."""
    return any(step.added is not None and step.added.has_label for step in steps)


def rebuild_episode(task: Task, steps: Sequence[SavedStep], outcome: Outcome | None) -> Episode:
    """Rebuild the episode of these steps. Raise ValueError if they do not fit together."""
    episode = Episode(task)
    for saved in steps:
        episode = episode.append(saved.to_step(episode.workspace))
    return replace(episode, outcome=outcome)


def save_episode(
    episode: Episode,
    path: str | Path,
    *,
    provenance: Provenance | None = None,
    source: str | Path = "",
    pixels: bool = True,
) -> None:
    """Save an episode as a JSON file, whole or not at all.

    Args:
        episode: It may be unfinished.
        path: The file; one of that name is replaced.
        provenance: What made the episode. Default: an unknown planner with the default toolset and budget.
        source: The image's file, of which only the name is kept.
        pixels: Whether the image itself goes into the file. Without it the file is small, and `load_episode` needs it.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> import numpy as np, tempfile
        >>> from agent import Episode, Task, load_episode
        >>> from sam3_tool import Image
        >>> episode = Episode(Task(Image(np.zeros((4, 6, 3), np.uint8)), "cups"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_episode(episode, f"{folder}/episode.json")
        ...     load_episode(f"{folder}/episode.json").episode.task.query
        'cups'
    """
    made_by = provenance or UNKNOWN_PROVENANCE
    held = Transcript.from_episode(episode, provenance=made_by, source=source, pixels=pixels).model_dump()
    write_atomically(Path(path), json.dumps(held, ensure_ascii=False, indent=1).encode("utf-8", "replace"))


def load_episode(path: str | Path, *, image: Image | None = None, video: Video | None = None) -> Transcript:
    """Load a saved episode and check it.

    Args:
        path: What `save_episode` wrote, with this version of the format or an earlier one.
        image: The image, for a file that was saved without its pixels.
        video: The video that the episode is about. Without it, the episode has its tracks and times, and no frames.

    Returns:
        What the file holds; its `episode` is the episode.

    Raises:
        RecordError: The file is missing, foreign or damaged, or `image` or `video` is another one.
    """
    held = read_versioned_json(path, kind="episode", format=FORMAT, versions=READABLE_VERSIONS)
    try:
        transcript = Transcript.model_validate(held)
        if image is not None:
            transcript = transcript.model_copy(update={"picture": transcript.picture.with_pixels(image)})
        if video is not None:
            transcript.hand_in_video(video)
        _ = transcript.episode
    except ValidationError as error:
        raise RecordError(f"{path} is damaged: {first_validation_error(error)}") from error
    except ValueError as error:
        what = "cannot be used" if not transcript.picture.png or video is not None else "is damaged"
        raise RecordError(f"{path} {what}: {error}") from error
    return transcript
