"""The study of examples across images: what it asks, and how it counts."""

from itertools import islice

import numpy as np
import pytest

from evals.studies import cross_image_exemplars as study
from evals.studies.cross_image_exemplars import Outcome
from sam3_tool import Instances
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene


@pytest.fixture(scope="module")
def cases() -> list[study.Case]:
    return [*islice(study.generate_cases(number_of_examples=2), 2)]


def test_cases_share_a_kind_and_hold_others_too(cases):
    for case in cases:
        kinds = {thing.kind for thing in case.target.objects}
        assert {scene.objects[index].kind for scene, index in case.examples} == {case.sought.kind}
        assert case.sought.kind in kinds
        assert len(kinds) > 1
        assert len({scene.pixels.tobytes() for scene, _ in case.examples}) == 2


def test_mixed_cases_have_examples_of_different_colours():
    case = next(study.generate_cases(number_of_examples=2, mixed=True))
    things = [scene.objects[index] for scene, index in case.examples]
    assert len({thing.noun for thing in things}) == 1
    assert len({thing.colour for thing in things}) == 2
    assert case.sought.noun in {thing.noun for thing in case.target.objects}


def test_objects_are_counted_by_the_instances_that_show_them():
    scene = draw_scene(HELD_OUT)
    found = Instances(
        scene.masks[:1], scene.boxes[:1].astype(np.float32), np.ones(1, np.float32), presence=1.0, phrase="it"
    )
    names = [thing.kind for thing in scene.objects]
    outcome = study.judge(found, scene, lambda thing: thing.kind == names[0])
    assert outcome.meant.count(True) + outcome.others.count(True) == 1
    assert (len(outcome.meant), outcome.meant[0]) == (names.count(names[0]), True)
    without = study.judge(found, scene, lambda thing: thing.kind == names[0], boxed=0)
    assert len(without.meant) == len(outcome.meant) - 1
    assert not any(without.meant)


def test_shares_are_over_objects_and_intervals_over_scenes():
    summary = study.summarize_outcomes([Outcome((True, True, False), (False,)), Outcome((True,), (False, False))])
    assert (summary["scenes"], summary["meant"], summary["others"]) == (2, 0.75, 0.0)
    assert (summary["meant low"], summary["meant high"]) == (pytest.approx(0.667), 1.0)


def test_every_way_of_showing_is_asked_once_a_scene(tiny, cases):
    case = cases[0]
    outcomes = study.measure_alike(tiny, case) | study.measure_negative(tiny, case)
    assert {"its phrase", "1 box", "4 boxes, averaged", "all but: 1 box"} <= outcomes.keys()
    assert all(len(each.meant) + len(each.others) >= len(case.target.objects) - 1 for each in outcomes.values())
    assert any(outcomes["1 box"].meant)
