"""The files of an answer, which appear in their folder together or not at all."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import PIL.Image

from agent.core.episode import Episode
from agent.core.errors import InterruptedOutputError, OutputError
from agent.exports import Exporter
from agent.exports.video.answer import ExportTrack, VideoExportAnswer
from agent.records.episode_file import save_episode
from agent.records.provenance import Provenance
from agent.report.html import to_html
from agent.report.result import Result
from agent.report.tracks import draw_tracks
from sam3_tool.drawing.overlay import draw_marks
from sam3_tool.drawing.overlay_video import write_overlay_video
from sam3_tool.errors import UserError
from sam3_tool.system.interruptions import defer_interruptions
from sam3_tool.system.unfinished_files import make_unfinished_folder

MAX_SHEET_SIDE = 1600
"""Pixels of the long side of the frames of a video with its answer."""
ANSWER_FILES = ("overlay.png", "result.json", "episode.json", "episode.html")
VIDEO_FILE = "overlay.mp4"


def list_answer_files(*, is_video: bool, exports: Collection[str] = ()) -> tuple[str, ...]:
    """Name the files of an answer: for a video also one that plays, where PyAV is there to write it.

    `exports`: names of the formats that are written beside them; one of them may be that video.
    """
    plays = is_video and "mp4" not in exports and find_spec("av") is not None
    return (*ANSWER_FILES, VIDEO_FILE) if plays else ANSWER_FILES


def write_answer_files(
    episode: Episode,
    result: Result,
    folder: Path,
    *,
    provenance: Provenance,
    source: str,
    exports: Collection[str] = (),
) -> None:
    """Writes what `list_answer_files` names. `source`: the file name of the image or the video."""
    overlay, answer, saved, page = (folder / name for name in ANSWER_FILES)
    _draw_answer(episode).save(overlay)
    answer.write_text(result.to_json() + "\n", encoding="utf-8")
    save_episode(episode, saved, provenance=provenance, source=source)
    page.write_text(to_html(episode, provenance, source=source), encoding="utf-8")
    if episode.task.video is not None and VIDEO_FILE in list_answer_files(is_video=True, exports=exports):
        tracks = episode.masklets
        write_overlay_video(folder / VIDEO_FILE, episode.task.video, tracks.masklets, ids=tracks.ids)


def _draw_answer(episode: Episode) -> PIL.Image.Image:
    """Draw the masks of the answer; of a video, frames with its tracks."""
    if episode.task.timeline is None:
        return draw_marks(episode.task.image, episode.answer, mask_ids=episode.current_ids)
    answer = episode.masklets
    return draw_tracks(episode.task, answer.ids, answer.masklets, side=MAX_SHEET_SIDE).to_pil()


def write_exports(
    episode: Episode,
    formats: Sequence[Exporter],
    folder: Path,
    *,
    source: str,
    reasons: Mapping[int, str] | None = None,
) -> None:
    """Writes the answer, or the best answer so far, in each of `formats`.

    `source`: the file name of the image or the video. `reasons`: why masks belong there; None = as the episode says.
    """
    chosen, reasons = episode.workspace.pick(episode.current_ids), episode.reasons if reasons is None else reasons
    if episode.task.video is not None:
        tracks = [
            ExportTrack(candidate.id, masklet, candidate.phrase, reasons.get(candidate.id, ""))
            for candidate, masklet in zip(chosen, episode.masklets.masklets, strict=True)
        ]
        answer = VideoExportAnswer.from_tracks(episode.task.video, tracks, source)
        for exporter in formats:
            exporter.write_video_answer(answer, folder)
        return
    for exporter in formats:
        exporter.write(episode.task.image, chosen, source, folder, reasons)


@contextmanager
def stage_files(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """An empty folder to write `names` into; they move into `folder` together when the block ends well.

    Nothing is left behind when it does not: files of these names in `folder` keep their contents, and folders that had
    to be made are gone. Other files in `folder` are never touched. Raises OutputError, before the block runs where that
    can be known.
    """
    made: list[Path] = []
    try:
        with ExitStack() as exits:
            with _convert_os_errors(folder, OutputError):
                made += [parent for parent in (folder, *folder.parents) if not parent.exists()]
                _make_folder(folder, names)
                stage = exits.enter_context(make_unfinished_folder(folder))
            yield stage
            with defer_interruptions(), raise_write_errors(folder):
                for name in names:
                    (stage / name).replace(folder / name)
    except BaseException:
        _remove_empty_folders(made)
        raise


@contextmanager
def raise_write_errors(folder: Path) -> Iterator[None]:
    """Say in one line why the work in the block could not write into `folder`. Raises InterruptedOutputError."""
    with _convert_os_errors(folder, InterruptedOutputError):
        yield


def _make_folder(folder: Path, names: Sequence[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError("it is a file; choose another folder for the answer")
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (folder / name).is_dir():
            raise IsADirectoryError(f"{name} there is a folder")


@contextmanager
def _convert_os_errors(folder: Path, kind: type[OutputError]) -> Iterator[None]:
    try:
        yield
    except UserError:  # some of them are OSErrors too
        raise
    except OSError as error:
        raise kind(f"cannot write into {folder}: {error.strerror or error}") from error


def _remove_empty_folders(folders: Sequence[Path]) -> None:
    """`folders`: innermost first."""
    for folder in folders:
        with suppress(OSError):  # it is not empty, or is gone
            folder.rmdir()
