"""Clicking in a real browser: quick clicks, other objects, nothing there, corrections, and what all this costs."""

import pytest

CHERRY, OTHER_CHERRY, THIRD_CHERRY, EMPTY = (340, 140), (180, 155), (500, 180), (20, 440)
MOST_BYTES = 6000


@pytest.fixture
def clicking(visit):
    visitor = visit()
    visitor.begin("fruit")
    visitor.ask("all the watermelons")
    visitor.sees(masks=4)
    visitor.take("add")
    return visitor


def test_quick_clicks_on_one_object_are_one_mask_with_one_number(clicking):
    for dx in (0, 4, -4, 2, -2, 3):
        clicking.click(CHERRY[0] + dx, CHERRY[1])
    clicking.sees(masks=5)
    assert clicking.page.locator(".list .kept .chip").all_inner_texts() == ["1", "2", "3", "4", "5"]
    assert clicking.page.locator(".list .kept .row.active .chip").inner_text() == "5"
    clicking.page.keyboard.down("Alt")
    clicking.click(CHERRY[0] - 4, CHERRY[1])
    clicking.page.keyboard.up("Alt")
    clicking.page.locator(".stage .dot.minus").first.wait_for(state="attached")
    clicking.sees(masks=5)
    assert clicking.complaints == []


def test_each_object_is_one_click(clicking):
    for at in (CHERRY, OTHER_CHERRY, THIRD_CHERRY):
        clicking.click(*at)
    clicking.sees(masks=7)
    clicking.act("fresh")
    assert clicking.page.locator(".list .row.active").count() == 0


def test_nothing_is_said_where_nothing_is(clicking):
    clicking.click(*EMPTY)
    clicking.page.locator(".stage .hint").get_by_text("Nothing was found there").wait_for()
    clicking.sees(masks=4)


def test_forty_quick_clicks_are_all_made_in_order_and_cost_little(clicking):
    sizes = []

    def note_size(answer):
        if "component_server" in answer.url:
            sizes.append(answer.request.sizes()["responseBodySize"])

    clicking.page.on("response", note_size)
    clicking.click(*CHERRY)
    clicking.sees(masks=5)
    clicking.page.wait_for_timeout(50)
    clicking.page.remove_listener("response", note_size)
    assert sizes[0] < MOST_BYTES
    at = [clicking.point(CHERRY[0] + n % 7, CHERRY[1] + n % 5) for n in range(40)]
    for x, y in at:
        clicking.page.mouse.click(x, y)
    clicking.sees(masks=5)
    origin = clicking.page.locator(".list .kept .row.active").get_attribute("data-origin")
    assert origin.count("+") == 41
    assert origin.endswith(f"+{CHERRY[0] + 39 % 7},{CHERRY[1] + 39 % 5}")
