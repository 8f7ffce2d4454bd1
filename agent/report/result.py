"""The answer as files: `result.json` and the pictures and records beside it."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from agent.core.episode import Candidate, Episode, Outcome, Usage
from agent.core.errors import OutputError
from agent.exports.base import Exporter
from agent.records import episode_file as transcript
from agent.records.episode_file import Provenance, Text
from sam3_tool.drawing.overlay import draw_marks
from sam3_tool.masks.boxes import xyxy_to_xywh
from sam3_tool.masks.rle import compute_areas

ANSWER_FILES = ("overlay.png", "result.json", "episode.json", "episode.html")


class ImageSize(BaseModel):
    model_config = ConfigDict(frozen=True)

    width: int
    height: int


class Segmentation(BaseModel):
    """One mask as COCO files hold it; `pycocotools.mask.decode` reads it as it is."""

    model_config = ConfigDict(frozen=True)

    size: tuple[int, int]
    """(height, width) in pixels."""
    counts: str


class Mask(BaseModel):
    model_config = ConfigDict(frozen=True)

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

    @classmethod
    def from_candidate(cls, candidate: Candidate, reason: str = "") -> "Mask":
        x, y, width, height = xyxy_to_xywh(np.array(candidate.box)).tolist()
        return cls(
            id=candidate.id,
            phrase=candidate.phrase,
            score=candidate.score,
            bbox=(x, y, width, height),
            area=int(compute_areas([candidate.rle])[0]),
            segmentation=Segmentation(size=candidate.rle.size, counts=candidate.rle.counts),
            reason=reason,
        )


class Result(BaseModel):
    """What `result.json` holds: the answer to one query about one picture."""

    model_config = ConfigDict(frozen=True)

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

    @classmethod
    def from_episode(cls, episode: Episode, *, seconds: float) -> "Result":
        """The result of a finished episode. Raises ValueError for one that has no outcome yet."""
        if episode.outcome is None:
            raise ValueError(f"the episode has no outcome yet, after {len(episode.steps)} steps")
        image = episode.task.image
        chosen, reasons = episode.workspace.pick(episode.current_ids), episode.reasons
        return cls(
            query=episode.task.query,
            outcome=episode.outcome,
            message=episode.message,
            image=ImageSize(width=image.width, height=image.height),
            masks=[Mask.from_candidate(candidate, reasons.get(candidate.id, "")) for candidate in chosen],
            count=len(chosen),
            usage=episode.usage,
            seconds=round(seconds, 3),
            options=list(episode.steps[-1].observation.options),
        )

    @property
    def is_conclusive(self) -> bool:
        """Whether the agent came to an answer, be it that nothing matches."""
        return self.outcome in ("answered", "no_match")

    def to_json(self) -> str:
        return self.model_dump_json(indent=2)


def write_answer_files(episode: Episode, result: Result, folder: Path, *, provenance: Provenance, source: str) -> None:
    """Writes `ANSWER_FILES`. `source`: the picture's file name."""
    overlay, answer, saved, page = (folder / name for name in ANSWER_FILES)
    draw_marks(episode.task.image, episode.answer, mask_ids=episode.current_ids).save(overlay)
    answer.write_text(result.to_json() + "\n", encoding="utf-8")
    transcript.save_episode(episode, saved, provenance=provenance, source=source)
    page.write_text(transcript.to_html(episode, provenance, source=source), encoding="utf-8")


def write_exports(episode: Episode, formats: Sequence[Exporter], folder: Path, *, source: str) -> None:
    """Writes the answer, or the best answer so far, in each of `formats`. `source`: the picture's file name."""
    chosen = episode.workspace.pick(episode.current_ids)
    for exporter in formats:
        exporter.write(episode.task.image, chosen, source, folder, episode.reasons)


@contextmanager
def stage_files(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """An empty folder to write `names` into; they move into `folder` together when the block ends well.

    Nothing is left behind when it does not: files of these names in `folder` keep their contents, and folders that had
    to be made are gone. Other files in `folder` are never touched. Raises OutputError, before the block runs where that
    can be known.
    """
    made: list[Path] = []
    try:
        with _convert_os_errors(folder):
            made += [parent for parent in (folder, *folder.parents) if not parent.exists()]
            stage = _make_staging_folder(folder, names)
        try:
            yield stage
            with _convert_os_errors(folder):
                for name in names:
                    (stage / name).replace(folder / name)
        finally:
            shutil.rmtree(stage)
    except BaseException:
        _remove_empty_folders(made)
        raise


def _make_staging_folder(folder: Path, names: Sequence[str]) -> Path:
    """A new folder inside `folder`, so that moving a file out of it is one atomic step of the file system."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (folder / name).is_dir():
            raise IsADirectoryError(f"{name} there is a folder")
    return Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))


@contextmanager
def _convert_os_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from error


def _remove_empty_folders(folders: Sequence[Path]) -> None:
    """`folders`: innermost first."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
