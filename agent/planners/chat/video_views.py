"""A video and its tracks as a language model is shown them: sheets of frames, at a size that it can afford."""

from collections.abc import Sequence
from functools import lru_cache

from agent.core.episode import Decision, Episode
from agent.core.errors import ToolError
from agent.core.text.english import format_ids
from agent.core.tools.calls import ValidCall
from agent.core.tools.toolset import Toolset
from agent.planners.chat.messages import fill_query_prompt
from agent.planners.chat.views import View
from agent.tools.video.look import FrameView, Look, choose_frames
from agent.tools.video.times import describe_part, get_timeline
from agent.tools.video.track_table import describe_track_table
from sam3_tool import Image, Masklet, Video
from sam3_tool.drawing.frame_sheet import draw_frame_sheet, draw_track_sheet
from sam3_tool.video.time_stamps import format_times

TRACKS_PER_SHEET = 8
"""More of them hide each other on small frames."""
MAX_SHEETS = 3
"""In one turn."""
MAX_KEPT_SHEETS = 8
"""Sheets that were drawn last: they are drawn again when tracks are examined, and for a shorter conversation."""


def describe_opening(episode: Episode, view: View) -> str:
    """Say what the first sheet shows, how places are written, and what the query is."""
    timeline = get_timeline(episode)
    coordinates = view.build_frame(episode.task.image, is_video=True).describe_convention()
    if episode.task.video is None:
        return fill_query_prompt("video/query_blind", episode, part=describe_part(timeline), coordinates=coordinates)
    frames = timeline.spread_frames(view.frames)
    times = ", ".join(format_times([timeline.times[frame] for frame in frames]))
    part = describe_part(timeline)
    return fill_query_prompt(
        "video/query", episode, frames=len(frames), times=times, part=part, coordinates=coordinates
    )


def show_opening(episode: Episode, ids: Sequence[int], view: View) -> list[Image]:
    """The bare frames, and those with the answer so far, if there is one."""
    if episode.task.video is None:
        return []
    bare = [FrameView(get_timeline(episode).spread_frames(view.frames), ())]
    return [*draw_views(bare, episode, view), *draw_views(group_tracks(ids, episode, view.frames)[:1], episode, view)]


def show_tracks(ids: Sequence[int], episode: Episode, view: View) -> tuple[str | Image, ...]:
    """Tell the model which tracks it may choose from now, and draw them, one sheet for each group."""
    words = fill_query_prompt("video/drawn", episode, numbers=format_ids(ids), table=describe_track_table(ids, episode))
    return words, *draw_views(group_tracks(ids, episode, view.frames)[:MAX_SHEETS], episode, view)


def show_look(decision: Decision, episode: Episode, toolset: Toolset, view: View) -> tuple[Image, ...]:
    """Draw what a call of `look` asked for; nothing for any other call, and for one that was refused."""
    match toolset.read_call(decision):
        case ValidCall(Look() as call):
            try:
                return draw_views(call.choose_views(episode), episode, view)
            except ToolError:
                return ()
        case _:
            return ()


def group_tracks(ids: Sequence[int], episode: Episode, frames: int) -> list[FrameView]:
    """Choose for each group of tracks the frames on which they are seen."""
    timeline = get_timeline(episode)
    groups = [tuple(ids[start : start + TRACKS_PER_SHEET]) for start in range(0, len(ids), TRACKS_PER_SHEET)]
    return [
        FrameView(choose_frames(episode.workspace.get_masklets(group), timeline, frames), group) for group in groups
    ]


def draw_views(views: Sequence[FrameView], episode: Episode, view: View) -> tuple[Image, ...]:
    """Draw sheets; none where the video is not at hand."""
    video = episode.task.video
    if video is None:
        return ()
    return tuple(
        _draw_sheet(
            video,
            frame_view.frames,
            tuple(episode.workspace.get_masklets(frame_view.ids)),
            frame_view.ids,
            frame_view.close,
            view.image_side,
        )
        for frame_view in views
    )


@lru_cache(maxsize=MAX_KEPT_SHEETS)
def _draw_sheet(
    video: Video,
    frames: tuple[int, ...],
    masklets: tuple[Masklet, ...],
    ids: tuple[int, ...],
    close: bool,
    side: int,
) -> Image:
    if close:
        return draw_track_sheet(video, frames, masklets[0], track_id=ids[0], side=side)
    return draw_frame_sheet(video, frames, masklets, ids=ids, side=side)
