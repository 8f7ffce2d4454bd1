from .backends.base import Backend, CrossImageEmbedding, Embedding
from .backends.scripted import ScriptedBackend, ScriptedEmbedding
from .errors import (
    CheckpointError,
    DeviceError,
    ImageError,
    MissingPackageError,
    RecordError,
    Sam3AgentError,
    UserError,
    VideoError,
)
from .image import Image
from .instances import Instances
from .masks.rle import RleMask
from .overlap import remove_overlaps
from .plugins import PluginError
from .prompts import Box, ConceptPrompt, Point, Prompt, VisualPrompt
from .sam3 import Sam3, SegmentationReport
from .service import SegmentationRequest
from .video.masklets import Masklet, Masklets
from .video.video import FrameSource, Video

__all__ = [
    "Backend",
    "Box",
    "CheckpointError",
    "ConceptPrompt",
    "CrossImageEmbedding",
    "DeviceError",
    "Embedding",
    "FrameSource",
    "Image",
    "ImageError",
    "Instances",
    "Masklet",
    "Masklets",
    "MissingPackageError",
    "PluginError",
    "Point",
    "Prompt",
    "RecordError",
    "RleMask",
    "Sam3",
    "Sam3AgentError",
    "ScriptedBackend",
    "ScriptedEmbedding",
    "SegmentationReport",
    "SegmentationRequest",
    "UserError",
    "Video",
    "VideoError",
    "VisualPrompt",
    "remove_overlaps",
]
