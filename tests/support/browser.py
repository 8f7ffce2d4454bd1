"""The demo in tests: a page served from here, the program itself, a person in front of a browser."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Request

from tests.support import program

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """The page, served from this process."""

    page: Any
    url: str

    def stop(self) -> None:
        self.page.close(verbose=False)


@dataclass
class Program:
    """`sam3-agent demo` as a program of its own."""

    url: str
    process: program.Program

    @classmethod
    def start(cls, *options: str, **environment: str) -> "Program":
        """Returns once it listens."""
        words = ["demo", "--port", "0", *options]
        process = program.start_program(*words, cwd=ROOT, env={**os.environ, **environment}, stderr=2)
        assert process.stdout is not None
        address = process.stdout.readline()
        assert address.startswith("http://127.0.0.1:"), address
        return cls(address.split()[0].rstrip("/"), process)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class Visitor:
    """A person in front of the page."""

    page: Page
    requests: list[str] = field(default_factory=list)
    """Every address that the page asked for."""
    calls: list[str] = field(default_factory=list)
    """The functions of the server that the page called, by name."""
    complaints: list[str] = field(default_factory=list)
    """What the browser's console calls errors."""

    def __post_init__(self) -> None:
        self._listeners: dict[str, Any] = {
            "request": self._note_request,
            "console": lambda line: self.complaints.append(line.text) if line.type == "error" else None,
            "pageerror": lambda error: self.complaints.append(str(error)),
        }
        for event, listener in self._listeners.items():
            self.page.on(event, listener)  # type: ignore[call-overload]

    def _note_request(self, request: Request) -> None:
        self.requests.append(request.url)
        if "component_server" in request.url:
            self.calls.append(request.post_data_json["fn_name"])

    def leave(self) -> None:
        """Look away from the page, which may be another's next."""
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)

    def arrive(self, url: str) -> "Visitor":
        self.page.goto(url)
        return self.wait_awake()

    def wait_awake(self) -> "Visitor":
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
        self.page.locator(f"[data-example={example}]").click(modifiers=["Shift"])  # nothing is asked
        self.has_image()

    def has_image(self) -> None:
        self.page.locator(".stage[data-state=image][data-busy=no]").wait_for()

    def upload(self, path: Path) -> None:
        self.page.locator("input[type=file]").set_input_files(path)

    def take(self, tool: str) -> None:
        self.page.locator(f".stage input[value={tool}]").check(force=True)

    def point(self, x: float, y: float, size: tuple[int, int] = (640, 480)) -> tuple[float, float]:
        """Where a pixel of the image is in the window."""
        self.page.locator(".stage .frame").scroll_into_view_if_needed()
        box = self.page.locator(".stage .frame").bounding_box()
        assert box is not None
        return box["x"] + (x + 0.5) * box["width"] / size[0], box["y"] + (y + 0.5) * box["height"] / size[1]

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.point(x, y))

    def click_frame(self, x: float, y: float, size: tuple[int, int]) -> None:
        """A pixel of a video of this width and height."""
        self.page.mouse.click(*self.point(x, y, size))

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
        if not self.page.locator("#kind input").is_visible():
            self.page.locator("#more > button").click()
        self.page.locator("#kind input").click()
        self.page.get_by_role("option", name=what).click()
        with self.page.expect_download() as fetched:
            self.page.get_by_role("button", name="Download", exact=True).click()
        path = Path(fetched.value.path())
        return path.replace(path.with_name(fetched.value.suggested_filename))
