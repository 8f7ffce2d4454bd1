"""A clip with its objects drawn on every frame, as a file that plays."""

from pathlib import Path

import numpy as np
import pytest

from sam3_tool import Image, Instances, Masklet, Video
from sam3_tool.drawing.outlines import get_mask_color
from sam3_tool.drawing.overlay import draw_marks
from sam3_tool.drawing.overlay_video import OverlayPainter, draw_overlay_frames, write_overlay_video
from sam3_tool.masks.rle import encode_mask

GREY = 128


def make_clip(height: int = 121, width: int = 161, length: int = 6) -> tuple[Video, Masklet]:
    """A grey clip, and a square in it that moves to the right, and is hidden on frame 2."""
    masks = np.zeros((length, height, width), bool)
    for frame in set(range(length)) - {2}:
        masks[frame, 20:90, 5 + 8 * frame : 75 + 8 * frame] = True
    return Video.from_images([Image(np.full((height, width, 3), GREY, np.uint8))] * length), Masklet.from_masks(masks)


def test_a_frame_looks_as_an_image_with_the_same_masks() -> None:
    video, square = make_clip()
    frames = [*draw_overlay_frames(video, [square], [5], range(6))]
    assert (frames[2] == GREY).all()
    mask = square.at(0)
    assert mask is not None
    box, score = square.boxes[:1], np.ones(1, np.float32)
    one = Instances.from_rles([mask], mask.size, boxes=box, scores=score, presence=1.0, phrase="")
    assert (frames[0] == np.asarray(draw_marks(video.read_frame(0), one, mask_ids=[5]))).all()


def test_a_number_stays_at_its_place_on_the_object() -> None:
    """A frame of noise changes what the best place would be, but the number does not jump."""
    random = np.random.default_rng(0)
    painter, image = OverlayPainter(120, 160), Image(np.full((120, 160, 3), GREY, np.uint8))

    places = []
    for _ in range(12):
        mask = np.zeros((120, 160), bool)
        mask[20:90, 30:110] = True
        mask[20:90, 30:110] &= random.random((70, 80)) > 0.02
        mask[20, 30] = mask[89, 109] = True
        drawn = painter.draw_frame(image, [(1, encode_mask(mask))]).astype(int)
        dark = np.argwhere(np.abs(drawn - (16, 16, 16)).max(-1) < 30)
        light = np.argwhere((drawn > 250).all(-1) & mask)
        places.append((light if len(light) else dark).mean(0))
    assert np.ptp(places, axis=0).max() < 3


def test_the_file_has_the_clip_s_times_and_an_even_size(tmp_path: Path) -> None:
    video, square = make_clip()
    write_overlay_video(tmp_path / "x.mp4", video, [square], ids=[4])
    read = Video.open(tmp_path / "x.mp4")
    assert (len(read), read.width, read.height) == (6, 162, 122)
    assert read.times == pytest.approx(video.times, abs=1e-4)
    colors = [np.abs(frame.pixels.astype(int) - get_mask_color(4)).sum(-1).min() for _, frame in read.iterate_frames()]
    assert [color < 150 for color in colors] == [True, True, False, True, True, True]


def test_a_large_clip_can_be_reduced_and_shortened(tmp_path: Path) -> None:
    video, square = make_clip()
    write_overlay_video(tmp_path / "x.mp4", video, [square], side=80, frames=range(1, 6, 2))
    read = Video.open(tmp_path / "x.mp4")
    assert read.times == pytest.approx(video.times[1::2] - video.times[1], abs=1e-4)
    assert (read.width, read.height) == (80, 60)
