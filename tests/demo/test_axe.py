"""What axe-core says of the page in a real browser, whether a finger meets every control, and what is on the screen."""

import numpy as np
import pytest

from demo.engine import Engine
from demo.planners import parse_planners
from sam3_tool.video.writing import write_mp4
from tests.support.axe import AXE
from tests.support.browser import ROOT
from tests.support.page_looks import DESK, SHEETS, Inspector

pytestmark = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not here; make web installs it")
EXAMPLES = ROOT / "demo" / "examples"


@pytest.fixture(scope="module")
def server(serve, slow):
    """A page that begins with the slow model, and has two planners that answer at once."""
    words = [f"openai:slow@{slow.url}", "grammar", "another=grammar"]
    planners = parse_planners({"planner": words, "wire": "native"})
    return serve(Engine(planners[0].options, planners))


def test_axe_and_fingers_find_nothing_amiss_in_the_talk(visit):
    visitor = visit(has_touch=True, bypass_csp=True, viewport=DESK)
    page, inspector = visitor.page, Inspector(visitor.page)
    inspector.inspect("start")
    visitor.begin()
    visitor.ask("all the watermelons")
    page.locator(".stage[data-masks='4'][data-busy=yes]").wait_for()
    inspector.inspect("thinking")
    page.get_by_role("button", name="Stop").click()
    visitor.sees(masks=4)
    visitor.ask("tell me which")
    page.locator("#chat .option").first.wait_for()
    inspector.inspect("question back")
    page.get_by_role("button", name="Models").click()
    page.get_by_label("Planner").click()
    page.get_by_role("option", name="grammar (no language model)", exact=True).click()
    if SHEETS:
        inspector.inspect("export and models", has_question=False)
    page.get_by_role("button", name="Models").click()
    visitor.ask("all the cherries")
    visitor.sees(masks=3)
    page.locator("#chat .step summary").first.click()
    inspector.inspect("a step open")
    page.locator("#chat .step summary").first.click()
    page.get_by_role("button", name="Compare with another").last.click()
    page.locator("#chat .column").nth(1).wait_for()
    inspector.inspect("compared")
    inspector.check_nothing_found()


def test_axe_and_fingers_find_nothing_amiss_in_the_strip(visit):
    visitor = visit(has_touch=True, bypass_csp=True, viewport=DESK)
    page, inspector = visitor.page, Inspector(visitor.page)
    visitor.begin()
    page.locator("input[type=file]").set_input_files([EXAMPLES / f"{one}.webp" for one in ("cactus", "horses")])
    page.locator(".album[data-images='3']").wait_for()
    page.locator(".album form.name input").fill("hat")
    page.locator(".album form.name input").press("Enter")
    page.locator(".album .class[data-class='hat']").wait_for()
    inspector.inspect("classes and strip")
    page.locator(".stage .frame").press("?")
    inspector.inspect("all keys", has_question=False)
    inspector.check_nothing_found()


@pytest.mark.skipif(not SHEETS, reason="make test-page looks at every state")
def test_axe_and_fingers_find_nothing_amiss_in_the_other_states(visit, tmp_path, server):
    visitor = visit(has_touch=True, bypass_csp=True, viewport=DESK)
    page, inspector = visitor.page, Inspector(visitor.page)
    visitor.begin()
    page.locator("input[type=file]").set_input_files(EXAMPLES / "horses.webp")
    page.locator(".album[data-images='2']").wait_for()
    page.locator(".album .entry").first.locator(".show").click()
    visitor.has_image()
    for act, state in (("ask", "ask all"), ("set", "data set")):
        page.locator(f"[data-act={act}]").click()
        inspector.inspect(state)
    page.locator("[data-act=set]").click()
    drag_box(visitor, (245, 15), (379, 196))
    inspector.inspect("a box asks")
    page.locator(".question").get_by_text("This one").click()
    visitor.sees(masks=1)
    inspector.inspect("an object chosen")
    write_mp4(tmp_path / "clip.mp4", draw_frames(), np.arange(6) / 6, quality=10)
    (tmp_path / "notes.txt").write_text("no image")
    page.locator("input[type=file]").set_input_files([tmp_path / "clip.mp4", tmp_path / "notes.txt"])
    page.locator(".album .notes li").first.wait_for()
    page.locator(".album .entry").nth(2).locator(".show").click()
    page.locator(".stage[data-medium=video][data-busy=no]").wait_for()
    inspector.inspect("a video and a note")
    page.locator(".album .entry").first.locator(".show").click()
    visitor.sees(masks=1)
    page.locator(".album[data-unsaved=no]").wait_for(state="attached")
    again = page.context.new_page()
    page.close()
    again.goto(server.url)
    again.get_by_text("Go on with fruit.webp").wait_for()
    inspector.page = again
    inspector.inspect("work offered back")
    server.stop()
    again.get_by_text("The server does not answer").wait_for()
    inspector.inspect("no server")
    inspector.check_nothing_found()


def drag_box(visitor, start, end):
    visitor.page.mouse.move(*visitor.point(*start))
    visitor.page.mouse.down()
    visitor.page.mouse.move(*visitor.point(*end), steps=4)
    visitor.page.mouse.up()
    visitor.page.locator(".question").wait_for()


def draw_frames():
    """A square that moves."""
    frames = np.full((6, 192, 256, 3), 230, np.uint8)
    for number, frame in enumerate(frames):
        frame[60:120, 20 + 20 * number : 80 + 20 * number] = (200, 40, 40)
    return list(frames)
