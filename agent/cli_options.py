"""The options that commands share, as typer reads them off a function's parameters."""

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from agent import load, options
from agent.terminal import one_line_errors

MODEL, LIMITS = "Language model", "Limits"
"""Headings in the help."""

Sam3Name = Annotated[str | None, typer.Option("--sam3", help="tiny, facebook/sam3, or a folder (default: tiny).")]
Device = Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda, cuda:1 …")]
Planner = Annotated[
    str, typer.Option(help="grammar, openai:MODEL, vllm:MODEL, transformers:MODEL, replay:EPISODE.json or replay:DIR.")
]
Protocol = Annotated[load.Protocol | None, typer.Option(help="Which set of tools (default: workspace).")]
Threshold = Annotated[float | None, typer.Option(help="Keep masks that score above it (default: 0.5).")]
Export = Annotated[
    str | None,
    typer.Option(
        help="Also for other tools: png-indexed, png-masks, coco, coco-polygons, yolo-seg, cutout, label-studio."
    ),
]
Record = Annotated[Path | None, typer.Option(help="Write every call into this folder, for replay:DIR.")]
BaseUrl = Annotated[
    str | None,
    typer.Option(help="Of the server, e.g. http://localhost:8000/v1 (or OPENAI_BASE_URL).", rich_help_panel=MODEL),
]
Wire = Annotated[
    options.Wire | None, typer.Option(help="How tools are offered (default: what works).", rich_help_panel=MODEL)
]
ImageSide = Annotated[
    int | None, typer.Option(help="Longest side of a picture it sees (default: 1280).", rich_help_panel=MODEL)
]
Coordinates = Annotated[
    options.Coordinates | None,
    typer.Option(help="How it writes places (default: by its name).", rich_help_panel=MODEL),
]
MaxSteps = Annotated[int | None, typer.Option(help="Steps (default: 12).", rich_help_panel=LIMITS)]
MaxSeconds = Annotated[float | None, typer.Option(help="Seconds.", rich_help_panel=LIMITS)]
MaxModelCalls = Annotated[int | None, typer.Option(help="Requests to a language model.", rich_help_panel=LIMITS)]
MaxTokens = Annotated[int | None, typer.Option(help="Of prompts and replies.", rich_help_panel=LIMITS)]
MaxCost = Annotated[float | None, typer.Option(help="In the currency of --price.", rich_help_panel=LIMITS)]
Price = Annotated[
    str | None, typer.Option(help="PROMPT,COMPLETION[,CACHED] per million tokens.", rich_help_panel=LIMITS)
]

PLANNING: Mapping[str, Any] = {
    "planner": Planner,
    "sam3": Sam3Name,
    "device": Device,
    "protocol": Protocol,
    "threshold": Threshold,
    "record": Record,
    "base_url": BaseUrl,
    "wire": Wire,
    "image_side": ImageSide,
    "coordinates": Coordinates,
    "max_steps": MaxSteps,
    "max_seconds": MaxSeconds,
    "max_model_calls": MaxModelCalls,
    "max_tokens": MaxTokens,
    "max_cost": MaxCost,
    "price": Price,
}
"""All that `Options` are made of, in the order of the help."""
_DEFAULTS = {"planner": "grammar", "device": "auto"}


Command = Callable[..., None]


def planning(*, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Adds the options of PLANNING to a command, which is handed what they ask for, checked, as `options`.

    `without`: those that the command does not take. A value that cannot be used is one line on stderr, and exit code 2.
    """
    taken = {name: kind for name, kind in PLANNING.items() if name not in without}
    return gathered("options", taken, options.Options.given)


def gathered(
    parameter: str, taken: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Any]
) -> Callable[[Command], Command]:
    """Adds the options `taken` to a command, which is handed what `make` makes of their values as `parameter`."""

    def with_options(command: Command) -> Command:
        @wraps(command)
        def asked(**given: Any) -> None:
            with one_line_errors():
                made = make({name: given.pop(name) for name in taken})
            command(**given, **{parameter: made})

        of_typer: Any = asked
        of_typer.__signature__ = _signature(signature(asked), parameter, taken)
        return asked

    return with_options


def _signature(own: Signature, parameter: str, taken: Mapping[str, Any]) -> Signature:
    kept = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in own.parameters.values() if one.name != parameter]
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=kind)
        for name, kind in taken.items()
    ]
    return Signature([*kept, *added])
