"""URLs among sources: fetched where a person named the very URL, or its host."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

from agent.core.errors import UsageError
from sam3_tool.network.fetching import FetchError, UrlFetcher, fetch_url

MAX_BYTES = 256 * 2**20
SECONDS = 60.0
"""For one image."""


def make_fetcher(named: Collection[str], hosts: Collection[str], *, option: str) -> Callable[[str], bytes]:
    """Return a function from a URL to what it holds.

    A list of URLs may come from anybody, and a program that asks for whatever it names can be led into a private
    network; so its hosts must be allowed. A URL that was named by itself may lead to any host of the public Internet.

    Args:
        named: URLs that were named by themselves.
        hosts: Hosts from which other URLs may be fetched.
        option: How hosts are allowed, for messages.

    Returns:
        The function. It raises UsageError for what is refused, and for what cannot be fetched.

    Raises:
        UsageError: A host is none.

    >>> make_fetcher([], [], option="--allow-url HOST")("https://example.org/a.png")
    Traceback (most recent call last):
    agent.core.errors.UsageError: https://example.org/a.png: allow its host with --allow-url HOST, or download it first
    """
    try:
        UrlFetcher.from_hosts(hosts, max_bytes=MAX_BYTES)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error

    def fetch(url: str) -> bytes:
        if url not in named and not hosts:
            raise UsageError(f"{url}: allow its host with {option}, or download it first")
        allowed = None if url in named else hosts
        try:
            with ThreadPoolExecutor(1) as pool:  # a notebook has an event loop of its own
                return pool.submit(fetch_url, url, hosts=allowed, max_bytes=MAX_BYTES, seconds=SECONDS).result()
        except FetchError as error:
            raise UsageError(f"{url}: {error}") from error

    return fetch
