"""A planner by name: what the command line and a configuration can write down."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from agent.planner import Planner, PlannerError
from agent.protocols import Protocol
from sam3_tool import DeviceError

if TYPE_CHECKING:
    from agent.chat import ChatPlanner
    from agent.models import ChatModel
    from agent.transcript import MadeBy

__all__ = [
    "NAMES",
    "PlannerError",
    "Protocol",
    "abilities",
    "caching",
    "generation",
    "load_planner",
    "recording",
    "signed",
]

NAMES = {
    "grammar": "no language model",
    "openai:MODEL": "behind any OpenAI-compatible server",
    "vllm:MODEL": "in this process, on a GPU",
    "transformers:MODEL": "in this process",
    "replay:FILE": "the episode.json of an earlier run",
    "replay:DIR": "what --record wrote",
}
"""How planners are named, and what is meant."""
MODELS = ("openai", "vllm", "transformers")


def load_planner(name: str, **options: Any) -> Planner:
    """A planner by its name, one of `NAMES`.

    Every planner takes `protocol` ('workspace' or 'paper'), 'grammar' also `threshold`. A planner over a language model
    takes the fields of `View`, such as `image_side` and `coordinates`, and what its model's `load` takes, such as
    `base_url` and `wire` for 'openai:'.
    Raises PlannerError, with one sentence, for any other name or option and for what cannot be loaded.
    """
    kind, _, what = name.strip().partition(":")
    if kind == "grammar" and not what:
        return _grammar(**options)
    if kind == "replay" and what:
        return _replay(what, **options)
    if kind in MODELS and what:
        return _chat(kind, what, options)
    if kind in MODELS:
        raise PlannerError(f"the planner {name!r} names no model; it is written {kind}:MODEL")
    known = ", ".join(f"'{known}' ({meaning})" for known, meaning in NAMES.items())
    raise PlannerError(f"there is no planner {name!r}; there are {known}")


def _grammar(*, protocol: str = "workspace", **options: Any) -> Planner:
    from agent.grammar import GrammarPlanner  # loads its parser, which nothing else here needs

    _refuse_unknown("grammar", options, ("threshold",))
    return GrammarPlanner(_protocol(protocol), **options)


def _replay(path: str, *, protocol: str | None = None, **options: Any) -> Planner:
    _refuse_unknown("replay", options, ())
    return _replay_recording(path, protocol) if Path(path).is_dir() else _replay_episode(path)


def _replay_episode(file: str) -> Planner:
    from agent.scripted import ReplayPlanner
    from agent.transcript import load

    try:
        return ReplayPlanner(load(file).episode)
    except (OSError, ValueError) as error:
        raise PlannerError(f"cannot replay {file}: {_line(error)}") from error


def _replay_recording(folder: str, protocol: str | None) -> Planner:
    """What was recorded: a language model's replies, or the grammar that needs none."""
    from agent.models.recorded import RecordedPlanner, ReplayingModel

    header = RecordedPlanner.load(folder)
    made_by = header.made_by
    if protocol not in (None, made_by.protocol):
        raise PlannerError(f"{folder} was recorded with protocol {made_by.protocol!r}, not {protocol!r}")
    if made_by.model:
        return _talking(ReplayingModel(folder), made_by.protocol, made_by.view)
    if made_by.planner != "grammar":
        raise PlannerError(f"{folder} holds the recording of a planner {made_by.planner!r}, which cannot be made again")
    return load_planner("grammar", **{**header.settings, "protocol": made_by.protocol})


def _chat(kind: str, what: str, options: Mapping[str, Any]) -> Planner:
    """`options`: those of the view and those of the model, in one."""
    from agent.models import ModelError
    from agent.views import View

    load = _loader(kind)
    of_model = list(inspect.signature(load).parameters)[1:]
    of_view = [field.name for field in fields(View) if field.name not in of_model]
    _refuse_unknown(kind, options, ("protocol", *of_view, *of_model))
    protocol = _protocol(options.get("protocol", "workspace"))
    try:
        model = load(what, **{name: value for name, value in options.items() if name in of_model})
    except (DeviceError, ModelError) as error:
        raise PlannerError(_line(error)) from error
    return _talking(model, protocol, {name: value for name, value in options.items() if name in of_view})


def _loader(kind: str) -> "Callable[..., ChatModel]":
    """What loads a model of this kind by its name."""
    match kind:
        case "openai":
            from agent.models.openai_compatible import OpenAICompatible

            return OpenAICompatible.load
        case "vllm":
            from agent.models.vllm_local import VllmModel

            return VllmModel.load
        case _:
            from agent.models.transformers_local import TransformersModel

            return TransformersModel.load


def _talking(model: "ChatModel", protocol: Protocol, view: Mapping[str, Any]) -> "ChatPlanner":
    """Raises PlannerError for a view that cannot be."""
    from agent.chat import ChatPlanner
    from agent.views import View

    try:
        return ChatPlanner(model, protocol=protocol, view=View(**view))
    except (TypeError, ValueError) as error:
        raise PlannerError(_line(error)) from error


def abilities(planner: Planner) -> str:
    """What the planner's language model can do, in words; "" where there is none."""
    from agent.chat import ChatPlanner
    from agent.models.probe import describe

    return describe(planner.model.capabilities) if isinstance(planner, ChatPlanner) else ""


def signed(made_by: "MadeBy", planner: Planner) -> "MadeBy":
    """With what is known of the planner's language model; as it is where there is none."""
    import prompts
    from agent.chat import ChatPlanner

    if not isinstance(planner, ChatPlanner):
        return made_by
    model = {"model": planner.model.name, "capabilities": abilities(planner)}
    return made_by.model_copy(update={**model, "view": asdict(planner.view), "prompts": prompts.hashes()})


def recording(planner: Planner, made_by: "MadeBy", folder: str | Path, **options: Any) -> Planner:
    """The same planner, with every reply of its language model written into `folder`, for 'replay:DIR'.

    `made_by`: as `signed` gives it. `options`: what the planner was loaded with. Raises PlannerError if the folder
    cannot be written.
    """
    from agent.chat import ChatPlanner
    from agent.models.recorded import RecordedPlanner, RecordingModel

    if not isinstance(planner, ChatPlanner):
        RecordedPlanner(made_by=made_by, settings={k: v for k, v in options.items() if k != "protocol"}).save(folder)
        return planner
    RecordedPlanner(made_by=made_by, capabilities=planner.model.capabilities).save(folder)
    return ChatPlanner(RecordingModel(planner.model, folder), protocol=planner.protocol, view=planner.view)


def generation(planner: Planner) -> dict[str, Any]:
    """How the planner's language model writes its replies, as plain JSON values; empty where nothing is known of it."""
    return dict(getattr(getattr(planner, "model", None), "generation", {}))


def caching(planner: Planner, folder: str | Path, **settings: Any) -> Planner:
    """The same planner, whose language model is asked only what is not yet known in `folder`.

    A planner without one, and a model that draws its replies by chance, are given back as they are. `settings`: what
    else replies depend on, e.g. the hash of a model's weights. Raises PlannerError if the folder cannot be written.
    """
    from agent.chat import ChatPlanner
    from agent.models.recorded import CachingModel, repeats_itself

    settings = {**generation(planner), **settings}
    if not isinstance(planner, ChatPlanner) or not repeats_itself(settings):
        return planner
    model = CachingModel(planner.model, folder, settings=settings)
    return ChatPlanner(model, protocol=planner.protocol, view=planner.view)


def _protocol(name: str) -> Protocol:
    """Raises PlannerError for a protocol that there is not."""
    for known in get_args(Protocol):
        if name == known:
            return cast(Protocol, known)
    raise PlannerError(f"`protocol` must be 'workspace' or 'paper', got {name!r}")


def _refuse_unknown(kind: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises PlannerError for an option that a planner of this kind does not take."""
    if unknown := [name for name in options if name not in known]:
        takes = ", ".join(known) or "none"
        raise PlannerError(f"planner {kind!r} has no option {unknown[0]!r}; its options are: {takes}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
