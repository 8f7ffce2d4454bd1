"""The parts of the page that need no browser: visits, uploads, what is sent, words, the command line."""

import json
import re
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from threading import Event as Signal

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from agent.cli.options import Options
from agent.conversation.conversation import Conversation
from agent.core.errors import ConversationError
from agent.core.workspace import Candidate
from agent.exports import EXPORTERS
from demo.actions import CONVERSATION, TRACE, WAIT_MESSAGE, Actions, ModelSelection
from demo.app import DOWNLOADS, EXAMPLES
from demo.banner import list_known_nouns, render_banner
from demo.canvas import build_mask_rows, canvas_state
from demo.chat import build_messages, escape_text
from demo.cli import AUTH
from demo.engine import Engine
from demo.requests import Corners, InvalidEventError, Kept, Point, parse_event
from demo.sessions import SessionExpiredError, SessionStore, count_image_bytes
from demo.uploads import MEGA, Limits, open_image
from sam3_tool import Image, ImageError
from sam3_tool.masks.rle import encode_mask

CHOSEN = ModelSelection("grammar", "tiny")


class Event:
    def __init__(self, data):
        self._data = data


@pytest.fixture
def picture():
    return Image(np.zeros((60, 80, 3), np.uint8))


@pytest.fixture(scope="module")
def actions():
    pictures = Path(__file__).parent.parent.parent / "demo" / "pictures"
    return Actions(Engine(Options(planner="grammar")), SessionStore(), Limits(), pictures)


def test_a_visit_is_forgotten_when_it_is_not_used(picture):
    now = 0.0
    visits = SessionStore(idle_seconds=10, now=lambda: now)
    secret = visits.open()
    now = 9.0
    visits.update(secret, conversation=Conversation.start(picture))
    now = 18.0
    assert visits[secret].conversation is not None
    now = 30.0
    assert secret not in visits
    with pytest.raises(SessionExpiredError, match="Reload"):
        visits[secret]


@pytest.mark.parametrize("secret", ["", "guessed"])
def test_a_visit_that_never_began_holds_nothing(secret, picture):
    with pytest.raises(SessionExpiredError):
        SessionStore().update(secret, conversation=Conversation.start(picture))


def test_pictures_of_the_least_recent_visits_make_room():
    visits = SessionStore(max_bytes=4 * 2**20)
    first, second = visits.open(), visits.open()
    for secret in (first, second):
        visits.update(secret, conversation=Conversation.start(Image(np.zeros((800, 800, 3), np.uint8))))
    assert (first in visits, second in visits) == (False, True)


def test_a_picture_shown_twice_is_counted_once(picture):
    told = Conversation.start(picture, "a.png")
    for _ in range(5):
        told = told.show(picture, "a.png")
    assert count_image_bytes(told) == 60 * 80 * 3
    assert count_image_bytes(told.show(Image(np.ones((60, 80, 3), np.uint8)))) == 2 * 60 * 80 * 3


def test_a_visit_with_very_many_pictures_is_refused_the_next_one_and_nobody_is_forgotten(actions, tmp_path):
    limits = Limits(max_pixels=MEGA)
    visits = SessionStore(max_bytes=2 * limits.max_session_bytes)
    page = replace(actions, sessions=visits, limits=limits)
    other, secret = visits.open(), visits.open()
    page.open_example(other, "fruit")
    page.open_example(secret, "horses")
    for number in range(30):
        PIL.Image.new("RGB", (1000, 1000), (number, 0, 0)).save(tmp_path / "a.png")
        visit = page.open_file(secret, str(tmp_path / "a.png"))
        if visit.note:
            break
    assert re.match(
        r"With this picture .* 66\.\d MiB of pictures, and 64\.0 are allowed\. Open this page in", visit.note
    )
    assert (
        count_image_bytes(visit.conversation)
        <= limits.max_session_bytes
        < count_image_bytes(visit.conversation) + 3 * MEGA
    )
    assert "are allowed" in page.open_example(secret, "fruit").note
    assert visits[other].conversation.name == "fruit.webp"
    assert page.edit(secret, Conversation.undo).note == ""
    PIL.Image.new("RGB", (1000, 1000)).save(tmp_path / "a.png")
    assert page.open_file(secret, str(tmp_path / "a.png")).note == ""


def test_an_upload_is_deleted_once_it_was_read(tmp_path):
    file = tmp_path / "a.png"
    PIL.Image.new("RGB", (8, 4)).save(file)
    assert (open_image(file, Limits()).width, file.exists()) == (8, False)


def test_what_is_too_large_is_refused_without_being_decoded_and_without_its_path(tmp_path):
    file = tmp_path / "a.png"
    PIL.Image.new("RGB", (100, 100)).save(file)
    with pytest.raises(ImageError, match="100 x 100 is 0 megapixels") as refused:
        open_image(file, Limits(max_pixels=5000))
    assert str(tmp_path) not in str(refused.value)
    file.write_bytes(bytes(2000))
    with pytest.raises(ImageError, match="this page takes files up to"):
        open_image(file, Limits(max_file_bytes=1000))
    assert not file.exists()


def test_a_conversation_is_opened_within_the_same_limits_and_deleted(tmp_path, picture):
    file = tmp_path / "my talk.JSON"
    told = Conversation.start(picture).show(Image(np.ones((60, 80, 3), np.uint8)), "second.png")
    for limits in (Limits(max_pixels=9600), Limits(max_pixels=9599), Limits(max_file_bytes=100)):
        told.save(file)
        pictures = Path(__file__).parent.parent.parent / "demo" / "pictures"
        page = Actions(Engine(Options(planner="grammar")), SessionStore(), limits, pictures)
        visit = page.open_file(page.sessions.open(), str(file))
        assert not file.exists()
        if limits == Limits(max_pixels=9600):
            assert visit.conversation.name == "second.png"
        else:
            assert visit.conversation is None
            assert visit.note.startswith("My talk.JSON")
            assert ("too large" if limits.max_file_bytes > 100 else "this page takes files up to") in visit.note


def crafted(visit, path, change):
    """The conversation as a file in which `change` was made to the latest turn."""
    visit.conversation.save(path)
    held = json.loads(path.read_text("utf-8"))
    change(held["events"][-1])
    path.write_text(json.dumps(held), "utf-8")
    return str(path)


def with_click(arguments):
    return lambda turn: turn["steps"][0]["decision"].update(arguments=arguments)


def with_mask(**changes):
    return lambda turn: turn["steps"][0]["added"]["candidates"][0].update(changes)


CRAFTED = {
    "no object": with_click("[]"),
    "no JSON": with_click("{"),
    "nothing": with_click("null"),
    "no points": with_click('{"points": [1]}'),
    "a word": with_click('{"points": "x"}'),
    "no number": with_click('{"points": [{"x": 1e999, "y": 2, "positive": true}]}'),
    "a very long number": with_click('{"points": [{"x": %s, "y": 2}]}' % ("1" * 5000)),
    "very deep": with_click("[" * 100_000),
    "a threshold of no number": lambda turn: turn.update(query="keep what scores above nothing"),
    "a threshold beyond all": lambda turn: turn.update(query="keep what scores above inf"),
    "half a character": with_mask(phrase="\ud83d", origin="\ud83d"),
    "no score": with_mask(score=float("nan")),
    "no step": lambda turn: turn.update(steps=[], by_hand=False, outcome="asked"),
}
"""What no page saves, in the turn of a click."""


@pytest.mark.parametrize("what", CRAFTED)
def test_a_page_that_opened_a_file_of_whatever_kind_lives_on(actions, melons, tmp_path, what):
    clicked = actions.click(melons, "tiny", 340, 140, positive=True, id=None)
    assert canvas_state(clicked)["points"] == [(340, 140, True)]
    actions.open_file(melons, crafted(clicked, tmp_path / "talk.json", CRAFTED[what]))
    seen = actions.arrive(melons)
    assert seen.note == ""
    page = canvas_state(seen)
    assert page["threshold"] == 0
    assert json.dumps([page, build_messages(seen)], ensure_ascii=False, allow_nan=False).encode()
    assert actions.edit(melons, Conversation.undo).conversation.selected == (1, 2, 3, 4)


def test_a_click_whose_sign_is_left_out_is_positive(actions, melons, tmp_path):
    clicked = actions.click(melons, "tiny", 340, 140, positive=True, id=None)
    unsigned = with_click('{"points": [{"x": 340, "y": 140}]}')
    opened = actions.open_file(melons, crafted(clicked, tmp_path / "talk.json", unsigned))
    assert canvas_state(opened)["points"] == [(340, 140, True)]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder in which temporary ones are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("kind", [CONVERSATION, TRACE, "coco-polygons"])
@pytest.mark.parametrize("name", ["../a\0b.png", "x" * 300 + ".png", "\u732b" * 95 + ".png", "..", "a/b/c.png"])
def test_whatever_an_opened_file_calls_its_picture_a_download_has_a_name(
    actions, melons, tmp_path, temporary, kind, name
):
    actions.sessions[melons].conversation.save(tmp_path / "talk.json")
    held = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    held["events"][0]["name"] = name
    (tmp_path / "talk.json").write_text(json.dumps(held), "utf-8")
    assert "/" not in actions.open_file(melons, str(tmp_path / "talk.json")).conversation.name
    path = actions.download(melons, kind, CHOSEN)
    assert path.stat().st_size > 0
    assert [path.parent] == [*temporary.iterdir()]
    assert path.name.isprintable()


def test_a_download_that_is_refused_leaves_no_folder(actions, temporary):
    secret = actions.sessions.open()
    actions.open_example(secret, "fruit")
    for kind in ("png-masks", TRACE):
        with pytest.raises(ConversationError):
            actions.download(secret, kind, CHOSEN)
    assert [*temporary.iterdir()] == []


@pytest.mark.parametrize("threshold", [0.5, 0.00012, 1.5e-05])
def test_the_slider_stands_where_it_was_left(actions, melons, threshold):
    assert canvas_state(actions.edit(melons, lambda one: one.above(threshold)))["threshold"] == threshold


def test_more_masks_or_steps_than_a_page_takes_are_refused_in_one_sentence(actions, melons, tmp_path):
    visit = actions.sessions[melons]
    masks, steps = len(visit.conversation.workspace), 2 + len(visit.conversation.last.steps)
    path = tmp_path / "talk.json"
    for limits, told in (
        (Limits(max_masks=masks, max_steps=steps), ""),
        (Limits(max_masks=masks - 1), f"Talk.json is too large: it has {masks} masks, and {masks - 1} are allowed."),
        (
            Limits(max_steps=steps - 1),
            f"Talk.json is too long: it has {steps} pictures, turns and steps together, and {steps - 1} are allowed.",
        ),
    ):
        visit.conversation.save(path)
        page = replace(actions, limits=limits, sessions=SessionStore())
        opened = page.open_file(page.sessions.open(), str(path))
        assert (opened.note, opened.conversation is None) == (told, bool(told))


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (Point, {"x": float("nan"), "y": 1, "positive": True}),
        (Point, {"x": 1, "y": 1, "positive": True, "active": -3}),
        (Corners, {"box": [1, 2, 3]}),
        (Kept, {"ids": ["../../etc"]}),
        (Kept, None),
    ],
)
def test_what_the_page_would_never_send_is_refused(kind, sent):
    with pytest.raises(InvalidEventError, match="makes no sense"):
        parse_event(kind, Event(sent))


@pytest.mark.parametrize("text", ["<b>", "![](http://x)", "# a", "$$x$$", "`a`", "_a_", "a\n- b", "https://x.y"])
def test_words_are_written_so_that_nothing_reads_markup_in_them(text):
    assert not set(escape_text(text).replace("<br>", "")) & set("<>![]()$`_*:/-") - {"-"}
    assert re.fullmatch(r"(\w|\s|&#\d+;|<br>)*", escape_text(text))


def test_every_export_format_can_be_downloaded():
    assert set(DOWNLOADS) == {*EXPORTERS, CONVERSATION, TRACE}
    assert all(DOWNLOADS[name] == format.description for name, format in EXPORTERS.items())
    assert len(set(DOWNLOADS.values())) == len(DOWNLOADS)


def test_the_banner_says_what_the_embedded_checkpoint_knows():
    shapes, things = list_known_nouns()
    assert {"circle", "star"} <= set(shapes)
    assert {"watermelon", "horse"} <= set(things)
    assert f"{len(things)} things" in render_banner("tiny")
    assert render_banner("facebook/sam3") == ""


def test_an_outline_holds_the_mask_and_its_number_lies_inside():
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:60] = True
    candidate = Candidate(1, encode_mask(mask), (20, 10, 60, 30), 0.9, "box")
    (row,) = build_mask_rows([candidate], [1], {})
    x, y = row["at"]
    assert mask[int(y), int(x)]
    numbers = [float(number) for number in re.findall(r"[\d.]+", row["path"])]
    edges = [min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])]
    assert edges == pytest.approx([20, 10, 60, 30], abs=0.5)
    assert row["area"] == 800


def test_a_mask_of_one_pixel_still_has_an_outline():
    mask = np.zeros((4000, 5000), bool)
    mask[3000, 4000] = True
    (row,) = build_mask_rows([Candidate(1, encode_mask(mask), (4000, 3000, 4001, 3001), 0.9, "dot")], [1], {})
    assert row["path"].startswith("M")
    assert row["share"] == "under 0.01 %"


def test_a_mask_of_nearly_the_whole_picture_covers_100_percent_of_it():
    mask = np.ones((50, 50), bool)
    mask[0, 0] = False
    (row,) = build_mask_rows([Candidate(1, encode_mask(mask), (0, 0, 50, 50), 0.9, "sky")], [1], {})
    assert row["share"] == "100 %"


def test_a_question_without_a_picture_is_answered_in_words(actions):
    secret = actions.sessions.open()
    (visit,) = actions.ask(secret, "all the dogs", CHOSEN)
    assert "Choose a picture first" in build_messages(visit)[-1]["content"].replace("&#46;", "")


def test_a_question_is_answered_by_the_embedded_models(actions):
    secret = actions.sessions.open()
    actions.open_example(secret, "fruit")
    *_, visit = actions.ask(secret, "all the watermelons", CHOSEN)
    assert visit.conversation.selected == (1, 2, 3, 4)
    assert visit.pending_answer is None
    assert [mask["selected"] for mask in canvas_state(visit)["masks"]] == [True] * 4
    *_, visit = actions.ask(secret, "undo", CHOSEN)
    assert visit.conversation.selected == ()
    assert "nothing" in actions.edit(secret, lambda one: one.undo().undo()).note


@pytest.fixture
def melons(actions):
    """The secret of a visit whose answer are four watermelons."""
    secret = actions.sessions.open()
    actions.open_example(secret, "fruit")
    *_, visit = actions.ask(secret, "all the watermelons", CHOSEN)
    assert visit.conversation.selected == (1, 2, 3, 4)
    return secret


def queries(visit):
    return [turn.task.query for turn in visit.conversation.turns]


def test_a_question_asked_while_an_edit_is_made_goes_on_from_the_edit(actions, melons):
    working, go_on = Signal(), Signal()

    def slow(conversation):
        working.set()
        assert go_on.wait(60)
        return conversation.remove([1])

    with ThreadPoolExecutor() as threads:
        edit = threads.submit(actions.edit, melons, slow)
        assert working.wait(60)
        asked = [threads.submit(lambda: [*actions.ask(melons, "the largest of them", CHOSEN)]) for _ in range(2)]
        wait(asked, timeout=0.5)
        go_on.set()
        answers = [answer.result()[-1] for answer in asked]
    assert edit.result().conversation.selected == (2, 3, 4)
    assert queries(actions.sessions[melons])[1:3] == ["remove 1", "the largest of them"]
    assert set(actions.sessions[melons].conversation.selected) < {2, 3, 4}
    assert all(answer.pending_answer is None or answer.note == WAIT_MESSAGE for answer in answers)


def test_while_a_question_is_answered_edits_and_other_questions_are_told_to_wait(actions, melons):
    answer = actions.ask(melons, "only the two largest", CHOSEN)
    assert next(answer).pending_answer.query == "only the two largest"
    for change in (lambda one: one.remove([1]), Conversation.undo):
        refused = actions.edit(melons, change)
        assert (refused.note, refused.conversation.selected) == (WAIT_MESSAGE, (1, 2, 3, 4))
        assert [one["content"] for one in build_messages(refused)].count("only the two largest") == 1
    (other,) = actions.ask(melons, "only the left one", CHOSEN)
    assert (other.note, other.unanswered_query, other.pending_answer.query) == (
        WAIT_MESSAGE,
        "only the left one",
        "only the two largest",
    )
    *_, visit = answer
    assert (visit.pending_answer, visit.note, queries(visit)[1:]) == (None, "", ["only the two largest"])
    assert actions.edit(melons, Conversation.undo).conversation.selected == (1, 2, 3, 4)
    assert actions.edit(melons, Conversation.redo).conversation.selected == visit.conversation.selected


def test_an_answer_that_a_reload_has_ended_changes_nothing_any_more(actions, melons):
    ended = actions.ask(melons, "redo", CHOSEN)
    next(ended)
    actions.edit(melons, Conversation.undo)  # is refused, and noted
    assert "Reloading" in actions.arrive(melons).note
    actions.edit(melons, lambda one: one.remove([1]))
    answer = actions.ask(melons, "only the two largest", CHOSEN)
    next(answer)
    assert [*ended] == []
    *_, visit = answer
    assert queries(visit)[1:] == ["remove 1", "only the two largest"]


def test_an_answer_that_nobody_fetches_is_over(actions, melons):
    answer = actions.ask(melons, "only the two largest", CHOSEN)
    next(answer)
    answer.close()
    assert actions.sessions[melons].pending_answer is None
    assert actions.edit(melons, lambda one: one.remove([1])).conversation.selected == (2, 3, 4)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_can_be_opened(actions, example):
    assert actions.open_example(actions.sessions.open(), example).conversation.picture.width == 640


def test_a_planner_that_cannot_be_had_is_one_sentence(actions):
    secret = actions.sessions.open()
    actions.open_example(secret, "fruit")
    *_, visit = actions.ask(secret, "all the watermelons", ModelSelection("nobody", "tiny"))
    assert "there is no planner" in visit.note.lower()
    assert visit.pending_answer is None


def test_a_password_that_cannot_be_used_is_not_shown(monkeypatch):
    monkeypatch.setenv(AUTH, "hunter2")
    done = CliRunner().invoke(app, ["demo"])
    assert (done.exit_code, done.stderr) == (2, "error: --auth must be USER:PASSWORD\n")


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = CliRunner().invoke(app, ["demo", "--port", str(taken.getsockname()[1])])
    assert done.exit_code == 2
    assert "choose another --port" in done.stderr
    assert done.stderr.count("\n") == 1
