import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import prompts
from agent import PAPER, Episode, OutputError, Task, run, write_html
from agent.core.budget import Budget, Price
from agent.core.usage import Usage
from agent.models.base import Call, Messages, Reply, Schema
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.scripted_model import ScriptedModel
from agent.planners.chat.views import View
from agent.planners.grammar.planner import GrammarPlanner
from agent.records.episode_file import load_episode, save_episode
from agent.records.provenance import Provenance
from agent.report.html import to_html
from sam3_tool import Image, Instances, Sam3
from sam3_tool.backends.scripted import ScriptedBackend

HOSTILE = "<script>alert(1)</script> {{ 7 * 7 }} \ud83d </style>"
SAID = re.compile(r'<div class="said".*?>(.*?)</div>', re.DOTALL)
SCRIPT = [
    Reply(
        text=f"first {HOSTILE}",
        reasoning=f"hm {HOSTILE}",
        calls=(Call("segment", '{"phrases": ["circle", "square"]}'),),
    ),
    f"no call at all {HOSTILE}",
    Call("examine", '{"ids": [1, 2]}'),
    Call("answer", '{"ids": [1], "reasons": {"1": "it is <b>red</b>"}}'),
]
CLEAN = [Call("segment", '{"phrases": ["circle", "square"]}'), *SCRIPT[2:]]
MADE_BY = Provenance(
    planner="openai:scripted",
    sam3="tiny",
    model="scripted",
    view={"image_side": 200},
    budget=Budget(price=Price(0.4, 1.6)),
)


@pytest.fixture
def talk(picture: Image, tiny: Sam3) -> Episode:
    """An episode that a language model planned; it saw pictures of at most 200 pixels."""
    planner = ChatPlanner(ScriptedModel(SCRIPT, verdicts={2: 0.1}), view=View(image_side=200))
    return run(Task(picture, f"the circle {HOSTILE}"), planner, tiny)


def sights(html: str) -> list[str]:
    """What each step folds away of what the model saw before it."""
    return re.findall(r'<details class="seen">.*?(?=<details class="seen |</li>)', html, re.DOTALL)


def folded(html: str, name: str) -> list[str]:
    """What else steps fold away: 'exams' or 'shorter'."""
    return re.findall(rf'<details class="seen {name}">.*?(?=<details class="seen |</li>)', html, re.DOTALL)


def told(talk: Messages) -> list[tuple[str, list[str], int]]:
    """Role, texts and number of pictures of each message."""
    return [
        (
            message.role,
            [" ".join(part.split()) for part in message.content if isinstance(part, str) and part],
            sum(isinstance(part, Image) for part in message.content),
        )
        for message in talk
    ]


def read(sight: str) -> list[tuple[str, list[str], int]]:
    """The same, of what a page shows."""
    turns = re.split(r'class="turn (\w+)"', sight)[1:]
    return [
        (
            role,
            [
                " ".join(unescape(text).split())
                for text in re.findall(r'<div class="said".*?>(.*?)</div>', turn, re.DOTALL)
            ],
            len(re.findall(r'<figure class="shot"', turn)),
        )
        for role, turn in zip(turns[::2], turns[1::2], strict=True)
    ]


def test_every_step_shows_what_the_model_saw_before_it(talk: Episode) -> None:
    first, second, third, fourth = sights(to_html(talk, MADE_BY))
    assert "2 messages, 1 picture" in first
    assert "200 x 150" in first
    assert "You find" in first
    assert "4 messages, 2 pictures" in second
    assert "the first 2 messages, as before step 1" in second
    assert "no call at all" in third
    assert "no call at all" not in second
    assert "examine" in fourth


def test_what_is_shown_is_the_conversation_word_for_word(talk: Episode) -> None:
    planner = ChatPlanner(ScriptedModel([]), view=View(image_side=200))
    shown = sights(to_html(talk, MADE_BY))
    for step, sight in enumerate(shown):
        told = planner.build_messages(replace(talk, steps=talk.steps[:step], outcome=None))
        roles = re.findall(r'class="turn (\w+)"', sight)
        assert roles == [message.role for message in told]


def test_an_examination_is_shown_with_every_request_word_for_word(talk: Episode) -> None:
    planner = ChatPlanner(ScriptedModel([]), view=View(image_side=200))
    (shown,) = folded(to_html(talk, MADE_BY), "exams")
    exams = planner.build_verdict_requests(replace(talk, steps=talk.steps[:2], outcome=None), [1, 2])
    assert "2 requests, 5 pictures" in shown
    assert read(shown) == [turn for exam in exams for turn in told(exam.messages)]


class Hesitant(ScriptedModel):
    """Gives a verdict when it is asked for the second time."""

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        if tools[0]["function"]["name"] == "verdict" and len(conversations[0]) == 2:
            return [Reply(text="Hm.", usage=Usage(model_calls=1)) for _ in conversations]
        return super().generate_replies(conversations, tools)


def test_a_request_for_verdicts_that_was_sent_again_is_said(picture: Image, tiny: Sam3) -> None:
    planner = ChatPlanner(Hesitant(CLEAN))
    episode = run(Task(picture, "the circle"), planner, tiny)
    (shown,) = folded(to_html(episode, MADE_BY), "exams")
    assert "2 requests, 5 pictures, 2 of them sent again after a reply with a gap" in shown


def test_a_mistaken_examination_asked_nothing(picture: Image, tiny: Sam3) -> None:
    planner = ChatPlanner(ScriptedModel([CLEAN[0], Call("examine", '{"ids": [7]}'), CLEAN[-1]]))
    assert folded(to_html(run(Task(picture, "the circle"), planner, tiny), MADE_BY), "exams") == []


def test_a_request_with_less_history_is_shown_as_the_model_saw_it(picture: Image, tiny: Sam3) -> None:
    cut = Reply(finish_reason="length", usage=Usage(model_calls=1))
    more = Call("segment", '{"phrases": ["red circle"]}')
    planner = ChatPlanner(ScriptedModel([SCRIPT[0], more, more, cut, CLEAN[-1]]), view=View(image_side=200))
    episode = run(Task(picture, "the circle"), planner, tiny)
    (shown,) = folded(to_html(episode, MADE_BY), "shorter")
    begun = replace(episode, steps=episode.steps[:3], outcome=None)
    assert read(shown) == told(planner.build_messages(begun, short=True))
    assert read(shown) != told(planner.build_messages(begun))
    assert f"{len(read(shown))} messages" in shown


@pytest.mark.parametrize("calls", [1, 2])
def test_a_conversation_that_the_model_answered_is_not_shown_as_shortened_whatever_it_cost(
    picture: Image, tiny: Sam3, calls: int
) -> None:
    first = Reply(calls=(CLEAN[0],), usage=Usage(model_calls=calls))
    planner = ChatPlanner(ScriptedModel([CLEAN[0], first, *CLEAN[1:]]), view=View(image_side=200))
    assert folded(to_html(run(Task(picture, "the circle"), planner, tiny), MADE_BY), "shorter") == []


def test_every_picture_is_in_the_file_once(talk: Episode) -> None:
    html = to_html(talk, MADE_BY)
    drawn = re.findall(r"^\.shot-(\d+) \{ background-image: url\((.*?)\); \}$", html, re.MULTILINE)
    shown = re.findall(r'<div class="shot-(\d+)"', html)
    assert len(shown) > len(drawn) >= 3
    assert {number for number, _ in drawn} == set(shown)
    assert len({url for _, url in drawn}) == len(drawn)
    assert all(url.startswith("data:image/jpeg;base64,") for _, url in drawn)


def test_what_a_person_or_a_model_wrote_stays_text(talk: Episode) -> None:
    html = to_html(talk, MADE_BY)
    assert "<script" not in html
    assert html.count("</style>") == 1
    assert html.count("{{ 7 * 7 }}") >= 5
    assert "\ud83d" not in html
    assert "it is &lt;b&gt;red&lt;/b&gt;" in html
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:image/jpeg)[\w/]", html) == []


def test_a_saved_episode_shows_the_same_page(picture: Image, tiny: Sam3, tmp_path: Path) -> None:
    planner = ChatPlanner(ScriptedModel(CLEAN, verdicts={2: 0.1}), view=View(image_side=200))
    episode = run(Task(picture, "the circle"), planner, tiny)
    save_episode(episode, tmp_path / "e.json", provenance=MADE_BY)
    again = load_episode(tmp_path / "e.json")
    assert len(sights(to_html(episode, MADE_BY))) == 3
    assert to_html(again.episode, again.made_by) == to_html(episode, MADE_BY)


def test_the_page_says_when_prompts_have_changed_since(talk: Episode) -> None:
    now = MADE_BY.model_copy(update={"prompts": prompts.hash_prompts()})
    assert "The prompts have changed" not in to_html(talk, now)
    then = MADE_BY.model_copy(update={"prompts": prompts.hash_prompts() | {"workspace": "another"}})
    assert "The prompts have changed" in to_html(talk, then)


def test_an_episode_that_no_model_planned_shows_no_conversation(talk: Episode) -> None:
    assert sights(to_html(talk, MADE_BY.model_copy(update={"model": ""}))) == []


def test_the_papers_protocol_is_shown_as_that_model_saw_it(picture: Image, tiny: Sam3) -> None:
    calls = [
        Call("segment_phrase", '{"text_prompt": "square"}'),
        Call("segment_phrase", '{"text_prompt": "circle"}'),
        Call("examine_each_mask", "{}"),
        Call("report_no_mask", "{}"),
    ]
    planner = ChatPlanner(ScriptedModel(calls, verdicts={1: 0.1}), toolset=PAPER)
    episode = run(Task(picture, "the circle"), planner, tiny)
    html = to_html(episode, MADE_BY.model_copy(update={"toolset": PAPER}))
    assert len(sights(html)) == 4
    verdicts = re.search(r"<table><thead><tr><th>mask</th><th>verdict.*?</table>", html, re.DOTALL)
    assert verdicts is not None
    assert "</i>1</span>" in verdicts[0], "the number that the model saw; its id is 2"
    assert "rejected" in verdicts[0]


@pytest.mark.parametrize(("pixels", "told"), [(10_000, "100 %"), (9_960, "100 %"), (2_500, "25 %"), (170, "1.7 %")])
def test_how_much_of_the_picture_a_mask_covers_is_told_in_plain_numbers(pixels: int, told: str) -> None:
    mask = (np.arange(10_000) < pixels).reshape(1, 100, 100)
    found = Instances(mask, np.array([[0, 0, 100, 100]], np.float32), np.array([0.9], np.float32), 0.9, "")
    task = Task(Image(np.zeros((100, 100, 3), np.uint8)), "the sky")
    episode = run(task, GrammarPlanner(), Sam3(ScriptedBackend({None: {"sky": found}})))
    assert re.findall(r"[\d.e+-]+ %", to_html(episode, MADE_BY)) == [told]


def test_a_page_needs_nothing_but_the_episode(talk: Episode, tmp_path: Path) -> None:
    write_html(talk, tmp_path / "episode.html", source="/some/folder/park.jpg")
    page = (tmp_path / "episode.html").read_text("utf-8")
    assert "park.jpg" in page
    assert "/some/folder" not in page
    assert page.count("data:image/jpeg") > len(talk.steps)


def test_a_page_that_cannot_be_written_is_one_line(talk: Episode, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*missing.episode\.html: No such file or directory"):
        write_html(talk, tmp_path / "missing" / "episode.html")
