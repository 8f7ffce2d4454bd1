"""`sam3-agent engine`: the commands of the data engine, one file for each.

Whatever is slow to import is imported inside the function that needs it, so that `--help` answers at once.
"""

import typer

app = typer.Typer(
    help="Label many images with models and people in turns: exhaustively verified masks for phrases.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _define_group() -> None:
    pass
