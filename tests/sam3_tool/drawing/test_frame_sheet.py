"""Frames of a clip in one image: every frame under its time, every object that is seen there under its number."""

import numpy as np
import pytest

from sam3_tool import Image, Masklet, Video
from sam3_tool.drawing.contact_sheet import CAPTION_HEIGHT
from sam3_tool.drawing.frame_sheet import MAX_FRAMES, NOT_SEEN, STRIP, draw_frame_sheet, draw_track_sheet
from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.drawing.overlay import PANEL_GAP

GREY = 128
LENGTH = 16


def make_clip(height: int = 60, width: int = 80, length: int = LENGTH) -> tuple[Video, Masklet]:
    """A grey clip, and a square in it that is hidden on the frames 4 and 5."""
    masks = np.zeros((length, height, width), bool)
    for frame in set(range(length)) - {4, 5}:
        masks[frame, 10 : height // 2, frame : frame + width // 4] = True
    video = Video.from_images([Image(np.full((height, width, 3), GREY, np.uint8))] * length)
    return video, Masklet.from_masks(masks)


def has_color(pixels: np.ndarray, number: int) -> bool:
    return bool((np.abs(pixels.astype(int) - get_mask_color(number)).max(axis=-1) <= 30).any())


def cut_cells(sheet: Image, columns: int, rows: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Caption and view of each place."""
    across, down = (sheet.width + PANEL_GAP) // columns, (sheet.height + PANEL_GAP) // rows
    places = [(x * across, y * down) for y in range(rows) for x in range(columns)]
    cells = [sheet.pixels[y : y + down - PANEL_GAP, x : x + across - PANEL_GAP] for x, y in places]
    return [(cell[:CAPTION_HEIGHT], cell[CAPTION_HEIGHT:]) for cell in cells]


def test_every_frame_shows_the_objects_that_are_seen_on_it() -> None:
    video, square = make_clip()
    sheet = draw_frame_sheet(video, [0, 4, 7], [square], ids=[9])
    cells = cut_cells(sheet, 2, 2)
    assert [has_color(view, 9) for _, view in cells] == [True, False, True, False]
    assert [(caption[1, 1] == STRIP).all() for caption, _ in cells] == [True, True, True, False]
    assert len({caption.tobytes() for caption, _ in cells[:3]}) == 3, "times differ"


def test_a_mark_lies_where_the_object_is() -> None:
    video, square = make_clip()
    (_, view), *_ = cut_cells(draw_frame_sheet(video, [8], [square], side=640), 1, 1)
    scale = view.shape[1] / video.width
    changed = np.flatnonzero((view != GREY).any(axis=(0, 2)))
    assert changed[0] / scale == pytest.approx(8, abs=1)
    assert changed[-1] / scale == pytest.approx(28, abs=1)


def test_close_ups_follow_the_object_and_say_where_it_is_not_seen() -> None:
    video, square = make_clip()
    cells = cut_cells(draw_track_sheet(video, [3, 4, 6, 7], square, track_id=2), 2, 2)
    strips = [tuple(caption[1, 1].tolist()) for caption, _ in cells]
    assert strips == [get_mask_color(2), NOT_SEEN, get_mask_color(2), get_mask_color(2)]
    assert [has_color(view, 2) for _, view in cells] == [True, False, True, True]
    middle = cells[0][1].shape[0] // 2
    assert (cells[0][1][middle, middle] == GREY).all(), "the object is not tinted"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 7), (9, 300), (64, 48)])
@pytest.mark.parametrize(("count", "side"), [(1, 1280), (7, 640), (MAX_FRAMES, 300)])
def test_sheets_of_any_clip_keep_within_their_size(height: int, width: int, count: int, side: int) -> None:
    video, square = make_clip(height, width)
    for sheet in (
        draw_frame_sheet(video, range(count), [square], side=side),
        draw_track_sheet(video, range(count), square, side=side),
    ):
        assert max(sheet.pixels.shape) <= side


def test_a_clip_without_objects_has_a_sheet_too() -> None:
    video, _ = make_clip()
    assert (cut_cells(draw_frame_sheet(video, [2], []), 1, 1)[0][1] == GREY).all()


def test_what_does_not_fit_is_refused() -> None:
    video, square = make_clip()
    for count in (0, MAX_FRAMES + 1):
        with pytest.raises(ValueError, match=f"a sheet shows 1 to 16 frames, got {count}"):
            draw_frame_sheet(video, [0] * count, [square])
        with pytest.raises(ValueError, match=f"a sheet shows 1 to 16 frames, got {count}"):
            draw_track_sheet(video, [0] * count, square)
    with pytest.raises(ValueError, match=r"zip\(\)"):
        draw_frame_sheet(video, [0], [square], ids=[])
    with pytest.raises(IndexError):
        draw_frame_sheet(video, [LENGTH], [square])
