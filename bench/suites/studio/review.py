"""The demo beside its first design: what a page, a question and a click cost, and what is on the screen at each size.

The column "before" was measured on the page before the work area came (2026, commit 69415ac), on two busy cores.
Measured in a real Chromium against `sam3-agent demo` with the embedded SAM 3; bytes are on the wire, with headers.
"""

import argparse
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from playwright.sync_api import Page

from agent import Conversation, GivenMask
from bench.harness.tables import Cell, Table
from bench.suites.demo import open_page, start_server
from sam3_tool import Image
from sam3_tool.masks.rle import encode_mask

COLUMNS = ("what", "before", "now", "goal")
QUERY, STEPS_QUERY = "all the watermelons", "the watermelons above the banana except the largest one"
OBJECTS = ((340, 140), (500, 180), (180, 155), (390, 420), (275, 250))
"""x y in the example image of 640 x 480 pixels."""
SIZES = ((390, 844), (820, 1180), (1280, 720), (2560, 1440))
BEFORE_AT = {(390, 844): "1182", (820, 1180): "1470", (1280, 720): None, (2560, 1440): None}
"""Where the question began, in pixels from the top."""
MASKS, BURST = 80, 200
QUIET = 1500
SOON, LATER = 800, 2000
"""Milliseconds: before the browser copies the work, and until it has."""
"""Milliseconds after which all that follows an action has come."""
KEEPING = '"fn_name":"keep"'
"""In the request of the browser's own copy of the work."""
SMALL_JS = """() => [...document.querySelectorAll('button, summary, select, textarea, input, [role=button]')]
  .filter((one) => !one.disabled && one.checkVisibility({visibilityProperty: true, opacityProperty: false}))
  .map((one) => [(one.closest('label') ?? one).getBoundingClientRect(), one.getBoundingClientRect()])
  .filter(([label, own]) => label.width > 1 && Math.max(label.width, own.width) > 1)
  .filter(([label, own]) => Math.max(label.width, own.width) < 43.5 || Math.max(label.height, own.height) < 43.5)
  .length"""
PLACE_JS = """() => {
  const image = document.querySelector('.stage .frame').getBoundingClientRect();
  const question = document.querySelector('#question').getBoundingClientRect();
  const seen = (box) => Math.max(0, Math.min(box.right, innerWidth) - Math.max(box.left, 0))
    * Math.max(0, Math.min(box.bottom, innerHeight) - Math.max(box.top, 0));
  return [Math.round(question.top), seen(image) / (innerWidth * innerHeight), seen(question) > 0 && seen(image) > 0];
}"""
POINTER_JS = """() => {
  window.moves_ms = [];
  const frame = document.querySelector('.stage .frame'), box = frame.getBoundingClientRect();
  for (let at = 0; at < 100; at++) {
    const began = performance.now();
    const place = { clientX: box.left + box.width * at / 100, clientY: box.top + box.height * (at % 10) / 10 };
    const kind = { bubbles: true, pointerId: 1, pointerType: 'mouse' };
    frame.dispatchEvent(new PointerEvent('pointermove', { ...place, ...kind }));
    window.moves_ms.push(performance.now() - began);
  }
  return window.moves_ms;
}"""


@dataclass
class Traffic:
    """What the page receives: bytes over the wire of each answer, counted once it is whole."""

    page: Page
    requests: int = 0
    received: float = 0.0
    kept: float = 0.0
    """Of these, the copy of the work that the browser fetches for itself once edits have settled."""
    _copies: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        session = self.page.context.new_cdp_session(self.page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._note_request)
        session.on("Network.loadingFinished", self._note_end)

    def _note_request(self, event: dict[str, Any]) -> None:
        self.requests += not event["request"]["url"].startswith(("data:", "blob:"))
        if KEEPING in (event["request"].get("postData") or ""):
            self._copies.add(event["requestId"])

    def _note_end(self, event: dict[str, Any]) -> None:
        self.received += event["encodedDataLength"]
        self.kept += event["encodedDataLength"] * (event["requestId"] in self._copies)

    def count_bytes(self, action: Callable[[], Any]) -> int:
        """Bytes that come because of an action, until nothing has come for a while; the browser's copy is left out."""
        begun, kept = self.received, self.kept
        action()
        self.page.locator(".stage[data-busy=no]").wait_for(timeout=120_000)
        self.page.wait_for_timeout(QUIET)
        return round(self.received - begun - (self.kept - kept))


def measure_page(*, is_quick: bool = False) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of the table.

    Args:
        is_quick: Leave out what takes minutes: many clicks, and the memory of the server.
    """
    begun = perf_counter()
    with start_server() as url, open_page() as page:
        traffic = Traffic(page)
        yield from _measure_arrival(page, traffic, url, begun)
        yield from _measure_question(page, traffic)
        yield from _measure_clicks(page, traffic)
        if not is_quick:
            yield from _measure_burst(page, traffic)
        yield from _measure_many_masks(page, traffic)
        yield from _measure_idle(page, traffic)
        yield from _measure_sizes(page)


def _measure_arrival(page: Page, traffic: Traffic, url: str, begun: float) -> Iterator[tuple[Cell, ...]]:
    yield "from the command to the first answer, s", 6.8, perf_counter() - begun, None
    page.goto(url)
    page.locator(".pill.ready").wait_for(timeout=120_000)
    page.wait_for_timeout(QUIET)
    yield "first page: requests", 74, traffic.requests, None
    yield "first page, kB", 425, traffic.received / 1000, 300
    size = traffic.count_bytes(lambda: _open_example(page))
    yield "an example shown, kB", 29, size / 1000, None


def _measure_question(page: Page, traffic: Traffic) -> Iterator[tuple[Cell, ...]]:
    size = traffic.count_bytes(lambda: _ask(page, STEPS_QUERY, 3))
    steps = page.locator("#chat .step > summary")
    yield f"a question of {steps.count()} steps, kB (before: 3 steps)", 212, size / 1000, 60
    size = traffic.count_bytes(lambda: _open_steps(page))
    yield "the images of its steps, once they are opened, kB", None, size / 1000, None
    page.locator(".stage [data-do=undo]").click()
    page.locator(".stage[data-masks='0'][data-busy=no]").wait_for()
    times = []
    for _ in range(3):
        begun = perf_counter()
        _ask(page, QUERY, 4)
        times.append(perf_counter() - begun)
        page.locator(".stage [data-do=undo]").click()
        page.locator(".stage[data-masks='0'][data-busy=no]").wait_for()
    yield "a question to its masks, s", 1, median(times), None
    _ask(page, QUERY, 4)


def _measure_clicks(page: Page, traffic: Traffic) -> Iterator[tuple[Cell, ...]]:
    page.locator(".stage input[value=add]").check(force=True)
    times, sizes, copies = [], [], []
    page.wait_for_timeout(LATER)
    for x, y in OBJECTS[:4]:
        before = _count_masks(page)
        begun = perf_counter()
        page.locator(".stage .frame").press("Escape")
        start = traffic.received
        _click(page, x, y)
        page.locator(f".stage[data-busy=no]:not([data-masks='{before}'])").wait_for()
        times.append(perf_counter() - begun)
        page.wait_for_timeout(SOON)
        sizes.append(traffic.received - start)
        page.wait_for_timeout(LATER)
        copies.append(traffic.received - start - sizes[-1])
    yield "a click, 5 to 8 masks, kB (before: 5)", 132, sum(sizes) / len(sizes) / 1000, 6
    yield "the browser's copy of the work after it, kB", None, sum(copies) / len(copies) / 1000, None
    yield "a click to its mask, median s", "0.20 to 0.55", median(times), None


def _measure_burst(page: Page, traffic: Traffic) -> Iterator[tuple[Cell, ...]]:
    """Quick clicks on one object: what they send, how long they take, and what a person is told of refusals."""
    box = page.locator(".stage .frame").bounding_box()
    assert box is not None
    page.locator(".stage .frame").press("Escape")
    masks, begun, start = _count_masks(page), perf_counter(), traffic.received
    for number in range(BURST):
        page.mouse.click(box["x"] + box["width"] * 0.25 + number % 7, box["y"] + box["height"] * 0.75 + number % 5)
    page.locator(".stage[data-busy=no]").wait_for(timeout=400_000)
    seconds = perf_counter() - begun
    page.wait_for_timeout(QUIET)
    yield f"{BURST} quick clicks on one object, s", 321, seconds, 20
    yield f"{BURST} quick clicks on one object, MB", 160.6, (traffic.received - start) / 1e6, None
    yield "objects that they made beside the one that they correct", "one for each click", _count_masks(page) - masks, 0
    refusals = page.get_by_text(re.compile("busy|try again", re.IGNORECASE)).locator("visible=true").count()
    yield "refusals that are shown", 30, refusals, 0


def _measure_many_masks(page: Page, traffic: Traffic) -> Iterator[tuple[Cell, ...]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "many.json"
        build_conversation(MASKS).save(path)
        page.locator("input[type=file]").first.set_input_files(path)
        page.locator(f".stage[data-masks='{MASKS}'][data-busy=no]").wait_for(timeout=120_000)
    page.wait_for_timeout(QUIET)
    tick = page.locator(".list .kept input").first
    rows: list[tuple[str, int, Callable[[], Any]]] = [
        (f"a tick, {MASKS} masks, kB", 882, tick.click),
        (f"an undo, {MASKS} masks, kB", 881, page.locator(".stage [data-do=undo]").click),
        (f"a step of the slider, {MASKS} masks, kB", 882, lambda: _move_slider(page)),
    ]
    kept = traffic.kept
    for name, before, action in rows:
        yield name, before, traffic.count_bytes(action) / 1000, 1
    yield f"the browser's copy of {MASKS} masks after these, kB", None, (traffic.kept - kept) / 1000, None
    moves = page.evaluate(POINTER_JS)
    yield f"a move of the pointer, {MASKS} masks, mean ms", 1.7, sum(moves) / len(moves), None
    yield f"a move of the pointer, {MASKS} masks, longest ms", 7.2, max(moves), None


def _measure_idle(page: Page, traffic: Traffic) -> Iterator[tuple[Cell, ...]]:
    start = traffic.received - traffic.kept
    page.wait_for_timeout(15_000)
    yield "idle, bytes a minute", 720, round((traffic.received - traffic.kept - start) * 4), None


def _measure_sizes(page: Page) -> Iterator[tuple[Cell, ...]]:
    """Where the question is and how much of the screen the image has, and controls that a finger would miss."""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(QUIET)
        top, share, together = page.evaluate(PLACE_JS)
        name = f"{width} x {height}"
        yield f"{name}: the question begins at, pixels", BEFORE_AT[width, height], top, height - 44
        before = {(390, 844): "no", (820, 1180): "no"}.get((width, height))
        yield f"{name}: image and question together", before, "yes" if together else "no", "yes"
        yield f"{name}: the image's share of the screen, %", 12 if width == 2560 else None, 100 * share, None
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(QUIET)
    yield "390 x 844: controls under 44 pixels", "tick boxes, chips, tools", page.evaluate(SMALL_JS), 0


def build_conversation(count: int) -> Conversation:
    """Return an image of 1600 x 1200 pixels with so many round masks in rows.

    Args:
        count: 1 to 200.
    """
    rows, columns = np.mgrid[:1200, :1600]
    middles = [(40 + 78 * (at % 20), 60 + 118 * (at // 20)) for at in range(count)]
    masks = [GivenMask(encode_mask((columns - x) ** 2 + (rows - y) ** 2 < 30**2), "disc") for x, y in middles]
    return Conversation.start(Image(np.full((1200, 1600, 3), 128, np.uint8)), "many.png").add_masks(masks)


def _open_example(page: Page) -> None:
    page.locator("[data-example=fruit]").click(modifiers=["Shift"])
    page.locator(".stage[data-state=image][data-busy=no]").wait_for()


def _ask(page: Page, query: str, masks: int) -> None:
    page.locator("#query textarea").fill(query)
    page.locator("#query textarea").press("Enter")
    page.locator(f".stage[data-masks='{masks}'][data-busy=no]").wait_for()


def _open_steps(page: Page) -> None:
    for step in page.locator("#chat .step").all():
        step.locator("> summary").click()
        step.locator("img").first.wait_for()


def _click(page: Page, x: float, y: float) -> None:
    box = page.locator(".stage .frame").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + x * box["width"] / 640, box["y"] + y * box["height"] / 480)


def _count_masks(page: Page) -> int:
    return int(page.locator(".stage").get_attribute("data-masks") or 0)


def _move_slider(page: Page) -> None:
    page.locator(".threshold input").press("ArrowRight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="Also write demo-review.json and .md into this folder.")
    parser.add_argument("--quick", action="store_true", help="Without the many clicks.")
    arguments = parser.parse_args()
    rows = [*measure_page(is_quick=arguments.quick)]
    table = Table("demo-review", "The demo before and after its redesign", COLUMNS, rows, {"goal": "at most"})
    print(table.to_text())
    if arguments.out is not None:
        table.write(arguments.out)


if __name__ == "__main__":
    main()
