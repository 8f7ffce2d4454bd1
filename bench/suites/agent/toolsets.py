"""The cost of both toolsets for the same decisions of a language model: `python -m bench.suites.agent.toolsets`.

The task: find one phrase, judge each mask that it finds, answer with every second one, in an image of 1920 x 1080. The
replies are scripted, all else is real, and the tokens that the planner sends are counted. The published agent's costs
follow from the known lengths of its prompts: three images per mask, one request after the other.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from agent import Episode, Task, Tool, run
from agent.models.base import Call, ChatModel, Messages, Reply, Schema
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.scripted_model import ScriptedModel
from agent.planners.chat.views import View
from agent.tools import PAPER, WORKSPACE, Toolset
from agent.tools.examine import Examine
from agent.tools.paper import ExamineEachMask, SegmentPhrase, SelectMasksAndReturn
from agent.tools.segment import Segment
from agent.tools.toolsets import Answer
from bench.harness.tokens import compute_image_tokens, count_image_tokens, count_text_tokens, load_token_counter
from evals.reports.tables import format_columns
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.masks.boxes import masks_to_boxes

HEIGHT, WIDTH = 1080, 1920
CANDIDATES = (3, 10, 30)
PHRASE, QUERY = "pebble", "the pebbles that are wet"
THOUGHT = "The picture shows many pebbles; I look at each of them before I answer."
PUBLISHED, CHECKED, CLOSE_UPS, AT_SIGHT = "published agent", "every mask examined", "by close-ups", "at sight"
"""At sight: judged by the one image with all masks, which shows less, but is the least that each toolset needs."""


@dataclass(frozen=True)
class Cost:
    """The cost of one episode."""

    model_calls: int
    rounds: int
    """Requests that wait for each other."""
    text_tokens: int
    """In all prompts together."""
    image_tokens: int
    """In all prompts together."""

    @property
    def tokens(self) -> int:
        """Tokens of texts and images together."""
        return self.text_tokens + self.image_tokens


@dataclass
class CountingModel:
    """A chat model that lets another one reply and counts what it is asked."""

    inner: ChatModel
    batch_sizes: list[int] = field(default_factory=list)
    """The number of conversations of each call of `generate_replies`."""
    text_tokens: int = 0
    image_tokens: int = 0

    def __post_init__(self) -> None:
        self.name, self.capabilities = self.inner.name, self.inner.capabilities

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        self.batch_sizes.append(len(conversations))
        self.text_tokens += sum(count_text_tokens(conversation, tools) for conversation in conversations)
        self.image_tokens += sum(map(count_image_tokens, conversations))
        return self.inner.generate_replies(conversations, tools)

    def compute_cost(self, *, together: bool = True) -> Cost:
        """Return the cost so far. `together`: requests of one call are sent at once; else one after the other."""
        return Cost(
            sum(self.batch_sizes),
            len(self.batch_sizes) if together else sum(self.batch_sizes),
            self.text_tokens,
            self.image_tokens,
        )


def make_pebble_image(number: int) -> tuple[Image, Instances]:
    """Return an image of noise, and this many discs that lie apart."""
    columns = 10
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    centres = [(WIDTH * (k % columns + 0.5) / columns, HEIGHT * (k // columns + 0.5) / 3) for k in range(number)]
    masks = np.stack([(x - across) ** 2 + (y - down) ** 2 < 70**2 for across, down in centres])
    image = Image(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    return image, Instances(
        masks, masks_to_boxes(masks), np.linspace(0.99, 0.6, number, dtype=np.float32), 0.99, PHRASE
    )


def play_episode(
    toolset: Toolset, calls: Sequence[Tool], number: int, *, image_side: int
) -> tuple[CountingModel, Episode]:
    """Run an episode of these calls; return the model that counted, and the episode."""
    image, found = make_pebble_image(number)
    decisions = [call.to_decision() for call in calls]
    script = [
        Reply(THOUGHT, calls=(Call(decision.tool, decision.arguments),), finish_reason="tool_calls")
        for decision in decisions
    ]
    tally = CountingModel(ScriptedModel(script, verdicts={id: id % 2 for id in range(1, number + 1)}))
    planner = ChatPlanner(tally, toolset=toolset, view=View(image_side=image_side))
    sam3 = Sam3(ScriptedBackend({image.key: {PHRASE: found}}))
    episode = run(Task(image, QUERY), planner, sam3)
    if episode.current_ids != tuple(range(1, number + 1, 2)):
        raise AssertionError(
            f"the {toolset.name} episode answered {episode.current_ids} of {number} masks: {episode.message}"
        )
    return tally, episode


def build_scripts(number: int) -> dict[tuple[Toolset, str], list[Tool]]:
    """Return (toolset, way of judging) -> calls that come to the same decisions."""
    wanted = list(range(1, number + 1, 2))
    find, search = SegmentPhrase(text_prompt=PHRASE), Segment(phrases=[PHRASE])
    renumbered = list(range(1, len(wanted) + 1))
    return {
        (PAPER, CHECKED): [find, ExamineEachMask(), SelectMasksAndReturn(final_answer_masks=renumbered)],
        (WORKSPACE, CHECKED): [search, Examine(ids=list(range(1, number + 1))), Answer(ids=wanted)],
        (WORKSPACE, CLOSE_UPS): [search.model_copy(update={"close_ups": True}), Answer(ids=wanted)],
        (PAPER, AT_SIGHT): [find, SelectMasksAndReturn(final_answer_masks=wanted)],
        (WORKSPACE, AT_SIGHT): [search, Answer(ids=wanted)],
    }


def compute_published_cost(number: int, *, width: int, height: int) -> Cost:
    """Return the cost of the published agent with every mask examined; it sends images at their full size.

    Tokens of its texts, counted once: 14 291 of the system prompt, 20 of the query, 68 after a phrase, 38 in place of
    images that were taken away, 76 after the examination, 1 177 + 40 per mask examined. A close-up typically has 224.
    Its own replies, 500 tokens each as its prompt asks for, come back as history.
    """
    system, query, found, placeholder, examined, check, reply = 14_291, 20, 68, 38, 76, 1_177 + 40, 500
    texts = [system + query, system + query + reply + found]
    texts += [check] * number
    texts += [system + query + reply + placeholder + reply + examined]
    per_image = compute_image_tokens(width, height)
    images = per_image + 2 * per_image + number * (2 * per_image + 224) + 2 * per_image
    return Cost(number + 3, number + 3, sum(texts), images)


def measure_costs(number: int, image_side: int) -> dict[str, Cost]:
    """Return the cost of every way by its name."""
    tallies = {
        (way[0].name, way[1]): play_episode(way[0], calls, number, image_side=image_side)[0]
        for way, calls in build_scripts(number).items()
    }
    return {
        f"{PUBLISHED}, pictures as they are": compute_published_cost(number, width=WIDTH, height=HEIGHT),
        f"{PUBLISHED}, pictures of {image_side}": compute_published_cost(
            number, width=image_side, height=round(image_side * HEIGHT / WIDTH)
        ),
        f"paper, {CHECKED}, one after the other": tallies["paper", CHECKED].compute_cost(together=False),
        f"paper, {CHECKED}": tallies["paper", CHECKED].compute_cost(),
        f"workspace, {CHECKED}": tallies["workspace", CHECKED].compute_cost(),
        f"workspace, {CLOSE_UPS}": tallies["workspace", CLOSE_UPS].compute_cost(),
        f"paper, {AT_SIGHT}": tallies["paper", AT_SIGHT].compute_cost(),
        f"workspace, {AT_SIGHT}": tallies["workspace", AT_SIGHT].compute_cost(),
    }


def format_token_costs(rows: dict[int, dict[str, Cost]], *, against: str) -> str:
    """Return a table; its last two columns say how many times more than the row `against`."""
    lines = []
    for number, costs in rows.items():
        least = costs[against]
        for name, cost in costs.items():
            counts = (cost.model_calls, cost.rounds, cost.text_tokens, cost.image_tokens, cost.tokens)
            ratios = (cost.tokens / least.tokens, cost.rounds / least.rounds)
            lines.append([name, str(number), *map(str, counts), *(f"{ratio:.2f}" for ratio in ratios)])
    head = ("way", "masks", "calls", "rounds", "text", "image", "sum", "tokens x", "rounds x")
    return format_columns(lines, head=head, right_aligned=range(1, len(head)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the costs. `arguments`: those of the command line if left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-side", type=int, default=View().image_side)
    parser.add_argument("--out", type=Path, help="also write the numbers there, as JSON")
    parser.add_argument("--masks", type=int, nargs="+", default=CANDIDATES, help="numbers of masks to judge")
    options = parser.parse_args(arguments)
    rows = {number: measure_costs(number, options.image_side) for number in options.masks}
    _, tokenizer = load_token_counter()
    print(f"prompt tokens: text by {tokenizer}, images by the rule of Qwen3-VL, 1 per 32 x 32 pixels")
    print(f"tokens x, rounds x: how many times those of the workspace {CLOSE_UPS}")
    print(format_token_costs(rows, against=f"workspace, {CLOSE_UPS}"))
    if options.out:
        held = {number: {name: asdict(cost) for name, cost in costs.items()} for number, costs in rows.items()}
        settings = {"width": WIDTH, "height": HEIGHT, "image_side": options.image_side, "text_tokens_by": tokenizer}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({**settings, "masks": held}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
