from itertools import combinations

import cv2
import numpy as np
import PIL.Image
import pytest

from sam3_tool import Image, Instances
from sam3_tool.drawing.labels import Rect, Target, compute_covered_areas, place_plates
from sam3_tool.drawing.outlines import FILL_OPACITY, PALETTE, get_mask_color
from sam3_tool.drawing.overlay import PANEL_SIDE, compute_close_up, draw_marks, draw_zoom_pair, shrink_pixels
from sam3_tool.masks.boxes import masks_to_boxes

GREY = 128


def grey(height: int, width: int, value: int | tuple[int, int, int] = GREY) -> Image:
    return Image(np.full((height, width, 3), value, np.uint8))


def disc(height: int, width: int, x: int, y: int, radius: int) -> np.ndarray:
    rows, columns = np.ogrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def instances(*masks: np.ndarray) -> Instances:
    stack = np.stack(masks)
    return Instances(stack, masks_to_boxes(stack), np.ones(len(stack), np.float32), 1.0, "thing")


def drawn(picture: Image, *masks: np.ndarray, numbers: list[int] | None = None) -> np.ndarray:
    return np.asarray(draw_marks(picture, instances(*masks), mask_ids=numbers))


def has_color(pixels: np.ndarray, number: int) -> bool:
    return bool((np.abs(pixels.astype(int) - get_mask_color(number)).max(axis=-1) <= 30).any())


def test_a_number_has_one_color_and_the_first_24_are_clearly_distinct() -> None:
    assert [get_mask_color(number) for number in range(1, 25)] == list(PALETTE)
    assert min(np.linalg.norm(np.subtract(a, b)) for a, b in combinations(PALETTE, 2)) > 60
    assert len({get_mask_color(number) for number in range(1, 201)}) == 200


def test_a_mask_keeps_its_color_when_others_are_gone() -> None:
    a, b = disc(200, 300, 80, 100, 40), disc(200, 300, 220, 100, 40)
    together = drawn(grey(200, 300), a, b, numbers=[4, 7])
    alone = drawn(grey(200, 300), b, numbers=[7])
    assert (together[:, 170:] == alone[:, 170:]).all()
    assert has_color(alone, 7)
    assert not has_color(alone, 4)


def test_the_picture_keeps_its_size_and_is_untouched_away_from_the_masks() -> None:
    picture = grey(240, 320)
    result = drawn(picture, disc(240, 320, 60, 60, 30))
    assert result.shape == picture.pixels.shape
    assert (picture.pixels == GREY).all()
    assert (result[120:, 160:] == GREY).all()


def test_a_mask_is_lightly_tinted_to_its_last_pixel() -> None:
    mask = disc(400, 400, 200, 200, 150)
    result = drawn(grey(400, 400), mask)
    tint = np.round(GREY * (1 - FILL_OPACITY) + np.array(get_mask_color(1)) * FILL_OPACITY)
    assert (result[200, 100] == tint).all()
    assert (result[mask] != GREY).any(axis=-1).all()


@pytest.mark.parametrize("number", [1, 3, 8, 24, 30])
def test_the_tint_is_the_rounded_mix_of_pixel_and_colour_for_every_value(number: int) -> None:
    values = np.tile(np.arange(256, dtype=np.uint8), (120, 1))
    picture = Image(np.stack([values, 255 - values, values], axis=2))
    mask = np.ones((120, 256), bool)
    mask[:20] = False
    inside = np.s_[90:100, 20:-20]
    expected = np.rint(picture.pixels[inside] * (1 - FILL_OPACITY) + np.array(get_mask_color(number)) * FILL_OPACITY)
    assert (drawn(picture, mask, numbers=[number])[inside] == expected).all()


def test_a_contour_stands_out_even_from_a_background_of_its_own_color() -> None:
    result = drawn(grey(300, 300, get_mask_color(3)), disc(300, 300, 150, 150, 100), numbers=[3])
    row = result[150, :80].astype(int)
    assert np.abs(row - get_mask_color(3)).sum(axis=1).max() > 150


def test_holes_are_outlined_and_stay_clear() -> None:
    result = drawn(grey(300, 300), disc(300, 300, 150, 150, 100) & ~disc(300, 300, 150, 150, 50))
    assert (result[150, 150] == GREY).all()
    assert has_color(result[150, 195:206], 1)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (128, 128), (1080, 1920), (2000, 3000)])
@pytest.mark.parametrize("side", [1, 2])
def test_a_mask_of_one_or_two_pixels_can_be_seen(height: int, width: int, side: int) -> None:
    mask = np.zeros((height, width), bool)
    y, x = height // 2, width // 2
    mask[y : y + side, x : x + side] = True
    result = drawn(grey(height, width), mask)
    reach = max(6, height // 80)
    around_it = result[y - reach : y + reach + 2, x - reach : x + reach + 2]
    assert has_color(around_it, 1)
    tint = np.round(GREY * (1 - FILL_OPACITY) + np.array(get_mask_color(1)) * FILL_OPACITY)
    assert (result[y, x] == tint).all(), "the ring leaves the mask itself free"


def test_small_masks_in_corners_are_marked_inside_the_picture() -> None:
    masks = [np.zeros((100, 140), bool) for _ in range(4)]
    for mask, (y, x) in zip(masks, [(0, 0), (0, 139), (99, 0), (99, 139)], strict=True):
        mask[y, x] = True
    result = drawn(grey(100, 140), *masks)
    quarters = [result[:50, :70], result[:50, 70:], result[50:, :70], result[50:, 70:]]
    assert all(has_color(quarter, number) for number, quarter in enumerate(quarters, start=1))


def test_neighbours_both_keep_their_side_of_a_border() -> None:
    left = np.zeros((200, 200), bool)
    left[40:160, 40:100] = True
    right = np.zeros((200, 200), bool)
    right[40:160, 100:160] = True
    result = drawn(grey(200, 200), left, right)
    assert has_color(result[120, 97:100], 1)
    assert has_color(result[120, 100:103], 2)


def test_of_two_equal_masks_both_outlines_can_be_seen() -> None:
    mask = np.zeros((300, 300), bool)
    mask[50:250, 50:250] = True
    left_edge = drawn(grey(300, 300), mask, mask)[80:220, 48:54]
    assert has_color(left_edge, 1)
    assert has_color(left_edge, 2)


def test_a_small_mask_upon_a_large_one_can_be_seen_whole() -> None:
    large, small = disc(480, 640, 320, 240, 200), disc(480, 640, 320, 240, 15)
    result = drawn(grey(480, 640), small, large)
    inside = disc(480, 640, 320, 240, 9)
    assert (result[inside] == result[240, 320]).all(), "no plate, no line covers it"
    assert has_color(result[220:261, 300:341], 1)


def test_nothing_found_draws_nothing_and_an_empty_mask_is_left_out() -> None:
    picture = grey(60, 80)
    none = draw_marks(picture, Instances.empty(60, 80))
    assert (np.asarray(none) == GREY).all()
    assert (drawn(picture, np.zeros((60, 80), bool)) == GREY).all()


def test_sizes_and_counts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"masks are \(10, 10\), the image is \(60, 80\)"):
        draw_marks(grey(60, 80), instances(np.ones((10, 10), bool)))
    with pytest.raises(ValueError, match="longer than"):
        draw_marks(grey(10, 10), instances(np.ones((10, 10), bool)), mask_ids=[])


def test_any_shape_of_mask_and_picture_can_be_drawn() -> None:
    chance = np.random.default_rng(0)
    for height, width in [(1, 1), (1, 50), (50, 1), (9, 300), (33, 17)]:
        noise = chance.random((3, height, width)) > 0.6
        full = np.ones((height, width), bool)
        assert drawn(grey(height, width), full, *noise).shape == (height, width, 3)


def targets(masks: list[np.ndarray], plate: tuple[int, int]) -> list[Target]:
    found = []
    for mask in masks:
        x0, y0, x1, y1 = masks_to_boxes(mask[None])[0].astype(int).tolist()
        found.append(Target((x0, y0, x1, y1), mask[y0:y1, x0:x1].astype(np.uint8), plate))
    return found


def overlap(a: Rect, b: Rect) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def test_plates_stay_in_the_picture_and_apart() -> None:
    chance = np.random.default_rng(3)
    masks = [
        disc(480, 640, *chance.integers((0, 0), (640, 480)).tolist(), radius)
        for radius in [1, 2, 3, 5, 8, 13, 21, 34] * 3
    ]
    plates = place_plates(targets(masks, (26, 19)), 480, 640)
    assert all(min(x0, y0) >= 0 and x1 == x0 + 26 <= 640 and y1 == y0 + 19 <= 480 for x0, y0, x1, y1 in plates)
    assert sum(overlap(a, b) for a, b in combinations(plates, 2)) == 0


def test_plates_hide_no_small_mask_and_stand_on_large_ones() -> None:
    small, other, large = disc(480, 640, 100, 100, 6), disc(480, 640, 118, 100, 6), disc(480, 640, 450, 250, 150)
    plates = place_plates(targets([small, other, large], (26, 19)), 480, 640)
    for x0, y0, x1, y1 in plates[:2]:
        assert not (small | other)[y0:y1, x0:x1].any()
    x0, y0, x1, y1 = plates[2]
    assert large[y0:y1, x0:x1].all()


def test_a_plate_avoids_what_lies_upon_its_mask() -> None:
    large, upon = disc(480, 640, 320, 240, 200), disc(480, 640, 320, 240, 60)
    (x0, y0, x1, y1), _ = place_plates(targets([large, upon], (26, 19)), 480, 640)
    assert large[y0:y1, x0:x1].all()
    assert not upon[y0:y1, x0:x1].any()


def test_a_close_up_follows_the_share_that_the_mask_may_fill() -> None:
    # grown to 120 x 120, then by sqrt(10000 / 14400 / 0.25)
    assert compute_close_up(np.array([450, 450, 550, 550]), 10000, 0.25, 1000, 1000).tolist() == [400, 400, 600, 600]
    # at the edge it is moved, not cut
    assert compute_close_up(np.array([0, 0, 100, 100]), 10000, 0.25, 1000, 1000).tolist() == [0, 0, 200, 200]
    # a small mask gets 16 pixels around it, and never more than the picture
    assert compute_close_up(np.array([50, 20, 54, 24]), 1, 0.25, 30, 1000).tolist() == [42, 10, 62, 30]
    assert compute_close_up(np.array([0, 0, 40, 30]), 1200, 0.05, 30, 40).tolist() == [0, 0, 40, 30]


def test_a_zoom_pair_enlarges_small_things_and_shows_both_panels() -> None:
    mask = disc(900, 1600, 500, 150, 10)
    pair = draw_zoom_pair(grey(900, 1600), mask, (490, 140, 511, 161), mask_id=5)
    assert pair.width == PANEL_SIDE
    assert pair.height > PANEL_SIDE
    top, bottom = np.split(np.asarray(pair), [PANEL_SIDE])
    assert has_color(top, 5)
    assert has_color(bottom, 5)


def test_a_zoom_pair_never_has_less_than_the_pixels_of_the_crop_unless_they_exceed_a_panel() -> None:
    chance = np.random.default_rng(0)
    picture = Image(chance.integers(0, 255, (600, PANEL_SIDE, 3), dtype=np.uint8))
    pair = np.asarray(draw_zoom_pair(picture, np.ones((600, PANEL_SIDE), bool), (0, 0, PANEL_SIDE, 600)))
    assert (pair[5:590, 5 : PANEL_SIDE - 5] == picture.pixels[5:590, 5 : PANEL_SIDE - 5]).all()


def test_a_picture_is_reduced_about_as_by_the_mean_of_what_each_pixel_covers() -> None:
    rough = np.random.default_rng(0).integers(0, 255, (20, 27, 3), dtype=np.uint8)
    pixels = cv2.resize(rough, (1283, 961), interpolation=cv2.INTER_CUBIC)
    for size in ((312, 234), (384, 288), (641, 480), (900, 674), (1283, 961)):
        exact = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(int)
        found = shrink_pixels(pixels, size)
        assert found.shape == exact.shape
        assert np.abs(found - exact).mean() < 4.0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (48, 64), (64, 48), (3, 900), (900, 3)])
def test_a_zoom_pair_can_be_made_of_any_mask(height: int, width: int) -> None:
    empty, full, corner = (
        np.zeros((height, width), bool),
        np.ones((height, width), bool),
        np.zeros((height, width), bool),
    )
    corner[-1, -1] = True
    for mask in (empty, full, corner):
        for box in ((0.0, 0.0, 0.0, 0.0), (-20.0, -20.0, 5000.0, 5000.0), (width - 0.5, height - 0.5, width, height)):
            pair = draw_zoom_pair(grey(height, width), mask, box)
            assert isinstance(pair, PIL.Image.Image)
            assert max(pair.size) <= 2 * PANEL_SIDE + 8


@pytest.mark.parametrize("spread", [1, 40, 400])
def test_what_plates_cover_is_what_each_of_them_covers_one_by_one(spread: int) -> None:
    chance = np.random.default_rng(spread)
    corners = chance.integers(-20, 20 * spread, (380, 2))
    boxes = np.concatenate([corners, corners + chance.integers(1, 60, (380, 2))], axis=1)
    rects, taken = boxes[:80], boxes[80:]
    assert compute_covered_areas(rects, taken).tolist() == [
        sum(overlap(rect, other) for other in taken) for rect in rects
    ]
    assert compute_covered_areas(rects, taken[:0]).tolist() == [0.0] * 80
