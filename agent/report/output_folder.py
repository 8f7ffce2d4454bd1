"""The files of an answer, which appear in their folder together or not at all."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.core.episode import Episode
from agent.core.errors import OutputError
from agent.exports import Exporter
from agent.records.episode_file import save_episode
from agent.records.provenance import Provenance
from agent.report.html import to_html
from agent.report.result import Result
from sam3_tool.drawing.overlay import draw_marks

ANSWER_FILES = ("overlay.png", "result.json", "episode.json", "episode.html")


def write_answer_files(episode: Episode, result: Result, folder: Path, *, provenance: Provenance, source: str) -> None:
    """Writes `ANSWER_FILES`. `source`: the image's file name."""
    overlay, answer, saved, page = (folder / name for name in ANSWER_FILES)
    draw_marks(episode.task.image, episode.answer, mask_ids=episode.current_ids).save(overlay)
    answer.write_text(result.to_json() + "\n", encoding="utf-8")
    save_episode(episode, saved, provenance=provenance, source=source)
    page.write_text(to_html(episode, provenance, source=source), encoding="utf-8")


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
