"""The video stream of a file, opened with PyAV: its packets, and the frames that are decoded from them."""

import os
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from itertools import chain
from pathlib import Path

import av
from av.codec import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from sam3_tool.errors import VideoError
from sam3_tool.image_files.limits import describe_excess

_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,ivf,obu,av1,h264,hevc,vvc,m4v,mjpeg,"
    "mxf,nut,dv,rm,wtv,yuv4mpegpipe,gxf,vc1,mp3,wav,flac,aac,aiff,ac3,caf"
)
"""Containers that hold their streams themselves: playlists would open other files, and FFmpeg draws texts as video."""
_MAX_THREADS = 8
"""Each one holds a frame."""
_FRAME_RATE = 25
"""Frames a second where nothing tells it. FFmpeg takes the same."""
READ_ERRORS = (av.FFmpegError, OSError, ValueError)
"""What PyAV raises on damaged files."""


class OpenStream:
    """A file that is open at some packet of its video stream.

    Raises:
        VideoError: There is no such stream, or its frames have more than `max_pixels`.
    """

    def __init__(self, path: Path, *, max_pixels: int) -> None:
        self.container = _open_container(path)
        self.stream = _choose_stream(self.container)
        self.max_pixels = max_pixels
        self.check_size(self.stream.width, self.stream.height)
        for other in self.container.streams:
            if other.index != self.stream.index:
                other.discard = Discard.all
        self._decoder = _choose_decoder(self.stream)
        self._decoder.options = {"max_pixels": str(max_pixels)}
        self._decoder.thread_type = "AUTO"
        self._decoder.thread_count = min(_MAX_THREADS, os.cpu_count() or 1)

    def check_size(self, width: int, height: int) -> None:
        """Refuse frames that are too large, before any is decoded where the header tells their size."""
        if width * height > self.max_pixels:
            excess = describe_excess(f"frames of {width} x {height} are {width * height:,}", self.max_pixels)
            raise VideoError(excess)

    def has_format(self, names: Set[str]) -> bool:
        """Whether FFmpeg knows the container under one of these names."""
        return not names.isdisjoint(self.container.format.name.split(","))

    def guess_step(self) -> float:
        """Return the time from frame to frame in units of the stream, where no time stamp tells it."""
        rate = self.stream.guessed_rate or self.stream.average_rate or _FRAME_RATE
        return float(1 / rate / (self.stream.time_base or 1))

    def iterate_packets(self) -> Iterator[Packet]:
        """Yield the packets from here on, and an empty one at the end. What cannot be read ends them with an error."""
        return self.container.demux(self.stream)

    def seek_key(self, stamp: int, *candidates: int) -> Iterator[Packet] | None:
        """Yield packets from a key frame on that is shown at a time, or before it.

        Args:
            stamp: When the key frame is shown.
            candidates: Times to seek to. Containers do not agree on what they seek by.

        Returns:
            None where no candidate leads there.
        """
        for candidate in candidates:
            with suppress(*READ_ERRORS):
                self.container.seek(candidate, stream=self.stream)
                self._decoder.flush_buffers()
                packets = self.iterate_packets()
                for packet in packets:
                    if packet.is_keyframe and packet.pts is not None:
                        if packet.pts <= stamp:
                            return chain([packet], packets)
                        break
        return None

    def decode_packets(self, packets: Iterable[Packet]) -> Iterator[VideoFrame]:
        """Yield the frames of packets, in the order in which they are shown. Damaged ones are left out."""
        packets = iter(packets)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except READ_ERRORS:
                packet = None
            with suppress(*READ_ERRORS):
                yield from self._decoder.decode(packet)
            if packet is None:
                return


def _open_container(path: Path) -> InputContainer:
    options = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
    try:
        return av.open(f"file:{os.fspath(path)}", "r", options=options, metadata_errors="replace")
    except READ_ERRORS as error:
        why = getattr(error, "strerror", None) or error
        raise VideoError(f"cannot be read as a video ({why}); it is damaged, cut off, or of an unknown kind") from error


def _choose_stream(container: InputContainer) -> VideoStream:
    """Return the stream that a player would show. The cover of an album is none."""
    best = container.streams.best("video")
    videos = [stream for stream in container.streams.video if not is_cover_image(stream)]
    if not videos:
        raise VideoError("it holds sound, but no video" if container.streams.audio else "it holds no video")
    chosen = next((stream for stream in videos if best is not None and stream.index == best.index), videos[0])
    if chosen.codec_context is None:
        raise VideoError("its video is coded in a way that is not known here; convert it to H.264 first")
    return chosen


def is_cover_image(stream: VideoStream) -> bool:
    """Whether a stream is a single image that belongs to something else."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _choose_decoder(stream: VideoStream) -> VideoCodecContext:
    """Return a decoder for a stream; for VP8 and VP9 with transparency the one that reads it."""
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is not None and stream.metadata.get("alpha_mode") == "1":
        with suppress(av.FFmpegError, ValueError):
            decoder = CodecContext.create(name, "r")
            assert isinstance(decoder, VideoCodecContext)
            return decoder
    return stream.codec_context


def describe_stream(opened: OpenStream, packet_count: int) -> Iterator[str]:
    """Say what else the file holds, and what its header gets wrong."""
    stream = opened.stream
    videos = [other for other in opened.container.streams.video if not is_cover_image(other)]
    if len(videos) > 1:
        yield (
            f"The file has {len(videos)} video streams; number {videos.index(stream) + 1}"
            f" ({stream.width} x {stream.height}) is read."
        )
    ratio = stream.sample_aspect_ratio
    if ratio and ratio != 1:
        shown = round(stream.width * ratio)
        yield (
            f"Its pixels are not square ({ratio.numerator}:{ratio.denominator}): frames are read as they are stored,"
            f" not stretched to {shown} x {stream.height} as players show them."
        )
    if stream.frames > packet_count:
        yield f"Its header announces {stream.frames:,} frames, and there are {packet_count:,}; the file may be cut off."
