"""`sam3-agent serve`: the agent and SAM 3 over HTTP, from the command line."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import shared_options
from agent.cli.console import report_user_errors, require_extra
from agent.cli.options import Options
from agent.cli.path_parameters import path_option
from agent.cli.streams import print_line, print_remark
from agent.core.errors import UsageError
from sam3_tool.system.listening import is_loopback, open_listener

if TYPE_CHECKING:
    from agent.core.budget import Budget
    from agent.records.provenance import Provenance
    from serve.http.auth import TokenBook

TOKENS_VARIABLE = "SAM3_AGENT_TOKENS"
ACCESS_PANEL, KEEP_PANEL, LOAD_PANEL = "Who may use it", "What outlives it", "Limits of the server"
EPISODE_SECONDS = 300.0
"""The time limit of an episode where none is given: clients may leave without a word."""

serve_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@serve_app.command()
@shared_options.planning_options(without=("record", *shared_options.DOUBT_OPTIONS))
def serve_http(
    options: Options,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 = the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 = any that is free.")] = 8000,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Also show the metrics at this port of 127.0.0.1, to anybody.")
    ] = None,
    tokens: Annotated[
        Path | None,
        path_option(
            help=f"A TOML file with tokens and limits by tenant (or {TOKENS_VARIABLE}=NAME:TOKEN,…).",
            rich_help_panel=ACCESS_PANEL,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="A web page that may use it, e.g. https://example.org.", rich_help_panel=ACCESS_PANEL),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name of this server, where there are no tokens.", rich_help_panel=ACCESS_PANEL),
    ] = None,
    allow_url: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Fetch images from this host.", rich_help_panel=ACCESS_PANEL),
    ] = None,
    allow_planner: Annotated[
        list[str] | None,
        typer.Option(metavar="PLANNER", help="Another planner to choose from.", rich_help_panel=ACCESS_PANEL),
    ] = None,
    jobs: Annotated[
        Path | None, path_option(help="A file in which jobs outlive the server.", rich_help_panel=KEEP_PANEL)
    ] = None,
    conversations: Annotated[
        Path | None,
        path_option(help="A folder in which conversations outlive a SIGTERM.", rich_help_panel=KEEP_PANEL),
    ] = None,
    max_pixels: Annotated[
        float, typer.Option(min=0.01, help="Megapixels that an image may have.", rich_help_panel=LOAD_PANEL)
    ] = 50,
    max_bytes: Annotated[
        float, typer.Option(min=0.01, help="MiB that an image file may have.", rich_help_panel=LOAD_PANEL)
    ] = 40,
    image_memory: Annotated[
        float, typer.Option(min=1, help="MiB for the pixels of all images.", rich_help_panel=LOAD_PANEL)
    ] = 1024,
    video_room: Annotated[
        float, typer.Option(min=1, help="MiB for the files of all videos.", rich_help_panel=LOAD_PANEL)
    ] = 1024,
    image_seconds: Annotated[
        float,
        typer.Option(min=1, help="An image is forgotten when it is not used for so long.", rich_help_panel=LOAD_PANEL),
    ] = 3600,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Prompts that SAM 3 answers together.", rich_help_panel=LOAD_PANEL)
    ] = 8,
    waiting: Annotated[
        int, typer.Option(min=0, help="Requests that may wait; more are told to come back.", rich_help_panel=LOAD_PANEL)
    ] = 48,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a request may wait.", rich_help_panel=LOAD_PANEL)
    ] = 60,
    gpus: Annotated[
        str | None,
        typer.Option(help="GPUs with commas, e.g. 0,1,2,3: a process for each.", rich_help_panel=LOAD_PANEL),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="So many processes, where --gpus does not say it.", rich_help_panel=LOAD_PANEL),
    ] = None,
    drain: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds that it goes on to listen after SIGTERM, while /ready fails.",
            rich_help_panel=LOAD_PANEL,
        ),
    ] = 5,
) -> None:
    """Answer over HTTP: upload images, and ask for masks by phrases, clicks and sentences.

    Without tokens it listens at this machine alone. Ctrl-C and SIGTERM end it once all begun answers are given.
    """
    with report_user_errors(interrupted="the server has ended"):
        with require_extra("serve", "fastapi", "uvicorn", "prometheus_client", "multipart"):
            from serve.http.drain import DrainingServer, start_logging
            from serve.http.metrics import Metrics
            from serve.http.settings import MEGA, MIB, ServeSettings
            from serve.labels.label_studio_images import LabelStudioImages
            from serve.plan import ServerPlan
            from serve.router.app import create_router
            from serve.router.workers import Fleet
            from serve.talk.moving import move_kept
            from serve.talk.settings import TalkSettings
        book = _read_tokens(tokens)
        if not book and not is_loopback(host):
            raise UsageError(
                f"everybody who reaches {host} could use the server: give out tokens with --tokens FILE or"
                f" {TOKENS_VARIABLE}=NAME:TOKEN, or listen at --host 127.0.0.1"
            )
        provenance = options.build_provenance()
        settings = ServeSettings(
            tokens=book,
            hosts=(host, "localhost", "127.0.0.1", "[::1]", *(allow_host or ())),
            origins=tuple(allow_origin or ()),
            allowed_urls=tuple(allow_url or ()),
            max_pixels=int(max_pixels * MEGA),
            max_file_bytes=int(max_bytes * MIB),
            image_bytes=int(image_memory * MIB),
            video_bytes=int(video_room * MIB),
            image_seconds=image_seconds,
            inflight=2 * max_batch,
            waiting=waiting,
            deadline=timeout,
            drain_seconds=drain,
            weights=provenance.sam3,
            label_studio=LabelStudioImages(
                os.environ.get("LABEL_STUDIO_URL", "").strip(), os.environ.get("LABEL_STUDIO_API_KEY", "").strip()
            ),
            talk=TalkSettings(budget=_limit_budget(provenance), job_path=jobs, conversation_folder=conversations),
        )
        chosen = _parse_gpus(gpus, options, processes)
        plan = ServerPlan(options, settings, max_batch, chosen, tuple(allow_planner or ()))
        count = len(chosen) or processes or 1
        if count > 1 and metrics_port is not None:
            raise UsageError("--metrics-port is for one process; several have their numbers together at /metrics")
        move_kept(settings.talk, count)
        metrics = Metrics()
        try:
            listener = open_listener(host, port)
            if metrics_port is not None:
                metrics.serve_alone(metrics_port)
        except OSError as error:  # no such host, or a port that is taken
            raise UsageError(str(error)) from error
        app = plan.build_app(metrics) if count == 1 else create_router(settings, Fleet(count, plan.run_worker))
        listener.listen()
        start_logging()
        _print_banner(host, listener.getsockname()[1], has_tokens=bool(book))
        DrainingServer(app).run(sockets=[listener])


def _limit_budget(provenance: "Provenance") -> "Budget":
    budget = provenance.budget
    return replace(budget, max_seconds=EPISODE_SECONDS) if budget.max_seconds is None else budget


def _parse_gpus(text: str | None, options: Options, processes: int | None) -> tuple[int, ...]:
    """Return the numbers of --gpus. Raises UsageError."""
    if text is None:
        return ()
    numbers = [number.strip() for number in text.split(",")]
    if not all(map(str.isdecimal, numbers)) or len(set(numbers)) < len(numbers):
        raise UsageError(f"--gpus takes different numbers with commas, e.g. 0,1,2,3, got {text!r}")
    if processes is not None or options.device != "auto":
        other = "--device" if processes is None else "--processes"
        raise UsageError(f"--gpus starts a process on each GPU: leave {other} out")
    return tuple(map(int, numbers))


def _read_tokens(path: Path | None) -> "TokenBook":
    """Those of the file, or those of the environment. Raises UsageError, which never shows a token."""
    from serve.http.auth import TokenBook

    if path is not None:
        return TokenBook.read(path)
    return TokenBook.parse(os.environ.get(TOKENS_VARIABLE, ""), source=TOKENS_VARIABLE)


def _print_banner(host: str, port: int, *, has_tokens: bool) -> None:
    """Say where the server is, and how to try it."""
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{port}"
    token = " -H 'authorization: Bearer TOKEN'" if has_tokens else ""
    print_line(f"{address} (Ctrl-C ends it; /docs lists the routes; the models are being loaded)")
    print_remark(f"try: curl{token} -F file=@IMAGE.jpg {address}/v1/images")
