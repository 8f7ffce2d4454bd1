"""The tracks that were found in a video, drawn on its frames."""

from collections.abc import Sequence

from agent.core.episode import Task
from agent.tools.video.look import choose_frames
from sam3_tool import Image, Masklet
from sam3_tool.drawing.frame_sheet import draw_frame_sheet

SHEET_FRAMES = 9
"""On a sheet for people: as many as can be looked at at a glance."""


def draw_tracks(task: Task, ids: Sequence[int], masklets: Sequence[Masklet], *, side: int) -> Image:
    """Draw frames with these tracks; without the video, the frame that is at hand alone, without them."""
    video, timeline = task.video, task.timeline
    if video is None or timeline is None:
        return task.image
    frames = choose_frames(masklets, timeline, SHEET_FRAMES)
    return draw_frame_sheet(video, frames, masklets, ids=ids, side=side)
