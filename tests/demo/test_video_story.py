"""The story of a video in a real browser: drop it, ask, see the answer move, step, correct by a click, download."""

import json

import av
import numpy as np
import pytest

from sam3_tool.synthetic.clips import Clip, draw_clip
from sam3_tool.synthetic.scenes import HELD_OUT
from sam3_tool.video.writing import write_mp4
from tests.support.browser import Visitor

LENGTH, RATE, SIZE = 12, 8, (256, 192)
PATIENCE = 240_000
"""Milliseconds: every frame is searched."""


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Two rockets, one of which goes."""
    return draw_clip(HELD_OUT + 2, length=LENGTH, size=SIZE)


@pytest.fixture(scope="module")
def watched(visit_once, clip, tmp_path_factory) -> Visitor:
    """Somebody who has dropped a video and asked for what is in it."""
    path = tmp_path_factory.mktemp("mine") / "my clip.mp4"
    write_mp4(path, clip.frames, np.arange(LENGTH) / RATE, quality=10)
    visitor = visit_once()
    visitor.page.set_default_timeout(PATIENCE)
    visitor.upload(path)
    visitor.page.locator(".stage[data-medium=video][data-busy=no]").wait_for()
    visitor.ask("all the rockets")
    visitor.page.locator(".stage[data-tracks='2'][data-busy=no]").wait_for()
    return visitor


def read_frame(visitor: Visitor) -> int:
    """The frame that is shown."""
    return int(visitor.page.locator(".stage").get_attribute("data-frame") or -1)


def press(visitor: Visitor, *keys: str) -> None:
    for key in keys:
        visitor.page.locator(".stage .frame").press(key)


def find_middle(mask: np.ndarray) -> tuple[int, int]:
    """x y of the pixel of a mask that is nearest to its middle."""
    y, x = np.nonzero(mask)
    nearest = np.argmin((x - x.mean()) ** 2 + (y - y.mean()) ** 2)
    return int(x[nearest]), int(y[nearest])


def test_an_answer_is_drawn_on_every_frame_with_a_bar_of_time_for_each_object(watched, shoot):
    watched.reads("12 frames")
    assert watched.page.locator(".bars .track").count() == 2
    assert watched.page.locator(".stage[data-masks='2']").count() == 1
    watched.page.locator("#chat").get_by_text("Looked for").first.click()
    watched.page.locator("#chat img[alt*='2 objects outlined']").first.wait_for()
    shoot(watched.page, "video-answered.png", full_page=True)
    assert watched.complaints == []


def test_arrows_step_from_frame_to_frame_and_the_outlines_follow(watched, clip):
    press(watched, "ArrowRight", "ArrowRight", "ArrowLeft")
    assert read_frame(watched) == 1
    press(watched, "Shift+ArrowRight")
    assert read_frame(watched) == LENGTH - 1
    shown = watched.page.evaluate(
        """() => [...document.querySelectorAll('.stage svg.masks .mask')].map((path) => {
          const box = path.getBBox(); return [box.x + box.width / 2, box.y + box.height / 2]; })"""
    )
    x, y = find_middle(clip.find_masks(0)[-1])
    assert min(np.hypot(cx - x, cy - y) for cx, cy in shown) < 12
    watched.page.wait_for_function("!document.querySelector('.film').seeking")
    time = watched.page.evaluate("document.querySelector('.film').currentTime")
    assert time == pytest.approx((LENGTH - 0.5) / RATE, abs=0.01)


def test_a_click_on_a_bar_and_the_slider_go_to_a_time(watched):
    box = watched.page.locator(".stage .bars").bounding_box()
    assert box is not None
    watched.page.mouse.click(box["x"] + box["width"] * 4.5 / LENGTH, box["y"] + 4)
    assert read_frame(watched) == 4
    assert watched.page.locator(".bars .track.active").count() == 1
    watched.page.locator(".stage .scrub").fill("7")
    assert read_frame(watched) == 7


def test_space_plays_to_the_end_and_stops_there(watched):
    press(watched, " ")
    watched.page.locator(f".stage[data-frame='{LENGTH - 1}']").wait_for()
    watched.page.locator("[data-do=play][aria-pressed=false]").wait_for()


def test_an_object_is_taken_out_and_clicked_on_a_frame_to_come_back(watched, clip, shoot):
    press(watched, "Escape")
    watched.page.locator(".stage .scrub").fill("3")
    watched.take("select")
    watched.click_frame(*find_middle(clip.find_masks(0)[3]), SIZE)
    watched.page.locator(".list .row.active").wait_for()
    press(watched, "Delete")
    watched.page.locator(".stage[data-tracks='1'][data-busy=no]").wait_for()
    watched.take("add")
    press(watched, "Escape")
    watched.click_frame(*find_middle(clip.find_masks(0)[3]), SIZE)
    watched.page.locator(".stage[data-tracks='2'][data-busy=no]").wait_for()
    assert read_frame(watched) == 3
    watched.reads("at 0:00.4")
    watched.page.locator(".stage .scrub").fill("7")  # the same object is corrected on another frame
    watched.click_frame(*find_middle(clip.find_masks(0)[7]), SIZE)
    watched.reads("at 0:00.9")
    watched.page.locator(".stage[data-tracks='2'][data-frame='7'][data-busy=no]").wait_for()
    shoot(watched.page, "video-clicked.png", full_page=True)
    watched.page.set_viewport_size({"width": 390, "height": 860})
    shoot(watched.page, "video-phone.png", full_page=True)
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    watched.page.set_viewport_size({"width": 1280, "height": 900})


def test_the_answer_is_downloaded_as_a_film_and_for_other_tools(watched):
    film = watched.download("The video with the objects drawn on it")
    assert film.name == "my clip.overlay.mp4"
    with av.open(str(film)) as container:
        assert len([*container.decode(video=0)]) == LENGTH
    held = json.loads(watched.download("YouTube-VIS").read_text("utf-8"))
    assert [len(one["segmentations"]) for one in held["annotations"]] == [LENGTH] * 2
    assert watched.complaints == []


def test_a_video_outlives_its_tab_with_its_objects_on_every_frame(watched):
    page = watched.page
    page.locator(".album[data-unsaved=no]").wait_for(state="attached")
    other, address = Visitor(page.context.new_page()), page.url
    page.close()
    other.arrive(address)
    other.page.get_by_text("Go on with my clip.mp4, 2 masks").wait_for()
    other.page.get_by_role("button", name="Go on").click()
    other.page.locator(".stage[data-medium=video][data-tracks='2'][data-busy=no]").wait_for()
    other.reads("all the rockets")
    press(other, "Shift+ArrowRight")
    assert read_frame(other) == 10
    assert other.page.locator(".bars .track").count() == 2
    assert other.complaints == []
