"""A saved episode, complete and replayable: Episode <-> JSON, and Episode -> text or one HTML page."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from PIL import Image
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agent.budget import Budget
from agent.episode import (
    NOTHING_BEFORE,
    Before,
    Candidate,
    Decision,
    Episode,
    Observation,
    Outcome,
    Said,
    Search,
    Step,
    Task,
    Usage,
    Verdict,
    Workspace,
)
from agent.page import to_html, to_text
from agent.protocols import Protocol
from agent.text import encodable
from sam3_tool import Picture, rle
from sam3_tool.files import write_whole

__all__ = ["MadeBy", "Transcript", "TranscriptError", "encodable", "load", "save", "to_html", "to_text"]

FORMAT = "sam3-agent episode"
VERSION: Final = 3
READABLE = (1, 2, 3)
"""Version 1 is without what a language model adds: reasoning, notes, reasons, options, the model and its view.

Version 2 is without what was said before in a conversation.
"""


class TranscriptError(ValueError):
    """A file that does not hold a saved episode or conversation this program can read. The message is one line."""


Text = Annotated[str, BeforeValidator(encodable)]


class Saved(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MadeBy(Saved):
    """What made an episode: enough to make it again."""

    planner: str
    """As `load_planner` takes it, e.g. 'grammar'."""
    sam3: str
    """The checkpoint, e.g. 'tiny'."""
    protocol: Protocol = "workspace"
    budget: Budget = Budget()
    model: Text = ""
    """The language model, as it calls itself; empty where none planned."""
    capabilities: Text = ""
    """Of the model, in words: how it was offered the tools, and so on."""
    view: dict[str, Any] = {}
    """The fields of the model's `View`; empty: all at their defaults."""
    prompts: dict[str, str] = {}
    """The name of each text in `prompts`, and its hash."""
    version: str = Field(default_factory=lambda: version("sam3-agent"))
    """Of this program."""


class SavedPicture(Saved):
    """The picture itself, without loss; or which picture it is, where its pixels are kept elsewhere."""

    name: Text
    """Of the file it came from, without folders; may be empty."""
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    key: str
    """The picture's content key."""
    png: str = ""
    """Base64; empty where the pixels are left out."""

    @classmethod
    def of(cls, picture: Picture, name: str, *, pixels: bool = True) -> Self:
        png = _png(picture) if pixels else ""
        return cls(name=name, width=picture.width, height=picture.height, key=picture.key, png=png)

    def with_pixels(self, picture: Picture) -> Self:
        """Raises ValueError if it is another picture."""
        if picture.key != self.key:
            raise ValueError(
                f"it is about another picture of {self.width} x {self.height} pixels"
                f" than the one given, which has {picture.width} x {picture.height}"
            )
        return self.model_copy(update={"png": _png(picture)})

    def picture(self) -> Picture:
        """Raises ValueError if it is damaged or left out."""
        if not self.png:
            raise ValueError("its picture was left out when it was saved")
        try:
            with Image.open(BytesIO(base64.b64decode(self.png, validate=True)), formats=["PNG"]) as image:
                size = image.size
                if size == (self.width, self.height):  # before anything large is decoded
                    return Picture(np.asarray(image.convert("RGB")))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError("its picture is damaged") from error
        raise ValueError(f"its picture is {size[0]} x {size[1]}, not {self.width} x {self.height}")


def _png(picture: Picture) -> str:
    """Base64."""
    file = BytesIO()
    picture.to_pil().save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode("ascii")


class Added(Saved):
    """What a step added to the workspace; earlier steps hold the rest."""

    candidates: tuple[Candidate, ...] = ()
    searches: tuple[Search, ...] = ()

    @classmethod
    def between(cls, before: Workspace, after: Workspace) -> Self:
        old, searched = len(before.candidates), len(before.searches)
        if (after.candidates[:old], after.searches[:searched]) != (before.candidates, before.searches):
            raise ValueError("a step changed masks or searches of an earlier one; a workspace can only grow")
        return cls(candidates=after.candidates[old:], searches=after.searches[searched:])

    def onto(self, before: Workspace) -> Workspace:
        """Raises ValueError for masks that do not fit the picture or the numbering."""
        for id, candidate in enumerate(self.candidates, start=len(before) + 1):
            if candidate.id != id or candidate.rle.size != (before.height, before.width):
                raise ValueError(f"mask {candidate.id} of size {candidate.rle.size} stands where mask {id} should")
            rle.check(candidate.rle)
        candidates = (*before.candidates, *self.candidates)
        return Workspace(before.height, before.width, candidates, (*before.searches, *self.searches))


class SavedStep(Saved):
    decision: Decision
    text: Text
    added: Added | None
    """None where the observation brought no workspace."""
    shown: tuple[int, ...] | None
    outcome: Outcome | None
    is_error: bool
    usage: Usage
    """The observation's; the decision has its own."""
    seconds: float
    options: tuple[Text, ...] = ()
    reasons: tuple[tuple[int, Text], ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    @classmethod
    def of(cls, step: Step, before: Workspace) -> Self:
        seen = step.observation
        return cls(
            decision=step.decision,
            text=seen.text,
            added=None if seen.workspace is None else Added.between(before, seen.workspace),
            shown=seen.shown,
            outcome=seen.outcome,
            is_error=seen.is_error,
            usage=seen.usage,
            seconds=step.seconds,
            options=seen.options,
            reasons=seen.reasons,
            verdicts=seen.verdicts,
        )

    def step(self, before: Workspace) -> Step:
        workspace = None if self.added is None else self.added.onto(before)
        if unknown := [id for id in self.shown or () if id not in (workspace or before)]:
            raise ValueError(f"it shows masks {unknown} that no step has found")
        seen = Observation(
            text=self.text,
            workspace=workspace,
            shown=self.shown,
            outcome=self.outcome,
            is_error=self.is_error,
            usage=self.usage,
            options=self.options,
            reasons=self.reasons,
            verdicts=self.verdicts,
        )
        return Step(self.decision, seen, self.seconds)


class SavedBefore(Saved):
    """What a conversation had come to."""

    added: Added
    """Every mask and search of it."""
    selected: tuple[int, ...]
    turns: tuple[Said, ...]

    @classmethod
    def of(cls, before: Before, picture: Picture) -> Self:
        nothing = Workspace(picture.height, picture.width)
        added = Added.between(nothing, before.workspace or nothing)
        return cls(added=added, selected=before.selected, turns=before.turns)

    def before(self, picture: Picture) -> Before:
        """Raises ValueError if its parts do not fit together."""
        workspace = self.added.onto(Workspace(picture.height, picture.width))
        if unknown := [id for id in self.selected if id not in workspace]:
            raise ValueError(f"its earlier answer has masks {unknown} that nobody found")
        return Before(workspace, self.selected, self.turns)


class Transcript(Saved):
    """One episode and what made it, as a file holds them."""

    format: Literal["sam3-agent episode"] = "sam3-agent episode"
    version: Literal[1, 2, 3] = VERSION
    made_by: MadeBy
    query: Text
    by_hand: bool = False
    before: SavedBefore | None = None
    """None where the query began a conversation."""
    outcome: Outcome | None
    steps: tuple[SavedStep, ...]
    picture: SavedPicture

    @classmethod
    def of(cls, episode: Episode, *, made_by: MadeBy, source: str | Path = "", pixels: bool = True) -> Self:
        """`pixels`: whether the picture itself is held; else only which it is, and `load` must be given it."""
        task = episode.task
        return cls(
            made_by=made_by,
            query=task.query,
            by_hand=task.by_hand,
            before=None if task.before == NOTHING_BEFORE else SavedBefore.of(task.before, task.picture),
            outcome=episode.outcome,
            steps=saved_steps(episode),
            picture=SavedPicture.of(task.picture, Path(source).name, pixels=pixels),
        )

    @cached_property
    def episode(self) -> Episode:
        """The episode that was saved. Raises ValueError if the file's parts do not fit together."""
        picture = self.picture.picture()
        before = NOTHING_BEFORE if self.before is None else self.before.before(picture)
        return resumed(Task(picture, self.query, before, self.by_hand), self.steps, self.outcome)


def saved_steps(episode: Episode) -> tuple[SavedStep, ...]:
    before = [replace(episode, steps=episode.steps[:index]).workspace for index in range(len(episode.steps))]
    return tuple(SavedStep.of(step, space) for step, space in zip(episode.steps, before, strict=True))


def resumed(task: Task, steps: Sequence[SavedStep], outcome: Outcome | None) -> Episode:
    """The episode of these steps. Raises ValueError if they do not fit together."""
    episode = Episode(task)
    for saved in steps:
        episode = episode.append(saved.step(episode.workspace))
    return replace(episode, outcome=outcome)


def save(episode: Episode, path: str | Path, *, made_by: MadeBy, source: str | Path = "", pixels: bool = True) -> None:
    """Writes the episode as JSON, whole or not at all. `source`: the picture's file; only its name is kept.

    `pixels`: whether the picture itself goes into the file; what is saved without it is small, and `load` wants it.
    """
    held = Transcript.of(episode, made_by=made_by, source=source, pixels=pixels).model_dump()
    write_whole(Path(path), json.dumps(held, ensure_ascii=False, indent=1).encode("utf-8", "replace"))


def load(path: str | Path, *, picture: Picture | None = None) -> Transcript:
    """A saved episode, checked. Raises TranscriptError for a file that is missing, foreign or damaged.

    `picture`: for a file that was saved without its pixels; a picture that is another one raises TranscriptError too.
    """
    held = content_of(path, what="episode", format=FORMAT, versions=READABLE)
    try:
        transcript = Transcript.model_validate(held)
        if picture is not None:
            transcript = transcript.model_copy(update={"picture": transcript.picture.with_pixels(picture)})
        _ = transcript.episode
    except ValidationError as error:
        raise TranscriptError(f"{path} is damaged: {first_fault(error)}") from error
    except ValueError as error:
        what = "cannot be used" if not transcript.picture.png else "is damaged"
        raise TranscriptError(f"{path} {what}: {error}") from error
    return transcript


def content_of(path: str | Path, *, what: str, format: str, versions: Sequence[int]) -> dict[str, Any]:
    """The JSON object in a file of this format. Raises TranscriptError for one that is missing, foreign or cut off.

    `what`: is saved in such files, in one word.
    """
    try:
        held = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise TranscriptError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise TranscriptError(f"{path} is not a saved {what}: it is not JSON, or cut off") from error
    if not isinstance(held, dict) or held.get("format") != format:
        raise TranscriptError(f"{path} is not a saved {what}: it does not say format {format!r}")
    if held.get("version") not in versions:
        expected = " or ".join(map(str, versions))
        raise TranscriptError(f"{path} has version {held.get('version')!r} of the format; expected {expected}")
    return held


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong: where, and what."""
    what = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, what['loc']))}: {what['msg']}"
