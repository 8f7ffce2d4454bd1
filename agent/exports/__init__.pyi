from .answer import ExportAnswer
from .base import Exporter, Medium
from .registry import (
    EXPORTERS,
    check_formats,
    export_episode,
    export_masklets,
    list_formats,
    select_exporters,
)
from .video.answer import ExportTrack, VideoExportAnswer

__all__ = [
    "EXPORTERS",
    "ExportAnswer",
    "ExportTrack",
    "Exporter",
    "Medium",
    "VideoExportAnswer",
    "check_formats",
    "export_episode",
    "export_masklets",
    "list_formats",
    "select_exporters",
]
