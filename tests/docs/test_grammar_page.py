"""The grammar planner understands every example of the page about it."""

import re
from pathlib import Path

import numpy as np
import pytest

from agent import Conversation, GrammarPlanner
from agent.planners.grammar.interpretation import interpret_query
from agent.planners.grammar.plan import Phrase
from sam3_tool import Image, Instances, Sam3, ScriptedBackend

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "grammar.md").read_text(encoding="utf-8")
SIZE = 90
CUPS = 9


def find_examples(title: str) -> list[str]:
    """The examples in the table of a section."""
    section = PAGE[PAGE.index(f"## {title}\n") :].split("\n## ")[0]
    return [query for row in section.splitlines() if row.startswith("|") for query in re.findall(r"`(.+?)`", row)]


def draw_cups() -> Instances:
    """Nine cups in a row, each larger than the one before."""
    masks = np.zeros((CUPS, SIZE, SIZE), bool)
    boxes = np.array([(10 * place, 40, 10 * place + 4, 41 + place) for place in range(CUPS)], np.float32)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
        mask[y0:y1, x0:x1] = True
    return Instances(masks, boxes, np.linspace(0.9, 0.8, CUPS, dtype=np.float32), presence=0.9, phrase="cup")


@pytest.fixture(scope="module")
def sam3() -> Sam3:
    return Sam3(ScriptedBackend({None: {"cup": draw_cups()}}))


@pytest.fixture
def empty() -> Conversation:
    """A conversation in which nothing was said."""
    return Conversation.start(Image(np.zeros((SIZE, SIZE, 3), np.uint8)))


def is_understood(query: str, conversation: Conversation, sam3: Sam3) -> bool:
    return "not understood" not in conversation.say(query, GrammarPlanner(), sam3).message


@pytest.mark.parametrize("query", find_examples("A query"))
def test_a_query_is_understood(query: str, empty: Conversation, sam3: Sam3) -> None:
    assert is_understood(query, empty, sam3)


@pytest.mark.parametrize("query", find_examples("In a video"))
def test_a_query_about_a_video_is_understood(query: str) -> None:
    read = interpret_query(query, on_video=True)
    assert read.complete
    assert not isinstance(read.plan, Phrase)


@pytest.mark.parametrize("query", find_examples("A follow-up"))
def test_a_follow_up_is_understood(query: str, empty: Conversation, sam3: Sam3) -> None:
    assert is_understood(query, empty.say("the cups", GrammarPlanner(), sam3), sam3)


@pytest.mark.parametrize("query", ["the cup that is about to fall", "the cups, if any, that a guest would choose"])
def test_what_is_not_understood_is_said(query: str, empty: Conversation, sam3: Sam3) -> None:
    assert not is_understood(query, empty, sam3)
