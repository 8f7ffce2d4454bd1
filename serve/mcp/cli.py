"""`sam3-agent mcp`: the tools of the agent for assistants, from the command line."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from shutil import copytree
from socket import socket
from time import sleep
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from agent.cli.loading import load_sam3, print_warnings
from agent.cli.options import shared_options
from agent.cli.options.path_parameters import path_option
from agent.cli.options.segment_options import Options
from agent.cli.terminal.console import report_user_errors, require_extra
from agent.cli.terminal.signals import TerminationError, describe_interruption, get_exit_code
from agent.cli.terminal.streams import print_line, print_remark
from agent.core.errors import OutputError, UsageError
from sam3_tool.network.fetching import UrlFetcher
from sam3_tool.network.listening import open_listener
from sam3_tool.system.interruptions import SIGNALS
from serve.mcp_options import Access, access_options
from serve.options import LOAD_PANEL, ImageLimits, image_limit_options

if TYPE_CHECKING:
    from mcp.server import Server

    from agent.core.planner import Planner
    from sam3_tool import Sam3
    from serve.mcp.models import Models
    from serve.mcp.transports import HttpOptions

SKILL = "segment-images"
LOADING_DELAY = 0.5
"""Seconds after which SAM 3 begins to load, which takes the whole processor: the greeting of the client comes first."""
SAVING_SECONDS = 5
"""For a file that is being saved when the server ends."""
MAX_WAITING = 256
"""Phrases that may wait for SAM 3 before a call is told to try later."""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@shared_options.planning_options(without=("record",))
@image_limit_options("the open images of a caller")
@access_options
def serve_mcp(
    options: Options,
    limits: ImageLimits,
    access: Access,
    root: Annotated[
        Path | None,
        path_option(help="The folder that assistants may read images from and save results in (default: none)."),
    ] = None,
    allow_url: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Fetch images from this host, by https (default: none).")
    ] = None,
    write_skill: Annotated[
        Path | None,
        path_option(help="Copy the skill that tells an assistant how to use the tools into this folder, and end."),
    ] = None,
    overlay: Annotated[
        int,
        typer.Option(min=0, max=4096, help="Longest side of images shown; 0 = none.", rich_help_panel=LOAD_PANEL),
    ] = 1024,
) -> None:
    """Offer images, phrases, questions and masks as tools to assistants that speak the Model Context Protocol.

    An assistant starts it and talks to it on stdin and stdout. With --http it listens, at this machine alone unless
    there are tokens.
    """
    with report_user_errors(interrupted="the server has ended"):
        if write_skill is not None:
            print_line(f"written: {copy_skill(write_skill)}")
            return
        with require_extra("mcp", "mcp", "mcp_types", "starlette", "uvicorn"):
            from serve.mcp.folder import Folder
            from serve.mcp.images import ImageShelf
            from serve.mcp.runner import Limits, Runner
            from serve.mcp.server import build_server
        folder = None if root is None else Folder.from_path(root)
        made_by = options.build_provenance()
        allowed = Limits(limits.pixels, limits.file_bytes, overlay, made_by.budget, made_by.doubt)
        fetcher = _build_fetcher(allow_url or (), limits.file_bytes)
        shelf = ImageShelf(max_bytes=limits.memory_bytes, idle_seconds=limits.image_seconds)
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s: %(message)s")

        def make_server() -> "Server[Any]":
            return build_server(Runner(_load_models(options), shelf, folder, allowed, fetcher))

        if access.http:
            _serve_many(make_server, access.build_http_options(), max_bytes=limits.file_bytes)
        else:
            _serve_one(make_server)


def _serve_many(make_server: "Callable[[], Server[Any]]", address: "HttpOptions", *, max_bytes: int) -> None:
    """Serve over HTTP. The address is taken before any model is loaded."""
    from serve.mcp.transports import serve_http

    with _open_listener(address) as listener:
        server = make_server()
        print_remark(f"{address.build_url(listener.getsockname()[1])} (Ctrl-C ends it; models are being loaded)")
        serve_http(server, address, listener, max_bytes=max_bytes)


def _serve_one(make_server: "Callable[[], Server[Any]]") -> None:
    """Serve the client that has started this process, on stdin and stdout."""
    from serve.mcp.transports import serve_stdio

    if sys.stdin.isatty():
        print_remark(
            "This is a server for an assistant, which starts it and talks to it in the Model Context Protocol. It"
            " waits for such messages here, line by line. To try it by hand: npx @modelcontextprotocol/inspector"
            " sam3-agent mcp. Ctrl-C ends it."
        )
    for number in SIGNALS:
        signal.signal(number, _end_by_signal)
    serve_stdio(make_server())
    _end_process(0)


def _end_by_signal(number: int, frame: FrameType | None) -> None:
    """End at once: a thread that waits for stdin cannot be stopped otherwise. Nothing is lost but what is computed."""
    ended = TerminationError(number)
    os.write(2, f"{describe_interruption(ended)}; the server has ended\n".encode())
    _end_process(get_exit_code(ended))


def _end_process(code: int) -> NoReturn:
    """End without taking PyTorch down, which takes seconds: clients kill what has not ended two after they left."""
    from serve.mcp.folder import wait_for_writes
    from serve.mcp.videos import remove_videos

    wait_for_writes(SAVING_SECONDS)
    remove_videos()
    sys.stderr.flush()
    os._exit(code)


def copy_skill(folder: Path) -> Path:
    """Copy the agent skill into a folder of skills. Raises OutputError, also where it is there already."""
    target = folder / SKILL
    try:
        with as_file(files("serve") / "skills" / SKILL) as source:
            copytree(source, target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _load_models(options: Options) -> "Models":
    """Begin to load them; what cannot be loaded is said on stderr, and by the tools that need it."""
    from serve.mcp.models import Models

    provenance = options.build_provenance()

    def load_planner(*, is_video: bool = False) -> "Planner":
        from agent.planners.loading import load_planner, with_model_info

        chosen = options.for_subject(is_video=is_video)
        made_with = chosen.build_provenance() if is_video else provenance
        planner = load_planner(options.planner, **chosen.to_planner_options(made_with))
        print_warnings(with_model_info(made_with, planner))
        return planner

    def load_network() -> "Sam3":
        sleep(LOADING_DELAY)
        return load_sam3(options, provenance, max_waiting=MAX_WAITING)

    return Models.from_loaders(load_network, load_planner, partial(load_planner, is_video=True))


def _build_fetcher(hosts: Sequence[str], max_bytes: int) -> UrlFetcher:
    """Raises UsageError for what is no host."""
    try:
        return UrlFetcher.from_hosts(hosts, max_bytes=max_bytes)
    except ValueError as error:
        raise UsageError(f"--allow-url: {error}") from error


def _open_listener(address: "HttpOptions") -> socket:
    """Raises UsageError where nobody can listen there."""
    try:
        return open_listener(address.host, address.port)
    except OSError as error:
        raise UsageError(str(error)) from error
