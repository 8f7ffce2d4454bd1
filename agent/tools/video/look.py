"""The tool that shows frames of the video, or close-ups of tracks, to a planner that can see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.text.english import format_ids, pluralize
from agent.core.timeline import Timeline
from agent.core.tools.examiner import Examiner
from agent.tools.base import Ids, SmallInt, Tool
from agent.tools.ids import validate_ids
from agent.tools.video.select import PART_ALIASES
from agent.tools.video.times import Seconds, get_timeline
from sam3_tool import Sam3
from sam3_tool.video.masklets import Masklet
from sam3_tool.video.time_stamps import format_times

MAX_FRAMES = 16
"""On one sheet: more are too small to see anything on."""
MAX_CLOSE_UPS = 6
"""Tracks that are shown close up in one turn: each has a sheet of its own."""


@dataclass(frozen=True)
class FrameView:
    """What a sheet shows."""

    frames: tuple[int, ...]
    ids: tuple[int, ...]
    """The tracks that are drawn on them."""
    close: bool = False
    """Whether it is a sheet of close-ups of each track, instead of whole frames."""


class Look(Tool):
    """See frames of the video on one sheet under their times, with these tracks drawn and numbered.

    Use it to see what happens at a certain time, or what a track looks like; it changes nothing.
    """

    name: ClassVar[str] = "look"
    aliases: ClassVar = ("look_at", "show", "show_frames", "view", "watch")
    field_aliases: ClassVar = {**PART_ALIASES, "start": "since", "tracks": "ids", "count": "frames"}

    ids: Ids = Field(default=[], description="Numbers of the tracks to draw; none for the bare frames.")
    since: Seconds | None = Field(default=None, description="Seconds: the first frame to show.")
    until: Seconds | None = Field(default=None, description="Seconds: the last frame to show.")
    frames: SmallInt = Field(default=8, ge=1, le=MAX_FRAMES, description="How many; fewer are shown larger.")
    close: bool = Field(default=False, description="Each track enlarged, on a sheet of its own.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        views = self.choose_views(episode)
        timeline = get_timeline(episode)
        return Observation(f"Shown: {'; '.join(_describe_view(view, timeline) for view in views)}.")

    def choose_views(self, episode: Episode) -> list[FrameView]:
        """Choose what is shown: one sheet, or one for each track. Raises ToolError where there is nothing to see."""
        timeline = get_timeline(episode, self.since, self.until)
        ids = validate_ids(self.ids, episode.workspace)
        if not self.close:
            frames = choose_frames(episode.workspace.get_masklets(ids), timeline, self.frames)
            return [FrameView(frames, ids)]
        if not ids:
            raise ToolError("Close-ups are of tracks; give their numbers in `ids`, or leave `close` out.")
        if len(ids) > MAX_CLOSE_UPS:
            raise ToolError(f"Close-ups of at most {MAX_CLOSE_UPS} tracks fit into one turn, and these are {len(ids)}.")
        views = []
        for id, masklet in zip(ids, episode.workspace.get_masklets(ids), strict=True):
            seen = [frame for frame in masklet.frames if timeline.start <= frame < timeline.stop]
            if not seen:
                raise ToolError(f"Track {id} is not seen then; leave it out, or choose another time.")
            views.append(FrameView(timeline.spread_frames(self.frames, seen), (id,), close=True))
        return views


def choose_frames(masklets: Sequence[Masklet], timeline: Timeline, count: int) -> tuple[int, ...]:
    """Choose frames, evenly spread over the time in which any of the tracks is seen; over all of it without tracks.

    Frames on which none of them is seen are passed over.
    """
    seen = sorted(
        {frame for masklet in masklets for frame in masklet.frames if timeline.start <= frame < timeline.stop}
    )
    return timeline.spread_frames(count, seen or None)


def _describe_view(view: FrameView, timeline: Timeline) -> str:
    times = ", ".join(format_times([timeline.times[frame] for frame in view.frames]))
    if view.close:
        return f"track {view.ids[0]} enlarged at {times}"
    drawn = f" with {'track' if len(view.ids) == 1 else 'tracks'} {format_ids(view.ids)}" if view.ids else ""
    return f"{pluralize(len(view.frames), 'frame')}{drawn} at {times}"
