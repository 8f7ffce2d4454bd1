"""Conversations without end, to see whether memory stays flat: `sam3-agent bench soak --seconds 3600`.

Threads share one SAM 3, as they do in an evaluation and in the demo. Every visit has an image of its own, so that
caches fill and have to give way: a query, what a language model would be shown of it, a click, a query that goes on.
"""

import gc
import logging
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch

from agent import WORKSPACE, Conversation, ConversationError, GrammarPlanner
from agent.planners.chat.examination import build_sheet_examinations
from agent.planners.chat.prompt import build_messages
from agent.planners.chat.views import View
from bench.harness.machine import describe_device
from bench.harness.memory import read_allocated_mib, read_resident_mib
from bench.harness.tables import Cell, Table
from evals.datasets.synthetic.scenes import SceneQuery, generate_queries
from sam3_tool import Image, Sam3
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.drawing.contact_sheet import MAX_MASKS

logger = logging.getLogger(__name__)

WORKERS, SCENES = 8, 20
CACHE_BYTES = 2**24
"""Small, so that the cache is full within seconds and only a leak goes on growing."""
SAMPLES = 12
SETTLING = 1 / 3
"""The share of the samples in which caches may fill."""
MOST_GROWTH = 16.0
"""MiB. Runs without a leak grew by 3 at most; one image kept of every visit is more within half a minute, and a leak
a thousand times smaller within an hour."""
PATIENCE = 10.0
"""Seconds in which the thread that encodes an image ahead of its queries is done."""
GOES_ON = "only the largest one"


@dataclass(frozen=True)
class SoakResult:
    """The result of a soak."""

    table: Table
    growth: float
    """MiB, from the first half of the settled samples to the second."""
    failed_visits: int
    """Visits that raised, or that had a turn with an unexpected outcome."""
    remaining_threads: int
    """Threads that were not there at the beginning."""

    @property
    def complaint(self) -> str:
        """A sentence on what is wrong; empty if nothing is."""
        if self.failed_visits:
            return f"{self.failed_visits} visits failed; the log says why"
        if self.growth > MOST_GROWTH:
            return f"memory grew by {self.growth:.0f} MiB once it had settled, expected {MOST_GROWTH:.0f} at most"
        return f"threads that were left behind: {self.remaining_threads}, expected 0" if self.remaining_threads else ""


def measure_soak(
    *, seconds: float = 30.0, samples: int = SAMPLES, workers: int = WORKERS, scenes: int = SCENES
) -> SoakResult:
    """Measure memory over time, with so many visits at a time about so many scenes in turn.

    No visit is under way at a sample, so that only what is kept counts. Before each sample every worker makes one visit
    at least, however few the seconds.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    crowd = Crowd(
        Sam3(TransformersBackend.load(locate_checkpoint("tiny"), name="tiny", device="cpu"), cache_bytes=CACHE_BYTES),
        workers,
        scenes,
    )
    rows = list(crowd.sample_memory(seconds, samples))
    grown, left = compute_growth([row[3] for row in rows]), len(crowd.find_remaining_threads())
    about: dict[str, Cell] = {"device": describe_device(torch.device("cpu")), "at a time": workers}
    about |= {"failed visits": crowd.failed, "growth once settled, MiB": grown, "threads left": left}
    columns = ("after, s", "visits", "episodes", "held, MiB", "resident, MiB", "open files")
    return SoakResult(Table("soak", "Visits without end", columns, rows, about), grown, crowd.failed, left)


def compute_growth(memory: Sequence[float]) -> float:
    """Return the growth from the median of the first half of the settled samples to that of the second.

    >>> compute_growth([10, 50, 100, 101, 99, 100, 120, 121])
    20.0
    """
    settled = memory[round(SETTLING * len(memory)) :]
    half = len(settled) // 2
    return statistics.median(settled[half:]) - statistics.median(settled[:half]) if half else 0.0


@cache
def draw_queries(number: int) -> list[SceneQuery]:
    """Return so many queries about different scenes, which are drawn once."""
    return list(generate_queries(number))


class Crowd:
    """Visitors of one SAM 3, so many at a time. Threads share it; `_lock` guards its counts."""

    def __init__(self, sam3: Sam3, workers: int = WORKERS, scenes: int = SCENES) -> None:
        self.visits = self.episodes = self.failed = 0
        self._sam3, self._workers, self._number = sam3, workers, count()
        self._asked = draw_queries(scenes)
        self._lock = threading.Lock()
        self._threads = threading.enumerate()

    def sample_memory(self, seconds: float, samples: int) -> Iterator[tuple[float, int, int, float, float, int]]:
        """Run for so long, and yield a row of the table now and then, while no visit is under way."""
        began = time.perf_counter()
        for sample in range(1, samples + 1):
            with ThreadPoolExecutor(self._workers) as pool:
                for _ in range(self._workers):
                    pool.submit(self._run_visits_until, began + seconds * sample / samples)
            for thread in self.find_remaining_threads():
                thread.join(PATIENCE)
            gc.collect()
            yield (
                time.perf_counter() - began,
                self.visits,
                self.episodes,
                read_allocated_mib(),
                read_resident_mib(),
                count_open_files(),
            )

    def find_remaining_threads(self) -> list[threading.Thread]:
        """Return threads that the visits have begun and that go on, without the one that serves SAM 3's batches."""
        return [thread for thread in threading.enumerate() if thread not in self._threads and thread.name != "batcher"]

    def _run_visits_until(self, end: float) -> None:
        """Run one visit, and further ones until then."""
        while True:
            number = next(self._number)
            try:
                done, fine = self.run_visit(number)
            except Exception as error:
                logger.warning("visit %d failed", number, exc_info=error)
                done, fine = 0, False
            with self._lock:
                self.visits += 1
                self.episodes += done
                self.failed += not fine
            if time.perf_counter() >= end:
                return

    def run_visit(self, number: int) -> tuple[int, bool]:
        """Run one visit; return the number of its episodes, and whether all of them ended as they should."""
        query = self._asked[number % len(self._asked)]
        conversation = Conversation.start(Image(np.roll(query.scene.pixels, number, axis=1)))
        conversation = conversation.say(query.text, GrammarPlanner(), self._sam3)
        draw_views(conversation)
        if conversation.selected:
            x0, y0, x1, y1 = conversation.workspace[conversation.selected[0]].box
            with suppress(ConversationError):  # the middle of the box may lie beside the mask
                conversation = conversation.click((x0 + x1) / 2, (y0 + y1) / 2, self._sam3)
            conversation = conversation.say(GOES_ON, GrammarPlanner(), self._sam3)
            draw_views(conversation)
        return len(conversation.turns), all(
            turn.outcome in ("answered", "no_match", "asked") for turn in conversation.turns
        )


def draw_views(conversation: Conversation) -> None:
    """Draw all that a language model would be shown of the latest turn: overlays, close-ups."""
    assert conversation.last_turn is not None
    build_messages(conversation.last_turn)
    if conversation.displayed_ids:
        build_sheet_examinations(conversation.last_turn, [conversation.displayed_ids[:MAX_MASKS]], WORKSPACE, View())


def count_open_files() -> int:
    """Return the number of files that this process has open. Linux only."""
    return len(list(Path("/proc/self/fd").iterdir()))
