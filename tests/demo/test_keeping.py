"""What a browser is given to keep becomes the same conversation again."""

import json

import pytest

from agent.conversation.conversation import Conversation
from demo.actions import ModelSelection
from demo.album.keeping import answer_keep_request


def test_a_conversation_and_its_picture_kept_apart_are_one_saved_file(actions, melons, tmp_path):
    asked = {"session": melons, "id": actions.sessions[melons].album.current}
    light, whole = (answer_keep_request(actions, {**asked, "with_image": with_image}) for with_image in (False, True))
    assert (light["name"], light["masks"], light["done"], light["pictures"]) == ("fruit.webp", 4, False, [])
    assert len(light["text"]) < 8000
    held = json.loads(light["text"])
    assert [one["key"] for one in held["pictures"]] == [one["key"] for one in whole["pictures"]]
    file = tmp_path / "kept.json"
    file.write_text(json.dumps({**held, "pictures": whole["pictures"]}), encoding="utf-8")
    assert Conversation.open(file).selected == (1, 2, 3, 4)


@pytest.mark.parametrize("wrong", [None, {"session": "nobody", "id": 1}, {"id": 99}, {"id": 0}, {"id": "x"}])
def test_whatever_else_is_asked_for_is_refused_by_a_sentence(actions, melons, wrong):
    assert answer_keep_request(actions, wrong and {"session": melons, **wrong})["error"]


@pytest.fixture
def branched(actions, melons):
    """The id of a session with two versions of a question, the first of which is shown, and another image."""
    models = ModelSelection("grammar", "tiny")
    for query in ("only the two largest", "only the largest"):
        place = None if query == "only the two largest" else 2
        for _ in actions.ask(melons, query, models, place=place):
            pass
    actions.switch_branch(melons, 0)
    actions.open_example(melons, "horses")
    return melons


def list_versions(session):
    return [version.event.task.query for version in session.tree.list_versions(2)]


def test_the_versions_of_a_question_are_there_again_when_its_image_is_shown_again(actions, branched):
    first = actions.sessions[branched].album.entries[0].id
    session = actions.album.show_entry(branched, first)
    assert list_versions(session) == ["only the two largest", "only the largest"]
    assert len(session.tree.list_versions(1)) == 1  # what both begin with is one event
    assert {info.planner for info in session.turn_infos.values()} == {"grammar"}
    assert session.conversation.selected != actions.switch_branch(branched, 1).conversation.selected
    actions.edit(branched, lambda conversation: conversation.undo())
    again = actions.album.show_entry(branched, actions.sessions[branched].album.entries[1].id)
    assert again.conversation.name == "horses.webp"
    assert list_versions(actions.album.show_entry(branched, first)) == ["only the two largest", "only the largest"]


def build_kept_file(actions, session_id, path, **changes):
    """What a browser hands back of the first image."""
    entry = actions.sessions[session_id].album.entries[0]
    reply = answer_keep_request(actions, {"session": session_id, "id": entry.id, "with_image": True})
    held = {**json.loads(reply["text"]), "ways": {**reply["ways"], **changes}, "pictures": reply["pictures"]}
    path.write_text(json.dumps(held), encoding="utf-8")
    return str(path)


def test_the_versions_of_a_question_survive_a_restart(actions, branched, tmp_path):
    other = actions.sessions.open()
    session = actions.open_file(other, build_kept_file(actions, branched, tmp_path / "fruit.webp.json"))
    assert list_versions(session) == ["only the two largest", "only the largest"]
    assert {info.planner for info in session.turn_infos.values()} == {"grammar"}
    assert session.note == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"current": 7},
        {"current": 1},
        {"ways": [{"text": "{}", "base": 0, "shared": 0}] * 2},
        {"ways": [{"text": "", "base": 0, "shared": 0}, {"text": "[" * 9000, "base": 0, "shared": 0}]},
        {"ways": [{"text": "", "base": 0, "shared": 0}] * 30},
        {"ways": "nonsense"},
        {"infos": [{"way": 9, "event": 0, "planner": "x", "sam3": "x", "retries": 0, "cost": ""}]},
    ],
)
def test_versions_that_are_damaged_are_one_sentence(actions, branched, tmp_path, changes):
    other = actions.sessions.open()
    session = actions.open_file(other, build_kept_file(actions, branched, tmp_path / "kept.json", **changes))
    assert "versions are damaged" in session.note
    assert session.conversation is None


def test_a_file_of_a_later_version_is_a_sentence(actions, melons, tmp_path):
    reply = answer_keep_request(actions, {"session": melons, "id": actions.sessions[melons].album.current})
    (tmp_path / "later.json").write_text(json.dumps({**json.loads(reply["text"]), "version": 99}), encoding="utf-8")
    session = actions.open_file(actions.sessions.open(), str(tmp_path / "later.json"))
    assert session.note == "later.json has version 99 of the format; expected 1 or 2 or 3 or 4."
