"""Formats by name, as installed packages offer them, and the one call that writes an answer."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.core.episode import Episode
from agent.core.errors import OutputError, UsageError
from agent.exports.base import Exporter
from sam3_tool.plugins import PluginError, find_plugins, load_plugin


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


def select_exporters(names: str) -> dict[str, Exporter]:
    """Load the formats that a list such as 'coco,yolo-seg' names.

    Args:
        names: Names of formats, with commas between them. A name that is given twice counts once.

    Returns:
        Name -> format, in the order of the list.

    Raises:
        UsageError: A name is unknown, or two formats would write the same file.
        PluginError: A format of another package cannot be loaded.

    Example:
        >>> [*select_exporters("coco, yolo-seg,coco")]
        ['coco', 'yolo-seg']
    """
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in find_plugins("exporters")]:
        raise UsageError(f"no export format {unknown[0]!r}; there are: {', '.join(EXPORTERS)}")
    exporters = {name: EXPORTERS[name] for name in wanted}
    names_by_suffix: dict[str, str] = {}
    for name, exporter in exporters.items():
        other = names_by_suffix.setdefault(exporter.suffix, name)
        if other != name:
            raise UsageError(f"the formats {other} and {name} both write *{exporter.suffix}; ask for one of them")
    return exporters


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
    candidates = episode.workspace.pick(episode.current_ids)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return chosen.write(episode.task.image, candidates, name, Path(folder), episode.reasons)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror or error}") from error


def _get_exporter(name: str) -> Exporter:
    (exporter,) = select_exporters(name).values()
    return exporter
