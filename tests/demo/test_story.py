"""The whole story in a real browser: drop a picture, ask, ask on, correct, undo, download."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ImageDraw
from pycocotools import mask as coco

from agent.conversation.conversation import Conversation

SCENE = Path(__file__).parent.parent.parent / "examples" / "scene.png"
FAR_MELON, CHERRY = (480, 310), (340, 140)
"""x y of pixels that these cover."""
DESKTOP = {"viewport": {"width": 1240, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 860}, "device_scale_factor": 1.5, "has_touch": True}
MOST = 150_000
"""Bytes of a picture in the README."""


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """The example scene as a photograph that somebody took, which says where."""
    path = tmp_path_factory.mktemp("mine") / "my fruit.jpg"
    picture = PIL.Image.open(SCENE).convert("RGB")
    exif = picture.getexif()
    exif[0x010E] = "a secret place"
    picture.save(path, quality=96, exif=exif)
    return path


@pytest.fixture(scope="module")
def told(visit_once, photograph):
    """Somebody who has asked for all watermelons and then for less."""
    visitor = visit_once()
    visitor.upload(photograph)
    visitor.has_image()
    visitor.ask("all the watermelons")
    visitor.sees(masks=4)
    return visitor


def test_a_picture_is_dropped_and_a_question_answered_step_by_step(told, shoot):
    told.reads("Found 4: watermelon")
    told.page.locator("#chat").get_by_text("Looked for").first.click()
    told.page.locator("#chat img[alt*='4 masks outlined']").first.wait_for()
    assert [row.split("\n")[1] for row in told.page.locator(".list .kept .row").all_inner_texts()] == ["watermelon"] * 4
    shoot(told.page, "answered.png", full_page=True)


def test_a_mask_is_named_where_the_pointer_is(told):
    told.page.mouse.move(*told.point(*FAR_MELON))
    assert "watermelon" in told.page.locator(".stage .tip").inner_text()
    assert told.page.locator(".list .row.lit").count() == 1


def test_a_follow_up_goes_on_from_the_answer(told):
    told.ask("only the two largest")
    told.sees(masks=2)
    told.act("undo")
    told.sees(masks=4)


def test_a_mistake_is_clicked_away_and_undone(told):
    told.take("select")
    told.click(*FAR_MELON)
    told.page.locator(".list .row.active").wait_for()
    told.page.locator(".stage .frame").press("Delete")
    told.sees(masks=3)
    told.reads("Took out object")
    told.act("undo")
    told.sees(masks=4)
    told.act("redo")
    told.sees(masks=3)
    told.act("undo")
    told.sees(masks=4)


def test_a_checkbox_drops_a_mask_and_brings_it_back(told):
    told.page.locator(".list .kept input").first.click()  # it moves at once
    told.sees(masks=3)
    told.page.locator(".list .rest summary").click()
    told.page.locator(".list .rest input").first.click()
    told.sees(masks=4)
    for left in (3, 4):
        told.act("undo")
        told.sees(masks=left)


def test_one_box_adds_everything_that_looks_like_it(told, shoot):
    told.take("box")
    told.click(245, 15)
    told.click(378, 195)
    told.page.locator(".stage[data-busy=no] .mask:nth-of-type(n+12)").first.wait_for(state="attached")
    assert int(told.page.locator(".stage").get_attribute("data-masks")) in range(6, 9)
    shoot(told.page, "boxed.png", full_page=True)
    told.act("undo")
    told.sees(masks=4)


def test_a_click_adds_an_object_and_another_one_corrects_it(told, shoot):
    told.take("add")
    told.click(*CHERRY)
    told.sees(masks=5)
    assert told.page.locator(".list .kept .row.active").count() == 1
    area = told.page.locator(".list .kept .row.active .area").inner_text()
    shoot(told.page, "clicked.png", full_page=True)
    told.take("remove")
    told.click(CHERRY[0] - 60, CHERRY[1] + 10)
    told.page.locator(f".list .kept .row.active .area:not(:text-is('{area}'))").wait_for(state="attached")
    told.sees(masks=5)
    for _ in range(2):
        told.act("undo")
        told.page.locator(".stage[data-busy=no]").wait_for()
    told.sees(masks=4)


def test_the_threshold_hides_and_shows_without_a_model(told):
    slider = told.page.locator(".stage .threshold input")
    exact = "rows => rows.map(row => Number(row.style.getPropertyValue('--score')))"
    scores = told.page.locator(".list .kept .score").evaluate_all(exact)
    slider.fill("0.99")
    left = int(told.page.locator(".stage").get_attribute("data-masks"))
    assert 0 < left == sum(score > 0.99 for score in scores)
    slider.dispatch_event("change")
    told.sees(masks=left)
    told.reads("Kept what scores above 0.99")
    slider.fill("0")
    slider.dispatch_event("change")
    told.sees(masks=4)
    told.page.locator("#chat .mine:not(.undone)").get_by_text("Kept what scores above").wait_for(state="detached")


def test_the_picture_before_and_after(told, shoot):
    told.act("compare")
    told.page.locator(".stage .compare input").fill("60")
    shoot(told.page, "compared.png")
    assert "60%" in told.page.locator(".stage .frame").get_attribute("style")
    told.act("compare")


def test_masks_are_downloaded_as_pycocotools_reads_them(told):
    held = json.loads(told.download("COCO JSON, run lengths").read_text("utf-8"))
    decoded = [coco.decode(one["segmentation"]) for one in held["annotations"]]
    assert [mask.shape for mask in decoded] == [(480, 640)] * 4
    assert held["categories"][0]["name"] == "watermelon"
    assert any(mask[FAR_MELON[1], FAR_MELON[0]] for mask in decoded)


def test_each_mask_is_downloaded_as_a_picture(told):
    with zipfile.ZipFile(told.download("PNG, one image per mask")) as held:
        pictures = [PIL.Image.open(io.BytesIO(held.read(name))) for name in held.namelist() if name.endswith(".png")]
    assert [np.asarray(picture).shape[:2] for picture in pictures] == [(480, 640)] * 4


def test_the_conversation_is_downloaded_and_opened_again(told, visit):
    file = told.download("This conversation")
    assert [turn.task.query for turn in Conversation.open(file).turns][:1] == ["all the watermelons"]
    assert "a secret place" not in file.read_text("utf-8")
    other = visit()
    other.upload(file)
    other.sees(masks=4)
    other.reads("Found 4: watermelon")


def test_the_latest_answer_is_downloaded_as_one_page(told):
    page = told.download("The latest answer").read_text("utf-8")
    assert "<html" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_question_back_is_answered_with_a_button(visit, tmp_path, shoot):
    picture = PIL.Image.new("RGB", (320, 320), (208, 208, 208))
    for top in (40, 190):
        ImageDraw.Draw(picture).ellipse((110, top, 210, top + 100), fill=(214, 38, 40))
    picture.save(tmp_path / "circles.png")
    visitor = visit()
    visitor.upload(tmp_path / "circles.png")
    visitor.has_image()
    visitor.ask("all the circles")
    visitor.sees(masks=2)
    visitor.ask("the left one")
    visitor.reads("equally the leftmost")
    shoot(visitor.page, "asked.png", full_page=True)
    visitor.page.locator("#chat").get_by_role("button", name="number 2 (circle)", exact=True).click()
    visitor.sees(masks=1)
    assert visitor.page.locator(".list .kept .chip").all_inner_texts() == ["2"]


def test_nothing_was_asked_of_any_other_server_and_nothing_went_wrong(told, server):
    foreign = [url for url in told.requests if not url.startswith((server.url, "data:", "blob:"))]
    assert foreign == []
    assert told.complaints == []


# the pictures that the README shows


@pytest.fixture(scope="module")
def kept(shots):
    """Keeps a picture of the window, small enough for a page."""

    def keep(visitor, name):
        path = shots / f"{name}.webp"
        visitor.page.evaluate("window.scrollTo(0, 0)")
        visitor.page.wait_for_timeout(500)  # what glides has arrived
        PIL.Image.open(io.BytesIO(visitor.page.screenshot())).convert("RGB").save(path, quality=82, method=6)
        return path.stat().st_size

    return keep


def test_the_start(visit, kept):
    visitor = visit(**DESKTOP)
    visitor.page.locator(".pill.ready").wait_for()
    visitor.page.locator("[data-example=shapes]").hover()
    assert kept(visitor, "demo-start") < MOST


def test_a_question_and_the_steps_to_its_answer(visit, kept):
    visitor = visit(**DESKTOP)
    visitor.begin("fruit")
    visitor.ask("the watermelons above the banana except the largest one")
    visitor.sees(masks=3)
    visitor.page.locator("#chat").get_by_text("Looked for").first.click()
    visitor.page.mouse.move(*visitor.point(275, 250))
    assert kept(visitor, "demo-answer") < MOST


def test_a_follow_up_and_a_box_in_the_dark(visit, kept):
    visitor = visit(**DESKTOP, color_scheme="dark")
    visitor.begin("shapes")
    visitor.ask("all the hearts")
    visitor.reads("Found 7: heart")
    visitor.page.locator(".stage[data-busy=no]").wait_for()
    visitor.ask("only the red ones")
    visitor.reads("only the red ones")
    visitor.page.locator(".stage[data-busy=no]").wait_for()
    before = int(visitor.page.locator(".stage").get_attribute("data-masks"))
    visitor.take("box")
    visitor.click(48, 6)
    visitor.click(212, 172)
    visitor.page.locator(f".stage[data-busy=no]:not([data-masks='{before}'])").wait_for()
    assert kept(visitor, "demo-box") < MOST


def test_the_same_on_a_phone(visit, kept):
    visitor = visit(**PHONE)
    visitor.begin("cactus")
    visitor.ask("the two largest hats")
    visitor.sees(masks=2)
    assert kept(visitor, "demo-phone") < MOST
