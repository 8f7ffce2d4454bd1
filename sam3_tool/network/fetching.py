"""URLs that others give, fetched from public addresses of allowed hosts alone, over https, within one deadline."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from ssl import SSLContext
from typing import Literal

import httpx2

from sam3_tool.errors import UserError
from sam3_tool.network.servers import mask_address

log = logging.getLogger(__name__)

FetchProblem = Literal["urls_off", "bad_url", "url_not_allowed", "url_failed", "too_large"]

IPAddress = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]
"""From a host's name and a port to its addresses, as texts."""

HTTPS_PORT = 443
MAX_URL_LENGTH = 2048
DEADLINE = 10.0
"""Seconds for everything together: the name, the connection, and every byte of the answer."""
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that the Internet routes in IPv6. Outside lie loopback, link-local, IPv4 in disguise (mapped, NAT64) and more."""
UNSUITABLE_NETWORKS = (
    IPv4Network("192.0.0.0/24"),  # protocols of their own; Python takes some of it for public
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv6Network("2001::/23"),  # protocols of their own, Teredo among them, which carries IPv4
    IPv6Network("2002::/16"),  # 6to4: carries IPv4
    IPv6Network("3fff::/20"),  # for documents; Python's own table may be older
)
ISATAP_MARKS = (0x00005EFE, 0x02005EFE)
"""Bits 32 to 63 of an IPv6 address that carries an IPv4 address behind them, whatever network it is in."""


class FetchError(UserError, ValueError):
    """A URL is refused, or nothing useful came from it. The message is one line, and names no address."""

    def __init__(self, code: FetchProblem, message: str) -> None:
        """Say why.

        Args:
            code: What programs decide by.
            message: One sentence for a person.
        """
        super().__init__(message)
        self.code = code


def is_public_address(address: IPAddress) -> bool:
    """Tell whether an address belongs to the public Internet, and to nothing that leads elsewhere.

    >>> [is_public_address(ip_address(text)) for text in ("9.9.9.9", "10.0.0.1", "169.254.169.254", "::ffff:9.9.9.9")]
    [True, False, False, False]
    """
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in UNSUITABLE_NETWORKS):
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in GLOBAL_UNICAST and (int(address) >> 32) & 0xFFFFFFFF not in ISATAP_MARKS


async def resolve_host(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True)
class Destination:
    """A URL that was checked, and the addresses to which it may be sent."""

    url: httpx2.URL
    host: str
    """As the certificate must name it."""
    addresses: tuple[str, ...]

    def build_request(self, address: str, method: str, headers: Mapping[str, str], content: bytes) -> httpx2.Request:
        """Build the request to this very address: the name is not looked up again."""
        port = "" if self.url.port in (None, HTTPS_PORT) else f":{self.url.port}"
        fixed = {"host": f"{self.host}{port}", "accept-encoding": "identity", "user-agent": "sam3-agent"}
        return httpx2.Request(
            method,
            self.url.copy_with(host=address),
            headers={**headers, **fixed},
            content=content,
            extensions={"sni_hostname": self.host, "timeout": {}},
        )


@dataclass(frozen=True)
class UrlFetcher:
    """Fetches what others name by URL, and posts to where they ask.

    Example:
        >>> sorted(UrlFetcher.from_hosts(["Images.Example.org"], max_bytes=1).origins)
        [('images.example.org', 443)]
    """

    origins: frozenset[tuple[str, int]] | None
    """Hosts and ports that may be asked; empty = URLs are off; None = all of the public Internet."""
    max_bytes: int
    """Of an answer."""
    seconds: float = DEADLINE
    resolve: Resolver = field(default=resolve_host, repr=False)
    is_allowed_address: Callable[[IPAddress], bool] = field(default=is_public_address, repr=False)
    ssl_context: SSLContext | None = field(default=None, repr=False)
    """Whose certificates are trusted. Default: those that are shipped."""

    @classmethod
    def from_hosts(cls, hosts: Collection[str] | None, *, max_bytes: int, seconds: float = DEADLINE) -> "UrlFetcher":
        """Make the fetcher of an operator's list.

        Args:
            hosts: Each `HOST` or `HOST:PORT`; the port is 443 where none is named. None = every public host.
            max_bytes: Bytes that an answer may have.
            seconds: For everything together.

        Raises:
            ValueError: A host cannot be understood.
        """
        return cls(None if hosts is None else frozenset(map(_parse_origin, hosts)), max_bytes, seconds)

    async def fetch(self, url: str) -> bytes:
        """Fetch what is behind a URL.

        Args:
            url: `https://…`, of an allowed host.

        Returns:
            The body of the answer; what it says about its type is not asked.

        Raises:
            FetchError: The URL is refused, or nothing useful came in time.
        """
        async with self._exchange("GET", url, {"accept": "image/*"}) as response:
            if response.status_code != 200:
                raise FetchError("url_failed", f"the server of this URL answered {response.status_code}, not 200")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise FetchError("url_failed", "the server of this URL compressed its answer, unasked")
            return await self._read_body(response)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> int:
        """Post JSON to a URL. The answer's body is not read.

        Args:
            url: `https://…`, of an allowed host.
            content: The JSON.
            headers: What is sent beside it.

        Returns:
            The status of the answer.

        Raises:
            FetchError: The URL is refused, or no answer came in time.
        """
        sent = {**headers, "content-type": "application/json"}
        async with self._exchange("POST", url, sent, content) as response:
            return response.status_code

    def check_url(self, url: str) -> httpx2.URL:
        """Check what can be told from the text alone.

        Returns:
            The URL, parsed; it is this that is asked, so that nobody reads the text in another way.

        Raises:
            FetchError: The URL cannot be understood, or it is not allowed.
        """
        if self.origins is not None and not self.origins:
            raise FetchError("urls_off", "no URLs are fetched here; send the image itself")
        try:
            if len(url) > MAX_URL_LENGTH:
                raise ValueError
            parsed = httpx2.URL(url)
            origin = _get_origin(parsed)
        except (httpx2.InvalidURL, ValueError):
            raise FetchError("bad_url", f"this is no URL of at most {MAX_URL_LENGTH} letters") from None
        if parsed.scheme != "https":
            raise FetchError("url_not_allowed", "only https URLs are fetched")
        if parsed.userinfo:
            raise FetchError("url_not_allowed", "a URL with a user name or a password in it is not fetched")
        if self.origins is not None and origin not in self.origins:
            raise FetchError("url_not_allowed", "nothing may be fetched from the host of this URL")
        return parsed

    async def _find_destination(self, url: str) -> Destination:
        parsed = self.check_url(url)
        host, port = _get_origin(parsed)
        try:
            found = await self.resolve(host, port)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise FetchError("url_failed", "the host of this URL has no address")
        # one address of several would do for an attacker, so that all must be good
        if not all(self.is_allowed_address(ip_address(address)) for address in found):
            raise FetchError("url_not_allowed", "the host of this URL is not on the public Internet")
        return Destination(parsed, host, tuple(found))

    @asynccontextmanager
    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes = b""
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request, and close the connection at the end, all within the deadline."""
        try:
            async with asyncio.timeout(self.seconds):
                destination = await self._find_destination(url)
                async with self._make_client() as client:
                    response = await _send_to_first(client, destination, method, headers, content)
                    try:
                        if response.is_redirect:
                            raise FetchError("url_not_allowed", "this URL leads elsewhere; give the one it leads to")
                        yield response
                    finally:
                        await response.aclose()
        except TimeoutError:
            message = f"the server of this URL did not answer within {self.seconds:g} seconds"
            raise FetchError("url_failed", message) from None
        except httpx2.HTTPError as error:
            log.info("a URL failed: %s", type(error).__name__)
            raise FetchError("url_failed", "the server of this URL cannot be reached") from None

    def _make_client(self) -> httpx2.AsyncClient:
        transport = httpx2.AsyncHTTPTransport(verify=self._trusted, trust_env=False)
        return httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)

    @cached_property
    def _trusted(self) -> SSLContext:
        return self.ssl_context or httpx2.create_ssl_context(trust_env=False)

    async def _read_body(self, response: httpx2.Response) -> bytes:
        too_large = FetchError("too_large", f"what this URL leads to is over {self.max_bytes} bytes")
        said = response.headers.get("content-length", "0")
        if said.isdecimal() and int(said[:20]) > self.max_bytes:
            raise too_large
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > self.max_bytes:
                raise too_large
        return bytes(body)


def fetch_url(url: str, *, hosts: Collection[str] | None, max_bytes: int, seconds: float = DEADLINE) -> bytes:
    """Fetch what is behind a URL, outside of any event loop.

    Args:
        url: `https://…`.
        hosts: As `UrlFetcher.from_hosts` takes them.
        max_bytes: Bytes that the answer may have.
        seconds: For everything together.

    Returns:
        The body of the answer.

    Raises:
        FetchError: The URL is refused, or nothing useful came in time.
        ValueError: A host cannot be understood.

    >>> fetch_url("http://example.org/x.png", hosts=None, max_bytes=1)
    Traceback (most recent call last):
    sam3_tool.network.fetching.FetchError: only https URLs are fetched
    """
    return asyncio.run(UrlFetcher.from_hosts(hosts, max_bytes=max_bytes, seconds=seconds).fetch(url))


async def _send_to_first(
    client: httpx2.AsyncClient, destination: Destination, method: str, headers: Mapping[str, str], content: bytes
) -> httpx2.Response:
    """Send the request to the first address that takes a connection."""
    *others, last = destination.addresses
    for address in others:
        try:
            return await client.send(destination.build_request(address, method, headers, content), stream=True)
        except httpx2.ConnectError:
            continue
    return await client.send(destination.build_request(last, method, headers, content), stream=True)


def _parse_origin(host: str) -> tuple[str, int]:
    """The host and the port of an entry of the list, e.g. of 'images.example.org:8443'."""
    try:
        url = httpx2.URL(f"https://{host}")
        if url.path in ("", "/") and not url.userinfo and not url.query:
            return _get_origin(url)
    except (httpx2.InvalidURL, ValueError):
        pass
    raise ValueError(f"expected a host, or HOST:PORT, from which URLs may be fetched, got {mask_address(host)!r}")


def _get_origin(url: httpx2.URL) -> tuple[str, int]:
    """The host, as the network writes it, and the port. Raises ValueError without a host."""
    host = url.raw_host.decode("ascii").rstrip(".").lower()
    port = HTTPS_PORT if url.port is None else url.port
    if not host or not 0 < port < 2**16:
        raise ValueError("there is no host, or no such port")
    return host, port
