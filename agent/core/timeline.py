"""When the frames of a video are shown, and the part of it that a query is about."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from sam3_tool.video.time_stamps import format_time

ROUNDING = 1e-6
"""Seconds by which two times may differ and be the same: people and models write them with few digits."""


@dataclass(frozen=True)
class Timeline:
    """The time stamps of all frames of a video, and the frames that a query is about.

    Example:
        >>> timeline = Timeline((0.0, 0.5, 1.0, 1.5))
        >>> timeline.find_frame(1.2), timeline.find_part(0.5, 1.0), timeline.end
        (2, (1, 3), 2.0)
    """

    times: tuple[float, ...]
    """Seconds, one for each frame of the whole video, increasing from 0."""
    start: int = 0
    """The first frame of the part."""
    stop: int = -1
    """The frame after the last one of the part; -1 = the end of the video."""

    def __post_init__(self) -> None:
        if self.stop == -1:
            object.__setattr__(self, "stop", len(self.times))
        if any(later <= earlier for earlier, later in pairwise(self.times)):
            raise ValueError("the time stamps of a video must increase")
        if not 0 <= self.start < self.stop <= len(self.times):
            raise ValueError(f"no part {self.start} to {self.stop} of {len(self.times)} frames")

    def cut_part(self, since: float | None, until: float | None) -> "Timeline":
        """Narrow the part.

        Args:
            since: Seconds from the beginning of the video; None = the part as it is.
            until: Seconds; the frame shown then is the last one. None = the part as it is.

        Returns:
            The same times with a smaller part.

        Raises:
            ValueError: No frame of the part is shown then. The message is a clause for a sentence.
        """
        start, stop = self.find_part(since, until)
        return replace(self, start=start, stop=stop)

    def find_part(self, since: float | None, until: float | None) -> tuple[int, int]:
        """Find the frames of the part that are shown from `since` to `until`, both included.

        Args:
            since: Seconds from the beginning of the video; None = from the beginning of the part.
            until: Seconds; None = to the end of the part.

        Returns:
            The first frame, and the frame after the last one.

        Raises:
            ValueError: There are none. The message is a clause for a sentence.
        """
        first, last = self.times[self.start], self.end
        if since is not None and until is not None and since > until:
            raise ValueError(f"{since:g} s lies after {until:g} s")
        if (since is not None and since >= last) or (until is not None and until < first - ROUNDING):
            raise ValueError(f"nothing is shown then; what is asked about lasts from {first:g} s to {last:g} s")
        start = self.start if since is None else max(self.start, self.find_frame(since))
        stop = self.stop if until is None else min(self.stop, self.find_frame(until) + 1)
        return start, max(stop, start + 1)

    def find_frame(self, seconds: float) -> int:
        """Find the frame of the whole video that is shown at a time.

        Args:
            seconds: From the beginning of the video.

        Returns:
            The frame; before the first and after the last one, that one.
        """
        return max(0, bisect_right(self.times, seconds + ROUNDING) - 1)

    def find_frame_of_part(self, seconds: float) -> int:
        """Find the frame that is shown at a time of the part.

        Args:
            seconds: From the beginning of the video. The end of the part counts as its last frame.

        Returns:
            The frame.

        Raises:
            ValueError: No frame of the part is shown then. The message is a sentence.

        Example:
            >>> Timeline((0.0, 0.5, 1.0)).find_frame_of_part(1.5)
            2
        """
        first, end = self.times[self.start], self.end
        if not first - ROUNDING <= seconds <= end + ROUNDING:
            raise ValueError(
                f"Nothing is shown at {format_time(seconds)}; what is asked about lasts from {format_time(first)} to"
                f" {format_time(end)}."
            )
        return min(self.find_frame(seconds), self.stop - 1)

    def measure_seconds(self, frame: int) -> float:
        """Measure how long a frame is shown.

        Args:
            frame: A frame of the whole video.

        Returns:
            Seconds; of the last frame, as many as is usual in this video.
        """
        if frame + 1 < len(self.times):
            return self.times[frame + 1] - self.times[frame]
        return median(later - earlier for earlier, later in pairwise(self.times)) if len(self.times) > 1 else 1.0

    @property
    def end(self) -> float:
        """When the last frame of the part stops being shown, in seconds."""
        return self.times[self.stop - 1] + self.measure_seconds(self.stop - 1)

    @property
    def is_whole(self) -> bool:
        """Whether the part is the whole video."""
        return (self.start, self.stop) == (0, len(self.times))

    def spread_frames(self, count: int, among: Sequence[int] | None = None) -> tuple[int, ...]:
        """Choose frames that are evenly spread over the time of the part, its first and last one among them.

        Args:
            count: How many, at most; at least 1.
            among: The frames to choose from, increasing. Default: all of the part.

        Returns:
            The frames, increasing, none twice; of a single one, the middle.

        Example:
            >>> Timeline(tuple(range(9))).spread_frames(3)
            (0, 4, 8)
        """
        frames = range(self.start, self.stop) if among is None else among
        if len(frames) <= count:
            return tuple(frames)
        first, last = self.times[frames[0]], self.times[frames[-1]]
        shares = [0.5] if count == 1 else [index / (count - 1) for index in range(count)]
        times = [self.times[frame] for frame in frames]
        wanted = (_find_nearest(times, first + share * (last - first)) for share in shares)
        return tuple(frames[index] for index in dict.fromkeys(wanted))


def _find_nearest(times: Sequence[float], seconds: float) -> int:
    """Find the index of the time that is nearest to `seconds`; the earlier of two."""
    after = min(bisect_left(times, seconds), len(times) - 1)
    return after - 1 if after and seconds - times[after - 1] <= times[after] - seconds else after


def format_span(since: float, until: float) -> str:
    """Write a span of time.

    >>> format_span(1.2, 4.0), format_span(1.2, 1.2)
    ('0:01.2 to 0:04.0', '0:01.2')
    """
    first, last = format_time(since), format_time(until)
    return first if first == last else f"{first} to {last}"
