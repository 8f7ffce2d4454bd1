"""Polygons are drawn as OpenCV to 4.10 draws them, and equal shapes sorted as NumPy to 1.24 sorts them."""

import cv2
import numpy as np
import pytest

from evals.metrics.inputs.outlines import fill_polygon
from evals.metrics.inputs.sorting import sort_like_numpy


def draw(*points: tuple[int, int], height: int = 9, width: int = 9) -> list[str]:
    mask = fill_polygon(np.array(points, np.int64), height, width)
    return ["".join(".#"[int(value)] for value in row) for row in mask]


def test_a_side_between_two_columns_is_rounded_outwards():
    """Where newer versions of OpenCV draw one pixel less in the second, fourth and sixth row."""
    assert draw((8, 0), (5, 6), (1, 3)) == [
        ".......##",
        ".....####",
        "...#####.",
        ".#######.",
        "..#####..",
        "....###..",
        ".....#...",
        ".........",
        ".........",
    ]


@pytest.mark.parametrize(
    ("points", "pixels"),
    [([(3, 3)], 1), ([(-1, 3)], 0), ([(3, 3)] * 4, 1), ([(1, 1), (7, 1)], 7), ([(-100, 4), (100, 4)], 9)],
)
def test_points_and_lines_are_drawn(points, pixels):
    assert "".join(draw(*points)).count("#") == pixels


def test_sides_that_leave_the_image_go_on_outside():
    assert draw((-4, -4), (12, -4), (12, 12), (-4, 12)) == ["#########"] * 9
    assert draw((1, 1), (7, 1), (1_000_000, 500_000), (-1_000_000, 500_000))[8] == "#########"
    assert not fill_polygon(np.array([[20, 20], [30, 20], [30, 30]]), 9, 9).any()


def test_what_crosses_itself_is_filled_by_turns():
    assert draw((1, 1), (7, 1), (1, 7), (7, 7))[2:7] == [
        "..#####..",
        "...###...",
        "....#....",
        "...###...",
        "..#####..",
    ]


@pytest.mark.skipif(
    tuple(map(int, cv2.__version__.split(".")[:2])) > (4, 10), reason="OpenCV draws otherwise from 4.11 on"
)
def test_random_polygons_are_those_of_opencv():
    chance = np.random.default_rng(0)
    for _ in range(10_000):
        height, width = chance.integers(1, 90, 2).tolist()
        low, high = [(0, 1), (-0.3, 1.3), (-3, 4), (-40, 41), (0.2, 0.4)][chance.integers(5)]
        points = (chance.uniform(low, high, (chance.integers(1, 12), 2)) * [width, height]).astype(np.int32)
        expected = np.zeros((height, width), np.uint8)
        cv2.polylines(expected, points[None], True, 1, 1)
        cv2.fillPoly(expected, points[None], 1)
        assert np.array_equal(fill_polygon(points.astype(np.int64), height, width), expected > 0)


def test_equal_values_are_in_the_order_of_an_introsort():
    """The order is what `np.argsort` of NumPy 1.24 gave."""
    values = [(7 * place * place + 3 * place) % 11 for place in range(40)]
    # fmt: off
    assert sort_like_numpy(values) == [
        0, 22, 20, 31, 11, 33, 9, 24, 18, 29, 13, 7, 35, 2, 27, 15, 16, 5, 4, 38, 37, 26, 32, 21, 10, 36, 28, 39, 17,
        14, 6, 3, 25, 23, 30, 12, 8, 34, 1, 19,
    ]
    # fmt: on
    assert sort_like_numpy([3, 1, 1, 2]) == [1, 2, 3, 0]
    assert sort_like_numpy([]) == []
