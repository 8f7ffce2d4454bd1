"""`MaskStudio` in a page of one's own: its value, its edits, and the documentation's example in a real browser."""

import importlib
import inspect
import re

import gradio as gr
import gradio.queueing
import numpy as np
import pytest

from demo import MaskStudio, StudioBox, StudioClick, StudioMask, StudioValue, read_studio_event
from demo.server import QUEUE_INTERVAL
from demo.studio.local import edit_masks
from sam3_tool import Image
from tests.support.browser import ROOT, Server

GUIDE = ROOT / "docs" / "how-to" / "use-the-mask-studio.md"


def build_mask(id=1, left=2):
    mask = np.zeros((40, 60), bool)
    mask[10:20, left : left + 10] = True
    return StudioMask.from_array(id, mask, label="cup", score=0.5)


@pytest.fixture
def value():
    return StudioValue(image=np.full((40, 60, 3), 9, np.uint8), masks=(build_mask(), build_mask(4, 40)), active=4)


def test_what_comes_back_is_what_went_in(value):
    studio = MaskStudio(render=False)
    shown = studio.postprocess(value)
    assert "image" not in shown  # which is sent once, when the page asks for it
    found = studio.preprocess({**shown, "view": {"scale": 2, "box": [0, 0, 30, 20]}})
    assert found.image is value.image
    assert sorted(found.masks, key=lambda mask: mask.id) == list(value.masks)
    assert (found.active, found.tool, found.view.scale) == (4, "smart", 2)
    assert studio.draw_image({"key": shown["key"]}).startswith("data:image/webp")
    assert studio.draw_image({"key": "guessed"}) == studio.draw_image(None) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"masks": [{"id": 1, "size": [40, 60], "counts": "not runs"}]},
        {"masks": [{"id": 1, "size": [9, 9], "counts": "a1"}]},
        {"masks": [{"id": -1, "size": [40, 60], "counts": ""}]},
        {"masks": "all"},
        {"tool": "hammer"},
        {"masks": [{"id": 1, "size": [10**9, 10**9], "counts": ""}]},
    ],
)
def test_masks_that_make_no_sense_are_refused_before_they_are_decoded(value, wrong):
    studio = MaskStudio(render=False)
    with pytest.raises(gr.Error, match="make no sense"):
        studio.preprocess({**studio.postprocess(value), **wrong})


def test_two_masks_of_one_id_are_refused():
    with pytest.raises(ValueError, match="same id"):
        StudioValue(masks=(build_mask(), build_mask()))
    with pytest.raises(ValueError, match="another size"):
        StudioValue(image=np.zeros((4, 6, 3), np.uint8), masks=(build_mask(),))


def ask(edit, *masks):
    sent = [mask.model_dump(mode="json") for mask in masks]
    return edit_masks({"size": [40, 60], "masks": sent, "next_id": 9, "edit": {"object": 1, **edit}})


def test_edits_need_no_server_that_remembers():
    dot = {"kind": "stroke", "points": [[30, 30]], "radius": 4, "label": "lid"}
    [row] = ask(dot)["rows"]
    assert row["label"] == row["phrase"] == "lid"
    assert row["id"] == 9
    assert row["area"] == pytest.approx(16 * np.pi, rel=0.25)
    merged = ask({"kind": "mend", "how": "merge", "ids": [1, 4]}, build_mask(), build_mask(4, 40))
    assert (merged["rows"][0]["area"], merged["gone"], merged["active"]) == (200, [4], 1)
    both = StudioMask.model_validate(merged["rows"][0])
    split = ask({"kind": "mend", "how": "split", "ids": [1]}, both)
    assert sorted(row["id"] for row in split["rows"]) == [1, 9]
    assert all(row["label"] == "cup" for row in split["rows"])
    wiped = ask({"kind": "stroke", "points": [[7, 15]], "radius": 30, "erase": True}, build_mask())
    assert "delete it" in wiped["error"]
    assert "makes no sense" in edit_masks({"size": [40, 60], "masks": [], "next_id": 9, "edit": {"kind": "?"}})["error"]
    assert "makes no sense" in edit_masks(None)["error"]


def test_a_component_writes_nothing_beside_its_source(tmp_path, monkeypatch):
    """Gradio writes a stub file where a component is defined; an installed package may not be writable."""
    (tmp_path / "own_studio.py").write_text("from demo import MaskStudio\n\nclass OwnStudio(MaskStudio):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("own_studio").OwnStudio(render=False).preprocess(None) == StudioValue()
    assert list(tmp_path.glob("*.pyi")) == []
    assert {one.name for one in (ROOT / "demo").rglob("*.pyi")} == {"__init__.pyi"}


def test_events_are_typed():
    click = gr.EventData(None, {"x": 3, "y": 4, "positive": True})
    assert read_studio_event(click) == StudioClick(x=3, y=4, positive=True)
    box = gr.EventData(None, {"box": [0, 0, 9, 9], "meaning": "alike"})
    assert read_studio_event(box) == StudioBox(box=(0, 0, 9, 9), meaning="alike")
    with pytest.raises(ValueError, match="validation"):
        read_studio_event(gr.EventData(None, {"z": 3}))


def find_object(sam3):
    """x and y of a pixel of the scene where an object is, and the scene's width and height."""
    scene = Image.open(ROOT / "examples" / "scene.png")
    x0, y0, x1, y1 = sam3.segment(scene, "watermelon").boxes[0].tolist()
    return (x0 + x1) / 2, (y0 + y1) / 2, scene.width, scene.height


def test_the_example_of_the_guide_works_in_a_browser(visit_plain, shoot, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.S)[1], names)
    changes = []
    with names["page"]:
        names["studio"].change(lambda value: changes.append(value), names["studio"], None)
    _, address, _ = names["page"].launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, server_port=None)
    server = Server(names["page"], address)
    try:
        page = visit_plain(address)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.locator(".stage[data-state=image] .frame").wait_for()
        found = find_object(names["sam3"])
        box = page.locator(".stage .frame").bounding_box()
        place = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])  # noqa: E731
        page.locator(".stage input[value=brush]").check(force=True)
        page.mouse.move(*place(0.1, 0.1))
        page.mouse.down()
        page.mouse.move(*place(0.3, 0.12), steps=4)
        page.mouse.up()
        page.locator(".stage[data-masks='1']").wait_for()
        page.locator(".stage [data-do=undo]:enabled").click()
        page.locator(".stage[data-masks='0']").wait_for()
        page.locator(".stage [data-do=redo]:enabled").click()
        page.locator(".stage[data-masks='1']").wait_for()
        page.locator(".stage input[value=smart]").check(force=True)
        page.locator(".stage .frame").press("Escape")
        x, y, width, height = found
        page.mouse.click(*place(x / width, y / height))
        page.locator(".stage[data-masks='2']").wait_for()
        shoot(page, "component.png")
        assert errors == []
        while len(changes[-1].masks) < 2:  # Gradio tells of it a little later, and of quick changes once
            page.wait_for_timeout(20)
        assert len(changes[0].masks) == 1
        assert sorted(mask.label for mask in changes[-1].masks) == ["", "object"]
    finally:
        server.stop()


def test_no_event_of_the_demo_waits_in_the_queue_that_gradio_looks_into_seldom(server):
    assert {event.queue for event in server.page.fns.values()} == {False}
    assert server.page._queue.sleep_when_free == server.page._queue.progress_update_sleep_when_free == QUEUE_INTERVAL
    for name in ("sleep_when_free", "progress_update_sleep_when_free"):  # a new version may call them otherwise
        assert f"asyncio.sleep(self.{name})" in inspect.getsource(gradio.queueing.Queue)
