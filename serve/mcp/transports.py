"""The ways in which clients reach the server: stdin and stdout of this process, or HTTP."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from socket import socket
from typing import Any

import anyio
import uvicorn
from mcp.server import Server
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl

from agent.core.errors import UsageError
from sam3_tool.network.listening import is_loopback
from serve.http.middleware.auth import TokenBook

NO_TOKENS = TokenBook()

PATH = "/mcp"
ENVELOPE_BYTES = 2**20
"""Of a request, beside the file in it."""
MAX_CONNECTIONS = 64
"""At a time; each may hold a whole file in memory."""
MAX_SESSIONS = 256
"""Of clients of the handshake age, which keep one open."""
SHUTDOWN_SECONDS = 5
ANY_ADDRESS = ("0.0.0.0", "::")


@dataclass(frozen=True)
class HttpOptions:
    """Where the server listens, and who may use it."""

    host: str
    port: int
    tokens: TokenBook = NO_TOKENS
    """Whose bearer tokens they are. Empty: whoever reaches the server is let in."""
    allowed_hosts: Sequence[str] = ()
    """By which names clients reach the server, with a port where it is not the usual one; those of `host` are known."""

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.tokens:
            raise UsageError(
                f"whoever reaches {self.host} could use this server; give --tokens FILE (or its variable), or listen at"
                " 127.0.0.1"
            )
        if self.host in ANY_ADDRESS and not self.allowed_hosts:
            raise UsageError(
                f"at {self.host} say by --allow-host under which name clients reach the server, such as"
                " sam3.example.org, so that no web page can have a browser call it under another"
            )

    @property
    def url_host(self) -> str:
        """As it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def build_url(self, port: int) -> str:
        """Return where clients connect. `port`: the one that was bound."""
        return f"http://{self.url_host}:{port}{PATH}"

    def build_security(self) -> TransportSecuritySettings:
        """List the names under which the server answers, and the web pages that may call it."""
        names = ["127.0.0.1", "localhost", "[::1]"] if is_loopback(self.host) else []
        if self.host not in ANY_ADDRESS:
            names.append(self.url_host)
        names += self.allowed_hosts
        hosts = [host for name in dict.fromkeys(names) for host in (name, f"{name}:*")]
        origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
        return TransportSecuritySettings(
            enable_dns_rebinding_protection=True, allowed_hosts=hosts, allowed_origins=origins
        )


@dataclass(frozen=True)
class TokenVerifier:
    """Tells the protocol's library whose bearer token it is."""

    tokens: TokenBook

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the caller; None for nobody's token."""
        tenant = self.tokens.find_tenant(token)
        return None if tenant is None else AccessToken(token=token, client_id=tenant.name, scopes=[])


def serve_stdio(server: Server[Any]) -> None:
    """Serve one client on stdin and stdout until it closes stdin.

    Meanwhile nothing else of this process can write to stdout: what libraries print goes to stderr.
    """

    async def serve_client() -> None:
        async with stdio_server() as (reading, writing):
            # the transport moves the descriptor; what is still in Python's buffer would be written at the end
            with redirect_stdout(sys.stderr):
                await server.run(reading, writing, server.create_initialization_options())

    anyio.run(serve_client)


def build_http_app(server: Server[Any], options: HttpOptions, *, max_bytes: int) -> Any:
    """Build the ASGI application that serves any number of clients over streamable HTTP.

    Args:
        server: Whatever it offers.
        options: Who may use it.
        max_bytes: Of the largest file that a request may hold, in base64.
    """
    # the address of an authorization server has to be given, but is told to nobody without one
    issuer = AnyHttpUrl(f"http://{options.url_host}:{options.port or 80}")
    auth = AuthSettings(issuer_url=issuer, resource_server_url=None) if options.tokens else None
    return server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=max_bytes * 4 // 3 + ENVELOPE_BYTES,
        max_sessions=MAX_SESSIONS,
        transport_security=options.build_security(),
        host=options.host,
        auth=auth,
        token_verifier=TokenVerifier(options.tokens) if options.tokens else None,
    )


def serve_http(server: Server[Any], options: HttpOptions, listener: socket, *, max_bytes: int) -> None:
    """Serve over HTTP until a signal ends the process. `listener`: bound, not listening yet."""
    app = build_http_app(server, options, max_bytes=max_bytes)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])
