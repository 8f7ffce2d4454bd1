"""The review in a real browser: by keyboard, by two people, with a server that is killed in the middle."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from engine.pairs import Correction, Judgement
from engine.review.app import create_app
from engine.review.desk import QUEUE_FILE, ReviewDesk
from engine.review.queue.opinions import choose_wanted
from engine.review.queue.review_queue import ReviewQueue
from engine.review.services import ReviewServices
from engine.review.team.people import People
from engine.store.store import EngineStore
from sam3_tool import Instances, Sam3, ScriptedBackend
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import encode_mask
from serve.http.services import BackgroundModel
from serve.http.settings import ServeSettings
from tests.engine.review.conftest import add_image, add_pair, draw_masks
from tests.engine.review.test_routes import TOKENS, USERS
from tests.support.axe import AXE, CONTRAST, find_violations
from tests.support.program import Program, start_program
from tests.support.serving import serve_in_thread

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
DESKTOP = {"viewport": {"width": 1280, "height": 720}, "reduced_motion": "reduce"}
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True}
PATIENCE = 60_000
CORNER = (640, 560)
"""A place of the window that is in the image, and on no mask."""
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here; Debian and Ubuntu: apt-get install chromium-headless-shell")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Reviewer:
    """Somebody in front of the page."""

    def __init__(self, browser: Browser, url: str, token: str = "", **how: object) -> None:
        self.context = browser.new_context(**{**DESKTOP, **how})  # type: ignore[arg-type]
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        if token:
            self.page.get_by_label("Your token").fill(token)
            self.page.keyboard.press("Enter")

    @property
    def item(self) -> str:
        """The number of the item that is painted."""
        self.page.locator("body[data-item]:not([data-item=''])").wait_for()
        return str(self.page.locator("body").get_attribute("data-item"))

    def press(self, key: str) -> str:
        """Press a key that answers; return the item that it answered."""
        answered = self.item
        self.page.keyboard.press(key)
        self.page.locator(f"body:not([data-item='{answered}'])").wait_for()
        return answered

    def has_item(self) -> bool:
        """Wait until an item is painted, or until the server has said that there is none."""
        self.page.locator("body:not([data-item='']), body[data-supply='empty']").wait_for()
        return bool(self.page.locator("body").get_attribute("data-item"))

    def choose(self, task: str) -> None:
        self.page.get_by_role("button", name=task, exact=True).click()

    def wait_sent(self) -> None:
        self.page.locator("body[data-waiting='0']").wait_for()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Reviewer]]:
    opened: list[Reviewer] = []

    def visit_page(url: str, token: str = "", **how: object) -> Reviewer:
        opened.append(Reviewer(chromium, url, token, **how))
        return opened[-1]

    yield visit_page
    for reviewer in opened:
        reviewer.context.close()
        assert reviewer.errors == []


@pytest.fixture
def services(store: EngineStore) -> Iterator[ReviewServices]:
    """Of a server for one person, whose SAM 3 finds the second square under a click."""
    masks = draw_masks(2)[1:]
    found = Instances(masks, masks_to_boxes(masks), np.array([0.9], np.float32), 0.9, "red cup")
    queue = ReviewQueue(store.folder / QUEUE_FILE)
    desk = ReviewDesk(store, queue, double_share=0.0)
    desk.synchronize()
    yield ReviewServices(
        ServeSettings(hosts=("127.0.0.1",), drain_seconds=0),
        People.build_alone(),
        desk,
        BackgroundModel.from_loaded(Sam3(ScriptedBackend({None: {"red cup": found}}))),
    )
    queue.close()


@pytest.fixture
def url(services: ReviewServices) -> Iterator[str]:
    """The server, in this process."""
    with serve_in_thread(create_app(services)) as address:
        yield address


def list_said(folder: Path) -> list[tuple[str, str, str]]:
    """What people said, as the log of the project has it: who, stage, choice."""
    with EngineStore.open(folder, read_only=True) as store:
        entries = [record.entry for record in store.entries()]
    return [(entry.by, entry.stage, entry.choice) for entry in entries if isinstance(entry, Judgement)]


FORBID_JS = """() => Object.defineProperty(window, 'localStorage', {
  get() { throw new DOMException('Access is denied.', 'SecurityError'); },
})"""
"""What a browser does from now on that is told to store nothing more."""


def test_masks_coverage_and_correction_by_keyboard_alone(add, store, request, visit):
    key = add()
    url = request.getfixturevalue("url")
    reviewer = visit(url)
    page = reviewer.page
    assert reviewer.item
    watcher = visit(url)
    told = watcher.page.locator("#stage .empty")
    expect(told).to_contain_text("The one item that is left is open on another page", timeout=PATIENCE)
    watcher.choose("Coverage")
    expect(told).to_contain_text("There is work in Masks (1).", timeout=PATIENCE)
    assert page.locator("#phrase").inner_text() == "red cup"
    page.evaluate(FORBID_JS)
    reviewer.press("A")
    reviewer.wait_sent()
    expect(page.locator("#notice")).to_contain_text("leave it open until your answers are sent")
    reviewer.choose("Coverage")
    reviewer.item  # noqa: B018  # is painted
    page.keyboard.press("e")
    page.locator(".correction[data-item='2']").wait_for()
    for _ in range(4):  # to the second square
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.locator(".correction .mask[data-id='2']").wait_for(state="attached")
    reviewer.press("Shift+Enter")
    reviewer.wait_sent()
    [correction] = [record.entry for record in store.entries(key) if isinstance(record.entry, Correction)]
    assert (len(correction.masks), correction.exhaustive) == (2, True)
    page.keyboard.press("z")
    assert reviewer.item
    assert store.read_state(key).needs == "ev"


def stroke(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over the image of the work area, between places in shares of its width and height."""
    frame = page.locator(".correction .frame").bounding_box()
    assert frame is not None
    (x0, y0), (x1, y1) = [(frame["x"] + frame["width"] * x, frame["y"] + frame["height"] * y) for x, y in (start, end)]
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=3)
    page.mouse.up()


def test_the_work_area_paints_rejects_groups_and_is_not_left_by_accident(add, store, request, visit):
    keys = [add(), add()]
    reviewer = visit(request.getfixturevalue("url"))
    services = request.getfixturevalue("services")
    page, masks = reviewer.page, reviewer.page.locator(".correction .mask")
    for _ in keys:
        reviewer.press("A")
    reviewer.choose("Coverage")
    area = page.locator(f".correction[data-item='{reviewer.item}']")
    frame = page.locator("#stage svg").bounding_box()
    loaded, services.sam3 = services.sam3, BackgroundModel(lambda: Sam3(ScriptedBackend({})))
    page.keyboard.press("e")
    area.wait_for()
    page.mouse.click(*CORNER)
    expect(page.locator(".correction .hint")).to_contain_text("the models are being loaded; try again")
    services.sam3 = loaded
    page.keyboard.press("Escape")
    page.locator(".pair .panel").wait_for()
    page.mouse.click(frame["x"] + frame["width"] * 23 / 64, frame["y"] + frame["height"] * 20 / 48)  # what is missing
    page.locator(".correction .mask[data-id='2']").wait_for(state="attached")
    page.keyboard.press("Escape")  # lets go of the mask
    page.keyboard.press("Escape")
    expect(page.locator("#notice")).to_contain_text("Do that once more to leave the correction")
    page.keyboard.press("Tab")
    page.keyboard.press("d")
    first = page.locator(".correction .mask[data-id='1']")
    expect(first).to_have_attribute("data-label", "rejected")
    page.keyboard.press("p")
    stroke(page, (8 / 64, 20 / 48), (2 / 64, 20 / 48))
    expect(first).to_have_attribute("data-label", "")  # whoever mends it means it to be right
    page.keyboard.press("z")
    expect(first).to_have_attribute("data-label", "rejected")
    page.keyboard.press("z")
    expect(first).to_have_attribute("data-label", "")
    page.keyboard.press("Tab")
    page.keyboard.press("j")
    page.locator(".correction .mask[data-id='1'][data-label=group]").wait_for(state="attached")
    page.keyboard.press("n")
    stroke(page, (0.8, 0.8), (0.9, 0.8))
    page.locator(".correction .mask[data-id='3']").wait_for(state="attached")
    reviewer.press("i")
    reviewer.wait_sent()
    [correction] = [one.entry for key in keys for one in store.entries(key) if isinstance(one.entry, Correction)]
    first, second = (encode_mask(mask) for mask in draw_masks(2))
    assert {first, second} < set(correction.masks)
    assert dict(zip(correction.masks, correction.groups, strict=True))[first] is True
    assert (len(correction.masks), sum(correction.groups), correction.exhaustive) == (3, 1, False)
    assert reviewer.item
    page.keyboard.press("e")
    page.locator(f".correction[data-item='{reviewer.item}']").wait_for()
    assert masks.count() == 1
    expect(page.locator(".correction [data-do=undo]")).to_be_disabled()  # nothing of the item before is taken back


PRESS_JS = """(keys) => {
  const press = (key) => new KeyboardEvent('keydown', { key, bubbles: true });
  for (const key of keys) document.querySelector('#stage').dispatchEvent(press(key));
}"""
"""Keys between which the page does nothing else."""


def test_work_in_the_area_is_lost_neither_by_keys_nor_by_buttons_nor_by_taking_an_answer_back(add, request, visit):
    add(count=2)
    reviewer = visit(request.getfixturevalue("url"))
    page, masks = reviewer.page, reviewer.page.locator(".correction .mask")
    own = reviewer.item
    page.keyboard.press("g")
    expect(page.locator(".correction .mask[data-label=group]")).to_have_count(1)  # the one that was judged
    expect(page.locator(".correction .mask[data-label=rejected]")).to_have_count(0)  # nobody has judged the other one
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.locator(".judging").wait_for()
    assert reviewer.press("A") == own
    reviewer.press("A")
    reviewer.choose("Coverage")
    area = page.locator(f".correction[data-item='{reviewer.item}']")

    def paint(height: float, count: int) -> None:
        page.locator(".correction .frame").focus()
        page.keyboard.press("p")
        page.keyboard.press("n")
        stroke(page, (0.7, height), (0.9, height))
        expect(masks).to_have_count(count)

    page.evaluate(PRESS_JS, "er")  # before the server has answered to the first key
    area.wait_for()
    paint(0.1, 3)
    for leaving in ("f", "Masks", "Team"):
        reviewer.choose(leaving) if len(leaving) > 1 else page.keyboard.press(leaving)
        expect(page.locator("#notice")).to_contain_text("what you have done here is dropped then")
        expect(area).to_be_visible()
        paint(0.3, 4)
        page.locator(".correction input[value=brush]").focus()
        page.keyboard.press("z")  # is about the masks, whatever has the focus
        expect(masks).to_have_count(3)
    page.locator(".correction .frame").focus()
    page.keyboard.press("Escape")  # lets go of the mask, where one is chosen
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.locator(".pair .panel").wait_for()
    page.keyboard.press("e")
    page.keyboard.press("e")  # opens it once
    area.wait_for()
    paint(0.1, 3)
    page.keyboard.press("z")
    expect(masks).to_have_count(2)
    expect(page.locator(".correction [data-do=undo]")).to_be_disabled()  # what was dropped does not come back
    paint(0.1, 3)
    reviewer.press("Shift+Enter")
    reviewer.wait_sent()
    page.keyboard.press("z")
    assert reviewer.item
    page.keyboard.press("e")
    area.wait_for()
    expect(masks).to_have_count(3)  # as they were sent


def test_a_pair_that_was_corrected_is_asked_about_no_more_until_that_is_taken_back(add, store, request, visit):
    key = add(count=3)
    reviewer = visit(request.getfixturevalue("url"))
    page, own = reviewer.page, reviewer.item
    page.keyboard.press("e")
    page.locator(".correction:not([data-item=''])").wait_for()
    reviewer.press("Shift+Enter")
    assert reviewer.has_item() is False
    reviewer.wait_sent()
    [correction] = [record.entry for record in store.entries(key) if isinstance(record.entry, Correction)]
    assert set(correction.masks) == {encode_mask(mask) for mask in draw_masks(3)}
    page.keyboard.press("z")
    assert reviewer.press("A") == own
    reviewer.press("A")
    reviewer.press("A")


def test_a_grid_marks_the_wrong_ones_and_undo_takes_all_back(add, store, request, visit):
    keys = [add() for _ in range(3)]
    reviewer = visit(request.getfixturevalue("url"))
    reviewer.choose("Grids")
    reviewer.page.locator(".cell").nth(2).wait_for()
    reviewer.page.keyboard.press("b")
    expect(reviewer.page.locator(".cell").nth(1)).to_have_attribute("aria-pressed", "true")
    reviewer.press("Enter")
    reviewer.wait_sent()
    assert sorted(store.read_state(key).needs for key in keys) == ["correct", "ev", "ev"]
    reviewer.page.keyboard.press("z")
    reviewer.page.locator(".cell").nth(2).wait_for()
    assert {store.read_state(key).needs for key in keys} == {"mv"}


def test_a_phrase_is_text_and_everything_has_its_place_on_a_phone(add, request, visit, tmp_path):
    add(MARKUP)
    reviewer = visit(request.getfixturevalue("url"), **PHONE)
    assert reviewer.item
    assert reviewer.page.locator("#phrase").inner_text() == MARKUP
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert reviewer.page.evaluate(wider) == 0
    for button in reviewer.page.locator(".commands button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 24  # WCAG 2.2, target size
    reviewer.page.keyboard.press("?")
    expect(reviewer.page.get_by_text("This project has no guidelines.")).to_be_visible()
    reviewer.page.keyboard.press("Escape")
    reviewer.press("4")
    reviewer.wait_sent()
    reviewer.choose("Team")
    reviewer.page.get_by_role("link", name="holes").wait_for()
    assert reviewer.page.evaluate(wider) == 0  # the table scrolls by itself


def start_review(folder: Path, users: Path, port: str = "0") -> tuple[Program, str]:
    program = start_program(
        "engine", "review", folder, "--users", users, "--port", port, env=dict(os.environ), stderr=2
    )
    assert program.stdout is not None
    address = program.stdout.readline().split()[0]
    return program, address


def test_two_people_review_a_page_closes_the_server_is_killed_and_nothing_is_lost(tmp_path, visit):
    users, folder = tmp_path / "users.toml", tmp_path / "project"
    users.write_text(USERS)
    with EngineStore.create(folder) as store:
        for number in range(20):
            add_pair(store, add_image(store, tmp_path, number), "red cup", 1)
    program, address = start_review(folder, users)
    anna, ben = visit(address, TOKENS["anna"]), visit(address, TOKENS["ben"])
    answered = [("human:anna", anna.press("A")), ("human:ben", ben.press("3")), ("human:ben", ben.press("R"))]
    ben.wait_sent()
    ben.page.wait_for_load_state("networkidle")
    ben.page.close()  # what he held goes back
    answered += [("human:anna", anna.press("a")) for _ in range(2)]
    anna.wait_sent()
    program.kill()
    program.communicate()
    answered += [("human:anna", anna.press("a")) for _ in range(2)]  # of those that were fetched ahead
    expect(anna.page.locator("#offline")).to_contain_text("There is no connection")
    program, _ = start_review(folder, users, address.rpartition(":")[2])
    anna.wait_sent()
    expect(anna.page.locator("#offline")).to_be_hidden()
    while anna.has_item():
        answered.append(("human:anna", anna.press("a")))
    anna.wait_sent()
    program.kill()
    program.communicate()
    queue = ReviewQueue(folder / QUEUE_FILE)
    kept = [(f"human:{one.person}", str(one.item)) for one in queue.list_answers()]
    queue.close()
    assert sorted(kept) == sorted(answered)
    said = list_said(folder)
    assert [by for by, *_ in said] == [by for by, _ in answered]
    assert len(set(answered)) == len(answered)
    assert said.count(("human:ben", "mv", "reject")) == 2
    assert {item for _, item in answered} == {str(number) for number in range(1, 21)}
    with EngineStore.open(folder, read_only=True) as store:
        needs = {state.needs for state in store.iterate_states() if choose_wanted("mv", state.pair.key, 0) == 1}
    assert {"ev"} <= needs <= {"ev", "correct"}


def test_why_masks_failed_is_a_link_back_works_and_a_failure_becomes_a_test(add, store, request, visit):
    for phrase in ("cup", "cup", "hat"):
        add(phrase)
    reviewer = visit(request.getfixturevalue("url"))
    page = reviewer.page
    for _ in range(3):
        reviewer.press("4")
    reviewer.wait_sent()
    reviewer.choose("Team")
    page.get_by_role("link", name="hat").click()
    expect(page.get_by_role("heading", name="Why did it fail? 1 answer")).to_be_visible()
    assert "phrase=hat" in page.url
    page.get_by_role("button", name="Test others with it").click()
    expect(page.get_by_role("button", name="Test others with it")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("heading", name="Why did it fail? 1 answer")).to_be_visible()
    expect(page.get_by_role("button", name="Test others with it")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.get_by_role("heading", name="Why did it fail? 3 answers")).to_be_visible()
    page.go_back()
    assert reviewer.has_item() is False


LOOKS = (
    ({"color_scheme": "light", "forced_colors": "none"}, {}),
    ({"color_scheme": "dark", "forced_colors": "none"}, CONTRAST),
    ({"color_scheme": "light", "forced_colors": "active"}, CONTRAST),
)
"""Colours, with what axe-core looks for: other colours change nothing but the contrast."""


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not here; make web installs it")
def test_axe_finds_nothing_to_say_of_any_task_in_any_colours(add, request, visit):
    for phrase in ("cup", "cup", "hat"):
        add(phrase)
    reviewer = visit(request.getfixturevalue("url"), bypass_csp=True)
    page, found = reviewer.page, {}

    def ask_axe(state: str) -> None:
        for colors, rules in LOOKS:
            page.emulate_media(**colors, reduced_motion="reduce")
            found.update({(state, *colors.values(), rule): one for rule, one in find_violations(page, rules).items()})

    assert reviewer.item
    ask_axe("Masks")
    reviewer.press("4")
    reviewer.wait_sent()
    for task in ("Grids", "Coverage", "Correction"):
        reviewer.choose(task)
        reviewer.has_item()
        ask_axe(task)
    reviewer.choose("Team")
    page.get_by_role("link", name="holes").wait_for()
    ask_axe("Team")
    page.keyboard.press("?")
    ask_axe("help")
    assert found == {}
