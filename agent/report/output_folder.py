"""The files of an answer, which appear in their folder together or not at all."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import PIL.Image

from agent.core.episode import Episode
from agent.core.errors import InterruptedOutputError, OutputError
from agent.exports import Exporter
from agent.records.episode_file import save_episode
from agent.records.provenance import Provenance
from agent.report.html import to_html
from agent.report.result import Result
from agent.report.tracks import draw_tracks
from sam3_tool.drawing.overlay import draw_marks
from sam3_tool.errors import UserError
from sam3_tool.system.interruptions import defer_interruptions
from sam3_tool.system.unfinished_files import make_unfinished_folder

MAX_SHEET_SIDE = 1600
"""Pixels of the long side of the frames of a video with its answer."""
ANSWER_FILES = ("overlay.png", "result.json", "episode.json", "episode.html")


def write_answer_files(episode: Episode, result: Result, folder: Path, *, provenance: Provenance, source: str) -> None:
    """Writes `ANSWER_FILES`. `source`: the image's file name."""
    overlay, answer, saved, page = (folder / name for name in ANSWER_FILES)
    _draw_answer(episode).save(overlay)
    answer.write_text(result.to_json() + "\n", encoding="utf-8")
    save_episode(episode, saved, provenance=provenance, source=source)
    page.write_text(to_html(episode, provenance, source=source), encoding="utf-8")


def _draw_answer(episode: Episode) -> PIL.Image.Image:
    """Draw the masks of the answer; of a video, frames with its tracks."""
    if episode.task.timeline is None:
        return draw_marks(episode.task.image, episode.answer, mask_ids=episode.current_ids)
    answer = episode.masklets
    return draw_tracks(episode.task, answer.ids, answer.masklets, side=MAX_SHEET_SIDE).to_pil()


def write_exports(episode: Episode, formats: Sequence[Exporter], folder: Path, *, source: str) -> None:
    """Writes the answer, or the best answer so far, in each of `formats`. `source`: the image's file name."""
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
