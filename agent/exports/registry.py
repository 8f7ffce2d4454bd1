"""Formats by name, as installed packages offer them, and the one call that writes an answer."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.core.episode import Episode
from agent.core.errors import OutputError, UsageError
from agent.exports.base import Exporter, Medium
from agent.exports.video.answer import VideoExportAnswer
from sam3_tool.errors import UserError
from sam3_tool.plugins import PluginError, find_plugins, load_plugin
from sam3_tool.video.masklets import Masklets
from sam3_tool.video.video import Video


class ExporterRegistry(Mapping[str, Exporter]):
    """Name -> format. Only a format that is asked for is imported."""

    def __getitem__(self, name: str) -> Exporter:
        if name not in find_plugins("exporters"):
            raise KeyError(name)
        exporter = load_plugin("exporters", name)
        if not isinstance(exporter, Exporter):
            kind = type(exporter).__name__
            raise PluginError(f"the exporter {name!r} of an installed package is a {kind}, not an Exporter")
        return exporter

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(find_plugins("exporters")))

    def __len__(self) -> int:
        return len(find_plugins("exporters"))


EXPORTERS: Mapping[str, Exporter] = ExporterRegistry()
"""Every installed format by its name: what `--export` takes."""


def list_formats(medium: Medium) -> dict[str, Exporter]:
    """Load all formats of answers about an image, or about a video.

    Args:
        medium: "image" or "video".

    Returns:
        Name -> format, by name. Formats of other packages that cannot be loaded are left out.

    Example:
        >>> "yolo-seg" in list_formats("image"), "davis" in list_formats("video"), "coco" in list_formats("video")
        (True, True, True)
    """
    found: dict[str, Exporter] = {}
    for name in EXPORTERS:
        with suppress(PluginError):
            if EXPORTERS[name].handles(medium):
                found[name] = EXPORTERS[name]
    return found


def select_exporters(names: str, medium: Medium | None = None) -> dict[str, Exporter]:
    """Load the formats that a list such as 'coco,yolo-seg' names.

    Args:
        names: Names of formats, with commas between them. A name that is given twice counts once.
        medium: What the answer is about: "image" or "video". Default: it is not known yet.

    Returns:
        Name -> format, in the order of the list.

    Raises:
        UsageError: A name is unknown, two formats would write the same file, or one is not for this medium.
        PluginError: A format of another package cannot be loaded.

    Example:
        >>> [*select_exporters("coco, yolo-seg,coco")]
        ['coco', 'yolo-seg']
    """
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in find_plugins("exporters")]:
        raise UsageError(f"no export format {unknown[0]!r}; there are: {', '.join(EXPORTERS)}")
    exporters = {name: EXPORTERS[name] for name in wanted}
    if medium is not None:
        check_formats(exporters, medium)
    names_by_suffix: dict[str, str] = {}
    for name, exporter in exporters.items():
        other = names_by_suffix.setdefault(exporter.suffix, name)
        if other != name:
            raise UsageError(f"the formats {other} and {name} both write *{exporter.suffix}; ask for one of them")
    return exporters


def check_formats(exporters: Mapping[str, Exporter], medium: Medium) -> None:
    """Refuse formats that are not for this medium.

    Args:
        exporters: Name -> format.
        medium: "image" or "video".

    Raises:
        UsageError: One of them is not for it. The message names those that are.
    """
    for name, exporter in exporters.items():
        if not exporter.handles(medium):
            own, other = ("images", "videos") if medium == "image" else ("videos", "images")
            raise UsageError(
                f"the format {name} is for {other}; for {own} there are: {', '.join(list_formats(medium))}"
            )


def export_masklets(
    video: Video, found: Masklets | Iterable[Masklets], exporter: str | Exporter, *, folder: str | Path, name: str
) -> Path:
    """Write what tracking found in a video in the format of another tool.

    Args:
        video: The video that was searched.
        found: The objects of one phrase, or those of each phrase.
        exporter: The name of an installed format, or an `Exporter`.
        folder: The output folder, which is made if it is missing.
        name: The video's file name. The file is named after it, and the format stores it.

    Returns:
        The path of the file.

    Raises:
        UsageError: There is no format of this name, or it is for images only.
        PluginError: The format belongs to another package and cannot be loaded.
        MissingPackageError: A package that the format needs is not installed.
        OutputError: The file cannot be written.
        ValueError: The objects are of another video.

    Example:
        >>> import numpy as np, tempfile
        >>> from sam3_tool import Image
        >>> video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))] * 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_masklets(video, Masklets.empty(4, 6, 2), "mot", folder=folder, name="clip.mp4").name
        'clip.mot.txt'
    """
    chosen = exporter if isinstance(exporter, Exporter) else _get_exporter(exporter)
    check_formats({chosen.suffix: chosen}, "video")
    answer = VideoExportAnswer.from_masklets(video, found, name)
    with _prepare_folder(folder):
        return chosen.write_video_answer(answer, Path(folder))


def export_episode(episode: Episode, exporter: str | Exporter, *, folder: str | Path, name: str) -> Path:
    """Write the answer of an episode in the format of another tool.

    Args:
        episode: Its answer is written; of an unfinished episode, the best answer so far.
        exporter: The name of an installed format, or an `Exporter`.
        folder: The output folder, which is made if it is missing.
        name: The image's file name. The file is named after it, and the format stores it.

    Returns:
        The path of the file.

    Raises:
        UsageError: There is no format of this name.
        PluginError: The format belongs to another package and cannot be loaded.
        OutputError: The file cannot be written.

    Example:
        >>> import numpy as np, tempfile
        >>> from agent import Episode, Task
        >>> from sam3_tool import Image
        >>> episode = Episode(Task(Image(np.zeros((4, 6, 3), np.uint8)), "cups"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_episode(episode, "coco", folder=folder, name="scene.png").name
        'scene.coco.json'
    """
    chosen = exporter if isinstance(exporter, Exporter) else _get_exporter(exporter)
    check_formats({chosen.suffix: chosen}, "image")
    candidates = episode.workspace.pick(episode.current_ids)
    with _prepare_folder(folder):
        return chosen.write(episode.task.image, candidates, name, Path(folder), episode.reasons)


@contextmanager
def _prepare_folder(folder: str | Path) -> Iterator[None]:
    """Make the folder, and say in one line why the block could not write into it."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        yield
    except UserError:  # some of them are OSErrors too
        raise
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from error


def _get_exporter(name: str) -> Exporter:
    (exporter,) = select_exporters(name).values()
    return exporter
