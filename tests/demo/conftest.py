"""A real Chromium on the real page: one browser, one engine and as few servers as there can be for all tests.

Most pages are served from the process of the tests, which has PyTorch and the models loaded once. One test starts the
program itself (`Program`), because only a process of its own can be killed.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from agent.cli.options.segment_options import Options
from demo.actions import Actions, ModelSelection
from demo.engine import Engine
from demo.server import ServerOptions, serve_page
from demo.sessions import SessionStore
from demo.uploads import Limits
from sam3_tool import Image
from tests.support.browser import ROOT, Server, Visitor
from tests.support.slow_model import SlowModel
from tests.support.tabs import DESKTOP, PATIENCE, TabPool

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first has the same engine without windows, and opens a page in half the time."""
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The models behind all pages: the grammar and the embedded SAM 3, each loaded once."""
    return Engine(Options(planner="grammar"))


@pytest.fixture(scope="session")
def actions(engine: Engine) -> Actions:
    """What a visitor can do, without a page."""
    return Actions(engine, SessionStore(), Limits(), ROOT / "demo" / "examples")


@pytest.fixture
def melons(actions: Actions) -> str:
    """The id of a session whose answer are four watermelons."""
    session_id = actions.sessions.open()
    actions.open_example(session_id, "fruit")
    *_, session = actions.ask(session_id, "all the watermelons", ModelSelection("grammar", "tiny"))
    assert session.conversation is not None
    assert session.conversation.selected == (1, 2, 3, 4)
    return session_id


@pytest.fixture
def image() -> Image:
    return Image(np.zeros((60, 80, 3), np.uint8))


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Server]]:
    """Serves a page of this engine; all of them end with the tests."""
    servers: list[Server] = []

    def serve_engine(engine: Engine, limits: Limits | None = None, **options: Any) -> Server:
        page, address = serve_page(engine, ServerOptions(**{"port": 0, **options}), limits or Limits(), wait=False)
        servers.append(Server(page, address.rstrip("/")))
        return servers[-1]

    yield serve_engine
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(serve: Callable[..., Server], engine: Engine) -> Server:
    """The page as it is without options."""
    return serve(engine)


@pytest.fixture(scope="module")
def slow() -> Iterator[SlowModel]:
    made = SlowModel()
    yield made
    made.close()


@dataclass
class BrowserKeeper:
    """Keeps one browser for files of tests that come one after the other.

    While there is one, the event loop of playwright runs in this thread: no other test could run a loop of its own.
    """

    tabs: TabPool | None = None
    _exits: ExitStack = field(default_factory=ExitStack)

    def open_tabs(self) -> TabPool:
        if self.tabs is None:
            playwright = self._exits.enter_context(sync_playwright())
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            self._exits.callback(browser.close)
            self.tabs = TabPool(browser)
        return self.tabs

    def close(self) -> None:
        self.tabs = None
        self._exits.close()


KEEPER = BrowserKeeper()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Close the browser after a file, unless the next one begins with it."""
    try:
        return (yield)
    finally:
        if nextitem is None or (nextitem.path != item.path and not _has_browser(nextitem)):
            KEEPER.close()


def _has_browser(item: pytest.Item) -> bool:
    is_near = item.path.parent == Path(__file__).parent
    return is_near and isinstance(item, pytest.Function) and "tabs" in item.fixturenames


@pytest.fixture(scope="module")
def tabs() -> TabPool:
    """Tabs of the browser."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here; Debian and Ubuntu: apt-get install chromium-headless-shell")
    return KEEPER.open_tabs()


@pytest.fixture(scope="module")
def chromium(tabs: TabPool) -> Browser:
    """The browser itself."""
    return tabs.browser


@pytest.fixture
def visit(tabs: TabPool, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    """Somebody opens the page; keyword arguments are those of a browser's context."""
    yield from _visits(tabs, request)


@pytest.fixture(scope="module")
def visit_once(tabs: TabPool, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    """As `visit`, for a page that several tests go on with."""
    yield from _visits(tabs, request)


@pytest.fixture
def visit_plain(chromium: Browser) -> Iterator[Callable[[str], Page]]:
    """Opens an address, whatever is there."""
    context = chromium.new_context(**DESKTOP)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    yield lambda url: (page.goto(url), page)[1]
    context.close()


@pytest.fixture
def visit_lasting(chromium: Browser, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Visitor]:
    """The page in a browser with a folder on the disk: only there does Chromium heed a quota that is set."""
    options: dict[str, Any] = {"executable_path": CHROMIUM, "args": QUIET, **DESKTOP}
    context = chromium.browser_type.launch_persistent_context(tmp_path / "profile", **options)
    context.set_default_timeout(PATIENCE)
    yield Visitor(context.pages[0]).arrive(request.getfixturevalue("server").url)
    context.close()


def _visits(tabs: TabPool, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    visitors: dict[Page, Visitor] = {}

    def opened(url: str = "", **how: Any) -> Visitor:
        page = tabs.open_tab(**how)
        visitors[page] = Visitor(page)
        return visitors[page].arrive(url or request.getfixturevalue("server").url)

    yield opened
    for page, visitor in visitors.items():
        visitor.leave()
        tabs.take_back(page)


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots are kept, to be looked at."""
    folder = Path(os.environ.get("SAM3_AGENT_SCREENSHOTS", ROOT / "out" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def shoot(shots: Path) -> Callable[..., None]:
    """Keeps a screenshot of a page where somebody wants to look at it: `SAM3_AGENT_SCREENSHOTS` names a folder."""
    is_wanted = "SAM3_AGENT_SCREENSHOTS" in os.environ

    def shoot_page(page: Page, name: str, **how: Any) -> None:
        if is_wanted:
            page.screenshot(path=shots / name, **how)

    return shoot_page
