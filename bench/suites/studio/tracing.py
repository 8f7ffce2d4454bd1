"""Frames of a page, each with the processor time that every thread of the browser spent in it.

A frame may be late because the page has much to do, or because other programs have the processor. By the clock both
look alike; the processor time of a thread within the frame is the page's own share.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from playwright.sync_api import Page

CATEGORIES = ["toplevel", "blink.user_timing"]
FRAME_MARK = "bench-frame"
MARK_FRAMES_JS = f"""() => {{
  const note = () => {{ performance.mark('{FRAME_MARK}'); window.noting = requestAnimationFrame(note); }};
  window.noting = requestAnimationFrame(note);
}}"""
STOP_MARKING_JS = "() => { cancelAnimationFrame(window.noting); performance.clearMarks(); }"
Thread = tuple[int, int]
"""Process and thread."""


@dataclass(frozen=True)
class Frame:
    """The time between two frames."""

    clock: float
    """Milliseconds by the clock."""
    worked: dict[str, float]
    """Milliseconds of processor time by the name of the thread; the busiest of several that share a name."""

    @property
    def longest_work(self) -> float:
        """Milliseconds that its busiest thread worked: the frame takes no less on a machine that does nothing else."""
        return max(self.worked.values(), default=0.0)


def watch_frames(page: Page, act: Callable[[Page], None]) -> list[Frame]:
    """Act on a page, and return its frames meanwhile, in order."""
    browser = page.context.browser
    assert browser is not None
    browser.start_tracing(page=page, categories=CATEGORIES)
    page.evaluate(MARK_FRAMES_JS)
    act(page)
    page.evaluate(STOP_MARKING_JS)
    return list_frames(json.loads(browser.stop_tracing())["traceEvents"])


def list_frames(events: Iterable[dict[str, Any]]) -> list[Frame]:
    """Cut a trace at its frame marks, and share out the processor time of its tasks.

    Args:
        events: Of Chromium's trace format: times in microseconds, `dur` by the clock and `tdur` of the processor.

    >>> mark = {"ph": "I", "name": FRAME_MARK, "pid": 1, "tid": 1}
    >>> task = {"ph": "X", "name": "RunTask", "pid": 1, "tid": 1, "ts": 5000, "dur": 10000, "tdur": 4000}
    >>> name = {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": {"name": "main"}}
    >>> list_frames([{**mark, "ts": 0}, {**mark, "ts": 10000}, {**mark, "ts": 30000}, task, name])
    [Frame(clock=10.0, worked={'main': 2.0}), Frame(clock=20.0, worked={'main': 2.0})]
    """
    found = list(events)
    marks = sorted(event["ts"] for event in found if event["name"] == FRAME_MARK)
    names = {_get_thread(event): event["args"]["name"] for event in found if event["name"] == "thread_name"}
    tasks = _list_outer_tasks(found)
    return [_build_frame(start, stop, tasks, names) for start, stop in pairwise(marks)]


def _get_thread(event: dict[str, Any]) -> Thread:
    return event["pid"], event["tid"]


def _list_outer_tasks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks that lie in no other one of their thread."""
    outer: list[dict[str, Any]] = []
    ends: dict[Thread, float] = defaultdict(float)
    for event in sorted(
        (event for event in events if event.get("tdur") and event.get("dur")), key=lambda event: event["ts"]
    ):
        if event["ts"] >= ends[_get_thread(event)]:
            ends[_get_thread(event)] = event["ts"] + event["dur"]
            outer.append(event)
    return outer


def _build_frame(start: float, stop: float, tasks: list[dict[str, Any]], names: dict[Thread, str]) -> Frame:
    spent: dict[Thread, float] = defaultdict(float)
    for task in tasks:
        inside = min(stop, task["ts"] + task["dur"]) - max(start, task["ts"])
        if inside > 0:
            spent[_get_thread(task)] += task["tdur"] * inside / task["dur"] / 1000
    worked: dict[str, float] = {}
    for thread, milliseconds in spent.items():
        name = names.get(thread, "?")
        worked[name] = max(worked.get(name, 0.0), milliseconds)
    return Frame((stop - start) / 1000, worked)
