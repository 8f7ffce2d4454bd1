"""The video itself with the objects drawn on it, for people: H.264 in MP4, which every browser plays."""

from pathlib import Path

from agent.exports.base import Exporter
from agent.exports.video.answer import VideoExportAnswer
from sam3_tool.drawing.overlay_video import write_overlay_video


def write_overlay(answer: VideoExportAnswer, path: Path) -> None:
    """Every frame at its own time, every object in the colour of its id on all of them."""
    masklets, ids = [track.masklet for track in answer.tracks], [track.id for track in answer.tracks]
    write_overlay_video(path, answer.video, masklets, ids=ids)


MP4 = Exporter(".overlay.mp4", "The video with the objects drawn on it (MP4)", write_video=write_overlay)
