"""Decoded frames as upright RGB of one size, in the colours that the file asks for."""

import numpy as np
import PIL.Image
from av.buffer import Buffer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc, VideoReformatter

from sam3_tool.image_files.reading import convert_to_rgb
from sam3_tool.video.container.orientation import Orientation

_HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}


class FrameConverter:
    """What turns decoded frames into pixels: to size and orientation of the first one.

    Colours are converted as FFmpeg does it: by the matrix and range of the frame; BT.601 and limited where none is
    named.
    """

    def __init__(self, first: VideoFrame) -> None:
        matrix = first.side_data.get("DISPLAYMATRIX")
        self._orientation = (
            Orientation.from_display_matrix(bytes(matrix)) if isinstance(matrix, Buffer) else Orientation()
        )
        self._stored = (first.width, first.height)
        self._reformatter = VideoReformatter()
        self.notes = tuple(_describe_first_frame(first, self._orientation))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every frame."""
        width, height = self._stored
        return (height, width) if self._orientation.swaps_axes else (width, height)

    def has_stored_size(self, frame: VideoFrame) -> bool:
        """Whether a frame is not scaled."""
        return (frame.width, frame.height) == self._stored

    def to_pixels(self, frame: VideoFrame) -> np.ndarray:
        """Convert a frame to uint8, (height, width, 3), RGB, upright, on white where it is transparent."""
        is_opaque = not (frame.format.has_palette or any(part.is_alpha for part in frame.format.components))
        width, height = self._stored
        converted = self._reformatter.reformat(frame, width, height, "rgb24" if is_opaque else "rgba")
        pixels = converted.to_ndarray()
        if not is_opaque:
            pixels = convert_to_rgb(PIL.Image.fromarray(pixels, "RGBA"))
        return self._orientation.apply_to(pixels)


def _describe_first_frame(frame: VideoFrame, orientation: Orientation) -> list[str]:
    notes = []
    if not orientation.is_exact:
        notes.append("The file asks for a turn that is no multiple of 90 degrees; the nearest of these is taken.")
    if frame.interlaced_frame:
        notes.append("The video is interlaced; both fields of a frame are read as one picture.")
    if kind := _HDR.get(frame.color_trc):
        notes.append(f"The video has a high dynamic range ({kind}); without tone mapping, its colours are pale.")
    return notes
