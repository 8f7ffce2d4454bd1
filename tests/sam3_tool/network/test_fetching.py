"""URLs of others, against listeners on loopback: what is refused never connects."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from sam3_tool.network.fetching import FetchError, UrlFetcher, fetch_url, is_public_address
from tests.support.tls_listener import NAME, TlsListener, write_certificate

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n"
Serve = Callable[..., TlsListener]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    write_certificate(path)
    return path


@pytest.fixture
def serve(certificate: Path) -> Iterator[Serve]:
    begun: list[TlsListener] = []

    def start(*parts: bytes, pause: float = 0.0) -> TlsListener:
        begun.append(TlsListener(certificate, parts, pause=pause))
        return begun[-1]

    yield start
    for listener in begun:
        listener.close()


@pytest.fixture
def reach(certificate: Path) -> Callable[..., UrlFetcher]:
    """A fetcher to which loopback is as good as the Internet, where `NAME` is at these addresses."""

    def make(listener: TlsListener, *addresses: str, **options: Any) -> UrlFetcher:
        answers = [list(addresses or ("127.0.0.1",))]

        async def resolve(host: str, port: int) -> list[str]:
            return answers.pop()  # it is asked once

        return UrlFetcher(
            frozenset({(NAME, listener.port)}),
            options.pop("max_bytes", 1000),
            resolve=resolve,
            is_allowed_address=lambda address: True,
            ssl_context=ssl.create_default_context(cafile=certificate),
            **options,
        )

    return make


def fetch(fetcher: UrlFetcher, url: str) -> bytes:
    return asyncio.run(fetcher.fetch(url))


def refuse(fetcher: UrlFetcher, url: str) -> str:
    """The code of the error."""
    with pytest.raises(FetchError) as refused:
        fetch(fetcher, url)
    assert "127" not in str(refused.value)
    return refused.value.code


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1"),
        *("192.0.0.8", "192.88.99.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:9.9.9.9", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
        *("64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1"),
        *("2002:7f00:1::", "3fff::1", "2a00:1450::200:5efe:7f00:1", "2a00:1450::5efe:a00:1", "fc00::1", "fd12::1"),
        *("fe80::1", "fe80::1%1", "fec0::1", "ff02::1", "5f00::1"),
    ],
)
def test_only_the_public_internet_is_public(address: str) -> None:
    assert not is_public_address(ip_address(address))


@pytest.mark.parametrize("address", ["9.9.9.9", "193.0.6.139", "2606:4700:4700::1111", "2a00:1450:4001::200e"])
def test_public_addresses_are(address: str) -> None:
    assert is_public_address(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "0", "0.0.0.0", "localhost", "localhost."),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]"),
        *("[2002:7f00:1::]", "169.254.169.254", "[fe80::1]"),
    ],
)
def test_nothing_connects_to_an_address_that_is_not_public(host: str, serve: Serve) -> None:
    """Even where an operator allowed that name: it is the address that counts."""
    listener = serve(HEAD + b"\r\nsecret")
    fetcher = UrlFetcher.from_hosts([f"{host}:{listener.port}"], max_bytes=1000)
    assert refuse(fetcher, f"https://{host}:{listener.port}/x") in ("url_not_allowed", "url_failed")
    assert listener.connections == 0


@pytest.mark.parametrize(
    ("url", "code"),
    [
        *((f"http://{NAME}:PORT/x", "url_not_allowed"), (f"ftp://{NAME}:PORT/x", "url_not_allowed")),
        *(("file:///etc/passwd", "bad_url"), ("", "bad_url"), ("x", "bad_url"), ("https://", "bad_url")),
        *((f"https://me:key@{NAME}:PORT/", "url_not_allowed"), (f"https://me@{NAME}:PORT/", "url_not_allowed")),
        *((f"https://{NAME}/x", "url_not_allowed"), (f"https://{NAME}:0/", "bad_url")),
        *(
            (f"https://{NAME}.evil.test:PORT/", "url_not_allowed"),
            (f"https://evil.test:PORT/{NAME}", "url_not_allowed"),
        ),
        *((f"https://{NAME}:PORT\\@evil.test/", "url_not_allowed"), (f"https://{NAME}:PORT#@evil.test/", "")),
        *((f"https://{NAME}:PORT/\r\nhost: evil", "bad_url"), (f"https://{NAME}:PORT/{'x' * 2048}", "bad_url")),
        *(("https://[::1", "bad_url"), ("https://①27.0.0.1:PORT/", "bad_url"), (f"https://{NAME}:99999/", "bad_url")),
        ("data:image/png;base64,AAAA", "bad_url"),
    ],
)
def test_what_the_text_of_a_url_tells(url: str, code: str, serve: Serve, reach: Callable[..., UrlFetcher]) -> None:
    listener = serve(HEAD + b"\r\nimage")
    url = url.replace("PORT", str(listener.port))
    if code:
        assert refuse(reach(listener), url) == code
    else:
        assert fetch(reach(listener), url) == b"image"
    assert listener.connections == (not code)


def test_urls_are_off_unless_hosts_are_named() -> None:
    assert refuse(UrlFetcher.from_hosts([], max_bytes=1), "https://example.org/x.png") == "urls_off"


def test_without_a_list_every_public_host_may_be_asked_and_no_other(serve: Serve) -> None:
    listener = serve(HEAD + b"\r\nsecret")
    with pytest.raises(FetchError, match="not on the public Internet"):
        fetch_url(f"https://localhost:{listener.port}/", hosts=None, max_bytes=10)
    assert listener.connections == 0


def test_one_bad_address_among_good_ones_is_enough_to_refuse(serve: Serve, reach: Callable[..., UrlFetcher]) -> None:
    listener = serve(HEAD + b"\r\nx")
    fetcher = reach(listener, "9.9.9.9", "127.0.0.1")
    fetcher = UrlFetcher(fetcher.origins, 1000, resolve=fetcher.resolve)
    assert refuse(fetcher, f"https://{NAME}:{listener.port}/") == "url_not_allowed"
    assert listener.connections == 0


def test_the_address_that_was_checked_is_asked_for_the_host_of_the_url(
    serve: Serve, reach: Callable[..., UrlFetcher]
) -> None:
    """The certificate of that host is demanded, and the name is looked up once (the second time would fail)."""
    listener = serve(HEAD + b"content-length: 5\r\n\r\nimage")
    assert fetch(reach(listener), f"https://{NAME}:{listener.port}/a%20b?c=1") == b"image"
    lines = listener.heads[0].decode().lower().split("\r\n")
    assert lines[0] == "get /a%20b?c=1 http/1.1"
    assert f"host: {NAME}:{listener.port}" in lines
    assert not any(line.startswith(("cookie", "authorization")) for line in lines)


def test_the_next_address_is_tried_where_nobody_listens(serve: Serve, reach: Callable[..., UrlFetcher]) -> None:
    listener = serve(HEAD + b"\r\nimage")
    assert fetch(reach(listener, "127.0.0.2", "127.0.0.1"), f"https://{NAME}:{listener.port}/") == b"image"


def test_a_certificate_of_another_name_is_refused(serve: Serve, reach: Callable[..., UrlFetcher]) -> None:
    listener = serve(HEAD + b"\r\nimage")
    fetcher = UrlFetcher(
        frozenset({("other.test", listener.port)}),
        1000,
        resolve=reach(listener).resolve,
        is_allowed_address=lambda address: True,
        ssl_context=reach(listener).ssl_context,
    )
    assert refuse(fetcher, f"https://other.test:{listener.port}/") == "url_failed"
    assert listener.heads in ([], [b""])


def test_a_redirect_is_not_followed(serve: Serve, reach: Callable[..., UrlFetcher]) -> None:
    inner = serve(HEAD + b"\r\nsecret")
    outer = serve(f"HTTP/1.1 302 Found\r\nlocation: https://127.0.0.1:{inner.port}/\r\n\r\n".encode())
    assert refuse(reach(outer), f"https://{NAME}:{outer.port}/") == "url_not_allowed"
    assert (outer.connections, inner.connections) == (1, 0)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((HEAD + b"content-length: 1001\r\n\r\n",), "too_large"),
        ((HEAD + b"content-length: " + b"9" * 400 + b"\r\n\r\n",), "url_failed"),
        ((HEAD + b"\r\n", *[b"x" * 300] * 9), "too_large"),
        ((HEAD + b"transfer-encoding: chunked\r\n\r\n", *[b"1f4\r\n" + b"x" * 500 + b"\r\n"] * 9), "too_large"),
        ((HEAD + b"content-encoding: gzip\r\n\r\n\x1f\x8b",), "url_failed"),
        ((HEAD + b"content-length: 9\r\n\r\nxxx",), "url_failed"),
        ((b"HTTP/1.1 404 Not Found\r\n\r\n",), "url_failed"),
        ((b"SSH-2.0-x\r\n",), "url_failed"),
        ((b"",), "url_failed"),
    ],
)
def test_answers_that_are_too_large_or_none(
    parts: tuple[bytes, ...], code: str, serve: Serve, reach: Callable[..., UrlFetcher]
) -> None:
    listener = serve(*parts)
    assert refuse(reach(listener), f"https://{NAME}:{listener.port}/") == code


def test_one_deadline_holds_for_all_of_a_dripping_answer(serve: Serve, reach: Callable[..., UrlFetcher]) -> None:
    """Each byte comes soon after the one before it, so that no time-out of a single read would ever pass."""
    listener = serve(HEAD + b"\r\n", *[b"x"] * 100, pause=0.02)
    assert refuse(reach(listener, seconds=0.2), f"https://{NAME}:{listener.port}/") == "url_failed"
    assert listener.heads


def test_a_slow_name_counts_as_well(reach: Callable[..., UrlFetcher]) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    fetcher = UrlFetcher(frozenset({(NAME, 443)}), 10, seconds=0.05, resolve=resolve)
    assert refuse(fetcher, f"https://{NAME}/") == "url_failed"


def test_a_post_sends_json_and_returns_the_status(serve: Serve, reach: Callable[..., UrlFetcher]) -> None:
    listener = serve(b"HTTP/1.1 204 No Content\r\n\r\n")
    post = reach(listener).post(f"https://{NAME}:{listener.port}/hook", b"{}", {"webhook-id": "j1"})
    assert asyncio.run(post) == 204
    head = listener.heads[0].decode().lower()
    assert head.startswith("post /hook")
    assert "webhook-id: j1" in head


@pytest.mark.parametrize("host", ["https://x.org", "x.org/path", "me@x.org", "", "x.org:70000", "x.org?y"])
def test_an_operator_is_told_of_a_host_that_is_none(host: str) -> None:
    with pytest.raises(ValueError, match="expected a host"):
        UrlFetcher.from_hosts([host], max_bytes=1)
