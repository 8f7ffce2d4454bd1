"""Edits that the canvas sends, several in a request, on the embedded models, without a browser."""

import json

import numpy as np
import pytest

from agent.conversation.conversation import Conversation
from demo.picture.canvas import canvas_state
from demo.studio.editing import OTHER_IMAGE, answer_request
from demo.talk.messages import build_talk, list_entries

CHERRY, OTHER_CHERRY, EMPTY = (340, 140), (180, 155), (20, 440)
MOST_BYTES = 6000
"""Of one click, by the owner's goal."""


def click(at, token=1, **more):
    return {"kind": "point", "x": at[0], "y": at[1], "positive": True, "object": token, **more}


class Browser:
    """Sends edits as the script does, and keeps what it is told."""

    def __init__(self, actions, session_id):
        self.actions, self.session_id, self.made = actions, session_id, 0
        state = canvas_state(actions.sessions[session_id])
        self.rows, self.revision = {row["id"]: row for row in state["masks"]}, state["revision"]

    def send(self, *edits, **changed):
        asked = {"session": self.session_id, "sam3": "tiny", "page": "p", "first": self.made}
        reply = answer_request(self.actions, {**asked, "revision": self.revision, "edits": [*edits], **changed})
        if "error" in reply:
            return reply
        self.made = reply["done"]
        if reply["rows"] is not None:
            self.rows = {row["id"]: row for row in reply["rows"]}
        for id, fields in reply["changed"].items():
            self.rows[int(id)] = {**self.rows.get(int(id), {}), **fields}
        for id in reply["gone"]:
            del self.rows[id]
        self.revision = reply["state"]["revision"]
        return reply

    @property
    def selected(self):
        return self.actions.sessions[self.session_id].conversation.selected


@pytest.fixture
def browser(actions, melons):
    return Browser(actions, melons)


def shows_what_there_is(browser):
    rows = canvas_state(browser.actions.sessions[browser.session_id])["masks"]
    return browser.rows == {row["id"]: row for row in rows}


def test_quick_clicks_on_one_object_are_one_mask(browser):
    near = [(CHERRY[0] + dx, CHERRY[1] + dy) for dx, dy in ((0, 0), (3, 2), (-4, 1), (2, -3), (0, 5))]
    reply = browser.send(*map(click, near))
    assert browser.selected == (1, 2, 3, 4, 5)
    assert (reply["state"]["active"], reply["notes"]) == (5, [])
    browser.send(click(CHERRY, active=5), click((CHERRY[0] + 6, CHERRY[1]), active=5))
    assert browser.selected == (1, 2, 3, 4, 5)
    conversation = browser.actions.sessions[browser.session_id].conversation
    mask = conversation.workspace.get_instances([5]).masks[0]
    assert all(mask[y, x] for x, y in near)
    assert shows_what_there_is(browser)


def test_what_was_done_by_hand_is_told_without_coordinates_and_models_still_read_them(browser):
    near = {"object": 9, "active": 5}
    browser.send(
        click(CHERRY, token=9),
        click(CHERRY, token=9, active=5),
        {"kind": "point", "x": CHERRY[0] + 8, "y": CHERRY[1], "positive": False, **near},
        {"kind": "stroke", "points": [[330, 150]], "radius": 60, **near},
        {"kind": "polygon", "points": [[10, 10], [60, 10], [60, 60]], "object": 11},
        {"kind": "box", "box": [160, 130, 205, 180], "meaning": "one"},
        {"kind": "relabel", "ids": [5], "label": "ripe cherry"},
        {"kind": "keep", "ids": [1, 2, 3, 5]},
        {"kind": "keep", "ids": [1, 2, 3, 4, 5]},
    )
    session = browser.actions.sessions[browser.session_id]
    assert "add what is at 340, 140" in [turn.task.query for turn in session.conversation.turns]
    assert [entry["text"] for entry in list_entries(session) if entry.get("byHand")] == [
        "Clicked an object",
        "Added to object 5 with a click",
        "Took from object 5 with a click",
        "Added to object 5 with the brush",
        "Drew an object with the polygon",
        "Drew a box around an object",
        "Called object 5 ripe cherry",
        "Took out objects 4, 6 and 7",
        "Put back object 4",
    ]


def test_two_edits_that_read_the_same_are_two_entries_of_the_talk(browser):
    for number, place in enumerate((CHERRY, OTHER_CHERRY)):
        browser.send(click(place, token=20 + number))
    entries = build_talk(browser.actions.sessions[browser.session_id])["entries"]
    assert [entry["text"] for entry in entries].count("Clicked an object") == 2
    assert len({entry["key"] for entry in entries}) == len(entries)


def test_an_edit_of_the_image_before_is_not_made_in_the_next_one(browser):
    shown = canvas_state(browser.actions.sessions[browser.session_id])["key"]
    reply = browser.send(click(CHERRY), {"kind": "undo"}, key="of the image before")
    assert (browser.selected, reply["notes"], reply["done"]) == ((1, 2, 3, 4), [OTHER_IMAGE], 2)
    assert browser.send(click(CHERRY), key=shown)["notes"] == []
    assert browser.selected == (1, 2, 3, 4, 5)
    browser.actions.open_example(browser.session_id, "horses")
    again = browser.send(click(CHERRY), first=2, key=shown)  # its answer was lost
    assert (again["notes"], again["done"]) == ([], 3)


def test_a_click_outside_the_object_begins_another_one_unless_it_is_to_extend_it(browser):
    browser.send(click(CHERRY), click(OTHER_CHERRY))
    assert browser.selected == (1, 2, 3, 4, 5, 6)
    browser.send({"kind": "undo"}, click(OTHER_CHERRY, active=5, token=2, extend=True))
    assert browser.selected == (1, 2, 3, 4, 5)
    mask = browser.actions.sessions[browser.session_id].conversation.workspace.get_instances([5]).masks[0]
    assert all(mask[y, x] for x, y in (CHERRY, OTHER_CHERRY))
    assert shows_what_there_is(browser)


def test_a_new_object_may_lie_inside_of_a_mask(browser):
    melon = (480, 310)
    browser.send(click(melon))
    assert browser.selected == (1, 2, 3, 4)
    before = browser.actions.sessions[browser.session_id].conversation
    browser.send(click(melon, token=2, new=True))
    after = browser.actions.sessions[browser.session_id].conversation
    assert len(after.workspace) == len(before.workspace) + 1


def test_a_click_on_nothing_makes_no_mask_and_one_sentence_says_so(browser):
    reply = browser.send(click(EMPTY))
    assert browser.selected == (1, 2, 3, 4)
    assert len(reply["notes"]) == 1
    assert reply["notes"][0].startswith("Nothing was found there")
    assert reply["changed"] == {}


def test_an_edit_that_comes_twice_is_made_once(browser):
    browser.send(click(CHERRY))
    again = browser.send(click(CHERRY), click(OTHER_CHERRY), first=0)
    assert browser.selected == (1, 2, 3, 4, 5, 6)
    assert again["done"] == 2
    assert len(browser.actions.sessions[browser.session_id].conversation.turns) == 3
    assert shows_what_there_is(browser)


def test_a_click_or_a_tick_costs_little_and_who_fell_behind_gets_everything(browser):
    reply = browser.send(click(CHERRY))
    assert list(reply["changed"]) == ["5"]
    assert len(json.dumps(reply)) < MOST_BYTES
    tick = browser.send({"kind": "keep", "ids": [1, 2, 3]})
    assert tick["changed"] == {"4": {"selected": False}, "5": {"selected": False}}
    assert len(json.dumps(tick)) < 1000
    whole = browser.send({"kind": "undo"}, revision="of another day")
    assert [row["id"] for row in whole["rows"] if row["selected"]] == [
        row for row in browser.rows if row in browser.selected
    ]
    assert shows_what_there_is(browser)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"edits": [{"kind": "paint"}]},
        {"edits": [click((float("nan"), 1))]},
        {"edits": [{"kind": "undo"}] * 40},
        {"session": "nobody's"},
    ],
)
def test_what_no_page_sends_changes_nothing(browser, wrong):
    before = browser.actions.sessions[browser.session_id].conversation
    reply = answer_request(browser.actions, None) if wrong is None else browser.send(**{"edits": [], **wrong})
    assert list(reply) == ["error"]
    assert browser.actions.sessions[browser.session_id].conversation is before


def test_random_edits_in_random_batches_leave_the_browser_with_what_there_is(browser):
    random = np.random.default_rng(8)
    for _ in range(6):
        edits = [
            click((int(random.integers(640)), int(random.integers(480))), token=int(random.integers(3)))
            if random.random() < 0.6
            else {"kind": str(random.choice(["undo", "redo"]))}
            for _ in range(int(random.integers(1, 5)))
        ]
        reply = browser.send(*edits)
        if reply["moved"]:
            break
        assert shows_what_there_is(browser)


def test_a_box_means_the_one_object_everything_like_it_or_not_this(browser):
    around = {"kind": "box", "box": [320, 10, 560, 240]}
    assert len(browser.send({**around, "meaning": "one"})["changed"]) == 1
    assert browser.selected == (1, 2, 3, 4, 5)
    assert "in the box" not in browser.rows[5]["phrase"]
    browser.send({"kind": "undo"}, {**around, "meaning": "alike"})
    assert len(browser.selected) > 5
    browser.send({**around, "meaning": "not"})
    assert browser.selected == (1, 2, 3, 4)
    assert "reload" in browser.send({**around, "meaning": "all"})["error"]
    assert shows_what_there_is(browser)


def test_a_click_corrects_the_object_of_a_box(browser):
    browser.send({"kind": "box", "box": [320, 10, 560, 240], "meaning": "one"})
    active = canvas_state(browser.actions.sessions[browser.session_id])["active"]
    assert active == 5
    browser.send(click(CHERRY, active=5, extend=True))
    assert browser.selected == (1, 2, 3, 4, 5)
    assert browser.rows[5]["origin"].endswith("in 320,10,560,240")


def test_what_is_drawn_is_an_edit_like_any_other(browser, tmp_path):
    dot = {"kind": "stroke", "points": [[600, 400]], "radius": 12, "object": 7}
    browser.send(dot, {**dot, "points": [[600, 400], [630, 400]]})  # one object, before it has a number
    assert browser.selected == (1, 2, 3, 4, 5)
    area = browser.rows[5]["area"]
    assert area == pytest.approx(12 * 12 * np.pi + 30 * 24, rel=0.1)
    browser.send({**dot, "points": [[615, 380], [615, 420]], "radius": 2, "erase": True, "active": 5})
    assert browser.rows[5]["area"] < area
    browser.send({"kind": "mend", "how": "split", "ids": [5]})
    assert browser.selected == (1, 2, 3, 4, 5, 6)
    browser.send({"kind": "mend", "how": "merge", "ids": [5, 6]}, {"kind": "mend", "how": "duplicate", "ids": [1]})
    assert browser.selected == (1, 2, 3, 4, 5, 7)
    assert browser.rows[7]["path"] == browser.rows[1]["path"]
    conversation = browser.actions.sessions[browser.session_id].conversation
    conversation.save(tmp_path / "drawn.json")
    assert Conversation.open(tmp_path / "drawn.json").workspace == conversation.workspace
    browser.send(*[{"kind": "undo"}] * 5)
    assert browser.selected == (1, 2, 3, 4, 5)
    assert browser.rows[5]["area"] < area
    assert shows_what_there_is(browser)


def test_a_polygon_that_touches_nothing_is_another_object(browser):
    corners = [[10, 20], [60, 20], [60, 70], [10, 70]]
    polygon = {"kind": "polygon", "points": corners, "object": 3, "active": 1}
    browser.send(polygon)
    assert browser.selected == (1, 2, 3, 4, 5)
    assert browser.rows[5]["area"] == 2500
    browser.send({**polygon, "points": [[x + 25, y] for x, y in corners], "object": 4, "active": 5})
    assert browser.selected == (1, 2, 3, 4, 5)
    assert browser.rows[5]["area"] == 3750


def test_a_new_mask_that_is_drawn_gets_the_active_class_and_keeps_it(browser):
    dot = {"kind": "stroke", "points": [[600, 400]], "radius": 12, "object": 7, "label": "vine"}
    polygon = {"kind": "polygon", "points": [[10, 20], [60, 20], [60, 70]], "object": 8, "label": "leaf"}
    browser.send(dot, polygon)
    assert [browser.rows[id]["phrase"] for id in (5, 6)] == ["vine", "leaf"]
    browser.send({**dot, "active": 5, "label": "leaf"}, {**polygon, "active": 6, "label": "vine"})
    assert [browser.rows[id]["phrase"] for id in (5, 6)] == ["vine", "leaf"]
    [note] = browser.send({**dot, "object": 9, "label": "v" * 199})["notes"]
    assert "up to 80 letters" in note
    assert browser.selected == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"kind": "stroke", "points": [[600, 20]], "radius": 3, "object": 9, "erase": True}, "no mask to take"),
        ({"kind": "stroke", "points": [[-900, 20]], "radius": 3, "object": 9}, "Nothing was changed"),
        ({"kind": "mend", "how": "merge", "ids": [1]}, "choose two"),
        ({"kind": "mend", "how": "fill", "ids": [99]}, "not in the answer"),
        (
            {"kind": "stroke", "points": [[320, 240]], "radius": 900, "object": 9, "erase": True, "active": 1},
            "No pixel",
        ),
    ],
)
def test_a_drawing_that_cannot_be_is_refused_with_a_sentence(browser, edit, said):
    before = browser.actions.sessions[browser.session_id].conversation
    assert said.lower() in browser.send(edit)["notes"][0].lower()
    assert browser.actions.sessions[browser.session_id].conversation is before


@pytest.mark.parametrize(
    "edit",
    [
        {"kind": "stroke", "points": [], "radius": 3, "object": 1},
        {"kind": "stroke", "points": [[0, 0]] * 5000, "radius": 3, "object": 1},
        {"kind": "stroke", "points": [[1e300, 0]], "radius": 3, "object": 1},
        {"kind": "stroke", "points": [[5, 5]], "radius": 1e9, "object": 1},
        {"kind": "polygon", "points": [[1, 1], [2, 2]], "object": 1},
        {"kind": "mend", "how": "explode", "ids": [1]},
        {"kind": "mend", "how": "fill", "ids": []},
    ],
)
def test_a_drawing_of_any_size_is_checked_first(browser, edit):
    assert "makes no sense" in browser.send(edit)["error"]
