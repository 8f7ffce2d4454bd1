"""Annotators, researchers and phones, two at once on one server, which is killed and started in the middle.

All six share one program, so that it is killed once. What each of them had is offered back, and to nobody else.
"""

from contextlib import redirect_stdout
from io import StringIO

import PIL.Image
import PIL.ImageOps
import pytest
from pycocotools.coco import COCO

from demo.engine import Engine
from demo.planners import parse_planners
from tests.support.browser import ROOT, Program
from tests.support.thinking_model import THOUGHT, ThinkingModel

EXAMPLES = ROOT / "demo" / "examples"
QUESTION, OTHERWISE = "all the watermelons", "the ripe watermelons"
CHERRY = (340, 140)
COUNTS = (6, 2)
"""Images of the two annotators."""
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


LATER_PAGE_JS = """() => new Promise((done) => {
  const asked = indexedDB.open('sam3-agent', 99);
  asked.onsuccess = () => { asked.result.close(); done(); };
})"""
"""A later version of the page takes the browser's store."""
SHEET_JS = """() => {
  window.shared = [];
  let isLate = true;
  navigator.canShare = ({ files }) => files.every((file) => file.type === 'image/jpeg');
  navigator.share = async ({ files: [file], text }) => {
    if (isLate) { isLate = false; throw new DOMException('too long after the tap', 'NotAllowedError'); }
    window.shared.push([file.name, file.size, text]);
  };
}"""
"""The sheet of a phone, which Chromium without windows lacks; the first time it comes too long after the tap."""


@pytest.fixture(scope="module")
def thinker():
    model = ThinkingModel()
    yield model
    model.close()


@pytest.fixture(scope="module")
def words(thinker):
    """The planners of the page: the grammar first, and one that thinks aloud."""
    return ["grammar", f"thinker=openai:thinker@{thinker.options.base_url}"]


@pytest.fixture(scope="module")
def program(words):
    started = Program.start("--wire", "native", *(part for word in words for part in ("--planner", word)))
    yield started
    if started.process.poll() is None:  # no test came so far
        started.kill()


@pytest.fixture(scope="module")
def restarted(program, words, serve):
    """The server is killed, and another one begins at its address."""
    planners = parse_planners({"planner": words, "wire": "native"})
    engine = Engine(planners[0].options, planners)
    engine.get_sam3(engine.sam3_name)  # six pages ask at once for what they kept
    program.kill()
    return serve(engine, port=program.port)


def make_folder(folder, count):
    """So many images, each with other pixels; those after the first are small."""
    changes = [lambda picture: picture, PIL.ImageOps.mirror, PIL.ImageOps.flip]
    for place in range(count):
        name = ["fruit", "horses", "cactus", "shapes"][place % 4]
        picture = PIL.Image.open(EXAMPLES / f"{name}.webp").convert("RGB")
        picture.thumbnail((640, 480) if place == 0 else (320, 240))
        changes[place // 4](picture).save(folder / f"{place:02d}.png", compress_level=1)
    return folder


def wait_kept(*visitors):
    for visitor in visitors:
        visitor.page.locator(".album[data-unsaved=no]").wait_for(state="attached")


def go_on(visitor, offer):
    """Takes back what the browser kept, once the next server is there."""
    visitor.page.locator(".stage[data-state=empty]").wait_for()
    visitor.wait_awake()
    visitor.page.get_by_text(f"Go on with {offer}").wait_for()
    visitor.page.get_by_role("button", name="Go on").click()
    visitor.has_image()


@pytest.fixture(scope="module")
def annotators(visit_once, program, tmp_path_factory):
    """Two people with a folder each; the first one has a class."""
    pair = []
    for count in COUNTS:
        visitor = visit_once(program.url)
        folder = make_folder(tmp_path_factory.mktemp("pictures"), count)
        visitor.page.locator("input[type=file]").set_input_files(sorted(folder.iterdir()))
        pair.append(visitor)
    for visitor, count in zip(pair, COUNTS, strict=True):
        visitor.page.locator(f".album[data-images='{count}']").wait_for()
        visitor.has_image()
    return pair


@pytest.fixture(scope="module")
def researchers(visit_once, program):
    """Two people with the same image, who chose the planner that thinks aloud."""
    pair = [visit_once(program.url) for _ in range(2)]
    for visitor in pair:
        visitor.begin()
        choose_planner(visitor, "thinker")
    return pair


def choose_planner(visitor, name):
    page = visitor.page
    page.locator("#more > button").click()
    page.get_by_label("Planner").click()
    page.get_by_role("option", name=name).click()
    page.locator(f"#talk [data-planner='{name}'], #talk[data-planner='{name}']").first.wait_for(state="attached")
    page.locator("#more > button").click()


@pytest.fixture(scope="module")
def phones(visit_once, program):
    return [visit_once(program.url, **PHONE) for _ in range(2)]


def test_two_annotators_ask_over_their_images_at_once(annotators):
    anna, ben = annotators
    anna.page.locator(".album form.name input").fill("ripe cherry")
    anna.page.locator(".album form.name input").press("Enter")
    anna.page.locator(".album .class[data-class='ripe cherry']").click()
    anna.click(*CHERRY)
    anna.sees(masks=1)
    for visitor in annotators:
        visitor.page.locator("[data-act=ask]").click()
        visitor.page.locator(".album .askall input").fill(QUESTION)
        visitor.page.locator(".album .askall [type=submit]").click()
    for visitor, count in ((ben, COUNTS[1]), (anna, COUNTS[0])):
        visitor.page.locator(f".album .askall output:text-is('Done: {count} of {count} images')").wait_for()
    anna.page.locator(".stage .frame").press("PageDown")
    anna.page.locator(".album .place:has-text('2 of 6')").wait_for()
    wait_kept(anna, ben)


def test_two_researchers_hear_one_model_think_at_once(researchers, thinker):
    carla, dan = researchers
    for visitor in researchers:
        visitor.ask(QUESTION)
    for visitor in researchers:
        words = visitor.page.locator("#chat .streamed p")
        words.filter(has_text="The banana is at").wait_for()
        assert words.inner_text() in THOUGHT
    thinker.go_on.set()
    for visitor in researchers:
        visitor.sees(masks=2)
    carla.page.get_by_role("button", name="Compare with grammar").click()
    assert carla.page.locator("#chat .column.shown h2").inner_text() == "thinker"
    dan.page.get_by_role("button", name=f"Edit the question {QUESTION}").click()
    dan.page.get_by_label("The question, to be asked otherwise").fill(OTHERWISE)
    dan.page.get_by_label("The question, to be asked otherwise").press("Enter")
    dan.page.locator("#chat .versions", has_text="2 / 2").wait_for()
    assert dan.page.locator("#chat .column").count() == 0
    wait_kept(carla, dan)


def test_two_phones_tap_an_example_each_at_once(phones):
    eve, finn = phones
    eve.page.locator("[data-example=fruit]").tap()
    finn.page.locator("[data-example=cactus]").tap()
    eve.sees(masks=3)
    finn.sees(masks=2)
    eve.page.touchscreen.tap(*eve.point(*CHERRY))
    eve.sees(masks=4)
    wait_kept(eve, finn)


def test_both_annotators_go_on_where_they_were_and_one_takes_a_coco_file(annotators, restarted, shoot, tmp_path):
    anna, ben = annotators
    go_on(anna, "6 images")
    go_on(ben, "2 images")
    for visitor, count in zip((anna, ben), COUNTS, strict=True):
        visitor.page.locator(f".album[data-images='{count}']").wait_for()
    anna.page.locator(".album .place:has-text('2 of 6')").wait_for()
    anna.page.locator(".album .class[data-class='ripe cherry']").wait_for()
    assert ben.page.locator(".album .class[data-class='ripe cherry']").count() == 0
    shoot(anna.page, "two-annotators.png")
    anna.page.locator("[data-act=set]").click()
    anna.page.locator(".album .dataset select").select_option("coco-polygons")
    with anna.page.expect_download() as fetched:
        anna.page.locator(".album .dataset [type=submit]").click()
    fetched.value.save_as(tmp_path / "set.json")
    with redirect_stdout(StringIO()):
        known = COCO(str(tmp_path / "set.json"))
    assert [row["file_name"] for row in known.loadImgs(known.getImgIds())] == [
        f"{at:02d}.png" for at in range(COUNTS[0])
    ]
    assert {row["name"] for row in known.loadCats(known.getCatIds())} >= {"ripe cherry", "watermelon"}
    assert all(known.annToMask(row).any() for row in known.loadAnns(known.getAnnIds()))


def test_both_researchers_find_their_versions_and_go_on(researchers, restarted, shoot):
    carla, dan = researchers
    go_on(carla, "fruit.webp")
    carla.page.locator("#chat .column.shown h2:text-is('thinker')").wait_for()
    other = carla.page.locator("#chat .column", has=carla.page.get_by_text("grammar", exact=True))
    assert other.locator(".agreement").inner_text() == "2 the same, 2 only here"
    other.get_by_role("button", name="Use this answer").click()
    carla.sees(masks=4)
    shoot(carla.page, "two-researchers.png")
    go_on(dan, "fruit.webp")
    dan.page.locator("#chat .versions", has_text="2 / 2").wait_for()
    dan.page.get_by_label("The version before").click()
    dan.page.locator("#chat .versions", has_text="1 / 2").wait_for()
    assert OTHERWISE not in dan.said
    dan.ask("only the largest")
    dan.sees(masks=1)
    assert "only the largest" not in carla.said


def test_both_phones_go_on_and_share_what_they_have(phones, restarted, shoot):
    eve, finn = phones
    go_on(eve, "fruit.webp, 4 masks")
    go_on(finn, "cactus.webp, 2 masks")
    eve.sees(masks=4)
    finn.sees(masks=2)
    eve.page.evaluate("sessionStorage.clear()")  # as a browser does that clears what a site has stored
    eve.page.evaluate(SHEET_JS)
    eve.page.locator("#query textarea").tap()
    eve.ask("only the largest")
    eve.sees(masks=1)
    eve.page.get_by_role("button", name="Share", exact=True).tap()
    eve.page.get_by_role("button", name="Ready: share").tap()
    [[name, size, words]] = eve.page.wait_for_function("window.shared.length && window.shared").json_value()
    assert (name, words) == ("fruit.masks.jpg", "only the largest\nKept 1 of the 4 watermelons: the largest.")
    assert size > 10_000
    shoot(eve.page, "two-phones.png")
    assert eve.download("PNG, one image per mask").stat().st_size
    assert "only the largest" not in finn.said
    with finn.page.expect_download() as fetched:
        finn.page.get_by_role("button", name="Save image").tap()  # this browser has no sheet
    with PIL.Image.open(fetched.value.path()) as saved:
        assert saved.size == (640, 480)
    finn.page.evaluate(LATER_PAGE_JS)
    finn.ask("the largest hat")
    finn.sees(masks=1)
    finn.page.get_by_text("keeps work of a newer version of this page").wait_for()
