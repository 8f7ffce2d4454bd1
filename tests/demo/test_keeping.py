"""What a browser is given to keep becomes the same conversation again."""

import base64
import json
from pathlib import Path
from shutil import copy

import numpy as np
import PIL.Image
import pytest

from agent.conversation.conversation import Conversation
from demo.actions import ModelSelection
from demo.keeping.files import MAX_KEPT_BYTES
from demo.keeping.replies import answer_keep_request
from sam3_tool import Image
from sam3_tool.video.writing import write_mp4


def test_a_conversation_and_its_image_kept_apart_are_one_place_in_the_strip(actions, melons, tmp_path):
    asked = {"session": melons, "id": actions.sessions[melons].album.current}
    light = answer_keep_request(actions, asked)
    assert (light["name"], light["masks"], light["done"], light["pictures"]) == ("fruit.webp", 4, False, [])
    assert len(light["text"]) < 8000
    session = actions.open_file(actions.sessions.open(), build_kept_file(actions, melons, tmp_path / "kept.json"))
    assert (session.note, session.conversation.selected) == ("", (1, 2, 3, 4))
    [entry] = session.album.entries
    assert (entry.name, entry.files[0].suffix) == ("fruit.webp", ".webp")


def test_several_images_of_one_conversation_are_kept_with_their_pixels(actions, melons, tmp_path):
    talk = actions.sessions[melons].conversation
    talk = talk.show(Image(np.full((20, 30, 3), 90, np.uint8)), "grey.png")
    talk.save(tmp_path / "talk.json")
    session_id = actions.sessions.open()
    actions.open_file(session_id, str(tmp_path / "talk.json"))
    [entry] = actions.sessions[session_id].album.entries
    reply = answer_keep_request(actions, {"session": session_id, "id": entry.id, "with_image": True})
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({**json.loads(reply["text"]), "pictures": reply["pictures"]}), encoding="utf-8")
    assert len(Conversation.open(kept).events) == len(talk.events)


def test_a_photograph_of_a_phone_is_kept_as_its_file(actions, tmp_path):
    """Its pixels would have ten times the bytes, and lie the other way round in the file."""
    noise = np.random.default_rng(0).integers(0, 255, (63, 84, 3), np.uint8)
    photograph = PIL.Image.fromarray(noise).resize((4032, 3024), PIL.Image.Resampling.BICUBIC)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    path = tmp_path / "IMG_1.JPG"
    photograph.save(path, quality=85, exif=exif)
    content, session_id = path.read_bytes(), actions.sessions.open()
    session = actions.open_file(session_id, str(path))
    assert session.conversation.image.width == 3024
    kept = build_kept_file(actions, session_id, tmp_path / "kept.json")
    assert Path(kept).stat().st_size < 1.4 * len(content) + 4000
    again = actions.open_file(actions.sessions.open(), kept)
    assert (again.note, again.conversation.image.key) == ("", session.conversation.image.key)


PHOTO_FAULTS = {
    "no base64": {"photo": "~" * 40},
    "no image": {"photo": base64.b64encode(b"no image at all").decode()},
    "a name that leads elsewhere": {"name": "../../" + "x" * 300 + ".jpg", "photo": "AAAA"},
    "another image": {
        "photo": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    },
    "a number": {"photo": 7},
}


@pytest.mark.parametrize("what", PHOTO_FAULTS)
def test_a_kept_image_that_is_damaged_is_one_sentence_and_leaves_no_file(actions, melons, tmp_path, what):
    path = Path(build_kept_file(actions, melons, tmp_path / "fruit.json"))
    held = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**held, "photo": {**held["photo"], **PHOTO_FAULTS[what]}}), encoding="utf-8")
    session = actions.open_file(actions.sessions.open(), str(path))
    assert session.note.count(". ") == 0
    assert session.note.endswith(".")
    assert (session.conversation, list(session.album.folder.path.iterdir())) == (None, [])


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
    [photo], ways = reply["pictures"], reply["ways"]
    held = {**json.loads(reply["text"]), "ways": ways and {**ways, **changes}, "photo": photo}
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


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    """A video of three frames."""
    pytest.importorskip("av")
    path = tmp_path_factory.mktemp("clips") / "ball.mp4"
    frames = [np.full((48, 64, 3), 40 * number, np.uint8) for number in range(3)]
    write_mp4(path, frames, np.arange(3) / 3, quality=20)
    return path


@pytest.fixture
def filmed(actions, clip_file, tmp_path):
    """The id of a session that shows a video."""
    session_id = actions.sessions.open()
    actions.open_file(session_id, str(copy(clip_file, tmp_path)))
    return session_id


def build_film_file(actions, session_id, path, **changes):
    """What a browser hands back of a video."""
    entry = actions.sessions[session_id].album.entries[0]
    reply = answer_keep_request(actions, {"session": session_id, "id": entry.id, "with_image": True})
    [film] = reply["pictures"]
    path.write_text(json.dumps({**json.loads(reply["text"]), "film": {**film, **changes}}), encoding="utf-8")
    return str(path)


def test_a_video_and_its_conversation_kept_apart_are_one_place_in_the_strip(actions, filmed, tmp_path):
    other = actions.sessions.open()
    session = actions.open_file(other, build_film_file(actions, filmed, tmp_path / "ball.mp4.json"))
    assert (session.note, session.conversation.name) == ("", "ball.mp4")
    assert session.conversation.video.key == actions.sessions[filmed].conversation.video.key
    assert session.conversation.timeline == actions.sessions[filmed].conversation.timeline
    [entry] = session.album.entries
    assert (entry.is_video, entry.files[0].suffix) == (True, ".mp4")


FILM_FAULTS = {
    "no base64": {"film": "~" * 40},
    "no video": {"film": base64.b64encode(b"no video at all").decode()},
    "a name that leads elsewhere": {"name": "../../" + "x" * 300 + ".mp4", "film": "AAAA"},
    "a number": {"film": 7},
}


@pytest.mark.parametrize("what", FILM_FAULTS)
def test_a_kept_video_that_is_damaged_is_one_sentence_and_leaves_no_file(actions, filmed, tmp_path, what):
    other = actions.sessions.open()
    session = actions.open_file(other, build_film_file(actions, filmed, tmp_path / "ball.json", **FILM_FAULTS[what]))
    assert session.note.count(". ") == 0
    assert session.note.endswith(".")
    assert (session.conversation, list(session.album.folder.path.iterdir())) == (None, [])


def test_a_kept_video_whose_conversation_is_about_another_one_is_refused(actions, filmed, melons, tmp_path):
    film = build_film_file(actions, filmed, tmp_path / "ball.json")
    image = json.loads(Path(build_kept_file(actions, melons, tmp_path / "fruit.json")).read_text("utf-8"))
    held = {**image, "ways": None, "photo": None, "film": json.loads(Path(film).read_text("utf-8"))["film"]}
    (tmp_path / "both.json").write_text(json.dumps(held), encoding="utf-8")
    session = actions.open_file(actions.sessions.open(), str(tmp_path / "both.json"))
    assert session.note == "both.json: the kept video is damaged: its conversation is about another one."


def test_a_video_that_is_too_large_to_keep_is_a_sentence_that_says_what_to_do(actions, filmed):
    [entry] = actions.sessions[filmed].album.entries
    with entry.files[0].open("ab") as file:
        file.truncate(MAX_KEPT_BYTES + 1)
    reply = answer_keep_request(actions, {"session": filmed, "id": entry.id})
    said = "ball.mp4 has more than 16 MiB, so this browser does not keep it; download the conversation."
    assert reply == {"error": said}
