"""What strangers ask: a right plan, or an incomplete reading; never a wrong plan that passes for certain."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from agent import GrammarPlanner, Task, run
from agent.planners.grammar.coverage import find_unused_words
from agent.planners.grammar.interpretation import NOTHING_WANTED, interpret_query
from agent.planners.grammar.parsing.lexer import tokenize
from agent.planners.grammar.plan import Difference, Phrase, PreviousAnswer, Ranked, Related
from agent.planners.grammar.text.list_notation import join_list_items
from agent.planners.grammar.text.numerals import write_digits
from agent.planners.grammar.text.plain_text import normalize_query
from sam3_tool import Sam3, ScriptedBackend

ROWS = list(
    csv.DictReader(
        (Path(__file__).parent / "queries.tsv").read_text(encoding="utf-8").splitlines(),
        delimiter="\t",
        quoting=csv.QUOTE_NONE,
    )
)

LISTS = [
    "dog\ncat", "dog\r\ncat", "dog\n\ncat\n", "- dog\n- cat", "* dog\n* cat", "-dog\n-cat", "•dog\n•cat",
    "1. dog\n2. cat", "1) dog\n2) cat", "(1) dog\n(2) cat", "1. dog 2. cat", "1) dog 2) cat", "(1) dog (2) cat",
    "1.dog 2.cat",
    "1: dog 2: cat", "0: dog\n1: cat", "(a) dog (b) cat", "a) dog b) cat", "a. dog b. cat", "i) dog ii) cat",
    "i. dog\nii. cat", "①dog ②cat", "dogs + cats", "dog+cat", "dog & cat", "dog &amp; cat", "• dog • cat", "dog · cat",
    "- dog - cat", "* dog * cat", "dog;cat", "dog; cat;", "dog / cat", "dog/cat", "dog | cat", "dog|cat", "dog || cat",
    "| dog | cat |", "dog . cat .", "dog. cat.", "dog.cat", '["dog", "cat"]', "['dog', 'cat']", "[dog, cat]",
    "(dog, cat)",
    "{'dog', 'cat'}", '{"objects": ["dog", "cat"]}', '[{"name": "dog"}, {"name": "cat"}]', '{"0": "dog", "1": "cat"}',
    "dog,cat", "dog, cat,", "objects: dog, cat", "Objects: dog; cat", "classes = dog, cat", "labels: [dog, cat]",
    "object 1: dog\nobject 2: cat", "names:\n- dog\n- cat", "names:\n  0: dog\n  1: cat",
    "Find the following objects:\n1. dog\n2. cat", "segment these: dog, cat", "please segment the following: dog, cat",
    "text prompt: dog . cat", "#dog #cat", "#dog#cat", '"dog" "cat"', "'dog' 'cat'", "`dog` `cat`", "dog\tcat",
    "1\tdog\n2\tcat", "dog\\ncat", "dog, cat, etc.", "dog, cat, ...", "dog and/or cat", "- [ ] dog\n- [x] cat",
    "**dog**, **cat**", "<ul><li>dog</li><li>cat</li></ul>", "dog \u2013 cat", "dog — cat", "dog -- cat",
    "dog\u2028cat",
    "dog、cat", "dog\uff0ccat", "DOG\nCAT", "the dog\nthe cat", "first, the dog; second, the cat", "one: dog, two: cat",
    "dog(s) and cat(s)",
]  # fmt: skip

UNCLEAR_LISTS = ["dog - cat", "dog -> cat", "dog vs. cat", "dog=1, cat=2", "dog: brown", "dog (x2)", "dog (poodle)"]

SENTENCES_ON_LINES = {
    "the dog\nleft of the tree": "left_of(dog, tree)",
    "the red\ncup": "red cup",
    "all the dogs and\ncats": "(dog + cat)",
    "please segment\nthe dog": "dog",
    "every cup that stands on the kitchen table\nand is red": "on(red cup, kitchen table)",
    "cups\nexcept the red ones": "(cup - red cup)",
}


@pytest.mark.parametrize("family", sorted({row["family"] for row in ROWS}))
def test_each_query_has_its_plan_or_is_incomplete(family, written):
    rows = [row for row in ROWS if row["family"] == family]
    found = {row["query"]: interpret_query(row["query"]) for row in rows}
    marks = {query: "" if reading.complete else "incomplete " for query, reading in found.items()}
    readings = {query: f"{marks[query]}{written(reading.plan)}".strip() for query, reading in found.items()}
    assert readings == {row["query"]: row["reading"] for row in rows}


def test_there_are_at_least_three_hundred_of_them():
    assert len({row["query"] for row in ROWS}) == len(ROWS) >= 300


def test_a_list_in_any_notation_is_a_union(written):
    found = {query: interpret_query(query) for query in LISTS}
    assert {query: written(reading.plan) for query, reading in found.items()} == dict.fromkeys(LISTS, "(dog + cat)")
    assert all(reading.complete for reading in found.values())


@pytest.mark.parametrize("query", UNCLEAR_LISTS)
def test_what_joins_or_leaves_out_falls_back_and_says_so(query):
    reading = interpret_query(query)
    assert (reading.plan, reading.complete) == (Phrase("dog"), False)


def test_a_sentence_on_several_lines_is_one(written):
    found = {query: interpret_query(query) for query in SENTENCES_ON_LINES}
    assert {query: written(reading.plan) for query, reading in found.items()} == SENTENCES_ON_LINES
    assert all(reading.complete for reading in found.values())


def test_plain_text_stays_as_it_is():
    """A conversation makes it of what is plain already."""
    queries = [row["query"] for row in ROWS] + LISTS + UNCLEAR_LISTS
    plain = [normalize_query(query) for query in queries]
    assert [normalize_query(text) for text in plain] == plain


def test_class_names_with_underscores_are_words():
    assert interpret_query("traffic_light").plan == Phrase("traffic light")


def test_a_query_that_only_leaves_out_looks_for_nothing(kitchen):
    episode = run(Task(kitchen, "exclude the dogs"), GrammarPlanner(), Sam3(ScriptedBackend({})))
    assert (episode.outcome, episode.message) == ("no_match", NOTHING_WANTED)


def test_words_without_a_part_in_the_plan_are_named():
    tokens = tokenize("the two red cups on the table except the largest")
    assert find_unused_words(tokens, Phrase("red cup")) == ["two", "on", "table", "except", "largest"]
    ranked = Ranked(Phrase("red cup"), "size", "descending", take=2)
    assert find_unused_words(tokens, Difference(ranked, Phrase("table"))) == ["on"]


def test_a_ranking_stands_for_its_own_number_and_measure_alone():
    tokens = tokenize("the two tallest cups")
    tallest = Ranked(Phrase("cup"), "height", "descending", take=2)
    assert find_unused_words(tokens, tallest) == []
    assert find_unused_words(tokens, replace(tallest, take=3)) == ["two"]
    assert find_unused_words(tokens, replace(tallest, by="size")) == ["tallest"]
    assert find_unused_words(tokenize("the third cup"), replace(tallest, by="x", start=2)) == ["third"]


def test_a_follow_up_need_not_ask_again_for_what_was_found():
    tokens = tokenize("the cup on the table")
    answer = PreviousAnswer(0, ("cup",))
    assert find_unused_words(tokens, Related(answer, "on", Phrase("table"))) == []
    assert find_unused_words(tokens, Phrase("table"), known=[answer]) == ["on"]


def test_unused_words_make_a_reading_incomplete_and_stand_in_its_note():
    reading = interpret_query("der hund und die katze")
    assert (reading.complete, reading.notes) == (False, ("These words were not understood: 'und'.",))


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("thirteen dogs", "13 dogs"),
        ("ninety-nine balloons", "99 balloons"),
        ("two hundred thousand ants", "200000 ants"),
        ("one hundred and one dogs", "101 dogs"),
        ("three dozen of the eggs", "36 of the eggs"),
        ("the thirteenth and the fortieth", "the 13th and the 40th"),
        ("1,234,567 stars", "1234567 stars"),
        ("1,2,3", "1,2,3"),
        ("a thousand island dressing", "a thousand island dressing"),
        ("dozens of eggs", "dozens of eggs"),
    ],
)
def test_number_words_become_digits(text, digits):
    assert write_digits(text) == digits


def test_hostile_lists_are_read_in_time_that_grows_with_their_length():
    for text in ("- " * 5000, "1. " * 5000, "a) " * 5000, "<" * 5000, "objects " * 3000 + ":", '"' * 5000, "\n" * 9000):
        assert len(join_list_items(text)) <= len(text)
