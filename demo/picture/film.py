"""A video on the page: a film that every browser plays, and outlines of its objects on each frame."""

import base64
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent.conversation.conversation import Conversation
from agent.core.episode import Episode
from agent.exports import ExportTrack
from agent.report.video_view import list_frame_edges
from demo.picture.outlines import trace_outline
from sam3_tool import Masklet, Video
from sam3_tool.drawing.overlay_video import write_overlay_video

FILM_SIDE, FILM_QUALITY = 960, 24
"""Pixels of the long side of the film on the page; x264's constant rate factor."""
OUTLINE_SIDE = 400
"""Outlines of a larger mask are traced at this reduced size: there may be thousands of them."""


@lru_cache(maxsize=8)
def encode_film(video: Video) -> str:
    """Return the video as MP4 inside a URL, with every frame, so that there is no file that somebody could ask for.

    Raises MissingPackageError where PyAV is not installed.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_overlay_video(path, video, [], side=FILM_SIDE, quality=FILM_QUALITY)
        return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def describe_film(conversation: Conversation) -> dict[str, Any] | None:
    """Return when each frame is shown, and when the last one ends, in seconds; None of an image."""
    if conversation.video is None or conversation.timeline is None:
        return None
    return {"edges": list_frame_edges(conversation.timeline.times)}


def find_masklets(conversation: Conversation, episode: Episode | None) -> Mapping[int, Masklet]:
    """Return every object that was found in the video, by its id; those of the answer at its times alone.

    `episode`: the answer that is under way. None is the one that was given.
    """
    found = {
        candidate.id: candidate.masklet
        for candidate in (episode or conversation).workspace
        if candidate.masklet is not None
    }
    turn = episode or conversation.last_turn
    if turn is None or turn.task.timeline is None:
        return found
    answer = turn.masklets
    return {**found, **dict(zip(answer.ids, answer.masklets, strict=True))}


def list_tracks(conversation: Conversation) -> list[ExportTrack]:
    """Return the objects of the answer for `VideoExportAnswer`."""
    masklets, reasons = find_masklets(conversation, None), conversation.reasons
    return [
        ExportTrack(candidate.id, masklets[candidate.id], candidate.category, reasons.get(candidate.id, ""))
        for candidate in conversation.workspace.pick(conversation.selected)
        if candidate.id in masklets
    ]


def describe_track(masklet: Masklet, *, with_outlines: bool) -> dict[str, Any]:
    """Return what the script draws of an object: its spans of frames and, by frame, an SVG path and x, y inside it."""
    outlines = (
        {frame: trace_outline(rle, OUTLINE_SIDE) for frame, rle in zip(masklet.frames, masklet.rles, strict=True)}
        if with_outlines
        else {}
    )
    return {"spans": masklet.spans, "frames": {str(frame): outline for frame, outline in outlines.items()}}
