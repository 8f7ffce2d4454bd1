"""The cost of each turn of a conversation with a language model: `python -m bench.suites.follow_ups`.

Four turns about an image of 1920 x 1080: find and judge ten masks, choose among them, add another phrase, choose again.
The replies are scripted so that every way comes to the same answers; all else is real, and the tokens that the planner
sends are counted. Beside both ways of going on stands asking anew, the query in full and nothing known.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent import Planner, Tool
from agent.conversation.conversation import Conversation
from agent.models.base import Call, Reply
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.scripted_model import ScriptedModel
from agent.planners.strategies.options import Strategies
from agent.planners.strategies.planner import StrategyPlanner
from agent.tools.segment import Segment
from agent.tools.toolsets import Answer
from bench.harness.tokens import load_token_counter
from bench.suites.agent.toolsets import PHRASE, QUERY, THOUGHT, CountingModel, make_pebble_image
from evals.reports.tables import format_columns
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.masks.boxes import masks_to_boxes

PEBBLES = 10
CHAT, ANEW, SHORT, ALL = "one conversation", "asked anew", "short questions", "all three strategies"
STRATEGIES = {SHORT: "short-questions", ALL: "hypotheses,second-looks,working-mask"}


@dataclass(frozen=True)
class Turn:
    """What is said, what it means in full, what is looked for anew, and which masks are the answer."""

    said: str
    meant: str
    phrase: str
    wanted: tuple[int, ...]


TURNS = (
    Turn(QUERY, QUERY, PHRASE, (1, 3, 5, 7, 9)),
    Turn("only the dark ones", "the wet pebbles that are dark", "", (1, 5)),
    Turn("also the leaves", "the dark wet pebbles and the leaves", "leaf", (1, 5, 11, 12)),
    Turn("only the one nearest to the leaves", "the dark wet pebble nearest to the leaves", "", (5,)),
)


@dataclass(frozen=True)
class TurnCost:
    """The cost of one turn."""

    requests: int
    tokens: int
    """Of texts and images in all its prompts."""


def make_scene() -> tuple[Image, Sam3]:
    """Return an image with ten pebbles and two leaves, and a SAM 3 that finds them."""
    image, pebbles = make_pebble_image(PEBBLES)
    masks = np.zeros((2, image.height, image.width), bool)
    masks[0, 900:1000, 200:400] = masks[1, 900:1000, 600:800] = True
    leaves = Instances(masks, masks_to_boxes(masks), np.array([0.9, 0.8], np.float32), 0.99, "leaf")
    return image, Sam3(ScriptedBackend({image.key: {PHRASE: pebbles, "leaf": leaves}}))


def play_conversation(way: str) -> list[TurnCost]:
    """Play all turns in one way, and return the cost of each.

    Args:
        way: One of `CHAT`, `ANEW`, `SHORT` and `ALL`.

    Raises:
        AssertionError: A turn had another answer than the script wants.
    """
    image, sam3 = make_scene()
    conversation, costs = Conversation.start(image), list[TurnCost]()
    for number, turn in enumerate(TURNS):
        before = Conversation.start(image) if way == ANEW else conversation
        tally = CountingModel(_script_turn(turn, way, is_first=number == 0))
        conversation = before.say(turn.meant if way == ANEW else turn.said, _build_planner(tally, way), sam3)
        if len(conversation.selected) != len(turn.wanted):
            raise AssertionError(f"{way}: {turn.said!r} was answered with {conversation.selected}")
        cost = tally.compute_cost()
        costs.append(TurnCost(cost.model_calls, cost.tokens))
    return costs


def _build_planner(model: CountingModel, way: str) -> Planner:
    if way in STRATEGIES:
        return StrategyPlanner(model, strategies=Strategies.parse(STRATEGIES[way]))
    return ChatPlanner(model)


def _script_turn(turn: Turn, way: str, *, is_first: bool) -> ScriptedModel:
    """Return a model that comes to the answer of a turn."""
    if way in STRATEGIES:
        verdicts = {id: 0.98 if id in turn.wanted else 0.02 for id in range(1, PEBBLES + 3)}
        told = {"phrases": [turn.phrase] if turn.phrase else [], "several": len(turn.wanted) > 1, "reading": turn.meant}
        ids = [] if is_first else list(range(1, PEBBLES + 1))
        answers = {
            "propose": [Call("propose", json.dumps(told))],
            "propose_next": [Call("propose_next", json.dumps({**told, "ids": ids}))],
            "check": [Call("check", "{}")],
        }
        return ScriptedModel([], verdicts=verdicts, answers=answers)
    calls: list[Tool] = []
    wanted = turn.wanted
    if way == ANEW:
        phrases = [PHRASE, "leaf"] if any(id > PEBBLES for id in wanted) else [PHRASE]
        calls.append(Segment(phrases=phrases, close_ups=True))
    elif turn.phrase:
        calls.append(Segment(phrases=[turn.phrase], close_ups=True))
    calls.append(Answer(ids=list(wanted)))
    decisions = [call.to_decision() for call in calls]
    return ScriptedModel([Reply(THOUGHT, calls=(Call(decision.tool, decision.arguments),)) for decision in decisions])


def format_turn_costs(ways: dict[str, list[TurnCost]]) -> str:
    """Return a table: tokens of each turn, and what the turns after the first cost together beside asking anew."""
    anew = sum(cost.tokens for cost in ways[ANEW][1:])
    lines = []
    for way, costs in ways.items():
        later = sum(cost.tokens for cost in costs[1:])
        requests = sum(cost.requests for cost in costs[1:])
        saved = f"{100 * (1 - later / anew):.0f} %"
        lines.append([way, *(f"{cost.tokens:,}" for cost in costs), str(requests), f"{later:,}", saved])
    head = ("way", *(f"turn {number}" for number in range(1, len(TURNS) + 1)), "requests", "follow-ups", "saved")
    return format_columns(lines, head=head, right_aligned=range(1, len(head)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the costs. `arguments`: those of the command line if left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the numbers there, as JSON")
    options = parser.parse_args(arguments)
    ways = {way: play_conversation(way) for way in (ANEW, CHAT, SHORT, ALL)}
    _, tokenizer = load_token_counter()
    print(f"prompt tokens: text by {tokenizer}, images by the rule of Qwen3-VL, 1 per 32 x 32 pixels")
    print("requests, follow-ups and saved: of the turns after the first, beside asking anew")
    print(format_turn_costs(ways))
    if options.out:
        held = {
            way: [{"requests": cost.requests, "tokens": cost.tokens} for cost in costs] for way, costs in ways.items()
        }
        content = {"text_tokens_by": tokenizer, "said": [turn.said for turn in TURNS], "ways": held}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
