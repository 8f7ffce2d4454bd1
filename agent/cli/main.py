"""The `sam3-agent` program: its commands, and those that other installed packages add.

Whatever is slow to import is imported inside the function that needs it, so that `--help` answers at once.
"""

import gc
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.metadata import version
from typing import Annotated, Any

import typer
import typer.core

from agent.cli.chat.command import chat
from agent.cli.concepts.command import describe_examples
from agent.cli.everything import segment_everything
from agent.cli.loading import freeze_and_enable_gc
from agent.cli.models import list_models
from agent.cli.segment import segment
from agent.cli.terminal.console import FAILURE, print_table, report_user_errors
from agent.cli.terminal.ending import end_at_once
from agent.cli.terminal.signals import raise_terminations
from agent.cli.terminal.streams import prepare_streams, print_line
from sam3_tool.plugins import find_plugins, load_plugin


class CommandGroup(typer.core.TyperGroup):
    """The commands of the agent, and those of other packages, which are imported when somebody asks for them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *sorted(find_plugins("commands"))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in find_plugins("commands"):
            return own
        freeze_and_enable_gc()
        with report_user_errors():
            return _build_command(cmd_name, load_plugin("commands", cmd_name))


def _build_command(name: str, other: typer.Typer) -> Any:
    command = typer.main.get_command(other)
    command.name = name
    return command


app = typer.Typer(
    cls=CommandGroup,
    help="Ask for something in an image in your own words; get exact masks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main(words: Sequence[str] | None = None) -> None:
    """The installed `sam3-agent` program. `words`: its arguments, those of the process when left out."""
    with end_at_once() if words is None else nullcontext():
        _run_app(words)


def _run_app(words: Sequence[str] | None) -> None:
    gc.disable()  # a third of a cold start was the search for garbage among what is imported
    try:
        with report_user_errors(), raise_terminations(), prepare_streams():
            app(words)
    except typer.Exit as ended:  # which typer itself turns into this where it is raised inside of a command
        sys.exit(ended.exit_code)
    finally:
        gc.enable()


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"sam3-agent {version('sam3-agent')}")
        raise typer.Exit


@app.callback()
def _define_global_options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command()(segment)
app.command()(chat)
app.command("everything")(segment_everything)
app.command("describe")(describe_examples)
app.command("models")(list_models)


@app.command()
def doctor(
    planner: Annotated[str | None, typer.Option(help="Also try this planner, e.g. openai:MODEL.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Of its server (or OPENAI_BASE_URL).")] = None,
) -> None:
    """Say what is installed, where SAM 3 would run, which checkpoints are here, and what to do next."""
    from agent.cli.doctor import collect_findings, is_healthy, suggest_next_steps, try_planner

    options = {} if base_url is None else {"base_url": base_url}
    findings = [*collect_findings(), *([] if planner is None else [try_planner(planner, **options)])]
    signs = {"ok": "ok", "absent": "-", "problem": "!!"}
    print_table([(finding.section, signs[finding.state], finding.name, finding.detail) for finding in findings])
    print_line("What to do next")
    for line in suggest_next_steps(findings):
        print_line(f"  - {line}")
    raise typer.Exit(0 if is_healthy(findings) else FAILURE)
