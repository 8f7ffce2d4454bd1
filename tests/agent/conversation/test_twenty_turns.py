"""One long conversation over the example scene, with the embedded SAM 3 and the grammar: every answer is known."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from agent import GrammarPlanner
from agent.conversation.conversation import Conversation
from sam3_tool import Image, Sam3

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"
SCENE = Image.open(EXAMPLE)
MIRRORED = Image(SCENE.pixels[:, ::-1])
PLACES = {
    "big melon": ("watermelon", 170, 380),
    "right melon": ("watermelon", 475, 300),
    "left melon": ("watermelon", 265, 250),
    "upper melon": ("watermelon", 345, 220),
    "banana": ("banana", 385, 410),
    "small cherry": ("cherry", 170, 155),
    "left cherry": ("cherry", 275, 155),
    "right cherry": ("cherry", 475, 175),
}
"""What is in the scene: the phrase that finds it, and a pixel of it."""
SMALL_MELONS = {"right melon", "left melon", "upper melon"}
CHERRIES = {"small cherry", "left cherry", "right cherry"}
TWO_AND_BANANA = {"left melon", "upper melon", "banana"}

TURNS: list[tuple[str, str, set[str]]] = [
    ("all the watermelons", "answered", SMALL_MELONS | {"big melon"}),
    ("without the largest one", "answered", SMALL_MELONS),
    ("only the left one", "answered", {"left melon"}),
    ("the one behind it", "asked", {"left melon"}),
    ("the second", "answered", {"upper melon"}),
    ("undo", "asked", {"left melon"}),
    ("undo", "answered", {"left melon"}),
    ("go back", "answered", SMALL_MELONS),
    ("also the banana", "answered", SMALL_MELONS | {"banana"}),
    ("how many are there?", "answered", SMALL_MELONS | {"banana"}),
    ("not number 2", "answered", TWO_AND_BANANA),
    ("the cherries too", "answered", TWO_AND_BANANA | CHERRIES),
    ("only the cherries", "answered", CHERRIES),
    ("the smallest of them", "answered", {"small cherry"}),
    ("the others", "answered", {"left cherry", "right cherry"}),
    ("the unicorns", "no_match", {"left cherry", "right cherry"}),
    ("the two largest watermelons", "answered", {"big melon", "right melon"}),
    ("no, the two smallest", "answered", {"left melon", "upper melon"}),
    ("and the cherry nearest to the banana", "answered", {"left melon", "upper melon", "right cherry"}),
    ("[the mirrored scene]", "", set()),
    ("the same in this picture", "answered", {"left melon", "upper melon", "right cherry"}),
    ("replace the cherry with the banana", "answered", {"left melon", "upper melon", "banana"}),
]
"""What is said, how the turn ends, and the answer after it."""


def things(picture: Image, sam3: Sam3) -> Mapping[str, np.ndarray]:
    """The mask of each thing, as SAM 3 alone finds it: bool, (H, W)."""
    across = (lambda x: picture.width - 1 - x) if picture.key == MIRRORED.key else (lambda x: x)
    found = {phrase: sam3.segment(picture, phrase).masks for phrase, _, _ in PLACES.values()}
    hit = {name: [mask for mask in found[phrase] if mask[y, across(x)]] for name, (phrase, x, y) in PLACES.items()}
    assert {len(masks) for masks in hit.values()} == {1}
    return {name: masks[0] for name, masks in hit.items()}


@pytest.fixture(scope="module")
def there(tiny: Sam3) -> Mapping[str, Mapping[str, np.ndarray]]:
    """`things` of both pictures, by their keys."""
    return {picture.key: things(picture, tiny) for picture in (SCENE, MIRRORED)}


@pytest.fixture(scope="module")
def states(tiny: Sam3) -> list[Conversation]:
    """The conversation after each of `TURNS`."""
    states = [Conversation.start(SCENE, EXAMPLE.name)]
    planner = GrammarPlanner()
    for words, _, _ in TURNS:
        now = states[-1]
        states.append(now.show(MIRRORED) if words.startswith("[") else now.say(words, planner, tiny))
    return states[1:]


@pytest.mark.parametrize("turn", range(len(TURNS)), ids=[words for words, _, _ in TURNS])
def test_the_masks_after_a_turn_are_those_that_were_asked_for(turn, states, there) -> None:
    state, (_, outcome, expected) = states[turn], TURNS[turn]
    assert (state.outcome or "") == outcome
    assert len(state.selected) == len(expected)
    answer = sorted(mask.tobytes() for mask in state.answer.masks)
    assert answer == sorted(there[state.image.key][name].tobytes() for name in expected)


def test_at_least_twenty_turns_were_taken() -> None:
    assert sum(not words.startswith("[") for words, _, _ in TURNS) >= 20


def test_a_thing_has_one_number_from_beginning_to_end(states) -> None:
    before_the_mirror = states[18]
    workspace = before_the_mirror.workspace
    assert len(workspace) == len(PLACES), "nothing was found twice"
    numbers = {state.workspace[id].rle: id for state in states[:19] for id in state.selected}
    assert all(workspace[id].rle == rle for rle, id in numbers.items())


def test_all_of_it_comes_back_from_one_file(states, tmp_path: Path) -> None:
    states[-1].save(tmp_path / "talk.json")
    again = Conversation.open(tmp_path / "talk.json")
    for _ in range(5):
        assert (again.selected, again.message) == (states[-1].selected, states[-1].message)
        assert (again.answer.masks == states[-1].answer.masks).all()
        states = [*states[:-1], states[-1].undo()]
        again = again.undo()
