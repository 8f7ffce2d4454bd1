"""Images of Label Studio: from its own address with its key, and from nowhere else, whatever a task says."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agent import UsageError
from serve.labels.label_studio_images import LabelStudioImages


class Handler(BaseHTTPRequestHandler):
    """A Label Studio with one file, which notes what it is asked."""

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("authorization")))
        if self.path == "/data/upload/1/away.png":
            self.send_response(302)
            self.send_header("location", self.server.elsewhere)
            self.end_headers()
        elif self.path == "/data/upload/1/cat.png":
            self._send(200, b"pixels" * 10)
        elif self.path.startswith("/tasks/7/resolve/"):
            self._send(200, b"stored")
        elif self.path == "/data/upload/1/slow.png":
            self._drip()
        else:
            self._send(404, b"")

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["content-length"])))
        good = self.path == "/api/token/refresh/" and given == {"refresh": "a.good.one"}
        self._send(200 if good else 401, b'{"access": "short-lived"}' if good else b"{}")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        """Send a byte now and then, until nobody reads any more."""
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b".")
                time.sleep(0.01)

    def log_message(self, *words: object) -> None:
        pass


def start_server() -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[ThreadingHTTPServer, ThreadingHTTPServer]]:
    """Label Studio, and a server that nobody may ask."""
    own, other = start_server(), start_server()
    own.elsewhere = f"http://127.0.0.1:{other.server_port}/data/upload/1/cat.png"
    yield own, other
    for server in (own, other):
        server.shutdown()
        server.server_close()


@pytest.fixture
def home(servers) -> str:
    for server in servers:
        server.seen.clear()
    return f"http://127.0.0.1:{servers[0].server_port}"


@pytest.mark.parametrize(
    ("key", "sent"), [("", None), ("0123abcd", "Token 0123abcd"), ("a.good.one", "Bearer short-lived")]
)
def test_an_image_is_fetched_with_the_key(servers, home, key, sent):
    images = LabelStudioImages(home, key)
    for value in ("/data/upload/1/cat.png", f"{home}/data/upload/1/cat.png"):
        assert images.read(value) == b"pixels" * 10
    assert servers[0].seen == [("/data/upload/1/cat.png", sent)] * 2


@pytest.mark.parametrize(
    "value",
    [
        "ELSEWHERE",
        "//127.0.0.1:OTHER/data/upload/1/cat.png",
        "http://127.0.0.1:OWN@127.0.0.1:OTHER/data/upload/1/cat.png",
        "http://user@127.0.0.1:OWN/data/upload/1/cat.png",
        "https://127.0.0.1:OWN/data/upload/1/cat.png",
        "/api/users/",
        "/data/../api/users/",
        "/data/%2e%2e/api/users/",
        "/data/..\\api/users/",
        "data/upload/1/cat.png",
        "s3://bucket/cat.png",
        "file:///etc/passwd",
        "http://[",
        "",
    ],
)
def test_nobody_else_is_asked_for_an_image(servers, home, value):
    own, other = servers
    value = value.replace("ELSEWHERE", own.elsewhere)
    value = value.replace("OWN", str(own.server_port)).replace("OTHER", str(other.server_port))
    with pytest.raises(UsageError, match="only images that lie in Label Studio itself"):
        LabelStudioImages(home, "key").read(value)
    assert own.seen == other.seen == []


def test_a_redirect_is_left_to_what_fetches_from_other_hosts(servers, home):
    with pytest.raises(UsageError, match="no redirect is followed"):
        LabelStudioImages(home, "key").read("/data/upload/1/away.png")
    fetched = []
    images = LabelStudioImages(home, "key", fetch_elsewhere=lambda url: fetched.append(url) or b"elsewhere")
    assert images.read("/data/upload/1/away.png") == b"elsewhere"
    assert fetched == [servers[0].elsewhere]
    assert servers[1].seen == []


def test_what_lies_in_a_cloud_storage_is_asked_of_label_studio(servers, home):
    # slow to import
    from label_studio_sdk._extensions.label_studio_tools.core.utils.io import encode_presign_fileuri

    images, address = LabelStudioImages(home, "key"), "s3://bucket/a b/cat?.png"
    assert images.read(address, task=7) == b"stored"
    assert servers[0].seen == [(f"/tasks/7/resolve/?fileuri={encode_presign_fileuri(address)}", "Token key")]
    for task in (None, "7/../8", "", -1):
        with pytest.raises(UsageError, match="only images that lie in Label Studio itself"):
            images.read(address, task=task)


@pytest.mark.parametrize(
    ("options", "value", "said"),
    [
        ({}, "/data/upload/1/gone.png", r"Label Studio has no such image \(it answered 404\)"),
        ({}, "/data/\0.png", r"cannot be asked for the image \(InvalidURL\)|no such image"),
        ({"max_bytes": 20}, "/data/upload/1/cat.png", "over the limit of 20 bytes"),
        ({"api_key": "a.bad.one"}, "/data/upload/1/cat.png", "refuses LABEL_STUDIO_API_KEY"),
        ({"seconds": 0.3}, "/data/upload/1/slow.png", "did not send the image within 0.3 seconds"),
        ({}, "data:text/html;base64,aa", "a data URL must begin with data:image/"),
        ({}, "data:image/png;base64,?", "holds no base64"),
    ],
)
def test_what_cannot_be_fetched_is_said(home, options, value, said):
    with pytest.raises(UsageError, match=said):
        LabelStudioImages(home, **options).read(value)


def test_a_server_below_a_path_has_its_files_there():
    images = LabelStudioImages("https://example.org/studio/")
    for value in ("/data/upload/a.png", "/studio/data/upload/a.png", "https://example.org/studio/data/upload/a.png"):
        assert images.find_url(value) == "https://example.org/studio/data/upload/a.png"
    assert images.find_url("https://example.org/data/upload/a.png") is None


def test_a_label_studio_that_is_gone_is_said():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UsageError, match=r"cannot be asked for the image \(ConnectError\)"):
        LabelStudioImages(f"http://127.0.0.1:{port}").read("/data/upload/1/cat.png")


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("labels.example.org", "", "LABEL_STUDIO_URL must begin with https:// or http:// and a host"),
        ("https://", "", "LABEL_STUDIO_URL must begin"),
        ("https://labels.example.org", "sec ret", "LABEL_STUDIO_API_KEY has spaces or letters that no key has"),
    ],
)
def test_an_address_or_a_key_that_is_none_is_refused(url, key, said):
    with pytest.raises(UsageError, match=said) as raised:
        LabelStudioImages(url, key)
    assert "sec ret" not in str(raised.value)


def test_the_key_is_not_shown():
    assert "secret" not in repr(LabelStudioImages("https://example.org", "secret"))
