from .backends.base import Backend
from .backends.scripted import ScriptedBackend
from .errors import CheckpointError, DeviceError, ImageError, RecordError, Sam3AgentError, UserError
from .image import Image
from .instances import Instances
from .overlap import remove_overlaps
from .prompts import ConceptPrompt, VisualPrompt
from .sam3 import Sam3, SegmentationReport

__all__ = [
    "Backend",
    "CheckpointError",
    "ConceptPrompt",
    "DeviceError",
    "Image",
    "ImageError",
    "Instances",
    "RecordError",
    "Sam3",
    "Sam3AgentError",
    "ScriptedBackend",
    "SegmentationReport",
    "UserError",
    "VisualPrompt",
    "remove_overlaps",
]
