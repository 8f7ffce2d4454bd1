"""`sam3-agent serve`: the agent and SAM 3 over HTTP, from the command line."""

from socket import socket
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import shared_options
from agent.cli.options.segment_options import Options
from agent.cli.terminal.console import report_user_errors, require_extra
from agent.cli.terminal.streams import print_line, print_remark
from agent.core.errors import UsageError
from sam3_tool.network.listening import open_listener
from serve.http_options import Access, Load, access_options, build_settings, load_options
from serve.options import ImageLimits, image_limit_options

if TYPE_CHECKING:
    from serve.http.metrics import Metrics

serve_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@serve_app.command()
@shared_options.planning_options(without=("record", *shared_options.DOUBT_OPTIONS))
@load_options
@image_limit_options("all images")
@access_options
def serve_http(
    options: Options,
    access: Access,
    limits: ImageLimits,
    load: Load,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 = any that is free.")] = 8000,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Also show the metrics at this port of 127.0.0.1, to anybody.")
    ] = None,
) -> None:
    """Answer over HTTP: upload images, and ask for masks by phrases, clicks and sentences.

    Without tokens it listens at this machine alone. Ctrl-C and SIGTERM end it once all begun answers are given.
    """
    with report_user_errors(interrupted="the server has ended"):
        with require_extra("serve", "fastapi", "uvicorn", "prometheus_client", "multipart"):
            from serve.http.metrics import Metrics
            from serve.http.middleware.drain import DrainingServer, start_logging
            from serve.plan import ServerPlan
            from serve.router.app import create_router
            from serve.router.workers import Fleet
            from serve.talk.moving import move_kept
        settings = build_settings(options, access, limits, load)
        gpus = load.parse_gpus(options.device)
        plan = ServerPlan(options, settings, load.max_batch, gpus, tuple(access.allow_planner or ()))
        count = len(gpus) or load.processes or 1
        if count > 1 and metrics_port is not None:
            raise UsageError("--metrics-port is for one process; several have their numbers together at /metrics")
        move_kept(settings.talk, count)
        metrics = Metrics()
        listener = _open_ports(access.host, port, metrics, metrics_port)
        app = plan.build_app(metrics) if count == 1 else create_router(settings, Fleet(count, plan.run_worker))
        listener.listen()
        start_logging()
        _print_banner(access.host, listener.getsockname()[1], has_tokens=bool(settings.tokens))
        DrainingServer(app).run(sockets=[listener])


def _open_ports(host: str, port: int, metrics: "Metrics", metrics_port: int | None) -> socket:
    """Raises UsageError where there is no such host, or a port is taken."""
    try:
        listener = open_listener(host, port)
        if metrics_port is not None:
            metrics.serve_alone(metrics_port)
    except OSError as error:
        raise UsageError(str(error)) from error
    return listener


def _print_banner(host: str, port: int, *, has_tokens: bool) -> None:
    """Say where the server is, and how to try it."""
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{port}"
    token = " -H 'authorization: Bearer TOKEN'" if has_tokens else ""
    print_line(f"{address} (Ctrl-C ends it; /docs lists the routes; the models are being loaded)")
    print_remark(f"try: curl{token} -F file=@IMAGE.jpg {address}/v1/images")
