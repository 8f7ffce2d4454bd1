"""The agent's own cost per step, without the models: `python -m bench.suites.agent.overhead`.

The image has 1920 x 1080 pixels and 20 masks; there is one thread. SAM 3 and the language model are scripted and cost
nothing. All between them is real: conversations with their drawings, images as data URLs, requests as bytes, replies as
calls, and the tools with their mask algebra. Every round has another image, so that no cache helps.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np

from agent import Decision, Episode, Task, Tool, Toolset, Verdict, watch
from agent.models.base import Call, Messages, Reply, Schema
from agent.models.rendering import render_call, to_openai
from agent.models.reply_parsing import read_reply
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.scripted_model import ScriptedModel
from agent.tools.combine import Combine
from agent.tools.examine import Examine
from agent.tools.segment import Segment
from agent.tools.select import Rank, Relate
from agent.tools.toolsets import Answer
from bench.suites.drawing import HEIGHT, WIDTH, draw_blob
from evals.reports.tables import format_columns
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.masks.boxes import masks_to_boxes

MASKS, ROUNDS, GOAL = 20, 7, 120
"""The goal is in milliseconds per step."""
ALL = list(range(1, MASKS + 1))
FIRST, SECOND = ALL[: MASKS // 2], ALL[MASKS // 2 :]
FIND = Segment(phrases=["pebble", "shell"], duplicates=True)
ANSWER = Answer(ids=FIRST, message="These are all.")
PLANS: dict[str, tuple[Tool, ...]] = {
    "geometry": (
        FIND,
        Relate(ids=FIRST, relation="left_of", to=SECOND),
        Rank(ids=ALL, by="size", order="descending", take=5),
        Combine(op="minus", a=ALL, b=SECOND),
        Examine(ids=ALL),
        ANSWER,
    ),
    "close-ups": (FIND.model_copy(update={"close_ups": True}), ANSWER),
}
PARTS = ("conversation", "request", "reply", "tool")
"""conversation: drawn and put together. request: data URLs and bytes. reply: parsed. tool: run, SAM 3 scripted."""


@dataclass
class Stopwatch:
    """Measures milliseconds of processor time by part. A part inside another is not counted twice."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    inner: list[float] = field(default_factory=list)
    """For each part that is running, the time of the parts inside it."""

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        began = time.process_time()
        self.inner.append(0.0)
        yield
        took = 1000 * (time.process_time() - began)
        self.spent[part] += took - self.inner.pop()
        if self.inner:
            self.inner[-1] += took


@dataclass
class SerializingModel:
    """A scripted model that does all the work around a real one: it writes requests and parses replies from text."""

    inner: ScriptedModel
    stopwatch: Stopwatch

    def __post_init__(self) -> None:
        self.name, self.capabilities = self.inner.name, self.inner.capabilities

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        with self.stopwatch("request"):
            for conversation in conversations:
                json.dumps(to_openai(conversation, tools, "native")).encode()
        with self.stopwatch("the script"):
            replies = self.inner.generate_replies(conversations, tools)
            texts = [render_call(reply.calls[0], "tagged", "I see.") for reply in replies]
        with self.stopwatch("reply"):
            return [read_reply(text, tools=tools) for text in texts]


@dataclass
class TimedPlanner:
    """A planner that is timed as 'conversation'; the time of its model counts elsewhere."""

    inner: ChatPlanner
    stopwatch: Stopwatch

    @property
    def toolset(self) -> Toolset:
        return self.inner.toolset

    def decide(self, episode: Episode) -> Decision:
        with self.stopwatch("conversation"):
            return self.inner.decide(episode)

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        with self.stopwatch("conversation"):
            return self.inner.examine(episode, ids, closely=closely)


def make_cloud_image(rng: np.random.Generator) -> Image:
    """Return an image of clouds of all sizes, about as hard to encode as a photograph."""
    layers = [
        cv2.resize(rng.random((HEIGHT // size + 2, WIDTH // size + 2, 3)), (WIDTH, HEIGHT)) * size**0.5
        for size in (2, 8, 32, 128, 512)
    ]
    clouds = np.sum(layers, axis=0)
    return Image((255 * (clouds - clouds.min()) / np.ptp(clouds)).astype(np.uint8))


def make_instances(rng: np.random.Generator) -> dict[str, Instances]:
    """Return phrase -> half of the masks."""
    masks = np.stack([draw_blob(HEIGHT, WIDTH, rng) for _ in ALL])
    scores = np.linspace(0.99, 0.6, len(masks), dtype=np.float32)
    halves = {"pebble": slice(None, len(FIRST)), "shell": slice(len(FIRST), None)}
    return {name: Instances(masks[s], masks_to_boxes(masks[s]), scores[s], 0.99, name) for name, s in halves.items()}


def run_round(plan: Sequence[Tool], seed: int) -> list[dict[str, float]]:
    """Return the milliseconds by part of each step of the plan. The image is decoded before."""
    rng = np.random.default_rng(seed)
    image = make_cloud_image(rng)
    stopwatch = Stopwatch()
    decisions = [step.to_decision() for step in plan]
    script = ScriptedModel([render_call(Call(decision.tool, decision.arguments), "tagged") for decision in decisions])
    planner = TimedPlanner(ChatPlanner(SerializingModel(script, stopwatch)), stopwatch)
    sam3 = Sam3(ScriptedBackend({image.key: make_instances(rng)}))
    steps = watch(Task(Image(image.pixels.copy()), "the pebbles"), planner, sam3)
    spent = []
    for _ in plan:
        stopwatch.spent.clear()
        with stopwatch("tool"):
            episode = next(steps)
        spent.append({part: stopwatch.spent[part] for part in PARTS})
    if episode.outcome != "answered" or len(episode.workspace) != MASKS:
        raise AssertionError(f"expected an answer out of {MASKS} masks, got {episode.outcome}: {episode.message}")
    return spent


def format_step_costs(plan: Sequence[Tool], rounds: Sequence[Sequence[dict[str, float]]]) -> str:
    """Return a table of each step's median by part and as a whole; its last line is the mean of all steps."""
    rows = []
    for place, _ in enumerate(plan):
        parts = [statistics.median(steps[place][part] for steps in rounds) for part in PARTS]
        whole = [sum(steps[place].values()) for steps in rounds]
        rows.append([*parts, statistics.median(whole), max(whole)])
    names = [*(step.name for step in plan), "mean"]
    lines = [
        [name, *(f"{number:.1f}" for number in row)]
        for name, row in zip(names, [*rows, np.mean(rows, axis=0)], strict=True)
    ]
    head = ("ms", *PARTS, "sum", "slowest sum")
    return format_columns(lines, head=head, right_aligned=range(1, len(head)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    number = parser.parse_args().rounds
    cv2.setNumThreads(1)
    print(f"{WIDTH} x {HEIGHT}, {MASKS} masks, one thread, processor time, median of {number} rounds")
    for name, plan in PLANS.items():
        rounds = [run_round(plan, seed) for seed in range(number + 1)][1:]  # the first one warms up
        print(f"{name}\n{format_step_costs(plan, rounds)}")
    print(f"goal: less than {GOAL} ms for every step")


if __name__ == "__main__":
    main()
