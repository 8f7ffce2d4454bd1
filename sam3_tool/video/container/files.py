"""Video files: frames are found by the time stamps of their packets, and decoded from key frames."""

from collections.abc import Iterator
from hashlib import file_digest
from itertools import chain
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from sam3_tool.errors import VideoError
from sam3_tool.image import Image
from sam3_tool.video.container.conversion import FrameConverter
from sam3_tool.video.container.frame_index import FrameIndex, PacketReport, read_packets, space_stamps
from sam3_tool.video.container.missing_end import is_end_missing
from sam3_tool.video.container.stream import OpenStream, describe_stream
from sam3_tool.video.decoding import FrameReader, describe_cut

_STAMPED = frozenset(("mov", "matroska", "mpegts", "flv", "ivf", "ogg", "asf", "yuv4mpegpipe"))
"""Containers that give every frame its own time stamp. In others, FFmpeg guesses those of reordered frames."""


class VideoFile:
    """The video stream of a file.

    Raises:
        VideoError: There is none, or no frame of it can be decoded.
    """

    def __init__(self, path: Path, *, max_pixels: int) -> None:
        self._path, self._max_pixels = path, max_pixels
        self._opened = self._open_stream()
        report = read_packets(self._opened.iterate_packets())
        ends_early = report.ends_early or is_end_missing(path)
        notes = list(describe_stream(self._opened, report.count))
        first = next(self._decode_file(), None)
        if first is None:
            raise VideoError("no frame of it can be decoded; is the file whole?")
        self._opened.check_size(first.width, first.height)
        self._converter = FrameConverter(first)
        self.width, self.height = self._converter.size
        self._index = self._choose_index(report, first)
        if self._index is not None and ends_early:
            self._index = self._drop_lost_end(self._index)
        stamps = self._count_stamps() if self._index is None else self._index.stamps
        self.times = (stamps - stamps[0]) * float(self._opened.stream.time_base or 1)
        self.times.flags.writeable = False
        self._open_notes = [*notes, *self._describe_ends(report, ends_early=ends_early)]
        self._repeated: set[int] = set()
        self._scaled: set[int] = set()
        self._reader: FrameReader[VideoFrame] = FrameReader(self, self.width, self.height)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided when the file was opened, and what has shown while frames were decoded."""
        notes = [*self._open_notes, *self._converter.notes]
        if self._repeated:
            notes.append(f"{count_frames(len(self._repeated))} cannot be decoded; the frame before is shown instead.")
        if self._scaled:
            notes.append(f"{count_frames(len(self._scaled))} had another size than the first, to which it was scaled.")
        return tuple(notes)

    def read_frame(self, index: int) -> Image:
        """Return a frame."""
        return self._reader.read_frame(index)

    def compute_key(self) -> str:
        """Return a digest of the file."""
        with self._path.open("rb") as file:
            return file_digest(file, "blake2b").hexdigest()[:32]

    # --- the order of frames

    def _choose_index(self, report: PacketReport, first: VideoFrame) -> FrameIndex | None:
        """Return where the stamps of packets put each frame; None where only decoding tells that.

        What lies before the first frame that can be decoded needs others, which were cut off.
        """
        index = report.index
        is_stamped = self._opened.has_format(_STAMPED) or (
            report.is_in_order and not self._opened.stream.codec_context.has_b_frames
        )
        if index is None or not is_stamped or index.find_frame(first.pts) is None:
            return None
        return index.drop_before(int(first.pts or 0))

    def _drop_lost_end(self, index: FrameIndex) -> FrameIndex:
        """Return the index without the frames that refer to what was cut off after them."""
        numbers = [number for number, _ in self._decode_around(index, len(index.stamps) - 1)]
        return index.keep_first(numbers[-1] + 1) if numbers else index

    def _count_stamps(self) -> np.ndarray:
        """Decode all of the file; return float64, (T,), when each frame is shown, in units of the stream."""
        stamps = np.array([np.nan if frame.pts is None else frame.pts for frame in self._decode_file()], np.float64)
        if self._opened.has_format({"avi"}):
            stamps.sort()  # they are right, but FFmpeg gives them to the wrong frames
        return space_stamps(stamps, self._opened.guess_step())

    def _describe_ends(self, report: PacketReport, *, ends_early: bool) -> Iterator[str]:
        """Say what is missing at either end."""
        if self._index is None:
            yield "The time stamps do not tell frames apart: to jump to a frame, all before it are decoded again."
        elif report.index is not None and (lost := report.index.find_frame(int(self._index.stamps[0]))):
            yield f"{count_frames(lost)} at the beginning cannot be decoded; they are left out."
        if ends_early:
            yield describe_cut(len(self.times))

    # --- decoding

    def _open_stream(self) -> OpenStream:
        return OpenStream(self._path, max_pixels=self._max_pixels)

    def _decode_file(self) -> Iterator[VideoFrame]:
        """Decode from the very start, which not every container can seek to.

        The stream before is left to whoever still decodes it: PyAV must not be asked about a closed one.
        """
        self._opened = self._open_stream()
        return self._opened.decode_packets(self._opened.iterate_packets())

    def find_start(self, index: int) -> int:
        """Return the first frame that is shown with, or after, the last key frame before a frame."""
        return 0 if self._index is None else self._index.find_first_frame(self._index.find_key(index))

    def decode_from(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """Yield every frame from `start` on. In the place of one that cannot be decoded stands the one before it."""
        expected, latest = start, None
        index = self._index
        numbered = enumerate(self._decode_file()) if index is None else self._decode_around(index, start)
        for number, frame in numbered:
            if latest is not None and number > start:
                for missing in range(expected, number):
                    self._repeated.add(missing)
                    yield missing, latest
            if number >= start:
                if not self._converter.has_stored_size(frame):
                    self._scaled.add(number)
                yield number, frame
                expected = number + 1
            latest = frame
        for missing in range(expected, len(self.times)):
            if latest is None:
                raise VideoError(f"{self._path}: frame {missing} cannot be read any more; has the file changed?")
            self._repeated.add(missing)
            yield missing, latest

    def _decode_around(self, index: FrameIndex, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """Yield frames with their numbers, from one that is not after `start`; those after it are complete.

        A key frame may not be one, as where a picture is refreshed part by part: then the one before it is tried.
        """
        for key in range(index.find_key(start), 0, -1):
            packets = self._opened.seek_key(*index.get_seek_stamps(key))
            if packets is not None:
                frames = self._number_frames(self._opened.decode_packets(packets), index)
                first = next(frames, None)
                if first is not None and first[0] <= start:
                    return chain([first], frames)
        return self._number_frames(self._decode_file(), index)

    def _number_frames(self, frames: Iterator[VideoFrame], index: FrameIndex) -> Iterator[tuple[int, VideoFrame]]:
        latest = -1
        for frame in frames:
            number = index.find_frame(frame.pts)
            if number is not None and number > latest:
                yield number, frame
                latest = number

    def to_pixels(self, raw: VideoFrame) -> np.ndarray:
        """Convert a frame."""
        return self._converter.to_pixels(raw)


def count_frames(count: int) -> str:
    """Say how many frames."""
    return "1 frame" if count == 1 else f"{count:,} frames"
