"""An annotator's morning in a real browser: twelve images, classes, one question over all, one COCO file."""

import json
from contextlib import redirect_stdout
from io import StringIO

import PIL.Image
import PIL.ImageOps
import pytest
from pycocotools.coco import COCO

from tests.support.browser import ROOT

EXAMPLES = ROOT / "demo" / "examples"
SIZE = (640, 480)
FRUIT = ["00.png", "04.png", "08.png"]
"""The images with watermelons and cherries: as they are, from the left to the right, and upside down."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve images, a damaged one and a text."""
    made = tmp_path_factory.mktemp("pictures")
    changes = [lambda picture: picture, PIL.ImageOps.mirror, PIL.ImageOps.flip]
    names = ["fruit", "horses", "cactus", "shapes"]
    for place in range(12):
        picture = PIL.Image.open(EXAMPLES / f"{names[place % 4]}.webp").convert("RGB")
        changes[place // 4](picture).save(made / f"{place:02d}.png")
    (made / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nno image")
    (made / "notes.txt").write_text("buy melons")
    return made


@pytest.fixture(scope="module")
def told(visit_once, folder):
    """Somebody who has chosen all files at once."""
    visitor = visit_once()
    visitor.page.locator("input[type=file]").set_input_files(sorted(folder.iterdir()))
    visitor.page.locator(".album[data-images='12']").wait_for()
    visitor.has_image()
    return visitor


def shows(visitor, number):
    """Waits until the image of this number is shown."""
    visitor.page.locator(f".album .place:has-text('{number} of 12')").wait_for()
    visitor.page.locator(f".stage[data-busy=no] .photo[alt^='{number - 1:02d}.png']").wait_for()


def test_twelve_images_are_taken_and_the_others_are_a_sentence_each(told, shoot):
    notes = told.page.locator(".album .notes li")
    notes.filter(has_text="damaged.png").wait_for()
    notes.filter(has_text="notes.txt").wait_for()
    shows(told, 1)
    shoot(told.page, "album-begun.png")
    told.page.locator("[data-act=forget]").click()


def test_a_class_is_named_and_a_click_and_a_key_give_it(told, shoot):
    for name in ("ripe cherry", "melon"):
        told.page.locator(".album form.name input").fill(name)
        told.page.locator(".album form.name input").press("Enter")
        told.page.locator(f".album .class[data-class='{name}']").wait_for()
    told.page.locator(".album .class[data-class='ripe cherry']").click()
    told.click(340, 140)
    told.sees(masks=1)
    told.page.locator(".list .kept .phrase:text-is('ripe cherry')").wait_for()
    told.page.locator(".stage .frame").press("2")
    told.page.locator(".list .kept .phrase:text-is('melon')").wait_for()
    told.act("undo")
    told.page.locator(".list .kept .phrase:text-is('ripe cherry')").wait_for()
    shoot(told.page, "album-class.png")


def test_keys_go_on_and_back_and_each_image_keeps_its_work(told):
    told.page.locator(".stage .frame").press("PageDown")
    shows(told, 2)
    told.sees(masks=0)
    told.page.locator(".stage .frame").press("PageUp")
    shows(told, 1)
    told.sees(masks=1)
    told.page.locator(".stage .frame").press("Shift+Enter")
    shows(told, 2)
    told.page.locator(".album .entry[data-state=done]").wait_for()


def test_one_question_goes_over_all_images_that_are_not_done(told, shoot):
    told.page.locator("[data-act=ask]").click()
    told.page.locator(".album .askall input").fill("all the watermelons")
    told.page.locator(".album .askall [type=submit]").click()
    told.page.locator(".album[data-running=yes]").wait_for()
    told.page.locator(".album .askall output:text-is('Done: 11 of 11 images')").wait_for()
    shoot(told.page, "album-asked.png")
    assert told.page.locator(".album .entry[data-state=work]").count() == 11
    told.page.locator(".album .entry").nth(4).locator(".show").click()
    shows(told, 5)
    told.sees(masks=4)


def test_a_reload_finds_everything_again_and_another_tab_nothing(told, visit_once):
    told.page.reload()
    told.wait_awake()
    told.page.locator(".album[data-images='12']").wait_for()
    shows(told, 5)
    told.sees(masks=4)
    assert visit_once().page.locator(".album .entry").count() == 0


def test_the_tolerance_is_measured_and_pycocotools_reads_the_file(told, shoot, tmp_path):
    told.page.locator("[data-act=set]").click()
    told.page.locator(".album .dataset select").select_option("coco-polygons")
    slider = told.page.locator(".album .dataset [name=tolerance]")
    slider.focus()
    slider.press("ArrowRight")
    told.page.locator(".album .measure:has-text('points a mask in place of')").wait_for()
    shoot(told.page, "album-set.png")
    with told.page.expect_download() as fetched:
        told.page.locator(".album .dataset [type=submit]").click()
    fetched.value.save_as(tmp_path / "set.json")
    with redirect_stdout(StringIO()):
        known = COCO(str(tmp_path / "set.json"))
    files = [row["file_name"] for row in known.loadImgs(known.getImgIds())]
    assert files == [f"{place:02d}.png" for place in range(12)]
    assert {row["name"] for row in known.loadCats(known.getCatIds())} >= {"ripe cherry", "melon", "watermelon"}
    fruit = [known.getAnnIds([files.index(name) + 1]) for name in FRUIT]
    assert len(fruit[0]) == 1
    assert min(map(len, fruit[1:])) >= 2
    masks = [known.annToMask(row) for row in known.loadAnns(known.getAnnIds())]
    assert all(mask.shape == (SIZE[1], SIZE[0]) and mask.any() for mask in masks)
    assert json.loads((tmp_path / "set.json").read_text())["info"]
