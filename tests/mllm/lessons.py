"""What the tiny model is taught: the right reply to everything that a planner sends in episodes of a few kinds."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import prompts
from agent import Budget, Decision, Episode, Task, run
from agent.core.tools.verdict import Verdict
from agent.models.base import Call, Capabilities, Message, Messages, Reply, Schema
from agent.models.openai.probe import COLOUR_TOOL, SQUARE_SIDE
from agent.models.rendering import render_call
from agent.models.reply_parsing import read_reply
from agent.planners.chat.planner import ChatPlanner
from agent.tools import parse_toolset
from engine.verifiers.language_model.letters import LETTERS, ChooseOfFive, ChooseOfSix
from engine.verifiers.language_model.mllm import build_question, load_choices
from engine.verifiers.language_model.views import draw_coverage_view, draw_mask_view
from sam3_tool import ConceptPrompt, Image, Instances, Sam3
from sam3_tool.backends.scripted import ScriptedBackend
from sam3_tool.masks.rle import encode_mask

NOUNS = {"watermelon": "watermelons", "banana": "bananas", "cherry": "cherries", "unicorn": "unicorns"}
"""Singular -> plural. Nobody finds a unicorn."""
COLOUR_QUERY = "what goes with the colour"
COLOURS = {"watermelon": (220, 30, 30), "banana": (250, 240, 40)}
"""What goes with the colour of a picture, RGB."""
SCENE = Path(__file__).parents[2] / "examples" / "scene.png"
"""What is found there is found in every lesson, in pictures of other sizes and colours."""
SIZES = ((96, 128), (128, 96), (120, 160), (240, 320))
"""Height and width of the pictures of lessons, in pixels."""


RIPE = {"reason": "ripe", "accept": True, "probability": 0.9}
RAW = {"reason": "raw", "accept": False, "probability": 0.1}
PROBE_SQUARES = ((214, 38, 40), (44, 84, 214))
"""RGB; a probe shows none, one or both."""


@dataclass(frozen=True, eq=False)
class Lesson:
    conversation: Messages
    tools: Sequence[Schema]
    reply: str
    is_choice: bool = False
    """Whether any of the letters that are offered is a good reply, and this one the best."""


PROTOCOLS = ("workspace", "paper")


def queries(protocol: str) -> Iterator[str]:
    """Every query that the model knows."""
    findable = [noun for noun in NOUNS if noun != "unicorn"]
    yield "the unicorns"
    for noun in findable:
        plural = NOUNS[noun]
        yield from (f"the {plural}", f"the largest {noun}")
        yield from [f"the ripe {plural}"] * 2  # numbers are harder to learn than words
        yield from (f"the {plural}, after some thought", f"the {plural}, after a slip")
        for other in findable if protocol == "workspace" else []:
            if other != noun:
                yield from (f"the {plural} above the {other}", f"the {plural} and the {NOUNS[other]}")
    if protocol == "workspace":
        yield "the nicest one"
        yield from [COLOUR_QUERY] * 12  # the one that is answered by looking


def probes() -> Iterator[Lesson]:
    """What is asked when a model is loaded, to find out what it can do."""
    squares = [Image(np.full((SQUARE_SIDE, SQUARE_SIDE, 3), colour, np.uint8)) for colour in PROBE_SQUARES]
    reply = _call(COLOUR_TOOL["function"]["name"], left="red", right="blue")
    for shown in range(len(squares) + 1):
        yield Lesson([Message("user", (*squares[:shown], prompts.load_prompt("probe")))], [COLOUR_TOOL], reply)


def choices(seed: int) -> Iterator[Lesson]:
    """What a verifier asks, one of each question: the letter of 'accept', or of 'reject' for the phrase 'unicorn'."""
    world = np.random.default_rng(seed)
    for stage, tool in (("mv", ChooseOfFive), ("ev", ChooseOfSix)):
        size = SIZES[world.integers(len(SIZES))]
        noun = str(world.choice([*NOUNS, "unicorn"]))
        picture = _picture(world, COLOURS[str(world.choice([*COLOURS]))], size)
        mask = np.zeros(size, bool)
        mask[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = True
        rles = [encode_mask(mask)] * int(world.integers(stage == "mv", 2))
        view = draw_mask_view(picture, rles[0]) if stage == "mv" else draw_coverage_view(picture, rles)
        order = tuple(map(str, world.permutation([*load_choices(stage)])))
        letter = LETTERS[order.index("reject" if noun == "unicorn" else "accept")]
        asked = build_question(stage, view, noun, len(rles), order)
        yield Lesson(asked, [tool.to_planner_schema()], _call("choose", letter=letter), is_choice=True)


def lessons(protocol: str, query: str, seed: int) -> list[Lesson]:
    """What a planner sends in one episode in a made-up picture."""
    world = np.random.default_rng(seed)
    colour = str(world.choice([*COLOURS]))
    size = SIZES[world.integers(len(SIZES))]
    picture = _picture(world, COLOURS[colour], size)
    is_empty = query == COLOUR_QUERY and seed % 2
    sam3 = Sam3(ScriptedBackend({None: {} if is_empty else {noun: _found(world, noun, size) for noun in NOUNS}}))
    teacher = Teacher(protocol, colour)
    run(Task(picture, query), teacher, sam3, budget=Budget(max_steps=6))
    return teacher.model.lessons


class Dictated:
    """A chat model that says what it was told to say, and writes down what it was asked."""

    name = "dictated"
    capabilities = Capabilities(wire="tagged")

    def __init__(self) -> None:
        self.say: list[str] = []
        """The replies to the conversations that it is asked about next."""
        self.lessons: list[Lesson] = []

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        asked = [Lesson(talk, tools, text) for talk, text in zip(conversations, self.say, strict=True)]
        self.lessons += asked
        return [read_reply(lesson.reply, tools=tools) for lesson in asked]


class Teacher:
    """A planner that knows the right reply, and says it through a `ChatPlanner`."""

    def __init__(self, protocol: str, colour: str) -> None:
        """`colour`: the noun that goes with the colour of the picture."""
        self.model = Dictated()
        self.toolset = parse_toolset(protocol)
        self._planner = ChatPlanner(self.model, toolset=self.toolset)
        self._next = _workspace_reply if protocol == "workspace" else _paper_reply
        self._colour = colour

    def decide(self, episode: Episode) -> Decision:
        self.model.say = [self._next(episode, self._colour)]
        return self._planner.decide(episode)

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        exams = self._planner.build_verdict_requests(episode, ids, closely=closely)
        self.model.say = [_verdicts([*exam.ids_by_number]) for exam in exams]
        return self._planner.examine(episode, ids, closely=closely)


def _workspace_reply(episode: Episode, colour: str) -> str:
    """What the model should write next. The kinds of query are told apart by their words."""
    noun, other = _nouns(episode.task.query)
    match episode.task.query.split(), _tools_used(episode):
        case _, []:
            return _first_workspace_reply(episode.task.query, colour)
        case _, ["segment (a mistake)"]:
            return _call("segment", phrases=[noun])
        case _ if not episode.current_ids:
            return _call("report_no_mask", reason="There is none.")
        case [_, _, "above", *_], ["segment"]:
            return _call("relate", ids=_ids(episode, noun), relation="above", to=_ids(episode, other))
        case [_, "largest", *_], ["segment"]:
            return _call("rank", ids=list(episode.current_ids), by="size", order="descending")
        case [_, "ripe", *_], ["segment"]:
            return _call("examine", ids=list(episode.current_ids))
        case _:
            return _call("answer", ids=list(episode.current_ids), message="Done.")


def _first_workspace_reply(query: str, colour: str) -> str:
    noun, other = _nouns(query)
    match query.split():
        case [*_, "nicest", "one"]:
            return _call("ask_user", question="Which one?", options=["the largest", "the ripest"])
        case [*_, "goes", "with", "the", "colour"]:
            return _call("segment", phrases=[colour])
        case [*_, "after", "a", "slip"]:
            return _call("segment", phrases=[noun], colour="any")
        case [*_, "after", "some", "thought"]:
            return f"<think>\n{NOUNS[noun]}\n</think>\n\n" + _call("segment", phrases=[noun])
        case [_, _, "and", *_]:
            return f"{_call('segment', phrases=[noun])}\n{_call('segment', phrases=[other])}"
        case [_, _, "above", *_]:
            return _call("segment", phrases=[noun, other])
        case _:
            return _call("segment", phrases=[noun])


def _paper_reply(episode: Episode, _: str) -> str:
    noun, _ = _nouns(episode.task.query)
    match episode.task.query.split(), _tools_used(episode):
        case [*_, "after", "a", "slip"], []:
            return _call("segment_phrase", text_prompt=noun, colour="any")
        case [*_, "after", "some", "thought"], []:
            return f"<think>\n{NOUNS[noun]}\n</think>\n\n" + _call("segment_phrase", text_prompt=noun)
        case _, [] | ["segment_phrase (a mistake)"]:
            return _call("segment_phrase", text_prompt=noun)
        case _ if not episode.current_ids:
            return _call("report_no_mask")
        case [_, "ripe", *_], ["segment_phrase"]:
            return _call("examine_each_mask")
        case [_, "largest", *_], _:
            return _call("select_masks_and_return", final_answer_masks=[1])
        case _:
            return _call("select_masks_and_return", final_answer_masks=[*range(1, len(episode.current_ids) + 1)])


def _verdicts(numbers: Sequence[int]) -> str:
    """Odd numbers are ripe."""
    said = [{"number": number, **(RIPE if number % 2 else RAW)} for number in numbers]
    if len(said) > 1:
        return _call("verdicts", verdicts=said)
    return _call("verdict", **(RIPE if numbers[0] % 2 else RAW))


def _call(tool: str, **arguments: Any) -> str:
    return render_call(Call(tool, json.dumps(arguments)), "tagged")


def _nouns(query: str) -> tuple[str, str]:
    """The nouns of a query, singular; "" where there is none."""
    words = query.replace(",", "").split()
    found = [noun for word in words for noun, plural in NOUNS.items() if word in (noun, plural)]
    first, second, *_ = [*found, "", ""]
    return first, second


def _tools_used(episode: Episode) -> list[str]:
    return [step.decision.tool + " (a mistake)" * step.observation.is_error for step in episode.steps]


def _ids(episode: Episode, noun: str) -> list[int]:
    """Of the masks that were found for this noun."""
    return [id for search in episode.workspace.searches if search.phrase == noun for id in search.ids]


def _picture(world: np.random.Generator, colour: tuple[int, int, int], size: tuple[int, int]) -> Image:
    """Noise around a colour, RGB."""
    noise = world.integers(-40, 41, (*size, 3)) + world.integers(-20, 21, (1, 1, 3))
    return Image(np.clip(noise + np.array(colour), 0, 255).astype(np.uint8))


def _found(world: np.random.Generator, noun: str, size: tuple[int, int]) -> Instances:
    """Rectangles about where things of this kind are in the scene, with about their scores; they do not overlap."""
    height, width = size
    known = in_the_scene(noun)
    scale = np.array([width, height, width, height]) / np.array([*known.masks.shape[:0:-1]] * 2)
    x0, y0, x1, y1 = np.split(known.boxes * scale + world.uniform(-1, 1, known.boxes.shape), 4, axis=1)
    x, y, wide, high = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 4, (y1 - y0) / 4
    boxes = np.concatenate([x - wide, y - high, x + wide, y + high], axis=1)
    rows, columns = np.mgrid[:height, :width]
    masks = [(columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1) for x0, y0, x1, y1 in boxes]
    scores = -np.sort(-np.clip(known.scores - world.uniform(0, 0.05, len(known)), 0.51, 1))
    return Instances(
        masks=np.array(masks, bool).reshape(-1, height, width),
        boxes=boxes.astype(np.float32),
        scores=scores.astype(np.float32),
        presence=known.presence * float(world.uniform(0.9, 1)),
        phrase=noun,
    )


@cache
def in_the_scene(noun: str) -> Instances:
    scene, embedded = _scene()
    return embedded.run_requests([(scene, ConceptPrompt(noun))]).instances[0]


@cache
def _scene() -> tuple[Image, Sam3]:
    return Image.open(SCENE), Sam3.load("tiny")
