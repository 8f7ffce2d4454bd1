"""The demo as a program of its own, killed under the eyes of a visitor."""

from demo.engine import Engine
from tests.support.browser import Program, Visitor

FORBID_JS = """for (const name of ['sessionStorage', 'localStorage', 'indexedDB'])
  Object.defineProperty(window, name, {get() { throw new DOMException('Access is denied.', 'SecurityError'); }});"""
"""What a browser does in which all cookies are blocked."""


def log_in(page):
    page.get_by_label("username").fill("anna")
    page.get_by_label("password").fill("s3cret")
    page.get_by_role("button", name="Login").click()


def test_a_program_asks_for_its_password_says_that_it_was_killed_and_a_page_of_the_next_one_works(
    visit_plain, serve, slow, shoot
):
    options = "--planner", "openai:slow", "--base-url", slow.url, "--wire", "native"
    program = Program.start(*options, SAM3_AGENT_DEMO_AUTH="anna:s3cret")
    try:
        page = visit_plain(program.url)
        log_in(page)
        visitor = Visitor(page).wait_awake()
        visitor.begin()
        visitor.ask("all the watermelons")
        visitor.page.locator(".stage[data-masks='4'][data-busy=yes]").wait_for()
    finally:
        program.kill()
    visitor.page.get_by_text("The server does not answer").wait_for()
    shoot(visitor.page, "lost.png")
    serve(Engine(slow.options), port=program.port)
    visitor.page.locator(".stage[data-state=empty]").wait_for()
    visitor.wait_awake()
    visitor.page.get_by_text("no longer has the work on fruit.webp").click()
    visitor.page.get_by_text("no longer has the work").wait_for(state="detached")
    visitor.begin()


STORE_JS = """([act, record]) => new Promise((done, fail) => {
  const asked = indexedDB.open('sam3-agent');
  asked.onerror = () => fail(asked.error);
  asked.onsuccess = () => {
    const change = asked.result.transaction(['works', 'entries', 'pictures'], 'readwrite');
    if (act === 'put') {
      change.objectStore('works').put({ id: record.work, at: record.at, classes: [] });
      change.objectStore('entries').put(record);
    }
    const counts = ['works', 'entries', 'pictures'].map((name) => change.objectStore(name).count());
    change.oncomplete = () => { asked.result.close(); done(counts.map((one) => one.result)); };
  };
})"""
LEAVE_JS = """() => {
  const event = new Event('beforeunload', { cancelable: true });
  window.dispatchEvent(event);
  return event.defaultPrevented;
}"""


def count_kept(page):
    """Works, images and pictures that the browser keeps."""
    return page.evaluate(STORE_JS, ["count", None])


def wait_kept(page):
    page.locator(".album[data-unsaved=no]").wait_for(state="attached")


def test_work_outlives_its_server_and_its_tab_and_is_opened_only_where_somebody_asks_for_it(
    visit_plain, serve, engine, shoot
):
    program = Program.start()
    try:
        visitor = Visitor(visit_plain(program.url)).wait_awake()
        wait_kept(visitor.page)
        assert visitor.page.evaluate(LEAVE_JS) is False
        visitor.begin()
        visitor.ask("all the watermelons")
        visitor.sees(4)
        wait_kept(visitor.page)
        assert (visitor.page.evaluate(LEAVE_JS), count_kept(visitor.page)) == (False, [1, 1, 1])
    finally:
        program.kill()
    serve(engine, port=program.port)
    visitor.page.locator(".stage[data-state=empty]").wait_for()
    visitor.wait_awake()
    offer = "Go on with fruit.webp, 4 masks, from"
    visitor.page.get_by_text(offer).wait_for()
    assert visitor.page.get_by_text("no longer has the work").count() == 0
    assert visitor.page.locator(".album .told").is_hidden()
    shoot(visitor.page, "kept.png")
    visitor.page.get_by_role("button", name="Go on").click()
    visitor.sees(4)
    visitor.reads("all the watermelons")
    assert visitor.page.get_by_text(offer).is_hidden()
    wait_kept(visitor.page)

    other = Visitor(visitor.page.context.new_page()).arrive(program.url)
    other.begin("horses")
    other.ask("the largest horse")
    other.sees(1)
    wait_kept(other.page)
    assert count_kept(other.page) == [2, 2, 2]
    assert other.page.get_by_text(offer).count() == 0
    visitor.page.close()
    third = Visitor(other.page.context.new_page()).arrive(program.url)
    third.page.get_by_text(offer).wait_for()
    third.page.get_by_role("button", name="No, delete it").click()
    third.page.get_by_text(offer).wait_for(state="hidden")
    assert count_kept(third.page) == [1, 1, 1]


def test_a_browser_that_has_no_more_room_or_was_cleared_says_so_and_keeps_the_newest(visit_lasting):
    visitor, page = visit_lasting, visit_lasting.page
    wait_kept(page)
    browser = page.context.new_cdp_session(page)
    origin = {"origin": page.evaluate("location.origin")}
    browser.send("Storage.overrideQuotaForOrigin", origin | {"quotaSize": 20_000})
    visitor.begin()
    visitor.ask("all the watermelons")
    visitor.sees(4)
    page.get_by_text("no room to keep your work; download the conversation").wait_for()
    assert page.evaluate(LEAVE_JS) is True
    browser.send("Storage.overrideQuotaForOrigin", origin)

    huge = {"key": "old 1", "work": "old", "name": "old.png", "masks": 1, "done": False, "text": "{}"}
    day = 86_400_000
    huge |= {"at": page.evaluate("Date.now()") - day, "pictures": [{"key": "p", "bytes": 2**28}]}
    page.evaluate(STORE_JS, ["put", huge])
    visitor.ask("only the largest")
    visitor.sees(1)
    page.get_by_text("keeps 256 MiB at most, so it let go of its oldest work").wait_for()
    assert count_kept(page) == [1, 1, 1]

    browser.send("Storage.clearDataForOrigin", origin | {"storageTypes": "indexeddb"})
    page.get_by_text("What this browser kept was cleared").wait_for()
    wait_kept(page)
    assert count_kept(page) == [1, 1, 1]

    forbidden = page.context.new_page()
    forbidden.add_init_script(FORBID_JS)
    other = Visitor(forbidden).arrive(page.url)
    other.begin()
    other.ask("all the watermelons")
    other.sees(4)
    forbidden.get_by_text("This browser keeps nothing by itself; download the conversation").wait_for()
