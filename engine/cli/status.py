"""`engine status`: how a data engine stands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options.path_parameters import path_argument, path_option
from agent.cli.terminal.console import print_table, report_user_errors, require_extra, to_one_line
from agent.cli.terminal.streams import print_json, print_line
from agent.core.errors import OutputError, UsageError
from sam3_tool.system.file_names import escape_unprintable

if TYPE_CHECKING:
    from engine.states import StatePolicy
    from engine.store.store import EngineStore

SHOWN_ERRORS = 20
"""Lines that are printed of them."""


def print_engine_status(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    errors: Annotated[bool, typer.Option("--errors", help="List every image that cannot be read.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")] = False,
    html: Annotated[
        Path | None, path_option("--html", help="Write all of it into this file instead, as a page with curves.")
    ] = None,
    wage: Annotated[
        float | None, typer.Option(min=0, help="--html: money for an hour of a person's work, for what is left.")
    ] = None,
) -> None:
    """Say how the data engine in FOLDER stands, how much is left for people and machines, and how good its labels are.

    Loads no network, and disturbs nobody who works on it.
    """
    with report_user_errors(interrupted="nothing was changed"), require_extra("parquet", "pyarrow"):
        from json import dumps

        from engine.project.standing import describe_standing, read_standing
        from engine.quality.measures.describing import describe_quality
        from engine.quality.measures.summary import measure_quality
        from engine.report.work import describe_work, read_work
        from engine.store.files import list_errors
        from engine.store.store import EngineStore
        from engine.verifiers.keeping import list_routes, load_policy

        _check_options(json=json, html=html, wage=wage)
        with EngineStore.open(folder, read_only=True) as store:
            policy = load_policy(store)
            if html is not None:
                _write_page(store, policy, folder, html, wage)
                print_line(f"saved {escape_unprintable(str(html))}")
                return
            standing, quality = read_standing(store, policy), measure_quality(store, policy)
            work = read_work(store, policy, None)
            if json:
                routes = [{"at": at, **route.model_dump(mode="json")} for at, route in list_routes(store)]
                told = {**standing.to_json(), "left": work.to_json(), "thresholds": routes}
                told["quality"] = quality.to_json()
                print_json(dumps(told, indent=1))
                return
            lines = [*describe_standing(standing), *describe_work(work), *describe_quality(quality)]
            print_table([(to_one_line(heading), to_one_line(name), value) for heading, name, value in lines])
            for number, (path, error) in enumerate(list_errors(store.database)):
                if number >= SHOWN_ERRORS and not errors:
                    print_line("… and more; --errors lists all of them")
                    break
                print_line(f"{escape_unprintable(path)}: {to_one_line(error)}")


def _check_options(*, json: bool, html: Path | None, wage: float | None) -> None:
    if json and html is not None:
        raise UsageError("--json and --html are two forms of the same numbers; give one of them")
    if wage is not None and html is None:
        raise UsageError("--wage is for the page of --html, which says what is left; give a file for it, too")


def _write_page(store: "EngineStore", policy: "StatePolicy", folder: Path, path: Path, wage: float | None) -> None:
    """Write the page of an engine. Raises EngineError and OutputError."""
    from engine.project.standing import read_standing
    from engine.quality.measures.summary import measure_quality
    from engine.report.page import build_status_page
    from engine.report.work import read_work
    from engine.store.files import list_errors
    from sam3_tool.system.files import write_atomically

    standing, quality = read_standing(store, policy), measure_quality(store, policy)
    errors = [*list_errors(store.database)]
    page = build_status_page(folder.resolve().name, standing, quality, read_work(store, policy, wage), errors)
    try:
        write_atomically(path, page.encode("utf-8", "replace"))
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error}); choose another file") from error
