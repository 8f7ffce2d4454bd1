"""The tables of `sam3-agent bench serve`. Processor time is what to trust: other programs disturb it least."""

import asyncio
import signal
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import httpx2
import torch

from bench.harness.machine import describe_device
from bench.harness.tables import Cell, Table
from bench.suites.serving.load import (
    Ask,
    Outcomes,
    ask_phrase,
    encode_jpeg,
    open_client,
    run_arrivals,
    run_clients,
    upload_images,
)
from bench.suites.serving.scripted import HEIGHT, PHRASE, WIDTH
from bench.suites.serving.servers import Server, start_embedded, start_scripted
from sam3_tool import BatchReport, ConceptPrompt, Image, Sam3
from sam3_tool.synthetic.scenes import draw_scene
from serve.http.settings import ServeSettings

SIZE = (WIDTH, HEIGHT)
PHRASES = ("cat", "apple", "banana", "dog", "car", "star", "cup", "red circle")
CLIENTS, SHUTDOWN_CLIENTS = 32, 16
OVERLOAD = 4.0
"""Times as many requests as the server can answer."""
WHOLE = frozenset({"200", "429", "503", "ConnectError"})
"""How a request ends that is answered, refused, or comes when nobody listens any more."""


@dataclass(frozen=True)
class ServingWorkload:
    """How much is measured."""

    tables: Sequence[str]
    requests: int = 1000
    rounds: int = 5
    seconds: float = 60.0
    """Of the overload."""


def measure_serving(workload: ServingWorkload) -> Iterator[Table]:
    """Measure the tables that were asked for, one after the other."""
    torch.set_num_threads(1)
    measures: dict[str, Callable[[], Table]] = {
        "batching": lambda: measure_batching(rounds=workload.rounds),
        "own-cost": lambda: measure_own_cost(requests=workload.requests),
        "clients": lambda: measure_clients(rounds=workload.rounds),
        "first-mask": lambda: measure_first_mask(images=6 * workload.rounds),
        "overload": lambda: measure_overload(seconds=workload.seconds),
        "shutdown": measure_shutdown,
        "processes": lambda: measure_processes(requests=workload.requests),
    }
    for name in workload.tables:
        yield measures[name]()


def measure_batching(*, rounds: int) -> Table:
    """Measure how long a call of one phrase waits beside a call of 64, and what many callers cost."""
    reports: list[BatchReport] = []
    sam3 = Sam3.load("tiny", on_batch=reports.append)
    images = _draw_images(CLIENTS + 1, first=0)
    requests = [(image, ConceptPrompt(PHRASES[place % 8])) for place, image in enumerate(images[:CLIENTS])]
    sam3.segment_batch(requests)
    waits = [_measure_wait(sam3, reports, images[0], images[1]) for _ in range(rounds + 1)][1:]
    one, many = [], []
    for _ in range(rounds + 1):
        one.append(_count_processor_ms(lambda: sam3.segment_batch(requests)) / CLIENTS)
        many.append(_count_processor_ms(lambda: _ask_in_threads(sam3, requests)) / CLIENTS)
    rows: list[Sequence[Cell]] = [
        ("a call of one phrase beside one of 64, in batches", statistics.median(waits), max(waits), "at most 2.5"),
        (f"{CLIENTS} callers to one with {CLIENTS} requests, throughput by processor time",
         statistics.median(one[1:]) / statistics.median(many[1:]), None, "at least 0.9"),
    ]  # fmt: skip
    return Table("serve-batching", "The batcher, cached images", ("what", "median", "worst", "goal"), rows, _describe())


def _measure_wait(sam3: Sam3, reports: list[BatchReport], busy: Image, other: Image) -> float:
    """Return how long a short call took while a long one was served, in batches of the long one."""
    sam3.segment_batch([(busy, ConceptPrompt("cat")), (other, ConceptPrompt("cat"))])
    reports.clear()
    long = [(busy, ConceptPrompt(phrase)) for phrase in PHRASES * 8]
    hog = threading.Thread(target=lambda: sam3.segment_batch(long))
    hog.start()
    while not reports:
        time.sleep(0.001)
    began = time.perf_counter()
    sam3.segment(other, "cat")
    took = time.perf_counter() - began
    hog.join()
    return took / statistics.median(report.seconds for report in reports)


def _ask_in_threads(sam3: Sam3, requests: Sequence[tuple[Image, ConceptPrompt]]) -> None:
    views = [sam3.for_caller(str(place)) for place in range(len(requests))]
    threads = [
        threading.Thread(target=view.segment_batch, args=([request],))
        for view, request in zip(views, requests, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure_own_cost(*, requests: int) -> Table:
    """Measure the processor time of a server whose SAM 3 costs nothing."""
    rows: list[Sequence[Cell]] = []
    with start_scripted() as server:
        [key] = _upload(server, [encode_jpeg(draw_scene(1, size=SIZE).pixels)])
        asks: dict[str, tuple[Ask, int]] = {
            "/v1/segment, 3 masks as run lengths": (ask_phrase(key, PHRASE), 1),
            "/v1/segment, 3 masks as PNG": (ask_phrase(key, PHRASE, masks="png"), 1),
            "/v1/segment, no masks": (ask_phrase(key, PHRASE, masks="none"), 1),
            f"/v1/segment, 3 masks as run lengths, {CLIENTS} clients": (ask_phrase(key, PHRASE), CLIENTS),
            "/v1/refine, one click": (_ask_click(key), 1),
            "/health": (lambda client, number: client.get("/health"), 1),
        }
        for name, (ask, clients) in asks.items():
            each = max(1, requests // clients)
            asyncio.run(run_clients(server.url, ask, clients=clients, requests=max(1, each // 10)))
            began, used = time.perf_counter(), server.read_processor_seconds()
            outcomes = asyncio.run(run_clients(server.url, ask, clients=clients, requests=each))
            answered = _count_answered(outcomes)
            used = 1000 * (server.read_processor_seconds() - used) / answered
            rows.append((name, used, answered / (time.perf_counter() - began), answered))
    columns = ("request", "processor, ms each", "requests/s", "requests")
    goal = "2.5 ms for /v1/segment with run lengths"
    return Table("serve-own-cost", "The server's own cost, cached image", columns, rows, {**_describe(), "goal": goal})


def _ask_click(key: str) -> Ask:
    body = {"image": key, "points": [[140, 120]]}
    return lambda client, number: client.post("/v1/refine", json=body)


def measure_clients(*, rounds: int) -> Table:
    """Measure many clients beside the model alone, in turns: one phrase about an image that is encoded already."""
    images = _draw_images(CLIENTS, first=0)
    requests = [(image, ConceptPrompt(PHRASES[place % 8])) for place, image in enumerate(images)]
    sam3, each = Sam3.load("tiny"), 4
    alone: list[tuple[float, float]] = []
    served: list[tuple[float, float]] = []
    with start_embedded() as server:
        keys = _upload(server, [encode_jpeg(image.pixels) for image in images])

        def ask(client: httpx2.AsyncClient, number: int) -> Awaitable[httpx2.Response]:
            place = number // each % CLIENTS
            return ask_phrase(keys[place], PHRASES[place % 8])(client, number)

        for _ in range(rounds + 1):
            began, used = time.perf_counter(), time.process_time()
            for _ in range(each):
                sam3.segment_batch(requests)
            count = each * CLIENTS
            alone.append((count / (time.perf_counter() - began), 1000 * (time.process_time() - used) / count))
            began, used = time.perf_counter(), server.read_processor_seconds()
            outcomes = asyncio.run(run_clients(server.url, ask, clients=CLIENTS, requests=each))
            count = _count_answered(outcomes)
            used = 1000 * (server.read_processor_seconds() - used) / count
            served.append((count / (time.perf_counter() - began), used))
    rows = []
    for place, name in enumerate(("requests/s", "processor, ms each")):
        direct, http = (statistics.median(pair[place] for pair in pairs[1:]) for pairs in (alone, served))
        rows.append((name, direct, http, http / direct if place == 0 else direct / http))
    columns = ("", "segment_batch alone", f"{CLIENTS} clients over HTTP", "ratio")
    about = {**_describe(), "goal": "a ratio of 0.85"}
    return Table("serve-clients", "Many clients, cached images, embedded checkpoint", columns, rows, about)


def measure_first_mask(*, images: int) -> Table:
    """Measure an upload and the first question about it beside the same in Python."""
    files = [encode_jpeg(draw_scene(1000 + number, size=SIZE).pixels) for number in range(images)]
    sam3 = Sam3.load("tiny")

    def ask_directly(content: bytes) -> None:
        sam3.segment(Image.read(content), "cat")

    ask_directly(files[0])
    direct = [_count_processor_ms(partial(ask_directly, content)) for content in files[1:]]
    with start_embedded() as server:

        async def ask_all(contents: Sequence[bytes]) -> list[float]:
            seconds = []
            async with open_client(server.url) as client:
                for content in contents:
                    began = time.perf_counter()
                    [key] = await upload_images(client, [content])
                    (await ask_phrase(key, "cat")(client, 0)).raise_for_status()
                    seconds.append(time.perf_counter() - began)
            return seconds

        asyncio.run(ask_all(files[:1]))
        used = server.read_processor_seconds()
        seconds = asyncio.run(ask_all(files[1:]))
        http = 1000 * (server.read_processor_seconds() - used) / len(seconds)
    alone = statistics.mean(direct)
    rows = [(alone, http, http - alone, 1000 * statistics.median(seconds))]
    columns = ("in Python, processor ms", "over HTTP, processor ms", "more, ms", "over HTTP, ms by the clock")
    about = {**_describe(), "images": len(direct), "goal": "15 ms more"}
    return Table("serve-first-mask", "From a JPEG file to its first mask", columns, rows, about)


def measure_overload(*, seconds: float) -> Table:
    """Measure what happens when four times as much is asked as can be answered."""
    settings = ServeSettings()
    with start_embedded() as server:
        keys = _upload(server, [encode_jpeg(draw_scene(number, size=SIZE).pixels) for number in range(8)])

        def ask(client: httpx2.AsyncClient, number: int) -> Awaitable[httpx2.Response]:
            return ask_phrase(keys[number % 8], PHRASES[number % 8])(client, number)

        asyncio.run(run_clients(server.url, ask, clients=CLIENTS, requests=2))
        began = time.perf_counter()
        outcomes = asyncio.run(run_clients(server.url, ask, clients=CLIENTS, requests=8))
        capacity = _count_answered(outcomes) / (time.perf_counter() - began)
        memory = _MemoryWatch(server)
        with memory:
            overloaded = asyncio.run(run_arrivals(server.url, ask, rate=OVERLOAD * capacity, seconds=seconds))
    others = {name: count for name, count in overloaded.endings.items() if name not in ("200", "429")}
    service = settings.inflight / capacity
    bound = 2 * (settings.waiting / settings.inflight + 1) * service
    rows: list[Sequence[Cell]] = [
        ("capacity, requests/s", capacity, ""),
        ("asked, requests/s", OVERLOAD * capacity, ""),
        ("answered", overloaded.endings["200"], ""),
        ("told to come back (429)", overloaded.endings["429"], ""),
        ("anything else", str(others) if others else 0, "0"),
        ("95 % of the answered within, s", overloaded.get_percentile(95), f"{bound:.2f}"),
        ("memory, second half to first", memory.compute_ratio(), "0.95 to 1.05"),
    ]
    about = {**_describe(), "seconds": seconds}
    return Table("serve-overload", "Four times as many requests as can be answered", ("", "found", "goal"), rows, about)


class _MemoryWatch:
    """Reads the memory of a server every half second, while it is entered."""

    def __init__(self, server: Server) -> None:
        self.found: list[float] = []
        self._server, self._over = server, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.found.append(self._server.read_resident_mib())

    def compute_ratio(self) -> float:
        """Return the memory of the second half of the time, of that of the first without its first fifth."""
        half, fifth = len(self.found) // 2, len(self.found) // 5
        return statistics.mean(self.found[half:]) / statistics.mean(self.found[fifth:half]) if half > fifth else 0.0


def measure_shutdown() -> Table:
    """Measure what clients see of a server that gets SIGTERM while they ask."""
    with start_scripted() as server:
        [key] = _upload(server, [encode_jpeg(draw_scene(1, size=SIZE).pixels)])
        outcomes, stopped = asyncio.run(_stop_under_load(server, ask_phrase(key, PHRASE)))
        code = server.process.wait(60)
    broken = {name: count for name, count in outcomes.endings.items() if name not in WHOLE}
    rows: list[Sequence[Cell]] = [
        ("whole answers", outcomes.endings["200"], ""),
        ("broken answers", str(broken) if broken else 0, "0"),
        ("until a question to /ready that fails, s", stopped, "0.1"),
        ("exit code", code, "0"),
    ]
    about = {**_describe(), "clients": SHUTDOWN_CLIENTS}
    return Table("serve-shutdown", "SIGTERM under load", ("", "found", "goal"), rows, about)


async def _stop_under_load(server: Server, ask: Ask) -> tuple[Outcomes, float]:
    """Return what became of the requests, and the seconds until `/ready` failed."""
    outcomes = Outcomes()
    async with open_client(server.url) as client, asyncio.TaskGroup() as group:

        async def ask_until_gone() -> None:
            while not outcomes.endings["ConnectError"]:
                await outcomes.observe(ask(client, 0))

        for _ in range(SHUTDOWN_CLIENTS):
            group.create_task(ask_until_gone())
        await asyncio.sleep(2)
        async with open_client(server.url) as watcher:
            await watcher.get("/ready")
            server.process.send_signal(signal.SIGTERM)
            began = time.perf_counter()
            asked = began
            while (await watcher.get("/ready")).status_code == 200:
                asked = time.perf_counter()
            stopped = asked - began
    return outcomes, stopped


def measure_processes(*, requests: int) -> Table:
    """Measure what it costs to have several processes behind one address."""
    rows: list[Sequence[Cell]] = []
    content = encode_jpeg(draw_scene(1, size=SIZE).pixels)
    for count in (1, 2):
        with start_embedded("--processes", str(count)) as server:
            [key] = _upload(server, [content])
            ask = ask_phrase(key, "giraffe", masks="none")
            asyncio.run(run_clients(server.url, ask, clients=1, requests=requests // 10))
            used = server.read_processor_seconds()
            outcomes = asyncio.run(run_clients(server.url, ask, clients=1, requests=requests))
            answered = _count_answered(outcomes)
            used = 1000 * (server.read_processor_seconds() - used) / answered
            rows.append((count, used, 1000 * outcomes.get_percentile(50), server.read_resident_mib()))
    columns = ("processes", "processor, ms each", "median, ms", "memory, MiB")
    about = {**_describe(), "request": "/v1/segment, cached, nothing found, embedded checkpoint"}
    return Table("serve-processes", "One process, and two behind a router", columns, rows, about)


def _draw_images(count: int, *, first: int) -> list[Image]:
    return [Image(draw_scene(first + number, size=SIZE).pixels) for number in range(count)]


def _upload(server: Server, files: Sequence[bytes]) -> list[str]:
    async def upload() -> list[str]:
        async with open_client(server.url) as client:
            return await upload_images(client, files)

    return asyncio.run(upload())


def _count_answered(outcomes: Outcomes) -> int:
    """Return how many requests were answered. Raises OSError if one was not: then no number means anything."""
    if set(outcomes.endings) != {"200"}:
        raise OSError(f"not all requests were answered: {dict(outcomes.endings)}")
    return outcomes.endings["200"]


def _count_processor_ms(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def _describe() -> dict[str, Cell]:
    return {"device": describe_device(torch.device("cpu"))}
