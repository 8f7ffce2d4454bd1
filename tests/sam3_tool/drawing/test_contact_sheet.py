import numpy as np
import pytest

from sam3_tool import Image
from sam3_tool.drawing.contact_sheet import CAPTION_HEIGHT, MAX_CELL_SIDE, MAX_MASKS, draw_contact_sheet
from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.drawing.overlay import PANEL_GAP
from sam3_tool.masks.rle import RleMask, encode_mask

GREY = 128


def scene(height: int = 600, width: int = 800) -> Image:
    return Image(np.full((height, width, 3), GREY, np.uint8))


def square(x: int, y: int, side: int, height: int = 600, width: int = 800) -> RleMask:
    mask = np.zeros((height, width), bool)
    mask[y : y + side, x : x + side] = True
    return encode_mask(mask)


def has_color(pixels: np.ndarray, number: int) -> bool:
    return bool((np.abs(pixels.astype(int) - get_mask_color(number)).max(axis=-1) <= 30).any())


def cell_of(sheet: Image, place: int, columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The caption and the close-up at a place."""
    across, down = (sheet.width + PANEL_GAP) // columns, (sheet.height + PANEL_GAP) // rows
    x, y = place % columns * across, place // columns * down
    cell = sheet.pixels[y : y + down - PANEL_GAP, x : x + across - PANEL_GAP]
    return cell[:CAPTION_HEIGHT], cell[CAPTION_HEIGHT:]


def test_every_mask_has_a_close_up_under_a_strip_of_its_color() -> None:
    masks = [square(x, y, 60) for x, y in [(10, 10), (300, 200), (700, 500)]]
    sheet = draw_contact_sheet(scene(), masks, mask_ids=[4, 7, 12])
    assert (sheet.width, sheet.height) == (
        2 * MAX_CELL_SIDE + PANEL_GAP,
        2 * (MAX_CELL_SIDE + CAPTION_HEIGHT) + PANEL_GAP,
    )
    for place, number in enumerate([4, 7, 12]):
        caption, view = cell_of(sheet, place, 2, 2)
        assert (caption[2, 2] == get_mask_color(number)).all()
        assert has_color(view, number)
    assert (cell_of(sheet, 3, 2, 2)[1] == 255).all(), "an empty place is white"


def test_the_colors_inside_a_mask_are_the_pictures_own() -> None:
    _, view = cell_of(draw_contact_sheet(scene(), [square(300, 200, 100)]), 0, 1, 1)
    middle = MAX_CELL_SIDE // 2
    assert (view[middle, middle] == GREY).all()
    assert has_color(view, 1)


def test_a_small_thing_is_enlarged_out_of_the_whole_picture() -> None:
    pixels = np.full((2000, 3000, 3), GREY, np.uint8)
    pixels[1000:1012, 1500:1506] = (255, 255, 0)
    pixels[1000:1012, 1506:1512] = (0, 0, 255)
    _, view = cell_of(draw_contact_sheet(Image(pixels), [square(1500, 1000, 12, 2000, 3000)]), 0, 1, 1)
    yellow = (np.abs(view.astype(int) - (255, 255, 0)).max(axis=-1) < 40).sum()
    blue = (np.abs(view.astype(int) - (0, 0, 255)).max(axis=-1) < 40).sum()
    assert min(yellow, blue) > 1000


@pytest.mark.parametrize("number", range(1, MAX_MASKS + 1))
@pytest.mark.parametrize("side", [1280, 640, 150])
def test_a_sheet_keeps_within_its_size(number: int, side: int) -> None:
    sheet = draw_contact_sheet(scene(), [square(20 * k, 30 * k, 25) for k in range(number)], side=side)
    assert max(sheet.pixels.shape) <= side


@pytest.mark.parametrize("side", [9, 40, 111, 263, 433, 590])
def test_the_outline_lies_on_the_edge_of_what_it_is_around_at_any_scale(side: int) -> None:
    pixels = scene(597, 797).pixels.copy()
    pixels[7 : 7 + side, 5 : 5 + side] = (255, 255, 0)
    _, view = cell_of(draw_contact_sheet(Image(pixels), [square(5, 7, side, 597, 797)]), 0, 1, 1)
    outline = np.abs(view.astype(int) - get_mask_color(1)).max(axis=-1) <= 60
    yellow = np.abs(view.astype(int) - (255, 255, 0)).max(axis=-1) <= 60
    for axis in (0, 1):
        line, inner = (np.flatnonzero(which.any(axis=axis)) for which in (outline, yellow))
        assert abs(line[0] - inner[0]) <= 4
        assert abs(line[-1] - inner[-1]) <= 4


def test_any_shape_of_mask_and_picture_has_a_close_up() -> None:
    chance = np.random.default_rng(0)
    for height, width in [(1, 1), (1, 50), (50, 1), (9, 300), (33, 17)]:
        masks = [
            np.zeros((height, width), bool),
            np.ones((height, width), bool),
            chance.random((height, width)) > 0.6,
        ]
        assert draw_contact_sheet(scene(height, width), [encode_mask(mask) for mask in masks]).height > CAPTION_HEIGHT


def test_too_many_masks_or_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="a sheet shows 1 to 12 masks, got 13"):
        draw_contact_sheet(scene(), [square(0, 0, 9)] * 13)
    with pytest.raises(ValueError, match="got 0"):
        draw_contact_sheet(scene(), [])
    with pytest.raises(ValueError, match="shorter than"):
        draw_contact_sheet(scene(), [square(0, 0, 9)], mask_ids=[])
