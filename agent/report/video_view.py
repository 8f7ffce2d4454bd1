"""The answer to a query about a video on the report page: the clip with its objects, and a bar of time for each."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from markupsafe import Markup

from agent.report.text import format_css_color
from sam3_tool.drawing.overlay_video import write_overlay_video
from sam3_tool.video.masklets import Masklet, Masklets
from sam3_tool.video.time_stamps import format_times, measure_durations
from sam3_tool.video.video import Video

MAX_CLIP_FRAMES, MAX_CLIP_SIDE, CLIP_QUALITY = 600, 720, 26
"""Of the clip inside the page, which should stay small enough to be sent: of a longer one, every so many frames."""


@dataclass(frozen=True)
class TrackBar:
    """When one object is seen, as the page draws it."""

    number: int
    color: str
    phrase: str
    spans: list[tuple[float, float]]
    """Left edge and width of each, in percent of the time that is shown."""
    times: str
    """The same in words."""


@dataclass(frozen=True)
class VideoView:
    """What the page shows of a video."""

    clip: Markup | None
    """A data URL of the clip with its objects; None where the video is not at hand, or nothing can encode it."""
    step: int
    """The clip has every so many frames."""
    bars: list[TrackBar]
    ticks: list[str]
    """Times at the beginning, in the middle and at the end of the bars."""

    @classmethod
    def from_masklets(
        cls, found: Masklets, phrases: Sequence[str], times: Sequence[float], part: range, video: Video | None
    ) -> "VideoView":
        """Build the view of an answer.

        Args:
            found: The objects of the answer.
            phrases: The noun phrase of each.
            times: Seconds, one for each frame of the video, and one when it ends.
            part: The frames that the query is about.
            video: The video, if it is at hand.

        Returns:
            The clip of this part, and the bars.
        """
        step = ceil(len(part) / MAX_CLIP_FRAMES)
        since, until = times[part.start], times[part.stop]
        bars = [
            _build_bar(number, masklet, phrase, times, (since, until))
            for number, masklet, phrase in zip(found.ids, found.masklets, phrases, strict=True)
        ]
        clip = None if video is None or find_spec("av") is None else _encode_clip(video, found, part, step)
        return cls(clip, step, bars, format_times([since, (since + until) / 2, until]))


def list_frame_edges(times: Sequence[float]) -> list[float]:
    """Return when each frame begins to be shown, and when the last one ends.

    >>> list_frame_edges([0.0, 0.5])
    [0.0, 0.5, 1.0]
    """
    return [*times, times[-1] + measure_durations(times)[-1]]


def _build_bar(
    number: int, masklet: Masklet, phrase: str, times: Sequence[float], shown: tuple[float, float]
) -> TrackBar:
    since, until = shown
    seen = [(times[start], times[stop]) for start, stop in masklet.spans]
    percent = 100 / (until - since)
    words = [" to ".join(format_times(span)) for span in seen]
    return TrackBar(
        number,
        format_css_color(number),
        phrase,
        [(round((low - since) * percent, 3), round((high - low) * percent, 3)) for low, high in seen],
        ", ".join(words) or "not seen",
    )


def _encode_clip(video: Video, found: Masklets, part: range, step: int) -> Markup:
    """No part of it comes from text, so that it needs no escaping."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        frames = range(part.start, part.stop, step)
        write_overlay_video(
            path, video, found.masklets, ids=found.ids, frames=frames, side=MAX_CLIP_SIDE, quality=CLIP_QUALITY
        )
        return Markup("data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode("ascii"))
