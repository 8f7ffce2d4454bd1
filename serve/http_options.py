"""The options of `sam3-agent serve`, in groups, and the settings that they make."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options.path_parameters import path_option
from agent.cli.options.segment_options import Options
from agent.cli.options.shared_options import option_group
from agent.core.errors import UsageError
from sam3_tool.network.listening import is_loopback
from serve.options import LOAD_PANEL, MIB, TOKENS_VARIABLE, ImageLimits, number_option, read_tokens

if TYPE_CHECKING:
    from agent.core.budget import Budget
    from agent.records.provenance import Provenance
    from serve.http.middleware.auth import TokenBook
    from serve.http.settings import ServeSettings

ACCESS_PANEL, KEEP_PANEL = "Who may use it", "What outlives it"
EPISODE_SECONDS = 300.0
"""The time limit of an episode where none is given: clients may leave without a word."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may use a server over HTTP, and for what."""

    host: str
    tokens: Path | None
    allow_origin: list[str] | None
    allow_host: list[str] | None
    allow_url: list[str] | None
    allow_planner: list[str] | None

    def list_url_hosts(self) -> tuple[str, ...]:
        """Return the hosts of --allow-url. Raises UsageError for what is none."""
        from sam3_tool.network.fetching import UrlFetcher

        try:
            UrlFetcher.from_hosts(self.allow_url or (), max_bytes=0)
        except ValueError as error:
            raise UsageError(f"--allow-url: {error}") from error
        return tuple(self.allow_url or ())

    def read_tokens(self) -> "TokenBook":
        """Read the tokens. Raises UsageError where there are none, and others than this machine reach the server."""
        book = read_tokens(self.tokens)
        if not book and not is_loopback(self.host):
            raise UsageError(
                f"everybody who reaches {self.host} could use the server: give out tokens with --tokens FILE or"
                f" {TOKENS_VARIABLE}=NAME:TOKEN, or listen at --host 127.0.0.1"
            )
        return book


_ACCESS_OPTIONS = {
    "host": Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 = the whole network.")],
    "tokens": Annotated[
        Path | None,
        path_option(
            help=f"A TOML file with tokens and limits by tenant (or {TOKENS_VARIABLE}=NAME:TOKEN,…).",
            rich_help_panel=ACCESS_PANEL,
        ),
    ],
    "allow_origin": Annotated[
        list[str] | None,
        typer.Option(help="A web page that may use it, e.g. https://example.org.", rich_help_panel=ACCESS_PANEL),
    ],
    "allow_host": Annotated[
        list[str] | None,
        typer.Option(help="Another name of this server, where there are no tokens.", rich_help_panel=ACCESS_PANEL),
    ],
    "allow_url": Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Fetch images from this host.", rich_help_panel=ACCESS_PANEL),
    ],
    "allow_planner": Annotated[
        list[str] | None,
        typer.Option(metavar="PLANNER", help="Another planner to choose from.", rich_help_panel=ACCESS_PANEL),
    ],
}
access_options = option_group("access", _ACCESS_OPTIONS, lambda values: Access(**values), {"host": "127.0.0.1"})


@dataclass(frozen=True, kw_only=True)
class Load:
    """How much a server over HTTP works on at a time, in how many processes, and what outlives it."""

    jobs: Path | None
    conversations: Path | None
    video_room: float
    max_batch: int
    waiting: int
    timeout: float
    gpus: str | None
    processes: int | None
    drain: float

    def parse_gpus(self, device: str) -> tuple[int, ...]:
        """Return the numbers of --gpus. Raises UsageError."""
        if self.gpus is None:
            return ()
        numbers = [number.strip() for number in self.gpus.split(",")]
        if not all(map(str.isdecimal, numbers)) or len(set(numbers)) < len(numbers):
            raise UsageError(f"--gpus takes different numbers with commas, e.g. 0,1,2,3, got {self.gpus!r}")
        if self.processes is not None or device != "auto":
            other = "--device" if self.processes is None else "--processes"
            raise UsageError(f"--gpus starts a process on each GPU: leave {other} out")
        return tuple(map(int, numbers))


_LOAD_OPTIONS = {
    "jobs": Annotated[
        Path | None, path_option(help="A file in which jobs outlive the server.", rich_help_panel=KEEP_PANEL)
    ],
    "conversations": Annotated[
        Path | None,
        path_option(help="A folder in which conversations outlive a SIGTERM.", rich_help_panel=KEEP_PANEL),
    ],
    "video_room": number_option("MiB for the files of all videos.", 1, LOAD_PANEL),
    "max_batch": Annotated[
        int, typer.Option(min=1, help="Prompts that SAM 3 answers together.", rich_help_panel=LOAD_PANEL)
    ],
    "waiting": Annotated[
        int, typer.Option(min=0, help="Requests that may wait; more are told to come back.", rich_help_panel=LOAD_PANEL)
    ],
    "timeout": number_option("Seconds that a request may wait.", 0.1, LOAD_PANEL),
    "gpus": Annotated[
        str | None,
        typer.Option(help="GPUs with commas, e.g. 0,1,2,3: a process for each.", rich_help_panel=LOAD_PANEL),
    ],
    "processes": Annotated[
        int | None,
        typer.Option(min=1, help="So many processes, where --gpus does not say it.", rich_help_panel=LOAD_PANEL),
    ],
    "drain": number_option("Seconds that it goes on to listen after SIGTERM, while /ready fails.", 0, LOAD_PANEL),
}
_LOAD_DEFAULTS = {"video_room": 1024, "max_batch": 8, "waiting": 48, "timeout": 60, "drain": 5}
load_options = option_group("load", _LOAD_OPTIONS, lambda values: Load(**values), _LOAD_DEFAULTS)


def build_settings(options: Options, access: Access, limits: ImageLimits, load: Load) -> "ServeSettings":
    """What a server over HTTP is started with. Raises UsageError."""
    from serve.http.settings import ServeSettings
    from serve.labels.label_studio_images import LabelStudioImages
    from serve.talk.settings import TalkSettings

    provenance = options.build_provenance()
    return ServeSettings(
        tokens=access.read_tokens(),
        hosts=(access.host, "localhost", "127.0.0.1", "[::1]", *(access.allow_host or ())),
        origins=tuple(access.allow_origin or ()),
        allowed_urls=access.list_url_hosts(),
        max_pixels=limits.pixels,
        max_file_bytes=limits.file_bytes,
        image_bytes=limits.memory_bytes,
        image_seconds=limits.image_seconds,
        video_bytes=int(load.video_room * MIB),
        inflight=2 * load.max_batch,
        waiting=load.waiting,
        deadline=load.timeout,
        drain_seconds=load.drain,
        weights=provenance.sam3,
        label_studio=LabelStudioImages(
            os.environ.get("LABEL_STUDIO_URL", "").strip(), os.environ.get("LABEL_STUDIO_API_KEY", "").strip()
        ),
        talk=TalkSettings(budget=_limit_budget(provenance), job_path=load.jobs, conversation_folder=load.conversations),
    )


def _limit_budget(provenance: "Provenance") -> "Budget":
    budget = provenance.budget
    return replace(budget, max_seconds=EPISODE_SECONDS) if budget.max_seconds is None else budget
