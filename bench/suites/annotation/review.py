"""The review of the data engine at 100,000 items: its queue under five people and kills, and its page in a browser."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Client, Listener
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from engine.review.queue.opinions import choose_wanted
from engine.review.queue.review_queue import ReviewQueue
from engine.review.queue.tables import NewItem, NewOpinion

ITEMS = int(os.environ.get("SAM3_AGENT_BENCH_ITEMS", "100000"))
PEOPLE = ("anna", "ben", "cleo", "dora", "emil")
PORTION = 24
"""Items that are taken and answered together."""
KEYS = 120
"""Answers of the page that are measured, at each pace."""
PACES = {"one key a second": 1.0, "three keys a second": 1 / 3}
"""Seconds from one key to the next one: as a person does, and as nobody can who looks."""
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="review-"))
    try:
        measure_queue(folder / "queue.sqlite", ITEMS)
        measure_page(folder, ITEMS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_queue(path: Path, items: int) -> None:
    """Let five processes review through one that writes; kill a reviewer, then the writer, and start it again."""
    context = get_context("spawn")
    queue = ReviewQueue(path)
    queue.add_items(
        NewItem("mv", f"{number:016x}", f"phrase {number % 500}", rank, 0, wanted=choose_wanted("mv", str(number), 0))
        for number, rank in enumerate(np.random.default_rng(1).random(items).tolist())
    )
    queue.close()
    address, began = str(path.with_suffix(".socket")), time.perf_counter()
    writer = context.Process(target=serve_queue, args=(path, address), daemon=True)
    writer.start()
    reviewers = [context.Process(target=review_items, args=(person, address), daemon=True) for person in PEOPLE]
    for reviewer in reviewers:
        reviewer.start()
    time.sleep(10)
    taking, keeping = read_times(address)
    os.kill(reviewers[0].pid or 0, signal.SIGKILL)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    writer = context.Process(target=serve_queue, args=(path, address), daemon=True)
    writer.start()
    for reviewer in reviewers[1:]:
        reviewer.join()
    seconds = time.perf_counter() - began
    for times, later in zip((taking, keeping), read_times(address), strict=True):
        times += later
    writer.kill()
    writer.join()
    report_queue(ReviewQueue(path, clock=lambda: time.time() + 1000), items, seconds, taking, keeping)


def read_times(address: str) -> tuple[list[float], list[float]]:
    """Ask the process that writes how long each call has taken so far: `take_items`, and `keep_opinions`."""
    with Client(address) as connection:
        connection.send(("times", (), {}))
        taking, keeping = connection.recv()
    return taking, keeping


def report_queue(queue: ReviewQueue, items: int, seconds: float, taking: list[float], keeping: list[float]) -> None:
    """Finish what the killed reviewer held, and say what is missing."""
    late = 0
    for person in ("finn", "gina", "hana"):
        while found := queue.take_items(person, "mv", count=PORTION):
            queue.keep_opinions(person, [NewOpinion(item.id, f"{person}-{item.id}", "accept") for item in found])
            late += len(found)
    answers = queue.list_answers()
    counts = Counter(answer.item for answer in answers)
    twice = len(answers) - len({(answer.item, answer.person) for answer in answers})
    wanted = {number + 1: choose_wanted("mv", str(number), 0) for number in range(items)}
    missing = sum(counts[item] < count for item, count in wanted.items())
    print(f"{items:,} items, five people, a reviewer and the writer killed: {seconds:.0f} s, {len(answers):,} opinions")
    print(f"missing: {missing}; the same person twice: {twice}; finished by others after the kills: {late}")
    for name, times in (("take", taking), ("keep", keeping)):
        half, most = np.quantile(times, [0.5, 0.99]) * 1000
        print(f"{name} of {PORTION} items: p50 {half:.1f} ms, p99 {most:.1f} ms of {len(times):,} calls")


def serve_queue(path: Path, address: str) -> None:
    """Own the queue, as the server does: one process that writes, a thread for each reviewer."""
    Path(address).unlink(missing_ok=True)
    queue, times = ReviewQueue(path), ([], [])  # type: ignore[var-annotated]
    with Listener(address) as listener:
        while True:
            Thread(target=answer_calls, args=(queue, listener.accept(), times), daemon=True).start()


def answer_calls(queue: ReviewQueue, connection: Any, times: tuple[list[float], list[float]]) -> None:
    """Answer one reviewer's calls until they end."""
    while True:
        try:
            name, arguments, options = connection.recv()
        except (EOFError, OSError):
            return
        if name == "times":
            connection.send(times)
            continue
        began = time.perf_counter()
        found = getattr(queue, name)(*arguments, **options)
        times[name == "keep_opinions"].append(time.perf_counter() - began)
        connection.send(found)


def review_items(person: str, address: str) -> None:
    """Take and answer until nothing is left; where the writer is gone, send the same again to the next one."""
    chance, connection = random.Random(person), None
    call: tuple[str, tuple[Any, ...], dict[str, Any]] | None = None
    idle, serial = 0, 0
    while idle < 20:
        try:
            connection = connection or Client(address)
            call = call or ("take_items", (person, "mv"), {"count": PORTION, "page": person})
            connection.send(call)
            found = connection.recv()
        except (EOFError, OSError):
            connection = None
            time.sleep(0.1)
            continue
        if call[0] == "keep_opinions":
            call = None
        elif found:
            idle, serial = 0, serial + 1
            choices = [chance.choices(("accept", "reject"), (9, 1))[0] for _ in found]
            said = [
                NewOpinion(item.id, f"{person}-{serial}-{item.id}", choice)
                for item, choice in zip(found, choices, strict=True)
            ]
            call = ("keep_opinions", (person, said), {})
        else:
            idle, call = idle + 1, None
            time.sleep(0.1)


def measure_page(folder: Path, items: int) -> None:
    """Press keys in a real browser, and measure until the next item is painted."""
    began = time.perf_counter()
    build_project(folder, items)
    print(f"a project of {items:,} pairs is made: {time.perf_counter() - began:.0f} s")
    began = time.perf_counter()
    with start_server(folder / "project") as (url, process):
        print(f"from the command to the page: {time.perf_counter() - began:.1f} s")
        for pace, seconds in PACES.items():
            used = read_processor_seconds(process.pid)
            durations, held = press_keys(url, KEYS, seconds)
            used = read_processor_seconds(process.pid) - used
            half, most = np.quantile(durations, [0.5, 0.95])
            print(f"key to next item painted, {pace}: p50 {half:.0f} ms, p95 {most:.0f} ms of {KEYS}")
            print(f"  the server's processor time for an item: {1000 * used / KEYS:.0f} ms; not acknowledged: {held}")


def build_project(folder: Path, items: int) -> None:
    """Make a project of 100 images with a thousandth of the pairs each."""
    import PIL.Image

    from engine.media.images import EngineImage
    from engine.pairs import Pair, Proposal
    from engine.store.store import EngineStore
    from sam3_tool import Image
    from sam3_tool.masks.rle import encode_masks
    from sam3_tool.synthetic.scenes import draw_scene

    with EngineStore.create(folder / "project") as store:
        for number in range(100):
            scene = draw_scene(number, size=(1280, 960))
            path = folder / f"{number}.jpg"
            PIL.Image.fromarray(scene.pixels).save(path, quality=90)
            image = Image.open(path)
            store.add_images([EngineImage(key=image.key, path=path, width=image.width, height=image.height)])
            masks = encode_masks(scene.masks)
            phrases = [f"phrase {number * 7 % 50} {index}" for index in range(items // 100)]
            pairs = [Pair(image=image.key, phrase=phrase, original=phrase, origin="list") for phrase in phrases]
            store.add_pairs(pairs)
            found = [
                Proposal(pair=pair.key, masks=(masks[at % len(masks)],), scores=(0.9,), presence=0.9, made_by="drawn")
                for at, pair in enumerate(pairs)
            ]
            store.add_proposals(found, at=1.0)


@contextmanager
def start_server(project: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start the program itself."""
    words = [sys.executable, "-c", "from agent.cli.main import main; main()", "engine", "review", str(project)]
    process = subprocess.Popen([*words, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0], process
    finally:
        process.terminate()
        process.wait()


def read_processor_seconds(process: int) -> float:
    """Return the processor time that a process has used; 0 where the system does not tell."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)


def press_keys(url: str, count: int, pace: float) -> tuple[list[float], str]:
    """Answer items one after the other; return milliseconds from key to paint, and what was not acknowledged."""
    from playwright.sync_api import sync_playwright

    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        chromium = next(filter(None, map(shutil.which, names)), None)
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(url)
        for number in range(count):
            began = time.perf_counter()
            page.locator("body[data-item]:not([data-item=''])").wait_for()
            answered = page.locator("body").get_attribute("data-item")
            page.keyboard.press("a1r"[number % 3])
            page.locator(f"body:not([data-item='{answered}'])").wait_for()
            page.wait_for_timeout(1000 * max(0.0, pace - (time.perf_counter() - began)))
        page.locator("body[data-waiting='0']").wait_for()
        durations = page.evaluate("performance.getEntriesByName('next-item').map((one) => one.duration)")
        held = page.locator("body").get_attribute("data-waiting") or ""
        browser.close()
    return durations, held
