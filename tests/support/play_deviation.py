"""Plays one deviation to a client, and says whether the end is the wanted one.

Run it as a module to print the table of all of them; an argument is a pattern of the names to play.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np

from agent import ChatPlanner, Episode, Task, run
from agent.core.errors import PlannerError
from agent.models.openai.client import OpenAICompatible
from agent.models.openai.endpoint import KEY_VARIABLE
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from tests.support.answer_deviations import ANSWER_ROWS
from tests.support.chat_server import ChatServer
from tests.support.deviations import ROWS, Deviation, State, is_probe, reply_by_the_book
from tests.support.vendor_deviations import VENDOR_ROWS

DEVIATIONS = (*ROWS, *ANSWER_ROWS, *VENDOR_ROWS)


@dataclass(frozen=True)
class Outcome:
    """How an episode ended with a server beside the book."""

    end: str
    masks: int
    requests: int
    complaint: str
    """What is not as wanted; "" for nothing."""


def play_deviation(row: Deviation, server: ChatServer, solve: Callable[[], Episode]) -> Outcome:
    """Let the server answer as the row says, and `solve` load a model and run an episode."""
    state = State()

    def answer(request: dict[str, Any]) -> Any:
        state.count += 1
        made = row.answer(request, state)
        return reply_by_the_book(request) if made is None else made

    server.script(answer)
    if row.models is not None:
        server.models = row.models
    try:
        with set_key(row.key):
            episode = solve()
        end, message, masks = str(episode.outcome), episode.steps[-1].observation.text, len(episode.best_ids)
        message += f" The key is there: {episode.steps}" if row.key and row.key in repr(episode.steps) else ""
    except PlannerError as error:
        end, message, masks = "error", str(error), 0
    return Outcome(end, masks, len(server.requests), _find_complaint(row, server, end, message, masks))


def _find_complaint(row: Deviation, server: ChatServer, end: str, message: str, masks: int) -> str:
    if row.key and row.key in message:
        return f"the key is shown: {message}"
    told = f"{end} after {len(server.requests)} requests: {message}"
    if row.wanted == "answered" and (end != "answered" or not row.check(server.requests)):
        return told
    if row.wanted != "answered" and (end not in ("error", "failed") or not re.search(row.wanted, message)):
        return told
    if row.keeps_masks and not masks:
        return f"the masks are lost: {told}"
    probes = sum(is_probe(request) for request in server.requests)
    return "" if len(server.requests) - probes <= row.most_requests else f"too many requests, {probes} to probe: {told}"


def print_table(pattern: str = "") -> int:
    """Play every deviation whose name matches, print a row for each, and return how many do not end as wanted."""
    print("| deviation | seen at | wanted | got | requests | s | verdict |\n|---|---|---|---|---|---|---|")
    wrong = played = 0
    for row in DEVIATIONS:
        if not re.search(pattern, row.name):
            continue
        server, began = ChatServer(), monotonic()
        outcome = play_deviation(row, server, lambda row=row, server=server: solve_with(row, server))
        server.close()
        played += 1
        wrong += bool(outcome.complaint)
        verdict = f"WRONG: {outcome.complaint}" if outcome.complaint else "ok"
        got = f"{outcome.end}, {outcome.masks} masks | {outcome.requests} | {monotonic() - began:.1f}"
        print(f"| {row.name} | {row.seen_at} | {row.wanted} | {got} | {verdict} |", flush=True)
    print(f"\n{played} deviations: {played - wrong} ok, {wrong} not")
    return wrong


@contextmanager
def set_key(key: str) -> Iterator[None]:
    """Put a key into the environment, if there is one."""
    if key:
        os.environ[KEY_VARIABLE] = key
    try:
        yield
    finally:
        if key:
            del os.environ[KEY_VARIABLE]


def solve_with(row: Deviation, server: ChatServer) -> Episode:
    """Load the model of the server, and look for the red cups."""
    options = {"base_url": server.url, "wire": "auto", "first_delay": 0.005, "retries": 2, **row.options}
    model = OpenAICompatible.load("m", **options)
    image = Image(np.random.default_rng(1).integers(0, 255, (180, 240, 3)).astype(np.uint8))
    mask = np.zeros((2, 180, 240), bool)
    mask[0, 10:60, 10:60] = mask[1, 80:160, 80:180] = True
    boxes = np.array([[10, 10, 60, 60], [80, 80, 180, 160]], np.float32)
    cups = Instances(mask, boxes, np.array([0.9, 0.8], np.float32), presence=0.9, phrase="")
    try:
        return run(Task(image, "the red cup"), ChatPlanner(model), Sam3(ScriptedBackend({None: {"red cup": cups}})))
    finally:
        model.close()


if __name__ == "__main__":
    sys.exit(print_table(*sys.argv[1:2]) > 0)
