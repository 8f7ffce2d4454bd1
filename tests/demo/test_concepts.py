"""Examples of another image, from the operator or in a file that a visitor drops, are looked for on the page."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from agent.cli.options.segment_options import Options
from demo.actions import Actions, ModelSelection
from demo.album.actions import UploadedFile
from demo.album.serving import answer_album_request
from demo.album.telling import StripMemory
from demo.engine import Engine
from demo.sessions import SessionStore
from demo.uploads import Limits
from sam3_tool import Image
from tests.support.browser import ROOT

EXAMPLES = ROOT / "demo" / "examples"
MELON_BOX = (245, 15, 379, 196)
GRAMMAR = ModelSelection("grammar", "tiny")


@pytest.fixture(scope="module")
def gizmo(engine):
    """A melon of the fruit example, called a gizmo."""
    return engine.get_sam3("tiny").describe(Image.open(EXAMPLES / "fruit.webp"), boxes=[MELON_BOX])


@pytest.fixture
def visitor(actions):
    """A session that shows the fruit."""
    session_id = actions.sessions.open()
    actions.open_example(session_id, "fruit")
    return session_id


def save_concept(concept, folder, name="gizmo.concept"):
    concept.save(folder / name)
    return folder / name


def drop_file(actions, session_id, path):
    """What the film strip's script is answered."""
    files = [{"path": str(path), "name": path.name}]
    asked = {"kind": "add", "session": session_id, "files": files, "alone": True}
    return answer_album_request(actions, StripMemory(), path.parent, asked)


def ask(actions, session_id, query):
    *_, session = actions.ask(session_id, query, GRAMMAR)
    return session


def test_a_dropped_concept_adds_everything_like_it_and_its_phrase_can_be_asked_for(actions, visitor, gizmo, tmp_path):
    reply = drop_file(actions, visitor, save_concept(gizmo, tmp_path))
    assert (reply["notes"], reply["redraw"]) == ([], True)
    found = actions.sessions[visitor].conversation
    assert len(found.selected) >= 3
    assert found.turns[-1].task.query == "add everything like gizmo"
    assert {found.workspace[id].category for id in found.selected} == {"gizmo"}
    actions.edit(visitor, lambda conversation: conversation.undo())
    assert ask(actions, visitor, "all the gizmos").conversation.selected
    assert list(tmp_path.iterdir()) == []  # the upload is not left behind


def test_examples_wait_for_an_image_and_two_visitors_never_share_them(actions, gizmo, tmp_path):
    one, other = actions.sessions.open(), actions.sessions.open()
    reply = drop_file(actions, one, save_concept(gizmo, tmp_path))
    assert reply["notes"] == ["The examples of gizmo are ready: open an image, and ask for gizmo."]
    for session_id in (one, other):
        actions.open_example(session_id, "fruit")
    assert ask(actions, one, "all the gizmos").conversation.selected
    assert not ask(actions, other, "all the gizmos").conversation.selected


def test_a_model_that_did_not_read_the_examples_says_so_in_one_sentence(actions, visitor, gizmo, tmp_path):
    reply = drop_file(actions, visitor, save_concept(replace(gizmo, fingerprint="0" * 64), tmp_path))
    [note] = reply["notes"]
    assert note.startswith("The examples of gizmo were read by another model")
    assert actions.sessions[visitor].conversation.turns == ()
    assert note in ask(actions, visitor, "all the gizmos").note
    assert note not in ask(actions, visitor, "all the watermelons").note


@pytest.mark.parametrize("content", [b"", b"no concept", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"\xff" * 4096])
def test_a_file_that_is_no_concept_is_a_sentence_without_a_path(actions, visitor, tmp_path, content):
    (tmp_path / "cup.concept").write_bytes(content)
    [note] = drop_file(actions, visitor, tmp_path / "cup.concept")["notes"]
    assert note.lower().startswith("cup.concept is no concept that this page reads")
    assert str(tmp_path) not in note


def test_a_file_of_another_place_is_not_read(actions, visitor, gizmo, tmp_path):
    path = save_concept(gizmo, tmp_path)
    files = [{"path": str(path), "name": path.name}]
    asked = {"kind": "add", "session": visitor, "files": files, "alone": True}
    [note] = answer_album_request(actions, StripMemory(), tmp_path / "uploads", asked)["notes"]
    assert "was not uploaded" in note
    assert path.exists()


def test_the_operator_gives_every_visitor_a_concept(gizmo, tmp_path):
    path = save_concept(gizmo, tmp_path)
    engine = Engine(Options(planner="grammar", concept=[f"widget={path}"]))
    actions = Actions(engine, SessionStore(), Limits(), EXAMPLES)
    session_id = actions.sessions.open()
    actions.open_example(session_id, "fruit")
    session = ask(actions, session_id, "all the widgets")
    assert session.conversation.selected
    path.unlink()  # it was read once
    assert ask(actions, session_id, "all the widgets").note == session.note == ""


def test_the_command_ends_at_once_for_a_file_that_is_no_concept(tmp_path):
    done = CliRunner().invoke(app, ["demo", "--port", "0", "--concept", str(tmp_path / "nothing.concept")])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "no such file" in done.stderr


def test_a_concept_goes_before_the_oldest_of_too_many(actions, visitor, gizmo, tmp_path):
    for number in range(21):
        path = save_concept(gizmo.with_phrase(f"thing {number}"), tmp_path)
        actions.take_concept(visitor, UploadedFile(path, path.name), "tiny")
    assert [*actions.sessions[visitor].concepts][0::19] == ["thing 1", "thing 20"]
