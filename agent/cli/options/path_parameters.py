"""The one kind of parameter that takes a path, for every option and argument of every command."""

from pathlib import Path
from typing import Any

import typer

from agent.cli.terminal.console import report_user_errors
from agent.core.errors import UsageError
from sam3_tool.errors import PathError
from sam3_tool.system.paths import expand_path


def path_option(*names: str, **settings: Any) -> Any:
    """An option that takes a path: a `typer.Option` with these names and settings."""
    return typer.Option(*names, path_type=str, callback=_expand_value, **settings)


def path_argument(**settings: Any) -> Any:
    """An argument that is a path: a `typer.Argument` with these settings."""
    return typer.Argument(path_type=str, callback=_expand_value, **settings)


def _expand_value(parameter: typer.CallbackParam, value: str | None) -> Path | None:
    """Turn what was typed into a path; what is none is one line on stderr, and exit code 2."""
    if value is None:
        return None
    name = next((name for name in parameter.opts if name.startswith("--")), (parameter.name or "").upper())
    with report_user_errors():
        try:
            return expand_path(value)
        except PathError as error:
            raise UsageError(f"{name}: {error}") from error
