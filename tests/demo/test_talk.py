"""The talk without a browser: what the page is told, ways that a conversation went, waiting, offered models."""

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest

from agent.conversation.conversation import Conversation
from agent.core.errors import FailedCallError, PlannerError
from agent.models.progress import PartialReply, RetryNotice
from demo.actions import ModelSelection
from demo.line import AnswerLine
from demo.requests import ShownImage, ShownStep
from demo.sessions import SessionStore
from demo.studio.editing import answer_request
from demo.talk import branches
from demo.talk.branches import BranchTree
from demo.talk.comparison import describe_overlap
from demo.talk.following import Follower
from demo.talk.messages import list_entries
from demo.talk.pending import PendingAnswer, describe_pending
from demo.talk.wording import describe_early_end, describe_error
from sam3_tool.errors import DeviceError, OverloadedError
from sam3_tool.masks.rle import encode_mask

CHOSEN = ModelSelection("grammar", "tiny")


class Browser:
    """What the page's script does with what it is told."""

    def __init__(self, follower, session_id):
        self.follower, self.session_id = follower, session_id
        self.entries, self.rows, self.version, self.canvas = [], [], 0, ("", "")
        self.received = 0

    def look(self, *, wait=False):
        asked = {"session": self.session_id, "version": self.version, "wait": wait}
        asked |= {
            "keys": [entry["key"] for entry in self.entries],
            "canvas": self.canvas[0],
            "revision": self.canvas[1],
        }
        news = asyncio.run(self.follower.follow(asked))
        self.received += len(json.dumps(news))
        known = {entry["key"]: entry for entry in self.entries}
        self.entries = [*self.entries[: news["keep"]], *(known.get(entry["key"], entry) for entry in news["tail"])]
        self.version = news["version"]
        change = news["canvas"]
        if change is not None and not change["moved"]:
            rows = {row["id"]: row for row in (self.rows if change["rows"] is None else change["rows"])}
            for name, fields in change["changed"].items():
                rows[int(name)] = {**rows.get(int(name), {}), **fields}
            self.rows = [row for id, row in rows.items() if id not in change["gone"]]
            self.canvas = (change["state"]["key"], change["state"]["revision"])
        return news

    def ask(self, query, **how):
        question = {"session": self.session_id, "query": query, "planner": "grammar", "sam3": "tiny", **how}
        assert "error" not in self.follower.ask(question)
        while self.look(wait=True)["pending"] is not None:
            pass


@pytest.fixture
def browser(actions):
    follower = Follower(replace(actions, sessions=SessionStore()))
    page = Browser(follower, follower.actions.sessions.open())
    page.canvas = (follower.actions.open_example(page.session_id, "fruit").conversation.image.key, "")
    page.look()
    return page


def get_session(browser):
    return browser.follower.actions.sessions[browser.session_id]


def list_texts(session):
    return [(entry["kind"], entry.get("text", entry.get("title", ""))) for entry in list_entries(session)]


def list_queries(browser):
    return [entry["text"] for entry in browser.entries if entry["kind"] == "query"]


def find_query(browser, query):
    return next(entry for entry in browser.entries if entry.get("text") == query and entry["kind"] == "query")


def test_whatever_a_page_missed_it_ends_with_what_is_true(browser):
    browser.ask("the watermelons above the banana except the largest one")
    others = [Browser(browser.follower, browser.session_id) for _ in range(2)]
    others[1].entries = [{"key": "foreign"}, *browser.entries[:2]]
    for query in ("undo", "hello", "all the cherries"):
        browser.ask(query)
    for page in (browser, *others):
        page.canvas = (browser.canvas[0], page.canvas[1])
        page.look()
        assert [entry["key"] for entry in page.entries] == [entry["key"] for entry in browser.entries]
        assert {row["id"]: row["selected"] for row in page.rows} == {row["id"]: row["selected"] for row in browser.rows}
        assert [(entry["kind"], entry.get("text", entry.get("title", ""))) for entry in page.entries] == list_texts(
            get_session(browser)
        )


def test_a_question_of_several_steps_costs_what_is_new(browser):
    before = browser.received
    browser.ask("the watermelons above the banana except the largest one")
    assert browser.received - before < 20_000
    before = browser.received
    browser.ask("undo")
    browser.look()
    assert browser.received - before < 8_000


def test_what_is_found_on_the_way_is_a_candidate_and_the_answer_is_not(actions, browser):
    seen = set()
    question = {"session": browser.session_id, "query": "all the watermelons", "planner": "grammar", "sam3": "tiny"}
    browser.follower.ask(question)
    while browser.look(wait=True)["pending"] is not None:
        seen |= {row["candidate"] for row in browser.rows}
    assert seen <= {True}
    assert [row["candidate"] for row in browser.rows] == [False] * 4


def test_a_question_asked_otherwise_leaves_the_way_before_it_reachable(browser):
    for query in ("all the watermelons", "only the two largest"):
        browser.ask(query)
    place = find_query(browser, "all the watermelons")["turn"]
    browser.ask("all the cherries", place=place)
    assert list_queries(browser) == ["all the cherries"]
    assert find_query(browser, "all the cherries")["versions"] == {"at": 1, "branches": [0, 1]}
    assert browser.follower.switch({"session": browser.session_id, "branch": 0}) == {}
    browser.look()
    assert list_queries(browser) == ["all the watermelons", "only the two largest"]
    assert sum(row["selected"] for row in browser.rows) == 2
    browser.ask("the smallest")
    assert list_queries(browser) == ["all the watermelons", "only the two largest", "the smallest"]


def test_what_was_undone_and_asked_over_is_brought_back(browser):
    for query in ("all the watermelons", "undo", "all the cherries"):
        browser.ask(query)
    undone = next(entry for entry in browser.entries if entry.get("undone"))
    assert undone["text"] == "all the watermelons"
    browser.follower.switch({"session": browser.session_id, "branch": undone["restore"]})
    browser.look()
    session = get_session(browser)
    session = browser.follower.actions.edit(browser.session_id, Conversation.redo)
    assert session.conversation.selected == (1, 2, 3, 4)


def test_a_question_that_fails_when_asked_otherwise_changes_nothing(browser):
    browser.ask("all the watermelons")
    place = find_query(browser, "all the watermelons")["turn"]
    actions = browser.follower.actions
    *_, session = actions.ask(browser.session_id, "the cup", ModelSelection("nobody", "tiny"), place=place)
    assert session.conversation.selected == (1, 2, 3, 4)
    assert session.note_kind == "error"
    for wrong in (0, 99):
        *_, session = actions.ask(browser.session_id, "the cup", CHOSEN, place=wrong)
        assert "no such question" in session.note
        assert session.pending_answer is None


def test_answers_are_compared_without_changing_what_is_shown(actions, browser):
    browser.ask("all the watermelons")
    place = find_query(browser, "all the watermelons")["turn"]
    asked = [
        *browser.follower.actions.ask(browser.session_id, "all the watermelons", CHOSEN, place=place, is_beside=True)
    ]
    assert [len(one.conversation.turns) for one in asked] == [1] * len(asked)
    assert not any(entry["kind"] == "comparison" for entry in list_entries(asked[-1]))  # the same planner twice
    infos = {
        one.events[-1]: replace(asked[-1].turn_infos[one.events[-1]], planner=name)
        for one, name in zip(asked[-1].tree.branches, ("a", "b"), strict=True)
    }
    session = browser.follower.actions.sessions.update(browser.session_id, turn_infos=infos)
    (compared,) = [entry for entry in list_entries(session) if entry["kind"] == "comparison"]
    assert [(row["planner"], row["agreement"], row["shown"]) for row in compared["rows"]] == [
        ("a", "", True),
        ("b", "4 the same", False),
    ]
    picture = ShownStep(session=browser.session_id, event=place, step=-1, branch=1)
    assert browser.follower.actions.draw_step(picture).startswith("data:image/webp")
    assert browser.follower.actions.draw_step(picture.model_copy(update={"branch": 9})) == ""


def test_there_are_not_more_ways_than_are_kept(image):
    start = Conversation.start(image)
    tree = BranchTree().advance(start)
    for number in range(branches.MAX_BRANCHES + 10):
        tree = tree.fork(start.show(image, f"{number}.png"))
        assert len(tree.branches) <= branches.MAX_BRANCHES
        assert tree.shown.name == f"{number}.png"
    beside = tree.switch(0).add_beside(start.show(image, "beside.png"))
    assert beside.shown is tree.branches[0]
    assert len(beside.branches) == branches.MAX_BRANCHES


def test_what_may_be_asked_is_made_of_what_is_in_the_image(browser, engine):
    engine.get_sam3("tiny")
    said = browser.follower.suggest({"session": browser.session_id})["queries"]
    assert "every watermelon" in said or "the banana" in said
    for query in said:
        browser.ask(query)
        assert any(row["selected"] for row in browser.rows), query
        browser.ask("undo")
    assert browser.follower.suggest({"session": browser.session_id})["queries"] == said
    browser.ask(said[0])
    assert browser.follower.suggest({"session": browser.session_id}) == {"queries": []}
    assert browser.follower.suggest({"session": "guessed"})["error"]


WRONG = [
    None,
    [],
    {"session": "guessed"},
    {"session": 3, "query": {}},
    {"query": "x" * 3000},
    {"place": -1},
    {"planner": "openai:somebody-elses", "query": "cups"},
    {"sam3": "/etc/passwd", "query": "cups"},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_whatever_anybody_sends_is_one_sentence(browser, wrong):
    good = {"session": browser.session_id, "query": "cups", "planner": "grammar", "sam3": "tiny"}
    sent = {**good, **wrong} if isinstance(wrong, dict) else wrong
    said = browser.follower.ask(sent)["error"]
    assert said
    assert "\n" not in said
    for call in (
        browser.follower.stop,
        browser.follower.switch,
        lambda data: asyncio.run(browser.follower.follow(data)),
    ):
        assert call({"session": "guessed", "branch": 0})["error"]
        assert call([1])["error"]


def test_nobody_loads_a_model_by_a_click_either(browser):
    batch = {"session": browser.session_id, "page": "p", "first": 0, "revision": "", "edits": [], "sam3": "/etc/passwd"}
    assert "does not offer" in answer_request(browser.follower.actions, batch)["error"]


def test_what_the_model_saw_is_not_known_where_no_model_planned(browser):
    browser.ask("all the watermelons")
    step = {"session": browser.session_id, "event": 1, "step": 0}
    assert browser.follower.actions.describe_sight(ShownStep(**step)) == []
    assert browser.follower.actions.draw_sight(ShownImage(**step, image=1)) == ""


def test_a_thought_is_sent_once_however_it_grows_or_begins_anew():
    pending, shown, reply = PendingAnswer("cups"), "", 0
    for reasoning, text in [
        ("A", ""),
        ("A cup", ""),
        ("A cup", "So"),
        ("A cup", "So be"),
        ("Other", ""),
        ("Other x", ""),
    ]:
        pending = pending.hear(PartialReply(reasoning, text))
        thought = describe_pending(pending, (reply, len(shown)))["thought"]
        shown = (shown[: thought["from"]] if thought["reply"] == reply else "") + thought["text"]
        reply = thought["reply"]
        assert shown == "\n".join(filter(None, (reasoning, text)))
    assert describe_pending(pending, (reply, len(shown)))["thought"]["text"] == ""


def test_waiting_is_told_as_it_is():
    pending = PendingAnswer("cups").hear(RetryNotice(3, 6, 1.0))
    assert describe_pending(pending)["title"] == "The language model is busy: try 3 of 6"
    assert pending.hear(PartialReply(tool="examine")).retries == 1
    assert describe_pending(pending.hear(PartialReply(tool="examine")))["title"] == "About to look closely"
    assert describe_pending(PendingAnswer("cups").hear("Loading the model"))["title"] == "Loading the model"


def test_too_many_that_wait_are_turned_away():
    line = AnswerLine(lanes=1, limit=1)
    with line.join(), line.join(), pytest.raises(OverloadedError), line.join():
        pass
    with line.join() as first:
        assert (line.get_place(first), line.estimate_seconds(1)) == (0, None)
        with line.time_answer():
            pass
        assert line.estimate_seconds(1) == pytest.approx(0, abs=1)


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (PlannerError("http://x answered 500"), "The language model"),
        (FailedCallError("`segment` failed"), "The model that finds objects"),
        (DeviceError("no CUDA"), "The model that finds objects"),
        (OverloadedError("much"), "Too many people"),
    ],
)
def test_each_failure_is_blamed_on_what_failed(error, blamed):
    assert describe_error(error).startswith(blamed)


def test_an_early_end_is_blamed_on_what_failed():
    ends = {
        "because the planner cannot go on: http://x": "The language model",
        "because `segment` cannot go on: x": "The model",
    }
    for reason, blamed in ends.items():
        assert describe_early_end(f"Found 1 mask. Stopped {reason}; the best answer so far is 1 mask.", 1).startswith(
            blamed
        )


def test_two_answers_agree_where_their_masks_do():
    masks = np.zeros((3, 8, 8), bool)
    masks[0, :4], masks[1, 4:], masks[2, :3] = True, True, True
    top, bottom, almost = map(encode_mask, masks)
    assert describe_overlap((top, bottom), (almost,)) == "1 the same, 1 only in the answer shown"
    assert describe_overlap((top,), (bottom,)) == "0 the same, 1 only in the answer shown, 1 only here"
