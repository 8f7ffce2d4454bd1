from .episode_file import Transcript, load_episode, save_episode
from .model_recording import CachingModel, RecordingHeader, RecordingModel, ReplayingModel
from .provenance import Provenance

__all__ = [
    "CachingModel",
    "Provenance",
    "RecordingHeader",
    "RecordingModel",
    "ReplayingModel",
    "Transcript",
    "load_episode",
    "save_episode",
]
