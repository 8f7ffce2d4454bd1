"""`sam3-agent engine`: the commands of the data engine, one file for each.

Whatever is slow to import is imported inside the function that needs it, so that `--help` answers at once.
"""

import typer

from engine.cli.audit import audit_engine
from engine.cli.export import export_engine
from engine.cli.fit import fit_stage_of_engine
from engine.cli.forget import forget_engine_image
from engine.cli.init import init_engine
from engine.cli.review import review_engine
from engine.cli.run import run_engine
from engine.cli.status import print_engine_status
from engine.cli.take import take_engine_corrections
from engine.cli.undo import undo_engine_answers

app = typer.Typer(
    help="Label many images with models and people in turns: exhaustively verified masks for phrases.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("export")(export_engine)
app.command("init")(init_engine)
app.command("run")(run_engine)
app.command("fit")(fit_stage_of_engine)
app.command("audit")(audit_engine)
app.command("review")(review_engine)
app.command("take")(take_engine_corrections)
app.command("undo")(undo_engine_answers)
app.command("status")(print_engine_status)
app.command("forget")(forget_engine_image)


@app.callback()
def _define_group() -> None:
    pass
