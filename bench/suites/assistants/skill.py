"""The recipes of the agent skill, followed to the letter over MCP on scenes whose masks are known.

A scripted assistant reads the calls out of SKILL.md and makes them; no language model takes part. So this shows that
the recipes are right and work on this server, and how often the embedded network finds what they ask for. It does not
show that a language model follows them.
"""

import asyncio
import base64
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from mcp import Client
from mcp_types import BlobResourceContents

from agent import GrammarPlanner
from agent.tools.geometry.measures import measure_masks
from agent.tools.geometry.predicates import find_related
from bench.harness.tables import Cell, Table
from sam3_tool import Sam3
from sam3_tool.masks.rle import compute_ious, encode_masks
from sam3_tool.synthetic.nouns import pluralize_noun
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene
from serve.mcp.images import ImageShelf
from serve.mcp.models import LoadedModel, Models
from serve.mcp.runner import Limits, Runner
from serve.mcp.server import build_server
from serve.mcp.workers import start_in_thread

SIZE = (320, 240)
SAME = 0.5
"""A mask is right if its IoU with the true one is above this."""
_ROW = re.compile(r"^\| (?P<name>[^|`]+?) \| (?P<calls>`\w+ \{.*\}`) \|$", re.MULTILINE)
_CALL = re.compile(r"`(\w+) (\{.*?\})`")
_BLANK = re.compile(r"\b(IMAGE|THING|OTHER_IDS|OTHER|IDS|LAST|SENTENCE)\b")


@dataclass(frozen=True)
class Recipe:
    """What a user may want, and the calls that the skill names for it."""

    name: str
    calls: Sequence[tuple[str, str]]
    """Tools, and their arguments as JSON with blanks."""


@dataclass(frozen=True)
class Question:
    """A recipe's question in a sentence, and its answer by the true masks."""

    sentence: str
    """With {thing}, {things} and {other}."""
    choose: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """From the masks of the things and of the other things, bool (N, H, W), to those of the answer."""
    needs_other: bool = False
    least: int = 1
    """Things that there must be."""


def _rank_masks(masks: np.ndarray, by: Any, *, descending: bool) -> np.ndarray:
    values = measure_masks(by, masks, np.ones(len(masks)), masks)
    return masks[np.argsort(-values if descending else values, kind="stable")]


QUESTIONS = {
    "how many there are": Question("all the {things}", lambda masks, others: masks),
    "the largest": Question(
        "the largest {thing}", lambda masks, others: _rank_masks(masks, "size", descending=True)[:1], least=2
    ),
    "the second from the left": Question(
        "the second {thing} from the left",
        lambda masks, others: _rank_masks(masks, "x", descending=False)[1:2],
        least=2,
    ),
    "those left of another thing": Question(
        "the {things} left of the {other}",
        lambda masks, others: masks[find_related("left_of", masks, others)],
        needs_other=True,
    ),
    "all but the largest": Question(
        "the {things} except the largest one",
        lambda masks, others: _rank_masks(masks, "size", descending=True)[1:],
        least=2,
    ),
}
"""By the names of the recipes."""


def read_recipes(text: str) -> list[Recipe]:
    """Read the table of recipes out of the skill.

    >>> read_recipes('| all | `segment {"phrases": [THING]}` `count {"ids": IDS}` |')[0].calls
    [('segment', '{"phrases": [THING]}'), ('count', '{"ids": IDS}')]
    """
    return [Recipe(found["name"], _CALL.findall(found["calls"])) for found in _ROW.finditer(text)]


def fill_arguments(arguments: str, values: dict[str, Any]) -> dict[str, Any]:
    """Put values into the blanks of a call.

    >>> fill_arguments('{"image": IMAGE, "ids": IDS}', {"IMAGE": "a1", "IDS": [1, 2]})
    {'image': 'a1', 'ids': [1, 2]}
    """
    filled: dict[str, Any] = json.loads(_BLANK.sub(lambda blank: json.dumps(values[blank[0]]), arguments))
    return filled


@dataclass
class Score:
    """How often a way of asking was right."""

    tasks: int = 0
    right: int = 0
    calls: int = 0


def measure_skill(*, scenes: int = 40) -> Table:
    """Follow each recipe, and ask the same in a sentence, on held-out scenes."""
    return asyncio.run(_measure(scenes))


async def _measure(scenes: int) -> Table:
    skill = (files("serve") / "skills" / "segment-images" / "SKILL.md").read_text(encoding="utf-8")
    recipes = [recipe for recipe in read_recipes(skill) if recipe.name in QUESTIONS]
    scores = {(recipe.name, way): Score() for recipe in recipes for way in ("recipe", "ask")}
    sam3 = Sam3.load("tiny")
    models = Models(
        LoadedModel("SAM 3", start_in_thread(lambda: sam3)), LoadedModel("planner", start_in_thread(GrammarPlanner))
    )
    shelf = ImageShelf(max_bytes=2**26, idle_seconds=3600)
    limits = Limits(max_pixels=10**7, max_bytes=2**24, overlay_side=0)
    async with Client(build_server(Runner(models, shelf, None, limits))) as client:
        for seed in range(HELD_OUT + 700, HELD_OUT + 700 + scenes):
            await _try_scene(client, seed, recipes, scores)
    rows = [
        (name, way, score.tasks, score.right, round(score.calls / max(1, score.tasks), 1))
        for (name, way), score in scores.items()
    ]
    about: dict[str, Cell] = {
        "scenes": scenes,
        "size": "x".join(map(str, SIZE)),
        "SAM 3": "embedded",
        "planner of `ask`": "grammar",
    }
    columns = ("the user wants", "asked by", "tasks", "right", "calls each")
    return Table("mcp-skill", "Recipes of the agent skill, followed by a script", columns, rows, about)


async def _try_scene(
    client: Client, seed: int, recipes: Sequence[Recipe], scores: dict[tuple[str, str], Score]
) -> None:
    """Ask what the scene allows: about its most frequent noun, and another that is there once."""
    scene = draw_scene(seed, size=SIZE)
    nouns = [thing.noun for thing in scene.objects]
    if not nouns:
        return
    thing = max(sorted(set(nouns)), key=nouns.count)
    others = [noun for noun in sorted(set(nouns)) if noun != thing and nouns.count(noun) == 1]
    for recipe in recipes:
        question = QUESTIONS[recipe.name]
        if nouns.count(thing) < question.least or (question.needs_other and not others):
            continue
        other = others[0] if others else ""
        truth = question.choose(_select_masks(scene, thing), _select_masks(scene, other))
        sentence = question.sentence.format(thing=thing, things=pluralize_noun(thing), other=other)
        asks = Recipe(recipe.name, [("ask", '{"image": IMAGE, "query": SENTENCE}')])
        for way, followed in (("recipe", recipe), ("ask", asks)):
            handle = await _open_scene(client, scene)
            blanks = {"IMAGE": handle, "THING": thing, "OTHER": other, "SENTENCE": sentence}
            found = await _follow_recipe(client, followed, blanks)
            score = scores[recipe.name, way]
            score.tasks, score.calls = score.tasks + 1, score.calls + 1 + len(followed.calls)
            score.right += _is_same_set(found, truth)
            await client.call_tool("close_image", {"image": handle})


def _select_masks(scene: Scene, noun: str) -> np.ndarray:
    return scene.masks[[thing.noun == noun for thing in scene.objects]]


async def _open_scene(client: Client, scene: Scene) -> str:
    content = io.BytesIO()
    PIL.Image.fromarray(scene.pixels).save(content, "PNG")
    opened = await client.call_tool("open_image", {"data": base64.b64encode(content.getvalue()).decode()})
    return str(opened.structured_content["image"])


async def _follow_recipe(client: Client, recipe: Recipe, values: dict[str, Any]) -> np.ndarray:
    """Make the calls, and read the masks of the last answer by their links: bool (N, H, W)."""
    values = {"IDS": [], "OTHER_IDS": [], "LAST": [], **values}
    for tool, arguments in recipe.calls:
        answer = await client.call_tool(tool, fill_arguments(arguments, values))
        if answer.is_error:
            break
        masks = answer.structured_content["masks"]
        values["LAST"] = [mask["id"] for mask in masks]
        if tool == "segment":
            values["IDS"] = [mask["id"] for mask in masks if mask["phrase"] == values["THING"]]
            values["OTHER_IDS"] = [mask["id"] for mask in masks if mask["phrase"] == values["OTHER"]]
    return np.array([await _read_mask(client, values["IMAGE"], id) for id in values["LAST"]], bool).reshape(
        -1, SIZE[1], SIZE[0]
    )


async def _read_mask(client: Client, handle: str, id: int) -> np.ndarray:
    [content] = (await client.read_resource(f"sam3://images/{handle}/masks/{id}.png")).contents
    assert isinstance(content, BlobResourceContents)
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(content.blob)))) > 0


def _is_same_set(found: np.ndarray, truth: np.ndarray) -> bool:
    """Whether each true mask has one found mask of its own, and none is left over."""
    if len(found) != len(truth):
        return False
    overlaps = compute_ious(encode_masks(found), encode_masks(truth)) > SAME
    return bool(overlaps.any(axis=0).all() and overlaps.any(axis=1).all())


def main() -> None:
    table = measure_skill()
    print(table.to_text())
    table.write(Path(__file__).parents[3] / "benchmarks" / "results" / "speed")


if __name__ == "__main__":
    main()
