"""`engine status`: how a data engine stands."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options.path_parameters import path_argument
from agent.cli.terminal.console import print_table, report_user_errors, require_extra, to_one_line
from agent.cli.terminal.streams import print_json, print_line
from sam3_tool.system.file_names import escape_unprintable

SHOWN_ERRORS = 20
"""Lines that are printed of them."""


def print_engine_status(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    errors: Annotated[bool, typer.Option("--errors", help="List every image that cannot be read.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")] = False,
) -> None:
    """Say how the data engine in FOLDER stands, and how good its labels are.

    Loads no network, and disturbs nobody who works on it.
    """
    with report_user_errors(interrupted="nothing was changed"), require_extra("parquet", "pyarrow"):
        from json import dumps

        from engine.project.standing import describe_standing, read_standing
        from engine.quality.measures.describing import describe_quality
        from engine.quality.measures.summary import measure_quality
        from engine.store.files import list_errors
        from engine.store.store import EngineStore
        from engine.verifiers.keeping import load_policy

        with EngineStore.open(folder, read_only=True) as store:
            policy = load_policy(store)
            standing, quality = read_standing(store, policy), measure_quality(store, policy)
            if json:
                print_json(dumps({**standing.to_json(), "quality": quality.to_json()}, indent=1))
                return
            lines = [*describe_standing(standing), *describe_quality(quality)]
            print_table([(to_one_line(heading), to_one_line(name), value) for heading, name, value in lines])
            for number, (path, error) in enumerate(list_errors(store.database)):
                if number >= SHOWN_ERRORS and not errors:
                    print_line("… and more; --errors lists all of them")
                    break
                print_line(f"{escape_unprintable(path)}: {to_one_line(error)}")
