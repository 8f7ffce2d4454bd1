"""A researcher in a real browser: asks, hears the model think, reads how it was found, asks otherwise, compares."""

import pytest

from demo.engine import Engine
from tests.support.thinking_model import THOUGHT, ThinkingModel

QUESTION = "all the watermelons"


@pytest.fixture(scope="module")
def thinker():
    model = ThinkingModel()
    yield model
    model.close()


@pytest.fixture(scope="module")
def server(serve, thinker):
    """A page whose planner thinks aloud."""
    return serve(Engine(thinker.options))


@pytest.fixture(scope="module")
def curious(visit_once):
    visitor = visit_once()
    visitor.begin()
    return visitor


def find_step(visitor, words):
    return visitor.page.locator("#chat .step", has=visitor.page.get_by_text(words))


def test_the_thought_is_read_while_the_model_is_thinking(curious, thinker, shots):
    thinker.is_busy = True
    curious.ask(QUESTION)
    curious.reads("The language model is busy: try 2 of 6")
    words = curious.page.locator("#chat .streamed p")
    words.filter(has_text="The banana is at").wait_for()
    assert words.inner_text() in THOUGHT
    assert curious.page.locator("#query .stop").inner_text() == "Stop"
    curious.page.screenshot(path=shots / "thought.png")
    thinker.go_on.set()
    curious.sees(masks=2)
    assert curious.page.locator("#chat .streamed").count() == 0


def test_a_step_says_what_was_thought_judged_and_seen(curious, shots):
    assert (
        curious.page.locator("#chat .cost")
        .last.inner_text()
        .endswith("5 calls of the language model, 5,250 tokens, sent again once, cost 0.012")
    )
    step = find_step(curious, "Looked closely at 2: kept 2")
    step.locator("> summary").click()
    step.get_by_text("Thought for").click()
    assert step.locator(".reasoning p").inner_text() == THOUGHT
    rows = [row.split("\t") for row in step.locator(".verdicts tbody tr").all_inner_texts()]
    assert rows == [[str(id), "kept", "90 %", "It is red inside."] for id in (1, 2)]
    step.get_by_text("Details", exact=True).click()
    step.get_by_text("What the model saw").click()
    step.locator(".before summary", has_text="As before").wait_for()
    assert QUESTION not in step.locator(".sight > section").first.inner_text().split("As before")[0]
    assert "draw_sight" not in curious.calls
    step.locator(".shot summary").last.click()
    step.locator(".shot img").last.wait_for()
    assert curious.calls.count("draw_sight") == 1
    curious.page.screenshot(path=shots / "seen.png")


def test_a_link_leads_back_to_a_step(curious):
    step = find_step(curious, "Looked closely at 2: kept 2")
    step.locator(".link").click()
    assert curious.page.url.endswith("#turn-1-step-2")
    curious.page.reload()
    curious.wait_awake()
    again = find_step(curious, "Looked closely at 2: kept 2")
    again.locator(".verdicts").wait_for()
    assert again.get_attribute("open") is not None


def test_another_planner_answers_the_same_question_beside_it(curious, shots):
    curious.page.get_by_role("button", name="Compare with grammar").click()
    column = curious.page.locator("#chat .column", has=curious.page.get_by_text("grammar", exact=True))
    column.wait_for()
    assert curious.page.locator("#chat .column.shown h2").inner_text() == "openai:thinker"
    assert column.locator(".agreement").inner_text() == "2 the same, 2 only here"
    curious.sees(masks=2)
    column.get_by_text("Show its masks").click()
    column.locator("img").wait_for()
    curious.page.screenshot(path=shots / "compared-planners.png")
    column.get_by_role("button", name="Use this answer").click()
    curious.page.locator("#chat .column.shown h2", has_text="grammar").wait_for()
    curious.sees(masks=4)
    curious.page.get_by_label("The version before").click()
    curious.sees(masks=2)


def test_a_question_that_is_asked_otherwise_keeps_the_way_before_it(curious, shots):
    curious.page.get_by_role("button", name=f"Edit the question {QUESTION}").click()
    box = curious.page.get_by_label("The question, to be asked otherwise")
    assert box.input_value() == QUESTION
    box.fill("the ripe watermelons")
    box.press("Enter")
    curious.page.locator("#chat .versions", has_text="3 / 3").wait_for()
    assert QUESTION not in curious.said
    curious.page.screenshot(path=shots / "branched.png")
    for at in (2, 1):
        curious.page.get_by_label("The version before").click()
        curious.page.locator("#chat .versions", has_text=f"{at} / 3").wait_for()
    assert QUESTION in curious.said
    assert curious.complaints == []
