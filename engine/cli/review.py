"""`engine review`: people look at what the models are unsure of, in the browser."""

from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options.path_parameters import path_argument, path_option
from agent.cli.terminal.console import report_user_errors, require_extra
from agent.cli.terminal.streams import print_line, print_remark
from agent.core.errors import UsageError
from agent.core.text.english import format_count
from sam3_tool.network.listening import is_loopback, open_listener

if TYPE_CHECKING:
    from engine.review.team.people import People


def review_engine(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 = the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 = any that is free.")] = 8010,
    users: Annotated[
        Path | None,
        path_option(help="A TOML file with a table [users.NAME] for each person: tokens, role."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name of this server, where there are no users.")
    ] = None,
    sam3: Annotated[str, typer.Option(help="SAM 3 for clicks: a name of `sam3-agent models`, or a path.")] = "tiny",
    device: Annotated[str, typer.Option(help="Where SAM 3 runs: cpu, cuda, mps, auto.")] = "auto",
    wage: Annotated[
        float | None, typer.Option(min=0, help="Money for an hour of a person's work, for the estimate.")
    ] = None,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit/--no-refit",
            help="Once `engine fit` was used: fit anew in the background as people answer, and judge by the new fit.",
        ),
    ] = True,
) -> None:
    """Let people review masks and pairs in the browser, by keyboard; Ctrl-C ends it, and nothing is lost."""
    with report_user_errors(interrupted="the review has ended; every answer that it acknowledged is kept"):
        with (
            require_extra("serve", "fastapi", "uvicorn", "prometheus_client", "multipart"),
            require_extra("parquet", "pyarrow"),
        ):
            from engine.review.app import create_app
            from engine.review.opening import open_services
            from serve.http.middleware.drain import DrainingServer, start_logging
        people = _read_people(users, host)
        hosts = (host, "localhost", "127.0.0.1", "[::1]", *(allow_host or ()))
        with open_services(folder, people, hosts=hosts, sam3=sam3, device=device, wage=wage, refit=refit) as services:
            try:
                listener = open_listener(host, port)
            except OSError as error:  # no such host, or a port that is taken
                raise UsageError(str(error)) from error
            app = create_app(services)
            listener.listen()
            start_logging()
            _print_banner(host, listener.getsockname()[1], people, services.estimate_rest().pairs)
            DrainingServer(app).run(sockets=[listener])


def _read_people(users: Path | None, host: str) -> "People":
    from engine.review.team.people import People

    if users is not None:
        return People.read(users)
    if not is_loopback(host):
        raise UsageError(
            f"everybody who reaches {host} could answer: give each person a token with --users FILE, or listen at"
            " --host 127.0.0.1"
        )
    return People.build_alone()


def _print_banner(host: str, port: int, people: "People", pairs: int) -> None:
    """Say where the page is, and who may use it."""
    name = f"[{host}]" if ":" in host else host
    print_line(f"http://{name}:{port} (Ctrl-C ends it; {format_count(pairs, 'pair')} to be reviewed)")
    if host in ("0.0.0.0", "::"):
        print_remark(f"others reach it by this machine's name or address, e.g. http://{gethostname()}:{port}")
    if people.tokens:
        print_remark(f"{len(people.persons)} people sign in with their tokens")
    else:
        print_remark("one person reviews without a token; --users FILE lets a team in")
