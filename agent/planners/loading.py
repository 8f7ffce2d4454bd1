"""A planner by name: what the command line and a configuration can write down."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.core.errors import PlannerError
from agent.core.planner import Planner
from agent.core.toolset import Toolset
from sam3_tool import DeviceError

if TYPE_CHECKING:
    from agent.models.base import ChatModel
    from agent.planners.chat.planner import ChatPlanner
    from agent.records.episode_file import Provenance

__all__ = [
    "PLANNER_NAMES",
    "PlannerError",
    "describe_capabilities",
    "generation_settings",
    "load_planner",
    "with_model_info",
    "wrap_caching",
    "wrap_recording",
]

PLANNER_NAMES = {
    "grammar": "no language model",
    "openai:MODEL": "behind any OpenAI-compatible server",
    "vllm:MODEL": "in this process, on a GPU",
    "transformers:MODEL": "in this process",
    "replay:FILE": "the episode.json of an earlier run",
    "replay:DIR": "what --record wrote",
}
"""How planners are named, and what is meant."""
MODEL_KINDS = ("openai", "vllm", "transformers")


def load_planner(name: str, **options: Any) -> Planner:
    """A planner by its name, one of `PLANNER_NAMES`.

    Every planner takes `toolset`, a `Toolset` or its name ('workspace', 'paper', 'workspace+TOOL'), 'grammar' also `threshold`. A planner over a language model
    takes the fields of `View`, such as `image_side` and `coordinates`, and what its model's `load` takes, such as
    `base_url` and `wire` for 'openai:'.
    Raises PlannerError, with one sentence, for any other name or option and for what cannot be loaded.
    """
    kind, _, model_or_path = name.strip().partition(":")
    if kind == "grammar" and not model_or_path:
        return _load_grammar(**options)
    if kind == "replay" and model_or_path:
        return _load_replay(model_or_path, **options)
    if kind in MODEL_KINDS and model_or_path:
        return _load_chat(kind, model_or_path, options)
    if kind in MODEL_KINDS:
        raise PlannerError(f"the planner {name!r} names no model; it is written {kind}:MODEL")
    known = ", ".join(f"'{known}' ({meaning})" for known, meaning in PLANNER_NAMES.items())
    raise PlannerError(f"there is no planner {name!r}; there are {known}")


def _load_grammar(*, toolset: "Toolset | str" = "workspace", **options: Any) -> Planner:
    from agent.planners.grammar.planner import GrammarPlanner  # loads its parser, which nothing else here needs

    _refuse_unknown_options("grammar", options, ("threshold",))
    try:
        return GrammarPlanner(_to_toolset(toolset), **options)
    except ValueError as error:
        raise PlannerError(str(error)) from error


def _load_replay(path: str, *, toolset: "Toolset | str | None" = None, **options: Any) -> Planner:
    _refuse_unknown_options("replay", options, ())
    asked_for = None if toolset is None else _to_toolset(toolset)
    return (_load_recording_replay if Path(path).is_dir() else _load_episode_replay)(path, asked_for)


def _load_episode_replay(file: str, toolset: Toolset | None) -> Planner:
    from agent.planners.scripted import ReplayPlanner
    from agent.records.episode_file import load_episode

    try:
        transcript = load_episode(file)
        return ReplayPlanner(transcript.episode, toolset=toolset or transcript.made_by.toolset)
    except (OSError, ValueError) as error:
        raise PlannerError(f"cannot replay {file}: {_to_one_line(error)}") from error


def _load_recording_replay(folder: str, toolset: Toolset | None) -> Planner:
    """What was recorded: a language model's replies, or the grammar that needs none."""
    from agent.records.model_recording import RecordingHeader, ReplayingModel

    header = RecordingHeader.load(folder)
    provenance = header.made_by
    recorded = provenance.toolset
    if toolset is not None and toolset.name != recorded.name:
        raise PlannerError(f"{folder} was recorded with toolset {recorded.name!r}, not {toolset.name!r}")
    if provenance.model:
        return _build_chat_planner(ReplayingModel(folder), toolset or recorded, provenance.view)
    if provenance.planner != "grammar":
        raise PlannerError(
            f"{folder} holds the recording of a planner {provenance.planner!r}, which cannot be made again"
        )
    return load_planner("grammar", **{**header.settings, "toolset": toolset or recorded})


def _load_chat(kind: str, model_name: str, options: Mapping[str, Any]) -> Planner:
    """`options`: those of the view and those of the model, in one."""
    from agent.models.base import ModelError
    from agent.planners.chat.views import View

    load = _get_model_loader(kind)
    of_model = list(inspect.signature(load).parameters)[1:]
    of_view = [field.name for field in fields(View) if field.name not in of_model]
    _refuse_unknown_options(kind, options, ("toolset", *of_view, *of_model))
    toolset = _to_toolset(options.get("toolset", "workspace"))
    try:
        model = load(model_name, **{name: value for name, value in options.items() if name in of_model})
    except (DeviceError, ModelError) as error:
        raise PlannerError(_to_one_line(error)) from error
    return _build_chat_planner(model, toolset, {name: value for name, value in options.items() if name in of_view})


def _get_model_loader(kind: str) -> "Callable[..., ChatModel]":
    """What loads a model of this kind by its name."""
    match kind:
        case "openai":
            from agent.models.openai.client import OpenAICompatible

            return OpenAICompatible.load
        case "vllm":
            from agent.models.vllm import VllmModel

            return VllmModel.load
        case _:
            from agent.models.transformers import TransformersModel

            return TransformersModel.load


def _build_chat_planner(model: "ChatModel", toolset: Toolset, view: Mapping[str, Any]) -> "ChatPlanner":
    """Raises PlannerError for a view that cannot be."""
    from agent.planners.chat.planner import ChatPlanner
    from agent.planners.chat.views import View

    try:
        return ChatPlanner(model, toolset=toolset, view=View(**view))
    except (TypeError, ValueError) as error:
        raise PlannerError(_to_one_line(error)) from error


def describe_capabilities(planner: Planner) -> str:
    """What the planner's language model can do, in words; "" where there is none."""
    from agent.models.openai.probe import format_capabilities
    from agent.planners.chat.planner import ChatPlanner

    return format_capabilities(planner.model.capabilities) if isinstance(planner, ChatPlanner) else ""


def with_model_info(provenance: "Provenance", planner: Planner) -> "Provenance":
    """With the planner's toolset, and what is known of its language model, where it has one."""
    import prompts
    from agent.planners.chat.planner import ChatPlanner

    provenance = provenance.model_copy(update={"toolset": planner.toolset})
    if not isinstance(planner, ChatPlanner):
        return provenance
    model = {"model": planner.model.name, "capabilities": describe_capabilities(planner)}
    return provenance.model_copy(update={**model, "view": asdict(planner.view), "prompts": prompts.hash_prompts()})


def wrap_recording(planner: Planner, provenance: "Provenance", folder: str | Path, **options: Any) -> Planner:
    """The same planner, with every reply of its language model written into `folder`, for 'replay:DIR'.

    `provenance`: as `with_model_info` gives it. `options`: what the planner was loaded with. Raises PlannerError if the folder
    cannot be written.
    """
    from agent.planners.chat.planner import ChatPlanner
    from agent.records.model_recording import RecordingHeader, RecordingModel

    if not isinstance(planner, ChatPlanner):
        RecordingHeader(made_by=provenance, settings={k: v for k, v in options.items() if k != "toolset"}).save(folder)
        return planner
    RecordingHeader(made_by=provenance, capabilities=planner.model.capabilities).save(folder)
    return ChatPlanner(RecordingModel(planner.model, folder), toolset=planner.toolset, view=planner.view)


def generation_settings(planner: Planner) -> dict[str, Any]:
    """How the planner's language model writes its replies, as plain JSON values; empty where nothing is known of it."""
    return dict(getattr(getattr(planner, "model", None), "generation", {}))


def wrap_caching(planner: Planner, folder: str | Path, **settings: Any) -> Planner:
    """The same planner, whose language model is asked only what is not yet known in `folder`.

    A planner without one, and a model that draws its replies by chance, are given back as they are. `settings`: what
    else replies depend on, e.g. the hash of a model's weights. Raises PlannerError if the folder cannot be written.
    """
    from agent.planners.chat.planner import ChatPlanner
    from agent.records.model_recording import CachingModel, is_deterministic

    settings = {**generation_settings(planner), **settings}
    if not isinstance(planner, ChatPlanner) or not is_deterministic(settings):
        return planner
    model = CachingModel(planner.model, folder, settings=settings)
    return ChatPlanner(model, toolset=planner.toolset, view=planner.view)


def _to_toolset(toolset: "Toolset | str") -> Toolset:
    """Raises PlannerError for a toolset that there is not."""
    from agent.tools.toolsets import parse_toolset  # loads every tool

    return parse_toolset(toolset) if isinstance(toolset, str) else toolset


def _refuse_unknown_options(kind: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises PlannerError for an option that a planner of this kind does not take."""
    if unknown := [name for name in options if name not in known]:
        takes = ", ".join(known) or "none"
        raise PlannerError(f"planner {kind!r} has no option {unknown[0]!r}; its options are: {takes}")


def _to_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
