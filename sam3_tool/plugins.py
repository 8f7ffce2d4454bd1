"""Parts by name, from this project and from any other installed package: entry points, one group for each kind.

    sam3_agent.commands    a typer app                               `sam3-agent NAME`
    sam3_agent.backends    load(weights, **options) -> Backend       `--sam3 NAME:WEIGHTS`
    sam3_agent.tools       a Tool class                              `--toolset workspace+NAME`
    sam3_agent.planners    load(spec, **options) -> Planner          `--planner NAME:SPEC`
    sam3_agent.models      load(model, **options) -> ChatModel       `--planner NAME:MODEL`
    sam3_agent.datasets    load(path, split, **options) -> Dataset   `eval run NAME`
    sam3_agent.exporters   an Exporter                               `--export NAME`

The parts of this project are registered in the same way, so that nothing is possible for them alone.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from threading import RLock
from typing import Any, Literal

from sam3_tool.errors import UserError

Group = Literal["commands", "backends", "tools", "planners", "models", "datasets", "exporters"]


import_lock = RLock()
"""Held while a part, or the libraries that it runs on, are imported.

A server loads SAM 3 and its planner in threads, and both begin with PyTorch, whose modules import each other in
circles. Python lets two threads that meet in a circle go on with modules that are half made, and one of them fails.
"""


class PluginError(UserError, LookupError):
    """Signal that there is no part of that name, or that it cannot be loaded."""


@cache
def find_plugins(group: Group) -> dict[str, EntryPoint]:
    """Find every installed part of a kind, without importing it.

    Returns:
        Name -> entry point, sorted by name. Where two packages use one name, that of this project wins.
    """
    ours_last = sorted(_scan_packages().select(group=f"sam3_agent.{group}"), key=_is_ours)
    return dict(sorted({point.name: point for point in ours_last}.items()))


@cache
def _scan_packages() -> Any:
    """Return the entry points of every installed package, read once: some 20 ms for 150 packages."""
    return entry_points()


def forget_plugins() -> None:
    """Forget which packages are installed, as after one was added to `sys.path`."""
    _scan_packages.cache_clear()
    find_plugins.cache_clear()


def _is_ours(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == "sam3-agent"


def load_plugin(group: Group, name: str) -> Any:
    """Import the part of this name.

    Raises:
        PluginError: No installed package has such a part, or its module cannot be imported.
    """
    points = find_plugins(group)
    if name not in points:
        raise PluginError(
            f"there is no {group.removesuffix('s')} {name!r}; there are {', '.join(sorted(points)) or 'none'}"
        )
    try:
        with import_lock:
            return points[name].load()
    except (ImportError, AttributeError) as error:
        if _is_ours(points[name]):
            raise
        raise PluginError(
            f"{group.removesuffix('s')} {name!r} cannot be loaded from {points[name].value}: {error}"
        ) from error
