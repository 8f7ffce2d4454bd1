"""The page's work area under load: frames while 200 masks are zoomed and moved, and masks shown under the pointer.

Measured in a real Chromium against `sam3-agent demo` with the embedded SAM 3. Of each frame there are the time by the
clock and the processor time of the busiest thread of the browser, which other programs do not lengthen.
"""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from playwright.sync_api import Page

from agent import Conversation, GivenMask
from bench.suites.demo import open_page, start_server
from bench.suites.studio.tracing import Frame, watch_frames
from sam3_tool import Image
from sam3_tool.masks.rle import encode_mask

MASKS, WIDTH, HEIGHT = 200, 1600, 1200
PREVIEWS = 24
REQUESTS_JS = """() => performance.getEntriesByType('resource')
  .filter((one) => one.name.includes('component_server')).map((one) => one.duration)"""


def main() -> None:
    with start_server() as url, open_page() as page, TemporaryDirectory() as folder:
        page.goto(url)
        page.locator(".pill.ready").wait_for(timeout=120_000)
        _report_previews(page)
        path = Path(folder) / "many.json"
        _build_conversation().save(path)
        page.locator("input[type=file]").first.set_input_files(path)
        page.locator(f".stage[data-masks='{MASKS}'][data-busy=no]").wait_for(timeout=120_000)
        for name, act in (("zoomed with the wheel", _turn_wheel), ("moved by hand", _drag_image)):
            print(f"{MASKS} masks {name}: {_describe_frames(watch_frames(page, act))}")


def _describe_frames(frames: list[Frame]) -> str:
    """What the frames took, and of the longest one by the clock, where that time went."""
    late = max(frames, key=lambda frame: frame.clock)
    busiest = sorted(late.worked.items(), key=lambda pair: -pair[1])[:3]
    threads = ", ".join(f"{name} {spent:.0f} ms" for name, spent in busiest)
    return (
        f"{_describe_times([frame.clock for frame in frames])} by the clock; processor time of the busiest thread of a"
        f" frame: {_describe_times([frame.longest_work for frame in frames])}; in the longest frame: {threads}"
    )


def _report_previews(page: Page) -> None:
    page.locator("[data-example=fruit]").click(modifiers=["Shift"])
    page.locator(".stage[data-state=image][data-busy=no]").wait_for()
    box = page.locator(".stage .frame").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.53, box["y"] + box["height"] * 0.3)
    page.locator(".stage[data-preview=yes]").wait_for(timeout=60_000)  # the image is encoded now
    page.evaluate("performance.clearResourceTimings()")
    for number in range(PREVIEWS):
        share = (number + 0.5) / PREVIEWS
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * (0.2 + 0.6 * share))
        page.wait_for_timeout(150)
    print(f"a mask under the pointer: {_describe_times(page.evaluate(REQUESTS_JS))}")


def _describe_times(times: list[float]) -> str:
    """`times`: milliseconds."""
    return f"median {median(times):.0f} ms, longest {max(times):.0f} ms of {len(times)}"


def _build_conversation() -> Conversation:
    """An image with many round masks in rows."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    image = Image(np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    middles = [(40 + 78 * (at % 20), 60 + 118 * (at // 20)) for at in range(MASKS)]
    masks = [GivenMask(encode_mask((columns - x) ** 2 + (rows - y) ** 2 < 30**2), "disc") for x, y in middles]
    return Conversation.start(image, "many.png").add_masks(masks)


def _turn_wheel(page: Page) -> None:
    box = page.locator(".stage .well").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 3)
    for _ in range(20):
        page.mouse.wheel(0, -60)
        page.wait_for_timeout(16)


def _drag_image(page: Page) -> None:
    box = page.locator(".stage .well").bounding_box()
    assert box is not None
    page.mouse.down(button="middle")
    for step in range(30):
        page.mouse.move(box["x"] + box["width"] / 3 - 8 * step, box["y"] + box["height"] / 3 - 4 * step)
    page.mouse.up(button="middle")


if __name__ == "__main__":
    main()
