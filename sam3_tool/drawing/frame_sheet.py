"""Many frames of a clip in one image, each under its time: whole frames with numbered objects, or close-ups of one."""

from collections.abc import Sequence
from math import ceil, isqrt

import numpy as np

from sam3_tool.drawing.contact_sheet import (
    CAPTION_HEIGHT,
    compose_sheet,
    compute_cell_side,
    draw_caption,
    draw_close_up,
)
from sam3_tool.drawing.outlines import Color, Style, get_mask_color
from sam3_tool.drawing.overlay import MAX_ENLARGEMENT, PANEL_GAP, draw_numbered_masks, resize_mask, resize_pixels
from sam3_tool.image import Image
from sam3_tool.masks.rle import decode_mask, encode_mask
from sam3_tool.video.masklets import Masklet
from sam3_tool.video.time_stamps import format_times
from sam3_tool.video.video import Video

MAX_FRAMES = 16
"""Frames on one sheet: with more, they are too small to judge by."""
MAX_FRAME_SIDE = 960
"""Pixels of the long side of a frame: a sheet of few frames is smaller, not coarser."""
CELL_STYLE = Style(line=2, rim=1, font=17, tiny=8.0)
"""Numbers of the size that a sheet's reader can read, whatever the size of the cells."""
STRIP: Color = (32, 32, 32)
"""Behind the time of a frame."""
NOT_SEEN: Color = (176, 176, 176)
"""Behind the time of a close-up on which the object is not seen."""


def draw_frame_sheet(
    video: Video,
    frames: Sequence[int],
    masklets: Sequence[Masklet],
    *,
    ids: Sequence[int] | None = None,
    side: int = 1280,
) -> Image:
    """Draw frames in rows, each under its time, with every object that is seen on it tinted, outlined and numbered.

    `frames`: indices, 1 to MAX_FRAMES of them, in the order in which they are shown; `ids`: the objects' numbers, and
    with them their colours (1 to N by default). At most `side` pixels wide and high. Raises ValueError for a number of
    frames or ids that does not fit, IndexError for a frame that the video lacks.
    """
    _check_count(frames)
    ids = range(1, len(masklets) + 1) if ids is None else ids
    columns, width, height = _compute_grid(len(frames), video, side)
    cells = []
    for frame, time in zip(frames, _format_times(video, frames), strict=True):
        pixels = resize_pixels(video.read_frame(frame).pixels, (width, height)).copy()
        seen = [(track_id, rle) for track_id, each in zip(ids, masklets, strict=True) if (rle := each.at(frame))]
        masks = [(track_id, resize_mask(decode_mask(rle), width, height)) for track_id, rle in seen]
        drawn, _ = draw_numbered_masks(pixels, masks, CELL_STYLE)
        cells.append((draw_caption(time, width, STRIP), np.asarray(drawn)))
    return compose_sheet(cells, columns, width, height)


def draw_track_sheet(
    video: Video, frames: Sequence[int], masklet: Masklet, *, track_id: int = 1, side: int = 1280
) -> Image:
    """Draw square close-ups of one object in rows, each under its time on the object's colour, with its outline.

    Its colours are the clip's own: it is not tinted. On frames where it is not seen, the close-up shows the whole frame
    under a grey strip. `frames`, `side` and what is raised: as for `draw_frame_sheet`; `track_id` gives the colour.
    """
    _check_count(frames)
    columns = isqrt(len(frames) - 1) + 1
    cell = compute_cell_side(columns, ceil(len(frames) / columns), side)
    cells = []
    for frame, time in zip(frames, _format_times(video, frames), strict=True):
        image, mask = video.read_frame(frame), masklet.at(frame)
        caption = (
            draw_caption(time, cell, NOT_SEEN) if mask is None else draw_caption(time, cell, get_mask_color(track_id))
        )
        unseen = encode_mask(np.zeros((image.height, image.width), bool))
        cells.append((caption, draw_close_up(image, mask or unseen, track_id, cell)))
    return compose_sheet(cells, columns, cell, cell)


def _check_count(frames: Sequence[int]) -> None:
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise ValueError(f"a sheet shows 1 to {MAX_FRAMES} frames, got {len(frames)}")


def _format_times(video: Video, frames: Sequence[int]) -> list[str]:
    return format_times([float(video.times[frame]) for frame in frames])


def _compute_grid(count: int, video: Video, side: int) -> tuple[int, int, int]:
    """Return columns, and the width and height in pixels of each frame: the largest that fit `side`."""
    grids = [(columns, *_fit_cell(columns, ceil(count / columns), video, side)) for columns in range(1, count + 1)]
    # of equals, the one with the fewest columns has the fewest empty places
    return max(grids, key=lambda grid: grid[1] * grid[2])


def _fit_cell(columns: int, rows: int, video: Video, side: int) -> tuple[int, int]:
    widest = (side + PANEL_GAP) // columns - PANEL_GAP
    highest = (side + PANEL_GAP) // rows - PANEL_GAP - CAPTION_HEIGHT
    long = max(video.width, video.height)
    scale = min(widest / video.width, highest / video.height, MAX_FRAME_SIDE / long, MAX_ENLARGEMENT)
    return max(1, int(video.width * scale)), max(1, int(video.height * scale))
