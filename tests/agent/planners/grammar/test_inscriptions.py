"""What has to be read in the picture: where a text begins and ends in a query, and what stays as it was."""

import pytest

from agent import VIDEO, GrammarPlanner, PlannerError, Task, run
from agent.core.context import ConversationContext, PastTurn
from agent.planners.grammar.dialogue.interpret import interpret_follow_up
from agent.planners.grammar.interpretation import interpret_query
from agent.planners.grammar.text.inscriptions import MARK, InscriptionMark, mark_inscriptions
from sam3_tool import Sam3, ScriptedBackend, Video

READINGS = {
    # says, reads
    "the bottle that says milk": "says(bottle, milk)",
    "Which bottle says milk?": "says(bottle, milk)",
    "how many bottles say milk": "count(says(bottle, milk))",
    "how many bottles that say milk are there": "count(says(bottle, milk))",
    "the bottles which don't say milk": "(bottle - says(bottle, milk))",
    "the sign that reads no parking": "says(sign, no parking)",
    'the sign saying "no parking"': "says(sign, no parking)",
    "everything that says exit": "says(object, exit)",
    "what says exit": "says(object, exit)",
    "the sign that says keep off the grass": "says(sign, keep off the grass)",
    # labelled
    "the jar labelled sugar": "says(jar, sugar)",
    "jars labeled as 'brown sugar'": "says(jar, brown sugar)",
    "which of the jars is labelled sugar": "says(jar, sugar)",
    "boxes not labelled fragile": "(box - says(box, fragile))",
    # a text, a word, something written
    "the can with the text cola": "says(can, cola)",
    "the shirt with peace written on it": "says(shirt, peace)",
    'the box without "fragile" on it': "(box - says(box, fragile))",
    # numbers
    "the shirt with number 12 on it": "says(shirt, 12)",
    "the shirt that has a 12 on it": "says(shirt, 12)",
    "the jersey, number 10 on it": "says(jersey, 10)",
    "the bus with the number 7": "says(bus, 7)",
    "house number 12": "says(house, 12)",
    "the house with number 12": "says(house, 12)",
    # with all the rest
    "the red bottle that says milk left of the table": "left_of(says(red bottle, milk), table)",
    'the bottle that says "Oat Milk" on the table': "on(says(bottle, Oat Milk), table)",
    "the largest bottle that says milk": "rank(says(bottle, milk), -size)",
    "the bottle that says milk on the left": "left(says(bottle, milk))",
    "the second bottle from the left that says milk": "rank(says(bottle, milk), +x, #2)",
    "the cup left of the box that says tea": "left_of(cup, says(box, tea))",
    "the bottles except the one that says milk": "(bottle - says(bottle, milk))",
    "the bottle that says milk and the can that says cola": "(says(bottle, milk) + says(can, cola))",
    "the cup that is red and says hello": "says(red cup, hello)",
    "the cup that says 'mum' or 'dad'": "(says(cup, mum) + says(cup, dad))",
    "the cup that says 'mum' and 'dad'": "says(says(cup, mum), dad)",
}
QUOTES = ['"{}"', "'{}'", "`{}`", "“{}”", "„{}“", "«{}»", "\u2018{}\u2019", "「{}」"]
UNTOUCHED = [
    "the woman that reads a book", "the boy who reads", "the labelled jar", "all labeled bottles", "number 12",
    "player number 7", "the cup with a name written on it", "the poster with the words on it", 'the "stop" sign',
    "the pizza with cheese on it", "the bottle that says", 'the bottle that says ""', "the sign saying no parking",
    "without number 3", "replace the cups with the number 4", "the text", "with the text",
]  # fmt: skip


def test_a_text_is_read_out_of_a_query(written) -> None:
    found = {query: interpret_query(query) for query in READINGS}
    assert {query: written(reading.plan) for query, reading in found.items()} == READINGS
    assert [query for query, reading in found.items() if not reading.complete or reading.notes] == []


@pytest.mark.parametrize("quotes", QUOTES)
def test_quotes_of_any_kind_hold_any_words(quotes: str, written) -> None:
    reading = interpret_query(f"the sign that says {quotes.format('left of the Exit, 2 and all')} on the wall")
    assert written(reading.plan) == "on(says(sign, left of the Exit, 2 and all), wall)"
    assert reading.complete


def test_an_apostrophe_ends_no_quote(written) -> None:
    assert written(interpret_query("the bus that says 'don't stop' on the left").plan) == "left(says(bus, don't stop))"


@pytest.mark.parametrize("query", UNTOUCHED)
def test_what_asks_for_no_text_is_left_alone(query: str) -> None:
    assert mark_inscriptions(query) == query


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("the sign that says do not walk on the grass", "do not walk"),
        ("the sign that says stop and go", "stop and go"),
    ],
)
def test_a_text_that_may_end_elsewhere_is_told(query: str, text: str) -> None:
    [note] = interpret_query(query).notes
    assert note == f"The text to look for was taken to be {text!r}; quotes say where one ends."


def test_a_follow_up_speaks_of_texts(written) -> None:
    bottles = PastTurn("the bottles", "answered", "3 masks: 'bottle'.", (1, 2, 3))
    context = ConversationContext(None, (1, 2, 3), (bottles,))
    plans = {
        "the one that says milk": "says(@0, milk)",
        "only those that say 'oat milk'": "says(@0, oat milk)",
        "without the one that says milk": "(@0 - says(@0, milk))",
    }
    assert {query: written(interpret_follow_up(query, context).plan) for query in plans} == plans


def test_marks_hold_any_text_and_other_words_are_no_marks(written) -> None:
    for text in ("x", "Crème brûlée 50 %", "牛奶", "a" * 200):
        for negated in (False, True):
            mark = InscriptionMark(text, negated)
            assert InscriptionMark.from_word(mark.to_word()) == mark
    assert interpret_query(f"the cup {MARK}ab").complete is False


def test_hostile_queries_are_read_in_time_that_grows_with_their_length() -> None:
    for text in ("that says ", "'", '"', "with the text ", "number 1 on ", "says a and says ", "written on it "):
        for query in (text * 100, f"the cup that says {text * 90}", text * 5000):
            assert interpret_query(query) is not None


def test_a_video_is_not_read(kitchen) -> None:
    task = Task.from_video(Video.from_images([kitchen] * 2, frame_rate=2), "the dog and the car that says taxi")
    with pytest.raises(PlannerError, match="asks for the text 'taxi', and text is read in images, not in videos"):
        run(task, GrammarPlanner(VIDEO), Sam3(ScriptedBackend({})))
