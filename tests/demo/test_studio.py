"""The studio in a real browser, by hand alone: a tap, a box, zoom and pan, with mouse, keys and fingers."""

import numpy as np
import PIL.Image
import pytest

CHERRY, MELON, EMPTY = (340, 140), ((60, 250), (330, 475)), (20, 440)
BOX = """() => {
  const { x, y, width, height } = document.querySelector('.stage .mask').getBBox();
  return [x, y, width, height];
}"""
CHANGES = """() => {
  window.changes = [];
  new MutationObserver((all) => window.changes.push(...all.map((one) => one.target.className)))
    .observe(document.querySelector('#work'), { childList: true, subtree: true });
}"""
DRAWN = "() => !document.querySelector('.stage .frame').style.transform.includes('scale')"
WIDTH = "() => document.querySelector('.stage .frame').getBoundingClientRect().width"


@pytest.fixture
def fruit(visit):
    visitor = visit()
    visitor.begin("fruit")
    return visitor


def drag(visitor, start, end):
    visitor.page.mouse.move(*visitor.point(*start))
    visitor.page.mouse.down()
    visitor.page.mouse.move(*visitor.point(*end), steps=3)
    visitor.page.mouse.up()


def test_the_smart_tool_needs_no_mode(fruit, shoot):
    page = fruit.page
    page.mouse.move(*fruit.point(*CHERRY))
    page.locator(".stage[data-preview=yes]").wait_for()
    fruit.sees(masks=0)  # a preview is no edit
    fruit.click(*CHERRY)
    fruit.sees(masks=1)
    page.mouse.click(*fruit.point(CHERRY[0] + 5, CHERRY[1] + 5), button="right")
    page.locator(".stage .dot.minus").first.wait_for(state="attached")
    fruit.sees(masks=1)
    drag(fruit, *MELON)
    page.locator(".question").get_by_text("Everything like it").wait_for()
    shoot(page, "box-question.png")
    page.keyboard.press("Escape")
    assert not page.locator(".question").is_visible()
    drag(fruit, *MELON)
    page.keyboard.press("Enter")
    fruit.sees(masks=2)
    fruit.click(*CHERRY)  # the first click on a mask chooses it
    assert page.locator(".stage .object .chip").inner_text() == "1"
    fruit.sees(masks=2)
    assert fruit.complaints == []


def test_the_image_is_zoomed_at_the_pointer_and_sharp_where_it_is_seen(visit, tmp_path, shoot):
    pixels = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    PIL.Image.fromarray(pixels).resize((4000, 3000), PIL.Image.Resampling.NEAREST).save(tmp_path / "large.png")
    visitor = visit()
    visitor.upload(tmp_path / "large.png")
    visitor.has_image()
    page, size = visitor.page, (4000, 3000)
    fit = page.evaluate(WIDTH)
    at = visitor.point(3000, 1000, size)
    page.mouse.move(*at)
    page.mouse.wheel(0, -1000)
    page.locator(".tiles img").first.wait_for()
    assert page.evaluate(WIDTH) > 3 * fit
    assert visitor.point(3000, 1000, size) == pytest.approx(at, abs=2)
    page.locator(".stage .frame").focus()
    page.keyboard.press("Shift+Digit1")
    assert page.evaluate(WIDTH) == pytest.approx(4000)
    assert page.locator(".percent").inner_text() == "100 %"
    tiles = page.locator(".tiles img")
    page.wait_for_function("() => document.querySelectorAll('.tiles img').length >= 4")
    assert all(url.startswith("data:image/jpeg") for url in tiles.evaluate_all("(all) => all.map((one) => one.src)"))
    shoot(page, "actual-size.png")
    before = visitor.point(2000, 1500, size)
    page.keyboard.down(" ")
    page.mouse.move(400, 400)
    page.mouse.down()
    page.mouse.move(370, 380)
    page.mouse.up()
    page.keyboard.up(" ")
    assert visitor.point(2000, 1500, size) == pytest.approx((before[0] - 30, before[1] - 20))
    visitor.sees(masks=0)
    page.keyboard.press("Shift+Digit0")
    assert page.evaluate(WIDTH) == pytest.approx(fit)
    assert visitor.complaints == []


def test_a_zoom_stretches_what_is_drawn_and_draws_it_anew_when_it_rests(fruit):
    page = fruit.page
    fruit.click(*CHERRY)
    fruit.sees(masks=1)
    frame, plate = page.locator(".stage .frame"), page.locator(".stage .plate rect")
    size, fit = plate.bounding_box(), page.evaluate(WIDTH)
    page.evaluate(CHANGES)
    page.mouse.move(*fruit.point(*EMPTY))
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"(fit) => ({WIDTH})() > fit", arg=fit)
    page.wait_for_function(DRAWN)
    assert page.evaluate("window.changes") == []  # a node that comes or goes makes a browser match all rules again
    assert frame.evaluate("(frame) => frame.offsetWidth") == pytest.approx(page.evaluate(WIDTH), abs=1)
    assert page.evaluate(WIDTH) == pytest.approx(fit * np.exp(200 * 0.0016), rel=0.01)
    assert plate.bounding_box()["width"] == pytest.approx(size["width"], abs=0.1)  # a number keeps its size
    page.keyboard.press("Shift+Digit0")
    assert page.evaluate(WIDTH) == pytest.approx(fit)


def test_what_is_painted_is_a_mask_that_is_mended_hidden_and_undone(fruit, shoot):
    page = fruit.page
    page.locator(".stage .frame").focus()
    page.keyboard.press("p")
    drag(fruit, (560, 300), (620, 300))
    fruit.sees(masks=1)
    drag(fruit, (560, 340), (620, 340))  # goes on with it
    fruit.sees(masks=1)
    page.locator(".stage .object").get_by_role("button", name="Split").click()
    fruit.sees(masks=2)
    shoot(page, "painted.png")
    page.locator(".stage .frame").focus()
    page.keyboard.press("g")
    for corner in ((20, 20), (80, 20), (80, 80), (20, 80), (20, 20)):
        fruit.click(*corner)
    fruit.sees(masks=3)
    page.locator(".stage .object summary").click()
    page.locator(".stage .object").get_by_role("button", name="Hide").click()
    fruit.sees(masks=2)
    page.locator(".stage [data-do=reveal]").click()
    fruit.sees(masks=3)
    for left in (2, 1, 1, 0):
        fruit.act("undo")
        fruit.sees(masks=left)
    assert fruit.complaints == []


class Hand:
    """Fingers on the screen, as the browser is told of them."""

    def __init__(self, visitor):
        self.visitor = visitor
        self.session = visitor.page.context.new_cdp_session(visitor.page)

    def touch(self, kind, *places):
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def tap(self, *at):
        self.touch("touchStart", at)
        self.touch("touchEnd")

    def press(self, *at):
        """Rest on a place until the page has taken it for a long press."""
        self.touch("touchStart", at)
        self.visitor.page.locator(".stage .dot.minus").first.wait_for(state="attached")
        self.touch("touchEnd")

    def pinch(self, middle, start, end):
        """Two fingers, so many pixels from the middle at first and at last."""
        x, y = middle
        self.touch("touchStart", (x - start, y))
        for apart in (start, start + (end - start) / 2, end):
            self.touch("touchStart" if apart == start else "touchMove", (x - apart, y), (x + apart, y))
            self.visitor.page.evaluate("() => new Promise(requestAnimationFrame)")  # fingers are slower than frames
        self.touch("touchEnd")


def test_a_finger_finds_takes_away_zooms_and_is_asked_what_a_box_means(visit, shoot):
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visitor.begin("fruit")
    page, hand = visitor.page, Hand(visitor)
    hand.tap(*visitor.point(*CHERRY))
    visitor.sees(masks=1)
    hand.press(*visitor.point(CHERRY[0] + 5, CHERRY[1] + 5))
    visitor.sees(masks=1)
    shoot(page, "touch-object.png")
    before, at = page.evaluate(WIDTH), visitor.point(320, 240)
    hand.pinch(at, 30, 90)
    page.wait_for_function(f"() => Math.abs(({WIDTH})() / {before} - 3) < 0.3")
    assert visitor.point(320, 240) == pytest.approx(at, abs=3)
    visitor.sees(masks=1)  # fingers that zoom click nothing
    shoot(page, "touch-zoom.png")
    hand.pinch(at, 90, 20)
    page.wait_for_function(f"() => Math.abs(({WIDTH})() / {before} - 1) < 0.01")
    hand.touch("touchStart", visitor.point(*MELON[0]))
    hand.touch("touchMove", visitor.point(*MELON[1]))
    hand.touch("touchEnd")
    page.locator(".question").wait_for()
    shoot(page, "touch-question.png")
    page.locator(".question").get_by_text("This one").tap()
    visitor.sees(masks=2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visitor.complaints == []


def test_escape_gives_up_what_is_being_drawn(fruit):
    page = fruit.page
    for key in ("p", "e", "s"):
        page.locator(".stage .frame").focus()
        page.keyboard.press(key)
        page.mouse.move(*fruit.point(560, 300))
        page.mouse.down()
        for place in ((600, 300), (620, 320)):
            page.mouse.move(*fruit.point(*place))
        page.keyboard.press("Escape")
        page.mouse.up()
        assert page.locator(".stage .strokes > *, .stage .band").count() == 0
        assert not page.locator(".question").is_visible()
    fruit.sees(masks=0)
    assert fruit.complaints == []


def test_a_polygon_is_drawn_by_the_keyboard_alone(fruit):
    page = fruit.page
    page.evaluate("window.sam3Class = 'leaf'")
    page.locator(".stage .frame").focus()
    for key in ("g", "ArrowLeft", "Enter", *["ArrowUp"] * 3, "Enter", *["ArrowRight"] * 3, "Enter", "Enter"):
        page.keyboard.press(key)
    fruit.sees(masks=1)
    assert page.locator(".stage .object .name").inner_text() == "leaf"
    assert fruit.complaints == []


def test_a_window_that_changes_in_the_middle_of_a_stroke_leaves_it_where_it_was_drawn(fruit):
    fruit.take("brush")
    page, row = fruit.page, 300
    page.mouse.move(*fruit.point(520, row))
    page.mouse.down()
    page.mouse.move(*fruit.point(560, row))
    page.set_viewport_size({"width": 900, "height": 640})
    page.wait_for_function(f"({WIDTH})() < 600")
    page.mouse.move(*fruit.point(600, row))
    page.mouse.up()
    fruit.sees(masks=1)
    left, top, width, height = page.evaluate(BOX)
    radius = height / 2
    assert (left + radius, left + width - radius, top + radius) == pytest.approx((520, 600, row), abs=3)
    assert fruit.complaints == []


def test_a_third_finger_in_the_middle_of_a_stroke_draws_nothing_and_moves_nothing(visit):
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visitor.begin("fruit")
    visitor.take("brush")
    hand, before = Hand(visitor), visitor.page.evaluate(WIDTH)
    first, second, third = (visitor.point(x, 240) for x in (200, 320, 440))
    hand.touch("touchStart", first)
    hand.touch("touchMove", (first[0] + 8, first[1]))
    hand.touch("touchStart", first, second)
    hand.touch("touchStart", first, second, third)
    hand.touch("touchMove", (first[0] - 20, first[1]), second, (third[0] + 20, third[1]))
    hand.touch("touchEnd")
    visitor.sees(masks=0)
    assert visitor.page.locator(".stage .strokes > *").count() == 0
    assert visitor.page.evaluate(WIDTH) == pytest.approx(before, abs=1)
    assert visitor.complaints == []


def test_a_strip_that_nobody_would_see_begins_enlarged_and_a_small_image_has_an_actual_size(visit, tmp_path):
    visitor = visit()
    for name, size in (("strip.png", (1, 4000)), ("dot.png", (30, 20))):
        PIL.Image.new("RGB", size, (200, 30, 30)).save(tmp_path / name)
        visitor.upload(tmp_path / name)
        visitor.reads(f"{name}, {size[0]} x {size[1]} pixels")
        visitor.has_image()
        assert visitor.page.evaluate(WIDTH) >= 15
    visitor.act("actual")
    assert visitor.page.evaluate(WIDTH) == pytest.approx(30, abs=0.5)
    visitor.act("out")
    assert visitor.page.evaluate(WIDTH) == pytest.approx(30, abs=0.5)
    visitor.act("fit")
    assert visitor.page.evaluate(WIDTH) > 300
