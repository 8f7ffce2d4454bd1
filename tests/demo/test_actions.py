"""Actions on the embedded models, without a browser: queries, edits, uploads, downloads, side by side."""

import json
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Event as Signal

import pytest

from agent.cli.options.segment_options import Options
from agent.conversation.conversation import Conversation
from agent.core.errors import ConversationError
from demo.actions import CONVERSATION, TRACE, WAIT_MESSAGE, ModelSelection
from demo.engine import Engine
from demo.picture.canvas import canvas_state
from demo.requests import ShownStep
from demo.sessions import SessionStore
from demo.start.examples import EXAMPLES
from demo.studio.editing import apply_edit
from demo.studio.edits import PointEdit
from demo.talk.messages import build_talk
from demo.talk.small_talk import HELP, THANKS
from demo.uploads import Limits
from sam3_tool.network.http_environment import list_http_variables
from tests.support.chat_server import ChatServer, refusal
from tests.support.deviations import count_pictures, reply_by_the_book

CHOSEN = ModelSelection("grammar", "tiny")
CLICK = PointEdit(kind="point", x=340, y=140, positive=True, object=1)


@pytest.mark.parametrize("images", [0, 1])
def test_a_model_that_sees_no_images_is_named_once_with_each_answer(actions, monkeypatch, images):
    for name in ("OPENAI_API_KEY", *list_http_variables()):
        monkeypatch.delenv(name, raising=False)
    server = ChatServer()

    def answer(request):
        if count_pictures(request) > images:
            return refusal(404, "No endpoints found that support image input")
        return reply_by_the_book(request)

    server.script(answer)
    engine = Engine(Options(planner="openai:m", base_url=server.url))
    page = replace(actions, engine=engine, sessions=SessionStore())
    session_id = page.sessions.open()
    page.open_example(session_id, "fruit")
    *_, session = page.ask(session_id, "the red cup", ModelSelection("openai:m", "tiny"))
    assert session.conversation is not None
    assert ("sees no images here: it plans by words alone" in session.note) == (images == 0)
    last = build_talk(session)["entries"][-1]
    assert ((last["kind"], last["text"]) == ("note", session.note)) == (images == 0)
    assert page.edit(session_id, Conversation.undo).note == ""
    server.close()


def test_doubtful_masks_are_asked_about_and_a_reply_settles_it(actions):
    engine = Engine(Options(planner="grammar", ask_when_unsure=0.99))
    page = replace(actions, engine=engine, sessions=SessionStore())
    session_id = page.sessions.open()
    page.open_example(session_id, "fruit")
    *_, asked = page.ask(session_id, "all the watermelons", CHOSEN)
    assert (asked.conversation.outcome, asked.conversation.selected) == ("asked", (1, 2))
    assert asked.conversation.options == ("keep all", "keep 3", "keep 4", "drop all")
    *_, kept = page.ask(session_id, "keep 3", CHOSEN)
    assert (kept.conversation.outcome, kept.conversation.selected) == ("answered", (1, 2, 3))


def write_crafted(session, path, change):
    """The conversation as a file in which `change` was made to the latest turn."""
    session.conversation.save(path)
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
    clicked = apply_edit(actions, melons, "tiny", CLICK)
    assert canvas_state(clicked)["points"] == [(340, 140, True)]
    actions.open_file(melons, write_crafted(clicked, tmp_path / "talk.json", CRAFTED[what]))
    seen = actions.arrive(melons)
    assert seen.note == ""
    page = canvas_state(seen)
    assert page["threshold"] == 0
    assert json.dumps([page, build_talk(seen)], ensure_ascii=False, allow_nan=False).encode()
    assert actions.edit(melons, Conversation.undo).conversation.selected == (1, 2, 3, 4)


def test_a_click_whose_sign_is_left_out_is_positive(actions, melons, tmp_path):
    clicked = apply_edit(actions, melons, "tiny", CLICK)
    unsigned = with_click('{"points": [{"x": 340, "y": 140}]}')
    opened = actions.open_file(melons, write_crafted(clicked, tmp_path / "talk.json", unsigned))
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
def test_whatever_an_opened_file_calls_its_image_a_download_has_a_name(
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
    session_id = actions.sessions.open()
    actions.open_example(session_id, "fruit")
    before = [*temporary.iterdir()]
    for kind in ("png-masks", TRACE):
        with pytest.raises(ConversationError):
            actions.download(session_id, kind, CHOSEN)
    assert [*temporary.iterdir()] == before


@pytest.mark.parametrize("threshold", [0.5, 0.00012, 1.5e-05])
def test_the_slider_stands_where_it_was_left(actions, melons, threshold):
    assert (
        canvas_state(actions.edit(melons, lambda conversation: conversation.filter_by_score(threshold)))["threshold"]
        == threshold
    )


def test_more_masks_or_steps_than_a_page_takes_are_refused_in_one_sentence(actions, melons, tmp_path):
    session = actions.sessions[melons]
    masks, steps = len(session.conversation.workspace), 2 + len(session.conversation.last_turn.steps)
    path = tmp_path / "talk.json"
    for limits, told in (
        (Limits(max_masks=masks, max_steps=steps), ""),
        (Limits(max_masks=masks - 1), f"talk.json is too large: it has {masks} masks, and {masks - 1} are allowed."),
        (
            Limits(max_steps=steps - 1),
            f"talk.json is too long: it has {steps} images, turns and steps together, and {steps - 1} are allowed.",
        ),
    ):
        session.conversation.save(path)
        other_actions = replace(actions, limits=limits, sessions=SessionStore())
        opened = other_actions.open_file(other_actions.sessions.open(), str(path))
        assert (opened.note, opened.conversation is None) == (told, bool(told))


def test_a_query_without_an_image_is_answered_in_words(actions):
    session_id = actions.sessions.open()
    (session,) = actions.ask(session_id, "all the dogs", CHOSEN)
    last = build_talk(session)["entries"][-1]
    assert (last["kind"], last["text"]) == ("error", "Choose an image first.")


def test_a_query_is_answered_by_the_embedded_models(actions):
    session_id = actions.sessions.open()
    actions.open_example(session_id, "fruit")
    *_, session = actions.ask(session_id, "all the watermelons", CHOSEN)
    assert session.conversation.selected == (1, 2, 3, 4)
    assert session.pending_answer is None
    assert [mask["selected"] for mask in canvas_state(session)["masks"]] == [True] * 4
    *_, session = actions.ask(session_id, "undo", CHOSEN)
    assert session.conversation.selected == ()
    assert "nothing" in actions.edit(session_id, lambda conversation: conversation.undo().undo()).note


def list_queries(session):
    return [turn.task.query for turn in session.conversation.turns]


def test_a_query_asked_while_an_edit_is_made_goes_on_from_the_edit(actions, melons):
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
    assert list_queries(actions.sessions[melons])[1:3] == ["remove 1", "the largest of them"]
    assert set(actions.sessions[melons].conversation.selected) < {2, 3, 4}
    assert all(answer.pending_answer is None or answer.note == WAIT_MESSAGE for answer in answers)


def test_while_a_query_is_answered_edits_and_other_queries_are_told_to_wait(actions, melons):
    answer = actions.ask(melons, "only the two largest", CHOSEN)
    assert next(answer).pending_answer.query == "only the two largest"
    for change in (lambda conversation: conversation.remove([1]), Conversation.undo):
        refused = actions.edit(melons, change)
        assert (refused.note, refused.conversation.selected) == (WAIT_MESSAGE, (1, 2, 3, 4))
        assert [entry["text"] for entry in build_talk(refused)["entries"]].count("only the two largest") == 1
    (other,) = actions.ask(melons, "only the left one", CHOSEN)
    assert (other.note, other.unanswered_query, other.pending_answer.query) == (
        WAIT_MESSAGE,
        "only the left one",
        "only the two largest",
    )
    *_, session = answer
    assert (session.pending_answer, session.note, list_queries(session)[1:]) == (None, "", ["only the two largest"])
    assert actions.edit(melons, Conversation.undo).conversation.selected == (1, 2, 3, 4)
    assert actions.edit(melons, Conversation.redo).conversation.selected == session.conversation.selected


def test_an_answer_that_a_reload_has_ended_changes_nothing_any_more(actions, melons):
    ended = actions.ask(melons, "redo", CHOSEN)
    next(ended)
    actions.edit(melons, Conversation.undo)  # is refused, and noted
    assert "Reloading" in actions.arrive(melons).note
    actions.edit(melons, lambda conversation: conversation.remove([1]))
    answer = actions.ask(melons, "only the two largest", CHOSEN)
    next(answer)
    assert [*ended] == []
    *_, session = answer
    assert list_queries(session)[1:] == ["remove 1", "only the two largest"]


def test_an_answer_that_nobody_fetches_is_over(actions, melons):
    answer = actions.ask(melons, "only the two largest", CHOSEN)
    next(answer)
    answer.close()
    assert actions.sessions[melons].pending_answer is None
    assert actions.edit(melons, lambda conversation: conversation.remove([1])).conversation.selected == (2, 3, 4)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_can_be_opened(actions, example):
    assert actions.open_example(actions.sessions.open(), example).conversation.image.width == 640


def test_a_planner_that_cannot_be_had_is_one_sentence(actions):
    session_id = actions.sessions.open()
    actions.open_example(session_id, "fruit")
    *_, session = actions.ask(session_id, "all the watermelons", ModelSelection("nobody", "tiny"))
    assert "language model could not be reached" in session.note
    assert "nobody" not in session.note
    assert session.note_kind == "error"
    assert session.pending_answer is None


def list_talk(session):
    return [(entry["kind"], entry["text"], entry.get("undone", False)) for entry in build_talk(session)["entries"]]


@pytest.mark.parametrize(("query", "said"), [("help", HELP), ("Thanks!", THANKS)])
def test_small_talk_is_answered_in_words_and_changes_nothing(actions, melons, query, said):
    *_, session = actions.ask(melons, query, CHOSEN)
    assert list_talk(session)[-2:] == [("query", query, False), ("answer", said, False)]
    assert session.conversation.selected == (1, 2, 3, 4)


def test_what_was_said_stays_and_what_was_undone_is_marked(actions, melons):
    for query in ("only the two largest", "hello", "undo"):
        *_, session = actions.ask(melons, query, CHOSEN)
    assert ("query", "only the two largest", True) in list_talk(session)
    assert ("query", "hello", False) in list_talk(session)
    assert [entry["text"] for entry in build_talk(session)["entries"] if entry.get("redo")] == ["only the two largest"]
    *_, session = actions.ask(melons, "the smallest", CHOSEN)
    assert ("query", "only the two largest", True) in list_talk(session)
    assert list_talk(session).index(("query", "only the two largest", True)) < list_talk(session).index(
        ("query", "the smallest", False)
    )


def test_a_failure_of_a_server_tells_a_visitor_no_address_and_the_log_everything(actions, caplog, monkeypatch):
    for name in ("OPENAI_API_KEY", *list_http_variables()):
        monkeypatch.delenv(name, raising=False)
    server = ChatServer()
    server.script(lambda request: refusal(400, "CUDA out of memory on rank 0"))
    engine = Engine(Options(planner="openai:m", base_url=server.url))
    page = replace(actions, engine=engine, sessions=SessionStore())
    session_id = page.sessions.open()
    page.open_example(session_id, "fruit")
    *_, session = page.ask(session_id, "the red cup", ModelSelection("openai:m", "tiny"))
    server.close()
    assert re.fullmatch(r"The language model could not be reached\. .* \(Report \w{6}\.\)", session.note)
    number = session.note[-8:-2]
    assert f"report {number}" in caplog.text
    assert "CUDA" in caplog.text


def test_suggestions_come_from_the_example_and_then_from_the_answer(actions):
    session_id = actions.sessions.open()
    assert build_talk(actions.open_example(session_id, "fruit"))["suggestions"][0] == "all the watermelons"
    *_, session = actions.ask(session_id, "the watermelons above the banana", CHOSEN)
    assert build_talk(session)["suggestions"][:2] == ["only the two largest", "also the banana"]


def test_a_step_is_told_in_words_and_drawn_when_it_is_opened(actions):
    session_id = actions.sessions.open()
    actions.open_example(session_id, "fruit")
    *_, session = actions.ask(session_id, "the watermelons above the banana except the largest one", CHOSEN)
    steps = [entry for entry in build_talk(session)["entries"] if entry["kind"] == "step"]
    assert [step["title"] for step in steps] == [
        "Looked for watermelon, banana: 4 and 1",
        "Kept 4 that are above the banana",
        "Took the largest",
        "Left out 1: 3 stay",
    ]
    event, step = steps[0]["at"]
    shown = ShownStep(session=session_id, event=event, step=step)
    assert actions.draw_step(shown).startswith("data:image/webp;base64,")
    assert actions.draw_step(ShownStep(session=session_id, event=99, step=0)) == ""
