import numpy as np
import pytest

from bench.suites import clicks as bench_clicks
from evals.datasets.synthetic.scenes import TruthBackend
from evals.studies import clicks
from sam3_tool import Image, Sam3
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene


def test_objects_are_the_same_each_time():
    first, again = (next(clicks.generate_objects()) for _ in range(2))
    assert first[0].key == again[0].key
    x0, y0, x1, y1 = map(int, first[2])
    assert first[1][y0:y1, x0:x1].sum() == first[1].sum() > 0


def test_a_segmenter_that_knows_the_scene_needs_one_click():
    scene = draw_scene(HELD_OUT + clicks.FIRST_SCENE)
    exact = Sam3(TruthBackend([scene]))
    assert clicks.measure_click_sequence(exact, Image(scene.pixels), scene.masks[0]) == [1.0] * clicks.CLICKS


def test_the_embedded_checkpoint_reaches_its_goals_on_a_few_objects(tiny):
    """All 300 objects: `python -m evals.studies.clicks --sam3 tiny`, the numbers are in the card."""
    numbers = clicks.measure_clicks(tiny, number=15)
    assert numbers["objects"] == 15
    assert numbers["1 click"] >= 0.70
    assert numbers["4 clicks"] >= 0.78
    assert numbers["box"] >= 0.70
    assert clicks.format_clicks_table(numbers).startswith("mean IoU of 15 objects after\n1 click   0.")


@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.ones((4, 4), bool)])
def test_iou_is_a_share_of_the_union(mask):
    assert clicks.compute_iou(mask, np.ones((4, 4), bool)) == mask.mean()


def test_every_kind_of_click_is_timed(tiny):
    timings = bench_clicks.measure_clicks(tiny, runs=1)
    assert len(timings) == 4
    assert all(0 < timing.least <= timing.median <= timing.most for timing in timings.values())


def test_masks_that_are_drawn_again_by_one_who_knows_the_scene_are_exact():
    number = clicks.FIRST_REDRAWN
    scene = draw_scene(HELD_OUT + number, size=clicks.SIZES[number % len(clicks.SIZES)])
    found = clicks.measure_redrawing(Sam3(TruthBackend([scene])), scenes=1)
    assert found.pop("masks") == len(scene.objects)
    assert found == dict.fromkeys(("phrase", "its box", "its box and middle", "two of three"), 1.0)
