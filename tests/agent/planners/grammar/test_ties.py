import numpy as np
import pytest

from agent.core.workspace import Workspace
from agent.planners.grammar.plan import Phrase, Ranked
from agent.planners.grammar.ties import split_ties
from sam3_tool import Instances


def row_of_squares(*lefts: int) -> Workspace:
    masks = np.zeros((len(lefts), 20, 400), bool)
    for mask, left in zip(masks, lefts, strict=True):
        mask[5:15, left : left + 10] = True
    boxes = np.array([[left, 5, left + 10, 15] for left in lefts], np.float32)
    found = Instances(masks, boxes, np.full(len(lefts), 0.9, np.float32), 0.9, "square")
    return Workspace(20, 400).with_search(found, origin="segment")


@pytest.mark.parametrize(
    ("order", "start", "expected"),
    [
        ("descending", 1, ((4,), ())),
        ("descending", 2, ((3,), ())),
        ("ascending", 1, ((2,), ())),
        ("ascending", 4, ((), ())),
    ],
)
def test_what_distances_are_measured_from_has_no_place_among_them(order, start, expected):
    workspace = row_of_squares(0, 60, 180, 360)
    plan = Ranked(Phrase("square"), "distance", order, start=start)
    assert split_ties(plan, (1, 2, 3, 4), (1,), workspace) == expected


def test_two_that_are_as_far_away_are_tied():
    workspace = row_of_squares(200, 100, 302, 0)
    plan = Ranked(Phrase("square"), "distance", "ascending")
    assert split_ties(plan, (1, 2, 3, 4), (1,), workspace) == ((), (2, 3))
