"""Videos that callers have open: each in a file of its own until it is closed, and its answer on a sheet of frames."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent

from agent.core.episode import Episode, Task
from agent.core.errors import ToolError
from agent.core.workspace import Candidate
from agent.exports import Exporter
from agent.exports.video.answer import ExportTrack, VideoExportAnswer
from agent.report.tracks import draw_tracks
from sam3_tool import Masklet, Video, VideoError
from sam3_tool.errors import MissingPackageError
from sam3_tool.masks.rle import compute_areas
from sam3_tool.video.time_stamps import format_time
from serve.mcp.answers import encode_preview
from serve.mcp.images import OpenedImage

MAX_FRAMES = 3000
"""Of a video: nobody else's call should wait for hours."""
VIDEO_TOOLS = "`ask`, `export` and `close_image`"
MAX_LINES = 40
"""Tracks of one answer that have a line of text of their own."""


@dataclass(frozen=True, eq=False)
class VideoAnswer:
    """The tracks of an answer about a video, and what is said about them."""

    handle: str
    episode: Episode
    text: str
    masklets: Mapping[int, Masklet] = field(init=False)
    """By mask number, at the times of the answer."""

    def __post_init__(self) -> None:
        answer = self.episode.masklets
        object.__setattr__(self, "masklets", dict(zip(answer.ids, answer.masklets, strict=True)))

    def to_result(self, sheet_side: int) -> CallToolResult:
        """Build what the protocol carries. `sheet_side`: pixels of the long side of the sheet of frames; 0 = none."""
        candidates = self.episode.workspace.pick(self.episode.current_ids)
        lines = [self._describe_track(candidate) for candidate in candidates[:MAX_LINES]]
        content: list[ContentBlock] = [TextContent(text="\n".join([self.text, *lines]))]
        if candidates and sheet_side:
            content.append(self._draw_sheet(sheet_side))
        tracks = [self._to_value(candidate) for candidate in candidates]
        values = {"image": self.handle, "outcome": self.episode.outcome or "", "masks": tracks}
        return CallToolResult(content=content, structured_content=values)

    def _draw_sheet(self, side: int) -> ImageContent:
        ids, masklets = [*self.masklets], [*self.masklets.values()]
        return encode_preview(draw_tracks(self.episode.task, ids, masklets, side=side))

    def _list_spans(self, candidate: Candidate) -> list[tuple[float, float]]:
        assert self.episode.task.timeline is not None, "it is about a video"
        times = self.episode.task.timeline.times
        return [(times[start], times[stop - 1]) for start, stop in self.masklets[candidate.id].spans]

    def _describe_track(self, candidate: Candidate) -> str:
        seen = ", ".join(
            f"{format_time(since)} to {format_time(until)}" for since, until in self._list_spans(candidate)
        )
        return f"{candidate.id}: {candidate.phrase or 'object'}, score {candidate.score:.2f}, seen {seen or 'never'}"

    def _to_value(self, candidate: Candidate) -> dict[str, Any]:
        """The mask is that of the key frame, where the object is largest."""
        reason = self.episode.reasons.get(candidate.id)
        return {
            "id": candidate.id,
            "phrase": candidate.phrase,
            "score": round(candidate.score, 4),
            "box": [round(edge, 1) for edge in candidate.box],
            "area": int(compute_areas([candidate.rle])[0]),
            "key_frame": candidate.key_frame,
            "spans": [[round(second, 3) for second in span] for span in self._list_spans(candidate)],
            **({} if reason is None else {"reason": reason}),
        }


def open_sent_video(content: bytes, *, max_pixels: int) -> Video:
    """Open a video that a caller has sent. Its file goes when nobody holds the video any more.

    Raises:
        ToolError: It is no video, it is too long or too large, or this server reads none.
    """
    folder = Path(tempfile.mkdtemp(dir=_make_folder()))
    path = folder / "video"
    path.write_bytes(content)
    try:
        video = Video.open(path, max_pixels=max_pixels)
        if len(video) > MAX_FRAMES:
            raise ToolError(f"The video has {len(video)} frames, and this server takes up to {MAX_FRAMES}; shorten it.")
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, MissingPackageError):
            raise ToolError("This server reads no video files: ask the user to install `sam3-agent[video]`.") from error
        if isinstance(error, VideoError):
            raise ToolError(f"{str(error).replace(str(path), 'The file')}.") from error
        raise
    weakref.finalize(video, shutil.rmtree, folder, ignore_errors=True)
    return video


@cache
def _make_folder() -> Path:
    """The folder of all videos of this process."""
    return Path(tempfile.mkdtemp(prefix="sam3-agent-videos-"))


def remove_videos() -> None:
    """Remove the files of all videos, where the process ends without a word to anybody."""
    if _make_folder.cache_info().currsize:
        shutil.rmtree(_make_folder(), ignore_errors=True)


def describe_video(opened: OpenedImage, video: Video) -> str:
    """Say to an assistant what it has opened."""
    notes = " ".join(["", *video.notes])
    return (
        f"Video {opened.handle} has {len(video)} frames of {video.width} x {video.height} pixels, shown until"
        f" {format_time(float(video.times[-1]))}.{notes} Next: `ask` with a whole question."
    )


def build_task(opened: OpenedImage, query: str) -> Task:
    """Return the task of a question about an open image or video."""
    if opened.video is None:
        return Task(opened.image, query, opened.context)
    return Task.from_video(opened.video, query, context=opened.context)


def encode_tracks(opened: OpenedImage, ids: Sequence[int], exporter: Exporter) -> bytes:
    """Return what a format of videos makes of these tracks."""
    assert opened.video is not None, "it is a format of videos"
    chosen = opened.workspace.pick(ids)
    tracks = [
        ExportTrack(candidate.id, candidate.masklet, candidate.phrase)
        for candidate in chosen
        if candidate.masklet is not None
    ]
    answer = VideoExportAnswer.from_tracks(opened.video, tracks, opened.name or opened.handle)
    with tempfile.TemporaryDirectory(dir=_make_folder()) as folder:
        return exporter.write_video_answer(answer, Path(folder)).read_bytes()
