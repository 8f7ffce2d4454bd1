"""Planners and chat models by name: what the command line and a configuration can write down.

A planner is an entry point of the group `sam3_agent.planners`, a chat model one of `sam3_agent.models`. Those of this
project are registered in the same way as those of other packages, so what is written here holds for both.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from agent.core.budget import DEFAULT_BUDGET, Budget
from agent.core.errors import PlannerError
from agent.core.planner import Planner
from agent.core.text.sanitizing import to_one_line
from agent.core.tools.toolset import Toolset
from sam3_tool.errors import UserError
from sam3_tool.plugins import find_plugins, load_plugin

if TYPE_CHECKING:
    from agent.models.base import ChatModel
    from agent.planners.chat.planner import ChatPlanner
    from agent.records.provenance import Provenance

__all__ = [
    "PlannerError",
    "describe_capabilities",
    "generation_settings",
    "list_planner_names",
    "list_planner_options",
    "load_model",
    "load_planner",
    "plans_with_model",
    "with_model_info",
    "wrap_caching",
    "wrap_recording",
]

log = logging.getLogger(__name__)

OPTIONS_OF_PLANNING = ("strategy", "budget")
"""Options of `load_planner` for a language model that are neither of its view nor of the model."""


def load_planner(name: str, *, toolset: Toolset | str | None = None, **options: Any) -> Planner:
    """Load a planner by its name.

    Args:
        name: 'grammar', 'replay:FILE', 'replay:DIR', 'openai:MODEL', 'vllm:MODEL', 'transformers:MODEL', or KIND:SPEC
            of another package.
        toolset: What the planner may call: a toolset, or its name as `parse_toolset` takes it. Default: 'workspace', or
            for a replay what the recorded planner had.
        options: What this planner takes, see `list_planner_options`: for the grammar `threshold`; for a language model
            the fields of `View`, e.g. `image_side`, `strategy` with its `budget`, and the options of `load_model`.

    Returns:
        The planner. It is safe to share between threads.

    Raises:
        PlannerError: There is no such planner, model, toolset or option, or it cannot be loaded. The message is one
            line for the user.

    Example:
        >>> load_planner("grammar", threshold=0.4).toolset.name
        'workspace'
    """
    kind, spec = _split_name(name)
    log.debug("loading the planner %s", name)
    if plans_with_model(name):
        return _load_chat_planner(kind, spec, toolset, options)
    if kind in find_plugins("planners"):
        with _raise_planner_errors():
            return _load_plain_planner(kind, spec, toolset, options)
    raise _build_unknown_error(name)


def load_model(name: str, **options: Any) -> "ChatModel":
    """Load a chat model by its name.

    Args:
        name: 'openai:MODEL', 'vllm:MODEL', 'transformers:MODEL', or KIND:MODEL of another package.
        options: What the `load` of this kind takes, for 'openai' e.g. `base_url`, `wire` or `max_tokens`.

    Returns:
        The model. It is safe to share between threads.

    Raises:
        PlannerError: There is no such model or option, or it cannot be loaded. The message is one line for the user.

    Example:
        >>> load_model("openai:my-model", base_url="http://localhost:8000/v1", wire="native").name
        'openai:my-model'
    """
    kind, model_name = _split_name(name)
    kinds = find_plugins("models")
    if kind not in kinds:
        known = ", ".join(f"{known}:MODEL" for known in sorted(kinds))
        raise PlannerError(f"there is no kind of model {kind!r}; there are {known}")
    if not model_name:
        raise PlannerError(f"the name {name!r} holds no model; it is written {kind}:MODEL")
    with _raise_planner_errors():
        load = load_plugin("models", kind)
        _refuse_unknown_options("model", kind, options, _list_parameters(load), load)
        return cast("ChatModel", load(model_name, **options))


def list_planner_names() -> tuple[str, ...]:
    """List how planners are named, those of other packages included, without importing one.

    Example:
        >>> list_planner_names()[:3]
        ('grammar', 'replay:SPEC', 'openai:MODEL')
    """
    planners = (kind if kind == "grammar" else f"{kind}:SPEC" for kind in sorted(find_plugins("planners")))
    return (*planners, *(f"{kind}:MODEL" for kind in sorted(find_plugins("models"))))


def list_planner_options(name: str) -> tuple[str, ...]:
    """List the options that `load_planner` takes for this name, beside `toolset`. It imports the planner or model.

    Raises:
        PlannerError: There is no such planner, or it cannot be imported.

    Example:
        >>> list_planner_options("grammar")
        ('threshold',)
    """
    kind, _ = _split_name(name)
    if kind not in find_plugins("planners") and kind not in find_plugins("models"):
        raise _build_unknown_error(name)
    with _raise_planner_errors():
        if plans_with_model(name):
            of_model = _list_parameters(load_plugin("models", kind))
            return (*_list_view_options(of_model), *OPTIONS_OF_PLANNING, *of_model)
        parameters = _list_parameters(load_plugin("planners", kind))
        return tuple(parameter for parameter in parameters if parameter != "toolset")


def plans_with_model(name: str) -> bool:
    """Whether the planner of this name asks a language model that `load_model` loads."""
    kind, _ = _split_name(name)
    return kind in find_plugins("models") and kind not in find_plugins("planners")


def build_chat_planner(
    model: "ChatModel",
    toolset: Toolset,
    view: Mapping[str, Any],
    *,
    strategy: str | None = None,
    budget: Budget = DEFAULT_BUDGET,
) -> "ChatPlanner":
    """Build the planner that asks this model.

    Args:
        model: The language model.
        toolset: Its tools.
        view: The fields of `View`.
        strategy: Names of strategies, with a comma between them; None = the model holds one conversation.
        budget: What a strategy may spend.

    Raises:
        PlannerError: `view` holds a field that `View` has not, or a value that it refuses. There is no such strategy.
    """
    from agent.planners.chat.planner import ChatPlanner
    from agent.planners.chat.views import View

    try:
        seen = View(**view)
    except (TypeError, ValueError) as error:
        raise PlannerError(to_one_line(error)) from error
    if strategy is None:
        return ChatPlanner(model, toolset=toolset, view=seen)
    from agent.planners.strategies.options import Strategies
    from agent.planners.strategies.planner import StrategyPlanner

    return StrategyPlanner(model, toolset=toolset, view=seen, strategies=Strategies.parse(strategy), budget=budget)


def describe_capabilities(planner: Planner) -> str:
    """Describe in words what the planner's language model can do.

    Returns:
        One line, or "" for a planner without a language model.
    """
    from agent.models.openai.probe import format_capabilities
    from agent.planners.chat.planner import ChatPlanner

    return format_capabilities(planner.model.capabilities) if isinstance(planner, ChatPlanner) else ""


def with_model_info(provenance: "Provenance", planner: Planner) -> "Provenance":
    """Add the planner's toolset, and what is known of its language model, if it has one.

    Args:
        provenance: What was asked for.
        planner: The planner that was loaded.

    Returns:
        What made the episode, as files hold it.
    """
    import prompts
    from agent.planners.chat.planner import ChatPlanner
    from agent.planners.strategies.planner import StrategyPlanner

    provenance = provenance.model_copy(update={"toolset": planner.toolset})
    if not isinstance(planner, ChatPlanner):
        return provenance

    model = {"model": planner.model.name, "capabilities": describe_capabilities(planner)}
    view, texts = asdict(planner.view), prompts.hash_prompts()
    texts = {name: hashed for name, hashed in texts.items() if not name.startswith("engine")}  # no planner says them
    strategy = ",".join(planner.strategies.names) if isinstance(planner, StrategyPlanner) else ""
    if not strategy:
        texts = {name: hashed for name, hashed in texts.items() if not name.startswith("strategies")}
    if not planner.toolset.is_for_videos:  # what no such planner shows or says
        del view["frames"]
        texts = {name: hashed for name, hashed in texts.items() if not name.startswith("video")}
    return provenance.model_copy(update={**model, "view": view, "prompts": texts, "strategy": strategy})


def wrap_recording(planner: Planner, provenance: "Provenance", folder: str | Path, **options: Any) -> Planner:
    """Let a planner write every reply of its language model into a folder, for 'replay:DIR'.

    Args:
        planner: The planner to record.
        provenance: What made it, as `with_model_info` gives it.
        folder: The folder of the recording, which is made if need be.
        options: What the planner was loaded with.

    Returns:
        A planner that decides the same.

    Raises:
        PlannerError: The folder cannot be written.
    """
    from agent.planners.chat.planner import ChatPlanner
    from agent.records.model_recording import RecordingHeader, RecordingModel

    if not isinstance(planner, ChatPlanner):
        RecordingHeader(made_by=provenance, settings={k: v for k, v in options.items() if k != "toolset"}).save(folder)
        return planner
    RecordingHeader(made_by=provenance, capabilities=planner.model.capabilities).save(folder)
    return planner.with_model(RecordingModel(planner.model, folder))


def generation_settings(planner: Planner) -> dict[str, Any]:
    """Return how the planner's language model writes its replies, as plain JSON values; {} where nothing is known.

    A planner without a model may have `settings`: what it was made with, where that is not the default.
    """
    model = getattr(planner, "model", None)
    return dict(getattr(planner, "settings", {}) if model is None else getattr(model, "generation", {}))


def wrap_caching(planner: Planner, folder: str | Path, **settings: Any) -> Planner:
    """Let a planner ask its language model only what no run has asked it before.

    Args:
        planner: A planner. One without a language model, or whose model draws by chance, is returned as it is.
        folder: The folder of the cache, which is made if need be.
        settings: What else replies depend on, e.g. the hash of the model's weights.

    Raises:
        PlannerError: The folder cannot be written.
    """
    from agent.planners.chat.planner import ChatPlanner
    from agent.records.model_recording import CachingModel, is_deterministic

    settings = {**generation_settings(planner), **settings}
    if not isinstance(planner, ChatPlanner) or not is_deterministic(settings):
        return planner
    return planner.with_model(CachingModel(planner.model, folder, settings=settings))


def _split_name(name: str) -> tuple[str, str]:
    """Split KIND:SPEC."""
    kind, _, spec = name.strip().partition(":")
    return kind, spec


def _build_unknown_error(name: str) -> PlannerError:
    return PlannerError(f"there is no planner {name!r}; there are {', '.join(list_planner_names())}")


def _load_plain_planner(kind: str, spec: str, toolset: Toolset | str | None, options: Mapping[str, Any]) -> Planner:
    load = load_plugin("planners", kind)
    _refuse_unknown_options("planner", kind, options, _list_parameters(load), load)
    parameter = inspect.signature(load).parameters.get("toolset")
    # A replay knows its toolset; any other planner is given the default one.
    if toolset is None and parameter is not None and parameter.default is not parameter.empty:
        return cast(Planner, load(spec, **options))
    return cast(Planner, load(spec, toolset=_to_toolset("workspace" if toolset is None else toolset), **options))


def _load_chat_planner(
    kind: str, model_name: str, toolset: Toolset | str | None, options: Mapping[str, Any]
) -> Planner:
    """Load a model and the planner that asks it. `options` holds those of the view and those of the model."""
    if not model_name:
        raise PlannerError(f"the planner '{kind}:' names no model; it is written {kind}:MODEL")
    with _raise_planner_errors():
        load = load_plugin("models", kind)
    of_model = _list_parameters(load)
    of_view = _list_view_options(of_model)
    _refuse_unknown_options("planner", kind, options, ("toolset", *of_view, *OPTIONS_OF_PLANNING, *of_model), load)
    tools = _to_toolset("workspace" if toolset is None else toolset)
    view = {name: value for name, value in options.items() if name in of_view}
    planning = {name: value for name, value in options.items() if name in OPTIONS_OF_PLANNING}
    _check_strategy(planning.get("strategy"), tools)
    others = options.keys() - view.keys() - planning.keys()
    model = load_model(f"{kind}:{model_name}", **{name: options[name] for name in others})
    return build_chat_planner(model, tools, view, **planning)


def _check_strategy(strategy: str | None, toolset: Toolset) -> None:
    """Raise PlannerError for a strategy that cannot be had, or not with this toolset, before a model is loaded."""
    from agent.planners.strategies.options import Strategies

    if strategy is not None:
        strategies = Strategies.parse(strategy)
        strategies.require_toolset(toolset)
        strategies.load_thesaurus()


def _list_parameters(load: Callable[..., Any]) -> tuple[str, ...]:
    """Name the options of a plugin's `load`: all its parameters but the first, which is what the name says."""
    _, *options = inspect.signature(load).parameters.values()
    return tuple(option.name for option in options if option.kind is not option.VAR_KEYWORD)


def _list_view_options(of_model: Sequence[str]) -> tuple[str, ...]:
    """Name the fields of `View` that are set for a planner; a model that takes one itself comes first."""
    from agent.planners.chat.views import View

    return tuple(field.name for field in fields(View) if field.name not in of_model)


def _refuse_unknown_options(
    group: str, kind: str, options: Mapping[str, Any], known: Sequence[str], load: Callable[..., Any]
) -> None:
    """Raise PlannerError for an option that is not known, unless `load` takes options of any name."""
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in inspect.signature(load).parameters.values()):
        return
    if unknown := [name for name in options if name not in known]:
        takes = ", ".join(known) or "none"
        raise PlannerError(f"{group} {kind!r} has no option {unknown[0]!r}; its options are: {takes}")


def _to_toolset(toolset: Toolset | str) -> Toolset:
    """Raise PlannerError for a toolset that there is not."""
    from agent.tools.toolsets import parse_toolset  # loads every tool

    return parse_toolset(toolset) if isinstance(toolset, str) else toolset


@contextmanager
def _raise_planner_errors() -> Iterator[None]:
    """Turn whatever else is one line for the user into a PlannerError."""
    try:
        yield
    except PlannerError:
        raise
    except UserError as error:
        raise PlannerError(to_one_line(error)) from error
