"""Kinds of queries that strangers tried: what each becomes, what is told, and what is refused."""

import numpy as np
import pytest

from agent import GrammarPlanner, Task, run
from agent.planners.grammar.interpretation import interpret_query
from agent.planners.grammar.text.typos import CORRECTED, LOOKALIKES, correct_typos
from agent.tools.geometry.outliers import find_outlier
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.masks.boxes import masks_to_boxes

READINGS = {
    "cups without a lid or a handle": "lacks(lacks(cup, lid), handle)",
    "the plates with neither a cup nor a fork": "lacks(lacks(plate, cup), fork)",
    "dogs without the largest": "(dog - rank(dog, -size))",
    "the dog and the cat next to each other": "next_to((dog + cat), (dog + cat))",
    "red circles that do not touch": "(red circle - touching(red circle, red circle))",
    "the two dogs closest to each other": "rank(dog, +distance, 2, dog)",
    "the cup left of the banana's right neighbour": "left_of(cup, nearest(right_of(object, banana), banana))",
    "every 4th star from the top": "every(star, +y, #4, 4)",
    "boxes containing three apples": "holds(box, apple, 3 to 3)",
    "the boxes that contain at least two red apples on the left": "left(holds(box, red apple, 2 to any))",
    "plates with more than one cup in them": "holds(plate, cup, 2 to any)",
    "the bowl that has at most 2 eggs in it": "holds(bowl, egg, 0 to 2)",
    "largest box containing fewer than 4 balls": "rank(holds(box, ball, 0 to 3), -size)",
    "all squares but one": "(square - rank(square, +score))",
    "the cups. not the red ones. and the plate.": "((cup - (cup & red cup)) + plate)",
    "the red cups. and the blue one too.": "(red cup + blue cup)",
    "the dog further to the left": "rank(dog, +x)",
    "stars. they should not be red.": "(star - (star & red star))",
}
BEYOND = [
    "touching circles and squares", "cups without a lid and a handle", "men without 2", "the man without smiling",
    "circles the same size as the stars", "the three circles closest to each other", "every second largest circle",
    "the largest but one", "each other", "circles farthest from each other",
    "the cups. not number 3.", "a bowl containing two apples and a banana", "boxes containing nothing",
    "bowls containing two apples and two bananas", "the cat's left neighbour's tail",
    "the dog closer to me than the cat",
]  # fmt: skip


def find_boxes(masks: np.ndarray, phrase: str) -> Instances:
    scores = np.full(len(masks), 0.9, np.float32)
    return Instances(masks, masks_to_boxes(masks), scores, presence=0.9, phrase=phrase)


def test_each_kind_becomes_its_plan(written):
    found = {query: interpret_query(query) for query in READINGS}
    assert {query: written(reading.plan) for query, reading in found.items() if reading.complete} == READINGS


@pytest.mark.parametrize("query", BEYOND)
def test_what_is_not_clear_says_so(query):
    assert not interpret_query(query).complete


def test_what_was_assumed_is_told():
    told = {
        "every other cup from the right": "It was counted from the right, and numbers 1, 3, 5 and so on were taken.",
        "all but two cups": "The query does not say which are left out, so the least certain are.",
        "the odd cup out": "The odd one out was looked for by size alone; colours and forms were not compared.",
        "the largset cup": "'largset' was read as 'largest'.",
    }
    assert {query: interpret_query(query).notes for query in told} == {query: (note,) for query, note in told.items()}


def test_a_possession_that_is_not_found_is_the_nearest_one_and_told():
    masks = np.zeros((3, 20, 40), bool)
    masks[0, 5:10, 0:5] = masks[1, 5:10, 8:12] = masks[2, 5:10, 30:35] = True
    found = {"dog": find_boxes(masks[:1], "dog"), "bowl": find_boxes(masks[1:], "bowl")}
    backend = ScriptedBackend({None: found})
    episode = run(Task(Image(np.zeros((20, 40, 3), np.uint8)), "the dog's bowl"), GrammarPlanner(), Sam3(backend))
    assert np.array_equal(episode.answer.masks, masks[1:2])
    assert "nearest to 'dog' was taken" in episode.message


def test_what_something_contains_is_counted_for_each_of_them():
    masks = np.zeros((7, 20, 60), bool)
    for row, left in enumerate((0, 20, 40)):
        masks[row, 2:18, left : left + 18] = True
    for row, left in enumerate((2, 22, 28, 42), start=3):  # one ball in the first box, two in the second, one
        masks[row, 8:11, left : left + 3] = True
    rows = {"box": masks[:3], "ball": masks[3:], "egg": masks[:0]}
    found = {phrase: find_boxes(held, phrase) for phrase, held in rows.items()}
    image, sam3 = Image(np.zeros((20, 60, 3), np.uint8)), Sam3(ScriptedBackend({None: found}))

    def ask(query):
        episode = run(Task(image, query), GrammarPlanner(), sam3)
        return episode.current_ids, episode.message

    assert ask("boxes containing two balls")[0] == (2,)
    assert ask("boxes that contain at most one ball")[0] == (1, 3)
    assert ask("boxes with at least 1 ball in them")[0] == (1, 2, 3)
    for query in ("boxes containing three balls", "boxes containing two eggs"):
        ids, message = ask(query)
        assert (ids, "exactly" in message) == ((), True)


def test_words_of_their_own_are_no_typos():
    words = " ".join(sorted(LOOKALIKES | {*CORRECTED} | {"dog", "circle", "sqaure", "reed", "hat"}))
    assert correct_typos(words) == words


def test_the_odd_one_has_to_stand_out_alone():
    assert find_outlier([10, 10, 30]) == 2
    assert [find_outlier(sizes) for sizes in ([10, 30, 30, 10], [10, 11], [10, 10, 12])] == [None, None, None]
