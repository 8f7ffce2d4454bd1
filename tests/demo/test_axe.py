"""What axe-core says of the page in a real browser, and whether a finger meets every control."""

import pytest

from demo.engine import Engine
from tests.support.browser import ROOT

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not here; make web installs it")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 720}
PLAIN, DARK = {"color_scheme": "light", "forced_colors": "none"}, {"color_scheme": "dark", "forced_colors": "none"}
FORCED = {"color_scheme": "light", "forced_colors": "active"}
CONTRAST = {"runOnly": ["color-contrast"]}
LOOKS = [
    *((size, PLAIN, {}) for size in (PHONE, DESK)),
    *((size, DARK, CONTRAST) for size in (DESK, PHONE)),
    *((size, FORCED, CONTRAST) for size in (PHONE, DESK)),
]
"""Sizes and colours, with what axe-core looks for: other colours change nothing but the contrast."""
RECOLORED = "() => document.body.classList.contains('dark') === matchMedia('(prefers-color-scheme: dark)').matches"
SMALL = """() => [...document.querySelectorAll('button, summary, select, textarea, input, [role=button]')]
  .filter((one) => !one.disabled && one.checkVisibility({visibilityProperty: true, opacityProperty: false}))
  .map((one) => [one, (one.closest('label') ?? one).getBoundingClientRect(), one.getBoundingClientRect()])
  .filter(([, label, own]) => label.width > 1 && Math.max(label.width, own.width) > 1)
  .filter(([, label, own]) => Math.max(label.width, own.width) < 43.5 || Math.max(label.height, own.height) < 43.5)
  .map(([one, label]) => `${one.outerHTML.slice(0, 90)} ${label.width.toFixed(0)}x${label.height.toFixed(0)}`)"""
"""Controls that are smaller than 44 pixels of the screen; the label of a box is part of it."""


@pytest.fixture(scope="module")
def server(serve, slow):
    """A page that begins with the slow model."""
    return serve(Engine(slow.options))


class Inspector:
    """Looks at one state of the page after the other, in every colour and size."""

    def __init__(self, page):
        self.page = page
        self.found = {}

    def inspect(self, state):
        for size, colors, rules in LOOKS:
            self.page.set_viewport_size(size)
            self.page.emulate_media(**colors, reduced_motion="reduce")
            self.page.wait_for_function(RECOLORED)
            self._note((state, size["width"], *colors.values()), rules)
        self.page.set_viewport_size(PHONE)
        self.page.emulate_media(**PLAIN, reduced_motion="reduce")
        assert self.page.evaluate("matchMedia('(pointer: coarse)').matches")
        if small := self.page.evaluate(SMALL):
            self.found[state, "smaller than 44 pixels"] = small

    def _note(self, look, rules):
        if not self.page.evaluate("Boolean(window.axe)"):
            self.page.evaluate(AXE.read_text("utf-8"))
        for one in self.page.evaluate("rules => axe.run(document, rules)", rules)["violations"]:
            self.found[*look, one["id"]] = [f"{node['target']} {node['failureSummary']}" for node in one["nodes"]]


def test_axe_and_fingers_find_nothing_amiss_from_the_start_to_the_strip(visit):
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
    page.get_by_role("option", name="grammar").click()
    page.get_by_role("button", name="Models").click()
    visitor.ask("all the cherries")
    visitor.sees(masks=3)
    page.locator("#chat .step summary").first.click()
    inspector.inspect("a step open")
    page.locator("input[type=file]").set_input_files(
        [ROOT / "demo" / "examples" / f"{one}.webp" for one in ("cactus", "horses")]
    )
    page.locator(".album[data-images='3']").wait_for()
    page.locator(".album form.name input").fill("hat")
    page.locator(".album form.name input").press("Enter")
    page.locator(".album .class[data-class='hat']").wait_for()
    inspector.inspect("classes and strip")
    page.locator(".stage .frame").press("?")
    inspector.inspect("all keys")
    assert inspector.found == {}
