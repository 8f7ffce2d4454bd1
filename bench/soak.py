"""Episodes without end, to see whether memory stays flat: `sam3-agent bench soak --seconds 3600`.

Threads share one SAM 3, as they do in an evaluation; every episode has a picture of its own, so that caches fill and
have to give way.
"""

import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import torch

from agent import GrammarPlanner, Task, run
from bench.machine import described
from bench.networks import network
from bench.tables import Cell, Table
from sam3_tool import Picture, Sam3
from sam3_tool.training.scenes import HELD_OUT, draw_scene

WORKERS, SCENES = 8, 20
CACHE_BYTES = 2**24
"""Small, so that it is full within seconds and only what leaks goes on growing."""
QUERIES = (
    "the largest shape",
    "every animal except the dog",
    "how many circles are there?",
    "the things left of a star",
)


def measure(*, seconds: float = 30.0, samples: int = 10) -> list[Table]:
    """Memory and pace over time; the first fifth fills the caches."""
    torch.set_num_threads(1)
    measured = network("tiny", device="cpu", dtype=torch.float32)
    crowd = Crowd(Sam3(measured.backend(), cache_bytes=CACHE_BYTES))
    rows = list(crowd.watched(seconds, samples))
    settled = [float(row[2]) for row in rows[samples // 5 :]]
    about: dict[str, Cell] = {"device": described(torch.device("cpu")), "at a time": WORKERS}
    about |= {"failed episodes": crowd.failed, "growth once settled, MiB": settled[-1] - settled[0]}
    return [Table("soak", "Episodes without end", ("after, s", "episodes", "resident, MiB"), rows, about)]


class Crowd:
    """Threads that run one episode after the other until they are told to stop."""

    def __init__(self, sam3: Sam3) -> None:
        self.done = self.failed = 0
        self._sam3, self._number = sam3, count()
        self._scenes = [draw_scene(HELD_OUT + seed).pixels for seed in range(SCENES)]
        self._over, self._lock = threading.Event(), threading.Lock()

    def watched(self, seconds: float, samples: int) -> Iterator[tuple[float, int, float]]:
        """Runs for so long; every now and then: seconds, episodes so far, resident MiB."""
        threads = [threading.Thread(target=self._work) for _ in range(WORKERS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        try:
            for sample in range(1, samples + 1):
                time.sleep(max(0.0, began + seconds * sample / samples - time.perf_counter()))
                yield time.perf_counter() - began, self.done, resident()
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _work(self) -> None:
        while not self._over.is_set():
            number = next(self._number)
            pixels = np.roll(self._scenes[number % SCENES], number, axis=1)
            episode = run(Task(Picture(pixels), QUERIES[number % len(QUERIES)]), GrammarPlanner(), self._sam3)
            with self._lock:
                self.done += 1
                self.failed += episode.outcome not in ("answered", "no_match")


def resident() -> float:
    """MiB of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 2**20
