"""The options that commands share, as typer reads them off a function's parameters."""

from pathlib import Path
from typing import Annotated

import typer

from agent import load, options

MODEL, LIMITS = "Language model", "Limits"
"""Headings in the help."""

Sam3Name = Annotated[str | None, typer.Option("--sam3", help="tiny, facebook/sam3, or a folder (default: tiny).")]
Device = Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda, cuda:1 …")]
Planner = Annotated[
    str, typer.Option(help="grammar, openai:MODEL, vllm:MODEL, transformers:MODEL, replay:EPISODE.json or replay:DIR.")
]
Protocol = Annotated[load.Protocol | None, typer.Option(help="Which set of tools (default: workspace).")]
Threshold = Annotated[float | None, typer.Option(help="Keep masks that score above it (default: 0.5).")]
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
