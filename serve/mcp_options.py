"""The options of `sam3-agent mcp` that say how clients reach it, and who may."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options.path_parameters import path_option
from agent.cli.options.shared_options import option_group
from agent.core.errors import UsageError
from serve.options import TOKENS_VARIABLE, read_tokens

if TYPE_CHECKING:
    from serve.mcp.transports import HttpOptions

HTTP_PANEL = "Over HTTP"
LOCAL_HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Access:
    """How clients reach the server: stdin and stdout of one client, or HTTP for many."""

    http: bool
    host: str
    port: int
    tokens: Path | None
    allow_host: list[str] | None

    def __post_init__(self) -> None:
        """Raises UsageError for options of HTTP where clients do not come over HTTP."""
        if not self.http and (self.tokens or self.allow_host or self.host != LOCAL_HOST):
            raise UsageError(
                "--host, --tokens and --allow-host are for --http; without it one client has its own server"
            )

    def build_http_options(self) -> "HttpOptions":
        """Read the tokens. Raises UsageError where more people could reach the server than may use it."""
        from serve.mcp.transports import HttpOptions

        return HttpOptions(self.host, self.port, read_tokens(self.tokens), tuple(self.allow_host or ()))


_ACCESS_OPTIONS = {
    "http": Annotated[
        bool,
        typer.Option("--http", help="Serve over streamable HTTP, not stdin and stdout.", rich_help_panel=HTTP_PANEL),
    ],
    "host": Annotated[str, typer.Option(help="Address to listen at.", rich_help_panel=HTTP_PANEL)],
    "port": Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 = any that is free.", rich_help_panel=HTTP_PANEL)
    ],
    "tokens": Annotated[
        Path | None,
        path_option(
            help=f"A TOML file of bearer tokens by tenant (or {TOKENS_VARIABLE}=NAME:TOKEN,…).",
            rich_help_panel=HTTP_PANEL,
        ),
    ],
    "allow_host": Annotated[
        list[str] | None,
        typer.Option(help="A name under which clients reach the server.", rich_help_panel=HTTP_PANEL),
    ],
}
access_options = option_group(
    "access", _ACCESS_OPTIONS, lambda values: Access(**values), {"http": False, "host": LOCAL_HOST, "port": 8001}
)
