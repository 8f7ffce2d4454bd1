"""Replays: the planner of a saved episode, or of a folder that --record wrote. They need no model and no server."""

from pathlib import Path

from agent.core.errors import PlannerError
from agent.core.planner import Planner
from agent.core.text.sanitizing import to_one_line
from agent.core.tools.toolset import Toolset
from sam3_tool.errors import PathError
from sam3_tool.plugins import find_plugins
from sam3_tool.system.paths import expand_path, is_folder

KIND = "replay"


def load_replay(spec: str, *, toolset: Toolset | None = None) -> Planner:
    """Load what plans as was recorded: the entry point `replay`.

    Args:
        spec: The episode.json of an earlier run, or a folder that --record wrote.
        toolset: Default: that of the recorded planner.

    Raises:
        PlannerError: The file or folder holds no recording that can be replayed, or another toolset was asked for.
    """
    if not spec:
        raise PlannerError("the planner 'replay' names no recording; it is written replay:EPISODE.json or replay:DIR")
    try:
        path = expand_path(spec)
    except PathError as error:
        raise PlannerError(f"cannot replay: {error}") from error
    return _load_recording(path, toolset) if is_folder(path) else _load_episode(path, toolset)


def _load_episode(file: Path, toolset: Toolset | None) -> Planner:
    from agent.planners.scripted import ReplayPlanner
    from agent.records.episode_file import load_episode

    try:
        transcript = load_episode(file)
        return ReplayPlanner(transcript.episode, toolset=toolset or transcript.made_by.toolset)
    except (OSError, ValueError) as error:
        raise PlannerError(f"cannot replay {file}: {to_one_line(error)}") from error


def _load_recording(folder: Path, toolset: Toolset | None) -> Planner:
    """Load what was recorded: a language model's replies, or a planner that needs none and is made again."""
    from agent.planners.loading import build_chat_planner, load_planner
    from agent.records.model_recording import RecordingHeader, ReplayingModel

    header = RecordingHeader.load(folder)
    provenance = header.made_by
    recorded = provenance.toolset
    if toolset is not None and toolset.name != recorded.name:
        raise PlannerError(f"{folder} was recorded with toolset {recorded.name!r}, not {toolset.name!r}")
    if provenance.model:
        return build_chat_planner(
            ReplayingModel(folder),
            toolset or recorded,
            provenance.view,
            strategy=provenance.strategy or None,
            budget=provenance.budget,
        )
    kind = provenance.planner.partition(":")[0]
    if kind == KIND or kind not in find_plugins("planners"):
        raise PlannerError(
            f"{folder} holds the recording of a planner {provenance.planner!r}, which cannot be made again"
        )
    return load_planner(provenance.planner, toolset=toolset or recorded, **header.settings)
