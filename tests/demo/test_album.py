"""Many images without a browser: what becomes of files, classes, questions over all of them, and data sets."""

import json
import shutil
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from threading import Event as Signal
from zipfile import ZipFile

import numpy as np
import PIL.Image
import pytest
from pycocotools.coco import COCO

from agent.conversation.conversation import Conversation
from agent.core.errors import ConversationError
from demo.actions import ModelSelection
from demo.album.actions import UploadedFile
from demo.album.asking import CHANGED_MESSAGE, ask_images, start_run
from demo.album.entries import EMPTY_ALBUM
from demo.album.exporting import measure_tolerance, write_data_set
from demo.album.folder import DiskBudget
from demo.album.run import AskRun
from demo.album.serving import answer_album_request
from demo.album.telling import StripMemory
from demo.line import AnswerLine
from demo.picture.canvas import canvas_state
from demo.sessions import SessionStore
from demo.studio.editing import apply_edit
from demo.studio.edits import PointEdit, RelabelEdit
from demo.uploads import MEGA, Limits
from tests.support.browser import ROOT

CHOSEN = ModelSelection("grammar", "tiny")
CHERRY = PointEdit(kind="point", x=340, y=140, positive=True, object=1, label="ripe cherry")
EXAMPLES = ROOT / "demo" / "examples"


@pytest.fixture
def page(actions):
    """What visitors can do, with a store of its own."""
    return replace(actions, sessions=SessionStore(), disk=DiskBudget())


@pytest.fixture
def uploads(tmp_path):
    """The folder in which uploads arrive."""
    (folder := tmp_path / "uploads").mkdir()
    return folder


@pytest.fixture
def send(uploads):
    """Puts files into the upload folder, as a browser sends them, each in a folder of its own."""

    def send(*names: str, source: Path = EXAMPLES / "fruit.webp") -> list[UploadedFile]:
        files = []
        for name in names:
            place = uploads / f"{len([*uploads.iterdir()])}"
            place.mkdir()
            files.append(UploadedFile(Path(shutil.copy(source, place / Path(name).name)), name))
        return files

    return send


@pytest.fixture
def two(page, send):
    """A session with two images, of which the first is shown."""
    session_id = page.sessions.open()
    assert page.album.add_files(session_id, send("a/fruit.webp")) == []
    assert page.album.add_files(session_id, send("horses.webp", source=EXAMPLES / "horses.webp")) == []
    page.album.show_entry(session_id, 1)
    return session_id


def list_names(page, session_id):
    return [entry.name for entry in page.sessions[session_id].album.entries]


def list_states(page, session_id):
    return [(entry.state, len(entry.answer), entry.note) for entry in page.album.collect_entries(session_id)]


def test_each_file_is_an_image_or_one_sentence(page, send, uploads, tmp_path):
    session_id = page.sessions.open()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    (tmp_path / "notes.json").write_bytes(b'{"a": 1}')
    PIL.Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    PIL.Image.new("RGB", (9, 9), "blue").save(tmp_path / "blue.png")
    files = [
        *send("a/x.png", source=tmp_path / "red.png"),
        *send("b/x.png", source=tmp_path / "blue.png"),
        *send("again.png", source=tmp_path / "red.png"),
        *send("broken.png", source=tmp_path / "broken.png"),
        *send("notes.json", source=tmp_path / "notes.json"),
        *send("x.png", source=EXAMPLES / "fruit.webp"),
    ]
    notes = page.album.add_files(session_id, files)
    assert list_names(page, session_id) == ["a/x.png", "b/x.png", "x.png"]
    assert len(notes) == 3
    for note, words in zip(
        notes, ["again.png is in the strip already, as a/x.png", "broken.png", "Notes.json"], strict=True
    ):
        assert words.lower() in note.lower()
    assert [path for path in uploads.rglob("*") if path.is_file()] == [], "nothing is left where uploads arrive"


def test_two_different_files_of_one_name_have_two_names(page, send, tmp_path):
    session_id = page.sessions.open()
    for number, color in enumerate(("red", "blue", "green")):
        PIL.Image.new("RGB", (9, 9), color).save(tmp_path / f"{number}.png")
        assert page.album.add_files(session_id, send("x.png", source=tmp_path / f"{number}.png")) == []
    assert list_names(page, session_id) == ["x.png", "x (2).png", "x (3).png"]


def test_a_strip_that_is_full_says_so(page, send, tmp_path):
    small = replace(page, limits=Limits(max_images=2))
    session_id = page.sessions.open()
    files = []
    for number in range(3):
        PIL.Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / f"{number}.png")
        files += send(f"{number}.png", source=tmp_path / f"{number}.png")
    assert small.album.add_files(session_id, files) == ["2.png: the strip takes up to 2 images, and it is full."]
    assert list_names(page, session_id) == ["0.png", "1.png"]


def test_files_have_a_limit_of_their_own_and_one_of_all_visitors(page, send):
    size = (EXAMPLES / "fruit.webp").stat().st_size
    for changed, words in (
        (replace(page, limits=Limits(max_album_bytes=size)), "no room for this one"),
        (replace(page, disk=DiskBudget(size)), "The server has no room"),
    ):
        session_id = page.sessions.open()
        assert changed.album.add_files(session_id, send("fruit.webp")) == []
        (note,) = changed.album.add_files(session_id, send("horses.webp", source=EXAMPLES / "horses.webp"))
        assert words in note


def test_the_files_of_a_session_go_with_it(page, send):
    session_id = page.sessions.open()
    page.album.add_files(session_id, send("fruit.webp"))
    folder = page.sessions[session_id].album.folder.path
    assert len([*folder.iterdir()]) == 1
    assert page.disk.used > 0
    page.sessions.update(session_id, album=EMPTY_ALBUM)
    assert not folder.exists()
    assert page.disk.used == 0


def test_every_image_keeps_its_own_work_and_its_own_undo(page, two):
    *_, session = page.ask(two, "all the watermelons", CHOSEN)
    *_, session = page.ask(two, "hello", CHOSEN)
    assert len(session.conversation.selected) == 4
    other = page.album.show_entry(two, 2)
    assert (other.conversation.name, other.conversation.can_undo, other.remarks) == ("horses.webp", False, ())
    assert "nothing to undo" in page.edit(two, Conversation.undo).note
    again = page.album.show_entry(two, 1)
    assert again.conversation.selected == (1, 2, 3, 4)
    assert len(again.remarks) == 1
    undone = page.edit(two, Conversation.undo)
    assert undone.conversation.selected == ()
    page.album.show_entry(two, 2)
    assert page.album.show_entry(two, 1).conversation.redo().selected == (1, 2, 3, 4)


def test_only_the_image_that_is_shown_is_in_memory(page, two):
    page.album.show_entry(two, 2)
    session = page.sessions[two]
    assert session.conversation.image_bytes == session.conversation.image.pixels.nbytes
    assert session.album.packed_bytes < 60_000


def test_while_a_query_is_answered_no_other_image_is_shown(page, two):
    answer = page.ask(two, "all the watermelons", CHOSEN)
    next(answer)
    assert page.album.show_entry(two, 2).album.current == 1
    assert "Wait" in page.sessions[two].note
    *_, _ = answer
    assert page.album.show_entry(two, 2).album.current == 2


def test_an_image_whose_file_is_gone_is_one_sentence(page, two):
    for path in page.sessions[two].album.folder.path.iterdir():
        path.unlink()
    session = page.album.show_entry(two, 2)
    assert session.album.current == 1
    assert session.note


def test_a_clicked_object_has_the_class_and_can_get_another(page, two):
    session = apply_edit(page, two, "tiny", CHERRY)
    (row,) = canvas_state(session)["masks"]
    assert row["category"] == "ripe cherry"
    session = apply_edit(page, two, "tiny", RelabelEdit(kind="relabel", ids=(1,), label="cherry"))
    state = canvas_state(session)
    assert (state["masks"][0]["category"], state["active"]) == ("cherry", 1)
    assert page.edit(two, Conversation.undo).conversation.workspace[1].label == "ripe cherry"


def test_a_class_is_renamed_in_all_images_and_each_can_take_it_back(page, two):
    apply_edit(page, two, "tiny", CHERRY)
    page.album.show_entry(two, 2)
    page.album.set_classes(two, ["ripe cherry", "horse", "horse", " "])
    page.album.rename_class(two, "ripe cherry", "cherry")
    assert page.sessions[two].album.list_classes() == ["cherry", "horse"]
    session = page.album.show_entry(two, 1)
    assert session.conversation.workspace[1].label == "cherry"
    assert session.conversation.undo().workspace[1].label == "ripe cherry"


def test_a_class_that_is_renamed_to_another_one_says_that_they_are_one_now(page, two):
    apply_edit(page, two, "tiny", CHERRY)
    page.album.set_classes(two, ["horse"])
    assert page.album.rename_class(two, "ripe cherry", "cherry") == page.album.rename_class(two, "no", "no") == ""
    said = page.album.rename_class(two, "cherry", "horse")
    assert said == "cherry is part of horse now; undo takes that back, image by image."
    assert page.sessions[two].album.list_classes() == ["horse"]


def test_no_image_gets_a_new_class_while_one_of_them_is_asked_about(page, two):
    apply_edit(page, two, "tiny", CHERRY)
    session = page.album.show_entry(two, 2)
    answer = page.ask(two, "the horses", CHOSEN)
    next(answer)
    with pytest.raises(ConversationError, match="Wait for the answer"):
        page.album.rename_class(two, "ripe cherry", "cherry")
    session = [*answer][-1]
    assert session.album.list_classes() == ["ripe cherry"]


@pytest.mark.parametrize("name", ["\N{WOMAN}\u200d\N{EAR OF RICE}", "می\u200cشود", "क\u094dषेत्र", "תפוח"])
def test_the_letters_of_a_class_stay_together_from_the_page_to_the_export(page, two, name):
    session = apply_edit(page, two, "tiny", CHERRY.model_copy(update={"label": f" {name}\u200d\u202e"}))
    assert [row["category"] for row in canvas_state(session)["masks"]] == [name]
    path = write_data_set(page, two, "coco", only_done=False, validation_share=0)
    held = json.loads(ZipFile(path).read("annotations.json")) if path.suffix == ".zip" else json.loads(path.read_text())
    shutil.rmtree(path.parent)
    assert name in [category["name"] for category in held["categories"]]


def test_colours_follow_classes_where_that_is_chosen(page, two):
    *_, session = page.ask(two, "all the watermelons", CHOSEN)
    assert len({row["color"] for row in canvas_state(session)["masks"]}) == 4
    session = page.album.set_options(two, colours_by_class=True, tolerance=0)
    assert len({row["color"] for row in canvas_state(session)["masks"]}) == 1


def test_one_question_is_asked_about_every_image_that_is_not_done(page, two):
    page.album.show_entry(two, 2)
    run = AskRun("all the watermelons", 2)
    ask_images(page, two, run, [1, 2], CHOSEN)
    assert (run.answered, run.failed, run.is_ended, run.entry) == (2, 0, True, None)
    assert list_states(page, two) == [("work", 4, ""), ("work", 0, "")]
    for entry_id in (1, 2):
        session = page.album.show_entry(two, entry_id)
        assert [info.planner for info in session.turn_infos.values()] == ["grammar"]
    page.album.mark_done(two, 1, True)
    started = start_run(page, two, "the horse", CHOSEN)
    assert started.total == 1


def test_an_image_that_changed_while_it_was_asked_about_keeps_the_change(page, two):
    entry = page.sessions[two].album.get_entry(1)
    run, begun = AskRun("all the watermelons", 1), Signal()

    class Slow(AnswerLine):
        def get_place(self, ticket):
            if not begun.is_set():
                begun.set()
                apply_edit(page, two, "tiny", CHERRY)
            return super().get_place(ticket)

    ask_images(replace(page, line=Slow()), two, run, [entry.id], CHOSEN)
    assert (run.answered, run.failed) == (0, 1)
    assert page.sessions[two].album.get_entry(1).note == CHANGED_MESSAGE
    assert page.sessions[two].conversation.workspace[1].label == "ripe cherry"


def test_a_run_ends_when_it_is_stopped_or_nobody_looks(page, two):
    run = AskRun("all the watermelons", 2)
    run.stop_event.set()
    ask_images(page, two, run, [1, 2], CHOSEN)
    assert (run.answered, run.is_ended) == (0, True)
    forgotten = AskRun("all the watermelons", 2, last_look=-1e9)
    ask_images(page, two, forgotten, [1, 2], CHOSEN)
    assert forgotten.answered == 0


@pytest.mark.parametrize("query", ["", "  "])
def test_no_question_is_no_run(page, two, query):
    with pytest.raises(ConversationError, match="Write what to look for"):
        start_run(page, two, query, CHOSEN)


def test_one_image_of_many_that_fails_is_a_sentence_there(page, two):
    page.album.show_entry(two, 1)
    for file in page.sessions[two].album.get_entry(2).files:
        file.write_bytes(b"damaged")
    run = AskRun("all the watermelons", 2)
    ask_images(page, two, run, [1, 2], CHOSEN)
    assert (run.answered, run.failed) == (1, 1)
    assert page.sessions[two].album.get_entry(2).note


def test_a_data_set_of_all_images_comes_back_onto_them(page, two, send, tmp_path):
    apply_edit(page, two, "tiny", CHERRY)
    page.album.show_entry(two, 2)
    *_, session = page.ask(two, "the horse", CHOSEN)
    horses = len(session.conversation.selected)
    assert horses
    wanted = [[one.rle for one in entry.answer] for entry in page.album.collect_entries(two)]
    path = write_data_set(page, two, "coco", only_done=False, validation_share=0.2)
    with redirect_stdout(StringIO()):
        known = COCO(str(path))
    assert [row["file_name"] for row in known.loadImgs(known.getImgIds())] == ["a/fruit.webp", "horses.webp"]
    assert [row["name"] for row in known.loadCats(known.getCatIds())] == ["ripe cherry", "horse"]
    other = page.sessions.open()
    page.album.add_files(other, send("fruit.webp"))
    page.album.add_files(other, send("horses.webp", source=EXAMPLES / "horses.webp"))
    (note,) = page.album.add_files(other, send("all.json", source=path))
    assert note == f"{1 + horses} masks were put onto 2 images."
    entries = page.album.collect_entries(other)
    assert [[one.rle for one in entry.answer] for entry in entries] == wanted
    assert [one.label for one in entries[0].answer] == ["ripe cherry"]
    (note,) = page.album.add_files(page.sessions.open(), send("all.json", source=path))
    assert note == "No image of the strip, or more than one, is called a/fruit.webp, horses.webp."
    shutil.rmtree(path.parent)


def test_untouched_images_are_no_examples_of_nothing(page, two):
    with pytest.raises(ConversationError, match="No image has been worked on yet"):
        write_data_set(page, two, "yolo-seg", only_done=False, validation_share=0.2)
    apply_edit(page, two, "tiny", CHERRY)
    with pytest.raises(ConversationError, match="No image is done yet"):
        write_data_set(page, two, "yolo-seg", only_done=True, validation_share=0.2)
    page.album.mark_done(two, 1, True)
    path = write_data_set(page, two, "yolo-seg", only_done=True, validation_share=0.2)
    with ZipFile(path) as zipped:
        assert sorted(zipped.namelist()) == ["data.yaml", "images/train/a-fruit.webp", "labels/train/a-fruit.txt"]
    shutil.rmtree(path.parent)


def test_a_tolerance_is_measured_before_anything_is_downloaded(page, two):
    assert measure_tolerance(page, two, 2.0)["masks"] == 0
    apply_edit(page, two, "tiny", CHERRY)
    exact, coarse = (measure_tolerance(page, two, tolerance) for tolerance in (0.0, 3.0))
    assert (exact["iou"], exact["points"]) == (1.0, exact["all_points"])
    assert coarse["points"] < exact["points"] / 3
    assert 0.8 < coarse["iou"] < 1


def test_a_mask_file_of_another_size_is_refused_in_one_sentence(page, two, send, tmp_path):
    content = {
        "images": [{"id": 1, "file_name": "fruit.webp", "width": 5, "height": 5}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}],
    }
    (tmp_path / "x.json").write_text(json.dumps(content))
    (note,) = page.album.add_files(two, send("x.json", source=tmp_path / "x.json"))
    assert note == "fruit.webp: the file says 5 x 5 pixels, and the image has 640 x 480."


def test_an_image_is_taken_out_and_the_next_one_is_shown(page, two):
    session = page.album.remove_entry(two, 1)
    assert (session.album.current, list_names(page, two)) == (2, ["horses.webp"])
    assert "only image stays" in page.album.remove_entry(two, 2).note


REQUESTS = {
    "no request": None,
    "an unknown one": {"session": "", "kind": "explode"},
    "a file from elsewhere": {"kind": "add", "files": [{"path": "/etc/passwd", "name": "x.png"}]},
    "a way out of the folder": {"kind": "add", "files": [{"path": "UPLOADS/../../etc/passwd", "name": "x.png"}]},
    "an image that is not there": {"kind": "show", "id": 99},
    "a class without a name": {"kind": "rename", "old": "x", "new": " "},
    "a tolerance of no number": {"kind": "options", "by_class": True, "tolerance": float("nan")},
    "too many classes": {"kind": "classes", "names": [str(number) for number in range(300)]},
}


@pytest.mark.parametrize("what", REQUESTS)
def test_whatever_a_script_sends_is_answered_by_a_sentence(page, two, uploads, what):
    asked = REQUESTS[what]
    if asked is not None:
        asked = json.loads(json.dumps({"session": two, **asked}).replace("UPLOADS", str(uploads)))
    told = answer_album_request(page, StripMemory(), uploads, asked)
    sentence = told.get("error") or told["notes"][0]
    assert sentence
    assert list_names(page, two) == ["a/fruit.webp", "horses.webp"]


def test_the_strip_tells_only_what_the_page_does_not_know(page, two, uploads):
    ask = {"session": two, "kind": "look"}
    memory = StripMemory()
    first = answer_album_request(page, memory, uploads, ask)
    assert [row["name"] for row in first["entries"]] == ["a/fruit.webp", "horses.webp"]
    assert all(row["thumbnail"].startswith("data:image/webp") for row in first["entries"])
    same = answer_album_request(page, memory, uploads, {**ask, "token": first["token"]})
    assert same == {"token": first["token"], "entries": [], "notes": [], "moved": False}
    apply_edit(page, two, "tiny", CHERRY)
    second = answer_album_request(page, memory, uploads, {**ask, "token": first["token"]})
    assert set(second) == {"token", "entries", "classes", "notes", "moved"}
    forgotten = answer_album_request(page, memory, uploads, {**ask, "token": "of a server before this one"})
    assert len(forgotten["entries"]) == 2
    assert all("thumbnail" in row for row in forgotten["entries"])
    assert [(row["state"], row["masks"], "thumbnail" in row) for row in second["entries"]] == [("work", 1, False)]
    assert [one["name"] for one in second["classes"]] == ["ripe cherry"]
    assert len(json.dumps(second)) < 1000


def test_a_saved_conversation_is_an_entry_that_goes_on(page, two, send, tmp_path):
    apply_edit(page, two, "tiny", CHERRY)
    page.sessions[two].conversation.save(tmp_path / "talk.json")
    session_id = page.sessions.open()
    (file,) = send("talk.json", source=tmp_path / "talk.json")
    session = page.album.open_file(session_id, file)
    assert (session.conversation.name, session.conversation.workspace[1].label) == ("fruit.webp", "ripe cherry")
    assert list_states(page, session_id) == [("work", 1, "")]


def test_fifty_megapixel_limits_hold_for_every_file(page, send, tmp_path):
    PIL.Image.fromarray(np.zeros((1100, 1000), np.uint8)).save(tmp_path / "big.png")
    small = replace(page, limits=Limits(max_pixels=MEGA))
    (note,) = small.album.add_files(page.sessions.open(), send("big.png", source=tmp_path / "big.png"))
    assert "1000 x 1100 is 1 megapixels; this page takes up to 1" in note
