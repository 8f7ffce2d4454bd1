"""`sam3-agent demo`: the page from the command line."""

import os
import re
from time import sleep
from typing import Annotated

import typer

from agent.cli.options import shared_options
from agent.cli.terminal.console import report_user_errors, require_extra
from agent.cli.terminal.streams import print_line, print_remark
from agent.core.errors import UsageError
from demo.planners import OfferedPlanner, parse_planners
from sam3_tool.network.http_environment import describe_http_fault
from sam3_tool.network.listening import is_loopback

AUTH = "SAM3_AGENT_DEMO_AUTH"

NOT_TAKEN = ("record",)
PlannersOption = Annotated[
    list[str],
    typer.Option(
        "--planner",
        metavar="[NAME=]PLANNER[@URL]",
        help="Who answers, as in `sam3-agent segment`; visitors read NAME, and URL is its server. Give it again for"
        " others to compare; the first one is chosen.",
    ),
]
ANNOTATIONS = {
    **{name: kind for name, kind in shared_options.PLANNING_ANNOTATIONS.items() if name not in NOT_TAKEN},
    "planner": PlannersOption,
}
DEFAULTS = {"planner": ["grammar"], "device": "auto", "as_published": False}

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@shared_options.option_group("planners", ANNOTATIONS, parse_planners, DEFAULTS)
def open_demo(
    planners: tuple[OfferedPlanner, ...],
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 = the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 = any that is free.")] = 7860,
    auth: Annotated[
        str | None,
        typer.Option(metavar="USER:PASSWORD", help=f"Ask for this password (better: {AUTH} in the environment)."),
    ] = None,
    max_pixels: Annotated[
        float,
        typer.Option(
            min=0.01, help="Megapixels that an image may have.", callback=shared_options.require_finite_number
        ),
    ] = 65,
    max_bytes: Annotated[
        float, typer.Option(min=0.01, help="MiB that a file may have.", callback=shared_options.require_finite_number)
    ] = 40,
    queue: Annotated[int, typer.Option(min=1, help="Queries and clicks that may wait.")] = 20,
    root_path: Annotated[
        str, typer.Option(metavar="/PATH", help="Where visitors find the page behind a proxy that takes PATH off.")
    ] = "",
) -> None:
    """Open a web page to segment images by talking and clicking. Ctrl-C ends it."""
    with report_user_errors(interrupted="the page is closed"):
        credentials = _parse_auth(auth or os.environ.get(AUTH))
        if root_path and not re.fullmatch(r"(/[\w.~-]+)+", root_path):
            raise UsageError(f"--root-path {root_path!r:.90} is no path of an address; expected e.g. /sam3")
        if fault := describe_http_fault(encrypted=False):  # the page asks itself whether it is there
            raise UsageError(fault)
        with require_extra("demo", "gradio"):
            from demo.engine import Engine
            from demo.server import ServerOptions, serve_page
            from demo.uploads import MEGA, Limits
        engine = Engine(planners[0].options, planners)
        _ = engine.concepts, engine.made_by  # what cannot be used ends the command, before anybody waits for the page
        limits = Limits(max_pixels=int(max_pixels * MEGA), max_file_bytes=int(max_bytes * 2**20))
        try:
            page, address = serve_page(
                engine, ServerOptions(host, port, credentials, queue, root_path), limits, wait=False
            )
        except OSError as error:  # no such host, or a port that is taken
            raise UsageError(str(error)) from error
        print_line(f"{address} (Ctrl-C ends it)")
        if not is_loopback(host) and credentials is None:
            print_remark(
                f"note: everybody who reaches {host}:{port} can use the page;"
                f" set {AUTH}=USER:PASSWORD to ask for a password"
            )
        try:
            while page.is_running:  # gradio's own waiting takes an interruption for itself, and prints
                sleep(1.0)  # a signal ends it at once
        finally:
            page.close(verbose=False)


def _parse_auth(text: str | None) -> tuple[str, str] | None:
    """A user and a password, or None. Raises UsageError, which never shows the password."""
    if text is None or not text.strip():
        return None
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise UsageError(f"--auth (or {AUTH}) must be USER:PASSWORD, both not empty")
    return user, password
