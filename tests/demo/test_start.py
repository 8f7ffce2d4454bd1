"""The start of the page: four questions with what came of them, and a tap that asks one."""

import re
from pathlib import Path

import gradio
import numpy as np
import pytest

from demo.start.drawing import draw_answer
from demo.start.examples import ANSWERS, EXAMPLES
from demo.talk.suggestions import EXAMPLE_QUERIES
from tests.support.browser import ROOT, Visitor

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
LOSS = 4
"""Pixels: another processor moves an end of an outline by less."""
PATH, ATTRIBUTE = re.compile(r"<path ([^>]*)>"), re.compile(r"(\w+)='([^']*)'")
MOST = 40_000
"""Bytes of all images of the start screen, as the page holds them."""
UNCOVERED = "(one) => getComputedStyle(one).clipPath"
MOTION = "(one) => getComputedStyle(one).animationName"
COUNT_CLOCKS_JS = """
  const askForFrame = window.requestAnimationFrame.bind(window);
  let clocks = 0;
  window.requestAnimationFrame = (act) => {
    clocks += String(act).includes('performance.now()');
    return askForFrame(act);
  };
  window.countClocks = (frames) => new Promise((done) => {
    const before = clocks, step = () => frames-- ? askForFrame(step) : done(clocks - before);
    step();
  });
"""
"""Counts the frames in which a clock of Gradio's goes on, of as many as are asked for."""


def test_one_tap_opens_an_example_and_asks_its_question(visit, shoot):
    visitor = visit()
    masked = visitor.page.locator("[data-example=fruit] .after")
    assert masked.evaluate(UNCOVERED) == "inset(0px 0px 0px 50%)"
    shoot(visitor.page, "start.png")
    visitor.page.locator("[data-example=fruit]").focus()
    assert masked.evaluate(UNCOVERED) == "inset(0px)"
    sources = visitor.page.locator(".examples img").evaluate_all("images => images.map(one => one.src)")
    assert len(sources) == 2 * len(EXAMPLES)
    assert sum(map(len, sources)) < MOST
    assert visitor.page.evaluate("[...document.querySelectorAll('.examples img')].every((one) => one.naturalWidth > 0)")
    visitor.page.keyboard.press("Enter")
    visitor.sees(masks=3)
    assert EXAMPLES["fruit"].question in visitor.page.locator("#chat .mine").inner_text()
    assert visitor.complaints == []


def test_shift_opens_an_example_and_asks_nothing(visit):
    visitor = visit()
    visitor.begin("horses")
    visitor.page.locator(".suggestions .suggestion").first.wait_for()
    assert visitor.page.locator("#chat .mine").count() == 0


def test_no_clock_of_gradios_runs_on_an_open_page(visit_plain, request):
    page = visit_plain("about:blank")
    page.add_init_script(COUNT_CLOCKS_JS)
    visitor = Visitor(page).arrive(request.getfixturevalue("server").url)
    assert page.evaluate("countClocks(10)") == 0
    visitor.begin()
    assert page.evaluate("countClocks(10)") == 0


def test_the_script_that_stops_the_clock_knows_it_in_the_gradio_that_is_here():
    script = (ROOT / "demo" / "web" / "resting.js").read_text(encoding="utf-8")
    pattern = re.search(r"=/(.+?/1e3)/,", script)[1].replace(r"\/", "/")
    assets = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
    counting = [path for path in assets.glob("*.js") if re.search(pattern, path.read_text(encoding="utf-8"))]
    assert [path.name.partition("-")[0] for path in counting] == ["statustracker"]


def test_where_nothing_hovers_the_masks_come_by_themselves_unless_motion_is_unwanted(visit, shoot):
    still = visit(**PHONE)
    shoot(still.page, "start-phone.png")
    assert still.page.locator("[data-example=fruit] .after").evaluate(MOTION) == "none"
    moving = visit(**PHONE, reduced_motion="no-preference")
    assert moving.page.locator("[data-example=fruit] .after").evaluate(MOTION) == "uncover"
    moving.page.locator("[data-example=shapes]").tap()
    moving.sees(masks=7)


def test_a_question_mark_shows_all_keys_and_escape_gives_the_focus_back(visit, shoot):
    visitor = visit()
    visitor.begin()
    sheet, frame, keys = (
        visitor.page.locator(".stage .sheet"),
        visitor.page.locator(".stage .frame"),
        visitor.page.keyboard,
    )
    frame.press("?")
    sheet.locator("dd", has_text="Brush: Paint what belongs to the chosen mask").wait_for()
    shoot(visitor.page, "keys.png")
    keys.press("Escape")
    assert not sheet.is_visible()
    assert frame.evaluate("(one) => one === document.activeElement")
    visitor.act("keys")
    assert sheet.is_visible()
    keys.press("?")
    assert not sheet.is_visible()
    visitor.page.locator("#query textarea").press("?")
    assert not sheet.is_visible()
    tools = visitor.page.locator(".stage .modes kbd").all_inner_texts()
    assert sheet.locator("dt").all_text_contents()[: len(tools)] == tools


def read_boxes(svg):
    """The left, upper, right and lower end of each outline, in pixels, by the mask's number."""
    found = [dict(ATTRIBUTE.findall(one)) for one in PATH.findall(svg)]
    paths = {one["id"]: re.split("[MLZ]+", one["d"].strip("MZ")) for one in found}
    corners = {name: np.array([corner.split() for corner in path], float) for name, path in paths.items()}
    return {name: [*points.min(axis=0), *points.max(axis=0)] for name, points in corners.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_masks_of_the_start_are_what_the_model_answers(actions, name):
    kept = read_boxes((ANSWERS / f"{name}.svg").read_text("utf-8"))
    drawn = read_boxes(draw_answer(actions, name))
    assert kept.keys() == drawn.keys()
    assert all(box == pytest.approx(drawn[mask], abs=LOSS) for mask, box in kept.items())


def test_every_question_of_the_start_is_one_that_is_suggested():
    assert all(example.question in EXAMPLE_QUERIES[name] for name, example in EXAMPLES.items())
