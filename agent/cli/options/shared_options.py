"""The options that commands share, as typer reads them off a function's parameters."""

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from agent.cli.options import segment_options as options
from agent.cli.options.path_parameters import path_option
from agent.cli.terminal.console import report_user_errors
from sam3_tool.plugins import find_plugins

MODEL_PANEL, LIMITS_PANEL = "Language model", "Limits"
"""Headings in the help."""

Sam3Option = Annotated[
    str | None, typer.Option("--sam3", help="A name of `sam3-agent models`, a folder or a .pt file (default: tiny).")
]
DeviceOption = Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda, cuda:1, mps …")]
_SPECS = {"grammar": "grammar", "replay": "replay:EPISODE.json, replay:DIR"}
_PLANNERS = (
    *(_SPECS.get(kind, f"{kind}:SPEC") for kind in find_plugins("planners")),
    *(f"{kind}:MODEL" for kind in find_plugins("models")),
)
PlannerOption = Annotated[str, typer.Option(help=f"One of {', '.join(_PLANNERS)}.")]
ToolsetOption = Annotated[
    str | None, typer.Option(help="workspace or paper, also with added tools: workspace+TOOL (default: workspace).")
]
AsPublishedOption = Annotated[
    bool,
    typer.Option(
        "--as-published",
        help="As the paper's agent: --toolset paper, 100 steps, 4096 tokens a reply, the server's temperature.",
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Ask small questions instead of one conversation, with commas: short-questions, hypotheses, second-looks,"
        " working-mask, tournament, router, stop-rule, thesaurus.",
        rich_help_panel=MODEL_PANEL,
    ),
]
ThresholdOption = Annotated[float | None, typer.Option(help="Keep masks that score above it (default: 0.5).")]
ExportOption = Annotated[
    str | None,
    typer.Option(help=f"Also for other tools, with commas: {', '.join(find_plugins('exporters'))}."),
]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Pixels that an image may have (or SAM3_AGENT_MAX_PIXELS; default: 89478485).",
        rich_help_panel=LIMITS_PANEL,
    ),
]
RecordOption = Annotated[Path | None, path_option(help="Write every call into this folder, for replay:DIR.")]
ConceptOption = Annotated[
    list[str] | None,
    typer.Option(
        "--concept",
        metavar="[PHRASE=]FILE",
        help="Where PHRASE is looked for, look for what `describe` wrote (default: its phrase, or the file's name).",
    ),
]
MinProbabilityOption = Annotated[
    float | None,
    typer.Option(metavar="P", help="Leave masks out of the answer that are right with a lower probability."),
]
AskWhenUnsureOption = Annotated[
    float | None,
    typer.Option(metavar="P", help="Ask about masks that are right with a lower probability, e.g. 0.5."),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        help="Of the server, e.g. http://localhost:8000/v1 (or OPENAI_BASE_URL).", rich_help_panel=MODEL_PANEL
    ),
]
WireOption = Annotated[
    options.Wire | None, typer.Option(help="How tools are offered (default: what works).", rich_help_panel=MODEL_PANEL)
]
ImageSideOption = Annotated[
    int | None, typer.Option(help="Longest side of an image it sees (default: 1280).", rich_help_panel=MODEL_PANEL)
]
FramesOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=16, help="Frames of a video that it sees on one sheet (default: 8).", rich_help_panel=MODEL_PANEL
    ),
]
CoordinatesOption = Annotated[
    options.Coordinates | None,
    typer.Option(help="How it writes places (default: by its name).", rich_help_panel=MODEL_PANEL),
]
ReplyTokensOption = Annotated[
    int | None,
    typer.Option(
        help="Most tokens of one reply (default: 2048, or what the context leaves).", rich_help_panel=MODEL_PANEL
    ),
]
PatienceOption = Annotated[
    float | None,
    typer.Option(help="Seconds for one answer (default: 120).", rich_help_panel=MODEL_PANEL),
]
TemperatureOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER",
        help="Of its replies, or 'default' for the server's own (default: 0).",
        rich_help_panel=MODEL_PANEL,
    ),
]
SeedOption = Annotated[int | None, typer.Option(help="Of sampling.", rich_help_panel=MODEL_PANEL)]
StreamOption = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream",
        help="Take replies in parts (default: where it must, and where they are shown as they come).",
        rich_help_panel=MODEL_PANEL,
    ),
]
ExtraBodyOption = Annotated[
    str | None,
    typer.Option(metavar="JSON", help="Further fields of each request, as a JSON object.", rich_help_panel=MODEL_PANEL),
]
MaxStepsOption = Annotated[int | None, typer.Option(help="Steps (default: 12).", rich_help_panel=LIMITS_PANEL)]
MaxSecondsOption = Annotated[float | None, typer.Option(help="Seconds.", rich_help_panel=LIMITS_PANEL)]
MaxModelCallsOption = Annotated[
    int | None, typer.Option(help="Requests to a language model.", rich_help_panel=LIMITS_PANEL)
]
MaxTokensOption = Annotated[int | None, typer.Option(help="Of prompts and replies.", rich_help_panel=LIMITS_PANEL)]
MaxCostOption = Annotated[float | None, typer.Option(help="In the currency of --price.", rich_help_panel=LIMITS_PANEL)]
PriceOption = Annotated[
    str | None, typer.Option(help="PROMPT,COMPLETION[,CACHED] per million tokens.", rich_help_panel=LIMITS_PANEL)
]

PLANNING_ANNOTATIONS: Mapping[str, Any] = {
    "planner": PlannerOption,
    "sam3": Sam3Option,
    "device": DeviceOption,
    "toolset": ToolsetOption,
    "as_published": AsPublishedOption,
    "threshold": ThresholdOption,
    "record": RecordOption,
    "concept": ConceptOption,
    "strategy": StrategyOption,
    "min_probability": MinProbabilityOption,
    "ask_when_unsure": AskWhenUnsureOption,
    "base_url": BaseUrlOption,
    "wire": WireOption,
    "image_side": ImageSideOption,
    "frames": FramesOption,
    "coordinates": CoordinatesOption,
    "reply_tokens": ReplyTokensOption,
    "patience": PatienceOption,
    "temperature": TemperatureOption,
    "seed": SeedOption,
    "stream": StreamOption,
    "extra_body": ExtraBodyOption,
    "max_steps": MaxStepsOption,
    "max_seconds": MaxSecondsOption,
    "max_model_calls": MaxModelCallsOption,
    "max_tokens": MaxTokensOption,
    "max_cost": MaxCostOption,
    "price": PriceOption,
}
"""All that `Options` are made of, in the order of the help."""
DOUBT_OPTIONS = ("min_probability", "ask_when_unsure")
"""Those that say what becomes of doubtful masks."""
_DEFAULTS = {"planner": "grammar", "device": "auto", "as_published": False}


CommandFunction = Callable[..., None]


def planning_options(*, without: Collection[str] = ()) -> Callable[[CommandFunction], CommandFunction]:
    """Adds the options of PLANNING to a command, which is handed what they ask for, checked, as `options`.

    `without`: those that the command does not take. A value that cannot be used is one line on stderr, and exit code 2.
    """
    annotations = {name: kind for name, kind in PLANNING_ANNOTATIONS.items() if name not in without}
    return option_group("options", annotations, options.Options.from_values, _DEFAULTS)


def require_finite_number(value: float | None) -> float | None:
    """Returns what was given for an option. Refuses what is between the limits of none, such as nan."""
    if value is not None and not isfinite(value):
        raise typer.BadParameter(f"expected a finite number, got {value}")
    return value


def option_group(
    parameter: str,
    annotations: Mapping[str, Any],
    make: Callable[[Mapping[str, Any]], Any],
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> Callable[[CommandFunction], CommandFunction]:
    """Adds the options `annotations` to a command, which is handed what `make` makes of their values as `parameter`.

    `defaults`: of those that have one other than None.
    """

    def with_options(command: CommandFunction) -> CommandFunction:
        @wraps(command)
        def run_with_options(**given: Any) -> None:
            with report_user_errors():
                made = make({name: given.pop(name) for name in annotations})
            command(**given, **{parameter: made})

        typer_view: Any = run_with_options
        typer_view.__signature__ = _build_signature(signature(run_with_options), parameter, annotations, defaults)
        return run_with_options

    return with_options


def _build_signature(
    own: Signature, parameter: str, annotations: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Signature:
    kept = [
        own_parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for own_parameter in own.parameters.values()
        if own_parameter.name != parameter
    ]
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=kind)
        for name, kind in annotations.items()
    ]
    return Signature([*kept, *added])
