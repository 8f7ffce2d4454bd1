"""The demo as a program of its own, killed under the eyes of a visitor."""

from demo.engine import Engine
from tests.support.browser import Program, Visitor


def log_in(page):
    page.get_by_label("username").fill("anna")
    page.get_by_label("password").fill("s3cret")
    page.get_by_role("button", name="Login").click()


def test_a_program_asks_for_its_password_says_that_it_was_killed_and_a_page_of_the_next_one_works(
    visit_plain, serve, slow, shots
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
    visitor.page.screenshot(path=shots / "lost.png")
    serve(Engine(slow.options), port=program.port)
    visitor.page.locator(".stage[data-state=empty]").wait_for()
    visitor.wait_awake()
    visitor.page.get_by_text("no longer has the work on fruit.webp").click()
    visitor.page.get_by_text("no longer has the work").wait_for(state="detached")
    visitor.begin()
