"""A clip with its objects drawn on every frame, as a video file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sam3_tool.drawing.labels import Offset
from sam3_tool.drawing.outlines import Style
from sam3_tool.drawing.overlay import draw_numbered_masks, resize_mask, resize_pixels
from sam3_tool.image import Image
from sam3_tool.masks.rle import RleMask, decode_mask
from sam3_tool.video.masklets import Masklet
from sam3_tool.video.video import Video
from sam3_tool.video.writing import QUALITY, write_mp4


def write_overlay_video(
    path: Path,
    video: Video,
    masklets: Sequence[Masklet],
    *,
    ids: Sequence[int] | None = None,
    frames: range | None = None,
    side: int | None = None,
    quality: int = QUALITY,
) -> None:
    """Write the clip as MP4 with every object tinted, outlined and numbered on the frames on which it is seen.

    One frame is in memory at a time, and each keeps its time stamp. `ids`: the objects' numbers, and with them their
    colours (1 to N by default); `frames`: which are written (all by default); `side`: pixels of the longer side at
    most (by default those of the clip); `quality` and what is raised: as for `write_mp4`.
    """
    numbers = range(1, len(masklets) + 1) if ids is None else ids
    chosen = range(len(video)) if frames is None else frames
    times = [float(video.times[index]) for index in chosen]
    write_mp4(path, draw_overlay_frames(video, masklets, numbers, chosen, side=side), times, quality=quality)


def draw_overlay_frames(
    video: Video, masklets: Sequence[Masklet], ids: Sequence[int], frames: range, *, side: int | None = None
) -> Iterator[np.ndarray]:
    """Draw these frames, one at a time: uint8, (H, W, 3). See `write_overlay_video`."""
    painter = OverlayPainter(video.height, video.width, side)
    tracks = [*zip(ids, masklets, strict=True)]
    for index, image in video.iterate_frames(frames.start, frames.stop, step=frames.step):
        seen = [(track_id, rle) for track_id, each in tracks if (rle := each.at(index))]
        yield painter.draw_frame(image, seen)


class OverlayPainter:
    """Draws frames in their order. A number stays where it stood beside its object while that is a good place."""

    def __init__(self, height: int, width: int, side: int | None = None) -> None:
        scale = min(1.0, (side or max(height, width)) / max(height, width))
        self.width, self.height = max(1, round(width * scale)), max(1, round(height * scale))
        """Of what is drawn, in pixels."""
        self._is_reduced = scale < 1
        self._style = Style.from_size(self.height, self.width)
        self._plates: dict[int, Offset] = {}

    def draw_frame(self, image: Image, masks: Sequence[tuple[int, RleMask]]) -> np.ndarray:
        """Return uint8, (H, W, 3). `masks`: number and mask of each."""
        canvas, decoded = image.pixels, [(number, decode_mask(rle)) for number, rle in masks]
        if self._is_reduced:
            canvas = resize_pixels(canvas, (self.width, self.height))
            decoded = [(number, resize_mask(mask, self.width, self.height)) for number, mask in decoded]
        drawn, self._plates = draw_numbered_masks(canvas.copy(), decoded, self._style, earlier=self._plates)
        return np.asarray(drawn)
