"""Queries of public bug reports: lists of other tools, silent misreadings, heads that are no noun."""

import csv
from pathlib import Path

import pytest

from agent.planners.grammar.interpretation import Interpretation, interpret_query
from agent.planners.grammar.nouns import to_singular
from agent.planners.grammar.plan import Difference, Located, Phrase, Plan, Ranked, Union, target_phrases

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

HERE = Path(__file__).parent
RIGHT: dict[str, Plan] = {
    "dog": Phrase("dog"),
    "brown dog": Phrase("brown dog"),
    "red circle": Phrase("red circle"),
    "dogs' collar": Phrase("dogs' collar"),
    "circles without the red ones": Difference(Phrase("circle"), Phrase("red circle")),
    "three cups": Ranked(Phrase("cup"), "score", "descending", take=3),
    "two dogs": Ranked(Phrase("dog"), "score", "descending", take=2),
    "twelve eggs": Ranked(Phrase("egg"), "score", "descending", take=12),
    "10000 cups": Ranked(Phrase("cup"), "score", "descending", take=10000),
    "dogs without the largest": Difference(Phrase("dog"), Ranked(Phrase("dog"), "size", "descending")),
    "cat's bowl + dog's bowl": Union((Phrase("cat's bowl"), Phrase("dog's bowl"))),
}
"""What column 3 says -> its plan; the others have none, so that they have to be incomplete."""


def read_rows(folder: str) -> list[list[str]]:
    text = (HERE / folder / "queries.tsv").read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def is_right(reading: Interpretation, meant: str) -> bool:
    return reading.plan == RIGHT[meant] if reading.complete and meant in RIGHT else not reading.complete


def test_lists_are_unions_or_say_that_they_are_not():
    queries = (HERE / "list-by-line" / "queries.txt").read_text(encoding="utf-8").strip("\n").split("\n\n")
    both = Union((Phrase("dog"), Phrase("cat")))
    readings = {query: interpret_query(query) for query in queries}
    assert len(readings) == 6
    assert [query for query, reading in readings.items() if reading.plan != both] == ["dog - cat"]
    assert not readings["dog - cat"].complete


@pytest.mark.parametrize(("query", "_seen", "meant"), read_rows("silent-misreadings"))
def test_no_misreading_is_silent(query, _seen, meant):
    assert is_right(interpret_query(query), meant)


@pytest.mark.parametrize(("query", "_seen", "meant"), read_rows("names-that-begin-with-a-place-or-a-number"))
def test_names_are_one_phrase(query, _seen, meant):
    reading = interpret_query(query)
    one_thing = query.removeprefix("the ") if meant.startswith("one ") and "way" not in meant else meant
    assert (reading.plan, reading.complete) == (Phrase(one_thing), True)
    assert not isinstance(reading.plan, Located)


@pytest.mark.parametrize(("query", "_seen", "better"), read_rows("head-that-is-no-noun"))
def test_heads_are_nouns(query, _seen, better):
    reading = interpret_query(query)
    if better == "-":
        assert (reading.plan, reading.complete) == (None, False)
    else:
        assert reading.plan is not None
        assert [to_singular(phrase.text) for phrase in target_phrases(reading.plan)] == [better.split(" (")[0]]
