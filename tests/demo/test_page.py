"""The page in a real browser when things are not as they should be: files, reloads, other people, small windows."""

import urllib.request
from urllib.error import HTTPError

import numpy as np
import PIL.Image
import pytest
from PIL import ImageDraw

from demo.engine import Engine
from demo.uploads import MEGA, Limits
from sam3_tool import Image
from tests.support.browser import ROOT

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}
MOVES = "() => document.getAnimations().some((one) => one instanceof CSSAnimation && one.playState === 'running')"
NAMED = "button:not([aria-hidden]), input:not([type=file]), textarea, [role=button], img, summary"
NAMELESS = """(named) => [...document.querySelectorAll(named)]
  .filter((one) => one.checkVisibility({visibilityProperty: true}) && one.getClientRects().length)
  .filter((one) => one.tagName === 'IMG' ? one.getAttribute('alt') === null
    : !(one.innerText || one.getAttribute('aria-label') || one.title || (one.labels && one.labels.length)))
  .map((one) => one.outerHTML.slice(0, 160))"""
"""Controls and pictures that a screen reader could not name."""
FAINT = """() => {
  const numbers = (color) => (color.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const over = (top, under) => { const a = top[3] ?? 1; return [0, 1, 2].map((i) => top[i] * a + under[i] * (1 - a)); };
  const ground = (one) => {
    if (!one) return [255, 255, 255];
    const own = numbers(getComputedStyle(one).backgroundColor);
    return (own[3] ?? 1) === 1 ? own : over(own, ground(one.parentElement));
  };
  const opacity = (one) => one ? Number(getComputedStyle(one).opacity) * opacity(one.parentElement) : 1;
  const light = (color) => color.slice(0, 3)
    .map((c) => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const walk = document.createTreeWalker(document.querySelector('.gradio-container'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const one = walk.currentNode.parentElement;
    const seen = one.checkVisibility({visibilityProperty: true}) && !one.closest('svg, :disabled');
    if (!seen || !walk.currentNode.data.trim()) continue;
    const under = ground(one), ink = numbers(getComputedStyle(one).color);
    const [a, b] = [light(over([...ink.slice(0, 3), (ink[3] ?? 1) * opacity(one)], under)), light(under)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push([contrast.toFixed(1), walk.currentNode.data.trim().slice(0, 40), one.className]);
  }
  return found;
}"""
"""Words whose contrast with what is under them is below 4.5, which WCAG asks for."""
RECOLORED = "() => document.body.classList.contains('dark') === matchMedia('(prefers-color-scheme: dark)').matches"
STILL = "() => document.getAnimations().every((one) => one.playState !== 'running')"
"""What opens and closes has done so."""
GIVEN = {
    how: """async () => {
  const canvas = new OffscreenCanvas(30, 20);
  canvas.getContext('2d').fillRect(0, 0, 9, 9);
  const held = new DataTransfer();
  held.items.add(new File([await canvas.convertToBlob()], 'given.png', {type: 'image/png'}));
  document.dispatchEvent("""
    + event
    + ");}"
    for how, event in {
        "drop": "new DragEvent('drop', {dataTransfer: held, bubbles: true, cancelable: true})",
        "paste": "new ClipboardEvent('paste', {clipboardData: held, bubbles: true, cancelable: true})",
    }.items()
}
"""What a hand or a keyboard would do with a file."""
PASTED_INTO_QUESTION = """(kinds) => {
  const held = new DataTransfer();
  held.items.add(new File(['x'], 'cell.png', {type: 'image/png'}));
  for (const kind of kinds) held.setData(kind, 'cups');
  const event = new ClipboardEvent('paste', {clipboardData: held, bubbles: true, cancelable: true});
  return document.querySelector('#question').dispatchEvent(event);
}"""
"""Paste a cell of a table, which is words and an image of them; true where the browser does what it does with words."""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def server(serve, slow):
    """A page that begins with the slow model."""
    return serve(Engine(slow.options), Limits(max_pixels=52 * MEGA, max_file_bytes=30 * 2**20))


def grammar(visitor):
    """The page begins with the slow model; the grammar is chosen instead."""
    visitor.page.get_by_role("button", name="Models").click()
    visitor.page.get_by_label("Planner").click()
    visitor.page.get_by_role("option", name="grammar").click()
    visitor.page.locator("#talk[data-planner=grammar], #talk [data-planner=grammar]").wait_for()
    return visitor


def test_an_answer_is_stopped_with_what_was_found_so_far(visit, shoot):
    visitor = visit()
    visitor.begin()
    visitor.ask("all the watermelons")
    visitor.page.locator(".stage[data-masks='4'][data-busy=yes]").wait_for()
    assert not visitor.page.evaluate(MOVES)  # for whoever asked for less motion
    shoot(visitor.page, "thinking.png", full_page=True)
    visitor.page.get_by_role("button", name="Stop").click()
    visitor.sees(masks=4)
    visitor.reads("Stopped by you")
    assert visitor.complaints == []


def test_a_reload_in_mid_answer_keeps_the_picture_and_the_question(visit):
    visitor = visit(reduced_motion="no-preference")
    visitor.begin()
    visitor.ask("all the watermelons")
    visitor.page.locator(".stage[data-masks='4'][data-busy=yes]").wait_for()
    assert visitor.page.evaluate(MOVES)
    visitor.page.reload()
    visitor.wait_awake()
    visitor.sees(masks=0)
    visitor.reads("Reloading the page stopped the answer")
    assert visitor.page.locator("#query textarea").input_value() == "all the watermelons"


def test_what_is_done_without_a_network_is_made_once_it_is_back(visit, tmp_path):
    visitor = visit()
    visitor.begin()
    page, context = visitor.page, visitor.page.context
    for color in ("red", "blue"):
        PIL.Image.new("RGB", (9, 9), color).save(tmp_path / f"{color}.png")
    context.set_offline(True)
    try:
        visitor.click(340, 140)
        page.get_by_text("your clicks are kept").wait_for()
        page.locator("input[type=file]").set_input_files([tmp_path / "red.png", tmp_path / "blue.png"])
        visitor.ask("all the watermelons")
        visitor.reads("It is in the box below; send it again.")
        context.set_offline(False)
        visitor.sees(masks=1)
        page.locator(".album .entry").nth(2).wait_for()
        context.set_offline(True)
        visitor.click(180, 155)
        page.get_by_text("your clicks are kept").wait_for()
    finally:
        context.set_offline(False)
    page.reload()
    visitor.wait_awake()
    visitor.sees(masks=2)
    assert page.locator("#query textarea").input_value() == "all the watermelons"


def test_two_people_at_once_never_see_each_others_pictures(visit):
    one, other = visit(), visit()
    one.begin("fruit")
    other.begin("horses")
    for visitor in (one, other):
        grammar(visitor)
    one.ask("all the watermelons")
    other.ask("all the mushrooms")
    one.sees(masks=4)
    other.sees(masks=2)
    assert "fruit.webp" in one.said
    assert "horses" not in one.said
    assert "horses.webp" in other.said
    assert "watermelon" not in other.said
    served = [url for url in one.requests + other.requests if "/file=" in url]
    assert served == []


def test_whoever_waits_sees_their_place_and_is_served_in_turn(visit, shoot):
    first, second, third = [visit() for _ in range(3)]
    for visitor in (first, second):
        visitor.begin()
        visitor.ask("all the watermelons")
        visitor.page.locator(".stage[data-masks='4'][data-busy=yes]").wait_for()
    third.begin("horses")
    grammar(third).ask("all the mushrooms")
    third.reads("You are next")
    shoot(third.page, "queued.png")
    first.page.get_by_role("button", name="Stop").click()
    third.sees(masks=2)
    second.page.get_by_role("button", name="Stop").click()
    second.reads("Stopped by you")


def test_nobody_reads_files_of_the_server(server):
    for path in ("/etc/passwd", str(ROOT / "pyproject.toml"), "demo/examples/fruit.webp"):
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}/gradio_api/file={path}")
        with refused.value as answer:
            assert answer.code in (403, 404)
    with urllib.request.urlopen(server.url) as answer:
        assert "connect-src 'self'" in answer.headers["content-security-policy"]


def test_a_broken_file_is_one_sentence_and_the_page_goes_on(visit, tmp_path):
    visitor = visit()
    notes = visitor.page.locator(".album .notes")
    broken = tmp_path / "broken.png"
    broken.write_bytes((ROOT / "examples" / "scene.png").read_bytes()[:4000])
    visitor.upload(broken)
    notes.get_by_text("broken.png: cannot be read as an image").wait_for()
    script = tmp_path / "drawing.png"
    script.write_text("<svg onload=alert(1)>")
    visitor.upload(script)
    notes.get_by_text("drawing.png: an SVG drawing; render it first").wait_for()
    huge = tmp_path / "huge.png"
    PIL.Image.new("1", (9000, 6000)).save(huge)
    visitor.upload(huge)
    notes.get_by_text("54 megapixels; this page takes up to 52").wait_for()
    assert str(tmp_path) not in notes.inner_text()
    visitor.begin()


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_picture_is_dropped_anywhere_on_the_page_or_pasted(visit, how):
    visitor = visit()
    assert visitor.page.evaluate(PASTED_INTO_QUESTION, ["text/plain"])
    visitor.page.evaluate(GIVEN[how])
    visitor.has_image()
    visitor.reads("given.png, 30 x 20 pixels")


def test_words_can_be_read_in_light_and_in_dark(visit):
    visitor = visit()
    visitor.begin()
    grammar(visitor).ask("all the watermelons")
    visitor.sees(masks=4)
    for light in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=light, reduced_motion="reduce")
        visitor.page.wait_for_function(RECOLORED)
        visitor.page.wait_for_function(STILL)
        assert visitor.page.evaluate(FAINT) == []


def test_a_photograph_of_50_megapixels_is_segmented(visit, tmp_path, shoot):
    photograph = PIL.Image.new("RGB", (8688, 5792), (208, 208, 208))
    draw = ImageDraw.Draw(photograph)
    draw.ellipse((900, 1400, 3300, 3800), fill=(214, 38, 40))
    draw.rectangle((4700, 2000, 6500, 3800), fill=(44, 84, 214))
    path = tmp_path / "large.jpg"
    photograph.save(path, quality=90)
    visitor = visit()
    visitor.upload(path)
    visitor.has_image()
    grammar(visitor).ask("the circle")
    visitor.sees(masks=1)
    visitor.reads("8688 x 5792")
    shoot(visitor.page, "large.png")


def test_everything_can_be_done_from_the_keyboard(visit):
    visitor = visit()
    keys = visitor.page.keyboard
    focused = (
        "() => { const e = document.activeElement; return e.dataset.example || e.className || e.id || e.tagName; }"
    )
    for _ in range(12):
        keys.press("Tab")
        if visitor.page.evaluate(focused) == "fruit":
            break
    keys.press("Shift+Enter")
    visitor.has_image()
    grammar(visitor)
    visitor.page.locator("#query textarea").focus()
    keys.type("all the watermelons")
    keys.press("Enter")
    visitor.sees(masks=4)
    visitor.page.locator(".stage .frame").focus()
    keys.press("v")
    for _ in range(10):
        keys.press("ArrowRight")
    for _ in range(4):
        keys.press("ArrowDown")
    keys.press("Enter")
    visitor.page.locator(".list .row.active").wait_for()
    keys.press("Delete")
    visitor.sees(masks=3)
    keys.press("Control+z")
    visitor.sees(masks=4)


def test_every_control_has_a_name_and_every_picture_a_description(visit):
    visitor = visit()
    assert visitor.page.evaluate(NAMELESS, NAMED) == []
    grammar(visitor)
    visitor.begin()
    visitor.ask("all the watermelons")
    visitor.sees(masks=4)
    assert visitor.page.evaluate(NAMELESS, NAMED) == []
    assert "4 masks: watermelon" in visitor.page.locator(".stage .frame").get_attribute("aria-label")


def test_the_page_fits_a_phone_and_follows_its_colours(visit, shoot):
    visitor = visit(**PHONE)
    assert visitor.page.evaluate(WIDER) <= 0
    for light in ("dark", "light"):
        visitor.page.emulate_media(color_scheme=light, reduced_motion="reduce")
        visitor.page.wait_for_function(RECOLORED)
        shoot(visitor.page, f"phone-{light}-start.png", full_page=True)
    visitor.begin()
    grammar(visitor)
    visitor.ask("the watermelons above the banana except the largest one")
    visitor.sees(masks=3)
    for light in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=light, reduced_motion="reduce")
        visitor.page.wait_for_function(RECOLORED)
        shoot(visitor.page, f"phone-{light}.png", full_page=True)
        assert visitor.page.evaluate(WIDER) <= 0


def test_words_and_pictures_in_a_question_are_only_words(visit):
    visitor = visit()
    visitor.begin()
    grammar(visitor)
    visitor.ask(
        "<img src=http://example.invalid/a.png onerror=alert(1)> ![b](http://example.invalid/b.png) [c](http://x)"
    )
    visitor.reads("![b](http://example.invalid/b.png)")
    visitor.page.locator(".stage[data-busy=no]").wait_for()
    assert [url for url in visitor.requests if "example.invalid" in url] == []
    assert visitor.page.locator("#chat a:not(.link)").count() == 0


def test_an_upright_image_is_what_everybody_gets(visit, tmp_path):
    picture = PIL.Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    visitor = visit()
    visitor.upload(tmp_path / "turned.jpg")
    visitor.reads("turned.jpg, 40 x 60 pixels")


def test_a_concept_that_is_dropped_from_a_folder_adds_everything_like_it(visit, engine, tmp_path):
    visitor = visit()
    visitor.begin()
    image = Image.open(ROOT / "demo" / "examples" / "fruit.webp")
    concept = engine.get_sam3("tiny").describe(image, boxes=[(245, 15, 379, 196)])
    concept.save(tmp_path / "gizmo.concept")
    drop_files(visitor.page, tmp_path / "gizmo.concept")
    visitor.reads("Added everything like gizmo")
    visitor.page.locator(".stage[data-busy=no] .mask:nth-of-type(n+6)").first.wait_for(state="attached")
    assert visitor.page.locator(".list .kept .phrase").first.inner_text() == "gizmo"
    assert visitor.page.locator(".album .notes li").count() == 0


def drop_files(page, *paths):
    """Drag files of the disk onto the middle of the page, as a hand does."""
    session, size = page.context.new_cdp_session(page), page.viewport_size
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": size["width"] / 3, "y": size["height"] / 2}
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})
    session.detach()
