"""The demo as a person has it: from the command to the page, from a query to its answer, from a click to its mask.

Measured in a real Chromium against `sam3-agent demo` with the embedded SAM 3.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

from playwright.sync_api import Page, sync_playwright

CLICKS = ((340, 140), (500, 180), (180, 155), (390, 420))
"""x y in the example image of 640 x 480 pixels."""
STEPS_QUERY = "the watermelons above the banana except the largest one"
BURST = 200
EDITS, OTHERS = "edits", "others"
QUIET = 1500
"""Milliseconds after which what follows a click, such as its line in the conversation, has come."""
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def main() -> None:
    started = perf_counter()
    with start_server() as url, open_page() as page:
        loaded = _list_loaded_bytes(page)
        page.goto(url)
        page.locator("#stage .stage").wait_for()
        print(f"from the command to the first page: {perf_counter() - started:.1f} s")
        page.locator(".pill.ready").wait_for()
        print(f"from the command to loaded models: {perf_counter() - started:.1f} s")
        print(f"the first page: {sum(loaded):,.0f} bytes over the wire")
        page.locator("[data-example=fruit]").click(modifiers=["Shift"])
        page.locator(".stage[data-state=image][data-busy=no]").wait_for()
        page.wait_for_timeout(QUIET)
        _print_question_bytes(page)
        print(f"a question about a new picture to its answer: {_time_action(page, _ask_query, 4):.2f} s")
        page.locator(".stage input[value=add]").check(force=True)
        page.locator(".stage .frame").press("Escape")
        received = _count_bytes(page)
        seconds = [_time_action(page, _build_click(x, y), 5 + at) for at, (x, y) in enumerate(CLICKS)]
        page.wait_for_timeout(QUIET)
        sizes = (received[EDITS] // len(CLICKS), received[OTHERS] // len(CLICKS))
        print(f"a click: {sizes[0]:,} bytes of masks, {sizes[1]:,} bytes of everything else")
        print(f"a click to its mask: median {median(seconds):.2f} s, longest {max(seconds):.2f} s of {len(seconds)}")
        received = _count_bytes(page)
        page.locator(".list .kept input").first.click()
        page.locator(f".stage[data-masks='{4 + len(CLICKS) - 1}'][data-busy=no]").wait_for()
        page.wait_for_timeout(QUIET)
        print(f"a tick: {received[EDITS]:,} bytes of masks, {received[OTHERS]:,} bytes of everything else")
        for name, act in (("an undo", _undo_edit), ("a step of the slider", _move_slider)):
            loaded = _list_loaded_bytes(page)
            act(page)
            page.locator(".stage[data-busy=no]").wait_for()
            page.wait_for_timeout(QUIET)
            print(f"{name}: {sum(loaded):,.0f} bytes with headers")
        print(f"{BURST} quick clicks on one object until all are made: {_time_burst(page):.1f} s")


def _print_question_bytes(page: Page) -> None:
    """What a question of several steps costs, and then the image of each step once it is opened; then it is undone."""
    received = _count_bytes(page)
    seconds = _time_action(page, lambda page: _ask_query(page, STEPS_QUERY), 3)
    page.wait_for_timeout(QUIET)
    steps = page.locator("#chat .step > summary")
    print(f"a question of {steps.count()} steps: {received[EDITS] + received[OTHERS]:,} bytes, {seconds:.2f} s")
    received = _count_bytes(page)
    for at in range(steps.count()):
        steps.nth(at).click()
        page.locator("#chat .step").nth(at).locator("img").wait_for()
    print(f"the images of its steps: {received[EDITS] + received[OTHERS]:,} bytes")
    page.locator(".stage [data-do=undo]").click()
    page.locator(".stage[data-masks='0'][data-busy=no]").wait_for()


def _list_loaded_bytes(page: Page) -> list[float]:
    """Bytes over the wire of each answer that is whole, as it comes from now on."""
    session, loaded = page.context.new_cdp_session(page), list[float]()
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))
    return loaded


def _count_bytes(page: Page) -> dict[str, int]:
    """Bytes that the page receives from now on, as they come over the wire: of edits, and of everything else."""
    session, received, edits = page.context.new_cdp_session(page), {EDITS: 0, OTHERS: 0}, set[str]()
    session.send("Network.enable")

    def note_request(event: dict[str, Any]) -> None:
        if "component_server" in event["request"]["url"] and "apply_edits" in event["request"].get("postData", ""):
            edits.add(event["requestId"])

    def note_data(event: dict[str, Any]) -> None:
        size = event["encodedDataLength"] or event["dataLength"]
        received[EDITS if event["requestId"] in edits else OTHERS] += size

    session.on("Network.requestWillBeSent", note_request)
    session.on("Network.dataReceived", note_data)
    return received


def _time_action(page: Page, action: Callable[[Page], Any], masks: int) -> float:
    """Seconds from the action until so many masks are drawn."""
    begun = perf_counter()
    action(page)
    page.locator(f".stage[data-masks='{masks}'][data-busy=no]").wait_for()
    return perf_counter() - begun


def _time_burst(page: Page) -> float:
    """Seconds that many clicks on one object take, which are sent as fast as a page takes them."""
    box = page.locator(".stage .frame").bounding_box()
    assert box is not None
    begun = perf_counter()
    for number in range(BURST):
        page.mouse.click(box["x"] + box["width"] * 0.25 + number % 7, box["y"] + box["height"] * 0.75 + number % 5)
    page.locator(".stage[data-busy=no]").wait_for(timeout=120_000)
    return perf_counter() - begun


def _undo_edit(page: Page) -> None:
    page.locator(".stage [data-do=undo]").click()


def _move_slider(page: Page) -> None:
    page.locator(".threshold input").press("ArrowRight")


def _ask_query(page: Page, query: str = "all the watermelons") -> None:
    page.locator("#query textarea").fill(query)
    page.locator("#query textarea").press("Enter")


def _build_click(x: float, y: float) -> Callable[[Page], None]:
    """An action that clicks a pixel with no mask chosen, so that it adds an object."""

    def click(page: Page) -> None:
        page.locator(".stage .frame").press("Escape")
        box = page.locator(".stage .frame").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + x * box["width"] / 640, box["y"] + y * box["height"] / 480)

    return click


@contextmanager
def start_server() -> Iterator[str]:
    """Start the demo, and give its address."""
    command = [sys.executable, "-c", "from agent.cli.main import main; main()", "demo", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0]
        finally:
            process.kill()


@contextmanager
def open_page() -> Iterator[Page]:
    """Open an empty page in a browser."""
    browser = (
        shutil.which("chromium-headless-shell")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if browser is None:
        raise SystemExit("no Chromium here; Debian and Ubuntu: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=ARGUMENTS)
        yield chromium.new_page(viewport={"width": 1280, "height": 900})
        chromium.close()


if __name__ == "__main__":
    main()
