"""A real Chromium on the real page: one server and one browser for each file of tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 60_000
"""Milliseconds that anything on the page may take: many tests share the machine."""


@dataclass
class Server:
    """`sam3-agent demo` as a program of its own."""

    options: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        """Returns once it listens."""
        command = [sys.executable, "-c", "from agent.cli.main import main; main()", "demo", "--port", str(self.port)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.process = subprocess.Popen(
            [*command, *self.options], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline()
        assert address.startswith("http://127.0.0.1:"), address
        self.port = int(address.split()[0].rstrip("/").rpartition(":")[2])
        return self

    def stop(self) -> None:
        """Kills it, where that was not done already."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@dataclass
class Visitor:
    """A person in front of the page."""

    page: Page
    requests: list[str] = field(default_factory=list)
    """Every address that the page asked for."""
    complaints: list[str] = field(default_factory=list)
    """What the browser's console calls errors."""

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def arrive(self, url: str) -> "Visitor":
        self.page.goto(url)
        return self.awake()

    def awake(self) -> "Visitor":
        """Waits until the page can be used."""
        self.page.locator("#query textarea:enabled").wait_for()
        return self

    def ask(self, query: str) -> None:
        self.page.locator("#query textarea").fill(query)
        self.page.locator("#query textarea").press("Enter")

    def sees(self, masks: int) -> None:
        """Waits until so many masks are drawn, and nothing is under way."""
        self.page.locator(f".stage[data-masks='{masks}'][data-busy='no']").wait_for()

    def begin(self, example: str = "fruit") -> None:
        self.page.locator(f"[data-example={example}]").click()
        self.has_picture()

    def has_picture(self) -> None:
        self.page.locator(".stage[data-state=picture][data-busy=no]").wait_for()

    def upload(self, path: Path) -> None:
        self.page.locator("input[type=file]").set_input_files(path)

    def take(self, tool: str) -> None:
        self.page.locator(f".stage input[value={tool}]").check(force=True)

    def point(self, x: float, y: float, size: tuple[int, int] = (640, 480)) -> tuple[float, float]:
        """Where a pixel of the picture is in the window."""
        self.page.locator(".stage .frame").scroll_into_view_if_needed()
        box = self.page.locator(".stage .frame").bounding_box()
        assert box is not None
        return box["x"] + (x + 0.5) * box["width"] / size[0], box["y"] + (y + 0.5) * box["height"] / size[1]

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.point(x, y))

    def act(self, name: str) -> None:
        self.page.locator(f".stage [data-do={name}]").click()

    def reads(self, words: str) -> None:
        """Waits until these words stand in the conversation."""
        self.page.locator("#chat").get_by_text(words).last.wait_for()

    @property
    def said(self) -> str:
        return self.page.locator("#chat").inner_text()

    def download(self, what: str) -> Path:
        """`what`: as the page calls it, its beginning."""
        self.page.locator("#kind input").click()
        self.page.get_by_role("option", name=what).click()
        with self.page.expect_download() as fetched:
            self.page.get_by_role("button", name="Download", exact=True).click()
        path = Path(fetched.value.path())
        return path.replace(path.with_name(fetched.value.suggested_filename))


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Server]]:
    """Starts a server; all of them end with the file's tests."""
    made: list[Server] = []

    def started(*options: str, port: int = 0) -> Server:
        made.append(Server(options, port))
        return made[-1].start()

    yield started
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def server(start: Callable[..., Server]) -> Server:
    return start()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here; Debian and Ubuntu: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    """Somebody opens the page; keyword arguments are those of a browser's context."""
    yield from _visits(chromium, request)


@pytest.fixture(scope="module")
def visit_once(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    """As `visit`, for a page that several tests go on with."""
    yield from _visits(chromium, request)


@pytest.fixture
def visit_plain(chromium: Browser) -> Iterator[Callable[[str], Page]]:
    """Opens an address, whatever is there."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    yield lambda url: (page.goto(url), page)[1]
    context.close()


def _visits(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    contexts = []

    def opened(url: str = "", **how: Any) -> Visitor:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, "accept_downloads": True, **how})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        return Visitor(context.new_page()).arrive(url or request.getfixturevalue("server").url)

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where pictures of the page are kept, to be looked at."""
    folder = Path(os.environ.get("SAM3_AGENT_SCREENSHOTS", ROOT / "out" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
