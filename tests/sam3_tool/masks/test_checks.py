"""What a file says of a mask is checked before native code sees it."""

import numpy as np
import pytest

from sam3_tool.masks import rle
from sam3_tool.masks.checks import MAX_PIXELS, check_size

SQUARE = [3, 2, 9, 2, 9, 6, 3, 6]


@pytest.mark.parametrize(
    ("polygon", "said"),
    [
        *(([value, *SQUARE[1:]], "found ") for value in (float("nan"), float("inf"), -float("inf"), 1e8, -1e9, 1e300)),
        ([10**400, *SQUARE[1:]], "coordinates of a polygon are pixels"),
        ([10**5000, *SQUARE[1:]], "found a int too long to show"),
        *(([value, *SQUARE[1:]], "is a list of numbers") for value in ("3", None, True, [3, 2], {}, b"3")),
        *((value, "is a list of numbers") for value in ("3 2 9 2 9 6", 3, None, {"x": 3}, {3, 2})),
        ([], "found 0 numbers"),
        ([1, 1], "three points or more"),
        ([1, 1, 5, 5], "three points or more"),
        (SQUARE[:-1], "an x and a y for each point, found 7 numbers"),
        ([[3, 2], [9, 2], [9, 6]], r"is a list of numbers .* found \[3, 2\] in it"),
        ([0, 0, 1e6, 1e6] * 20, "the sides of a polygon are"),
    ],
)
def test_a_polygon_that_cannot_be_drawn_is_refused(polygon, said):
    for polygons in ([polygon], [SQUARE, polygon], [polygon, SQUARE]):
        with pytest.raises(ValueError, match=said):
            rle.from_polygons(polygons, 12, 16)


@pytest.mark.parametrize("polygon", [[-3, -2, 20, -2, 20, 40], [-1e6, 0, 1e6, 0, 0, 9], np.array(SQUARE, np.float32)])
def test_a_polygon_may_reach_out_of_the_image(polygon):
    [mask] = rle.from_polygons([polygon], 12, 16)
    assert (mask.size, rle.decode_mask(mask).any()) == ((12, 16), True)


@pytest.mark.parametrize(
    "side", [0, -1, 1.5, float("nan"), float("inf"), "12", None, True, [12], 10**400, MAX_PIXELS + 1]
)
def test_a_size_that_no_image_has_is_refused(side):
    for size in ((side, 12), (12, side)):
        with pytest.raises(
            ValueError, match=r"whole numbers of pixels, 1 or more|too large, expected 134,217,728 pixels"
        ):
            check_size(*size)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([-1, 193], "0 or more, found -1"),
        *(([value, 191], "runs are whole numbers") for value in (1.0, True, "1", None, [1], float("nan"))),
        ([10**400], "do not make up a mask of 16 x 12"),
        ([], "do not make up a mask of 16 x 12 pixels: their sum is 0, not 192"),
        ([192, 1], "their sum is 193"),
    ],
)
def test_runs_that_do_not_fill_a_mask_are_refused(counts, said):
    with pytest.raises(ValueError, match=said):
        rle.from_runs(counts, 12, 16)


def test_a_mask_that_is_larger_than_any_image_is_not_decoded():
    with pytest.raises(ValueError, match="too large"):
        rle.check_runs(rle.RleMask((100_000, 100_000), "P" * 7))
