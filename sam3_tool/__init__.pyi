from .backends import Backend, CheckpointError, DeviceError
from .backends.scripted import ScriptedBackend
from .instances import Instances
from .overlap import remove_overlaps
from .picture import Image, ImageError
from .prompt import ConceptPrompt, VisualPrompt
from .sam3 import Sam3, SegmentationReport

__all__ = [
    "Backend",
    "CheckpointError",
    "ConceptPrompt",
    "DeviceError",
    "Instances",
    "Image",
    "ImageError",
    "Sam3",
    "SegmentationReport",
    "ScriptedBackend",
    "VisualPrompt",
    "remove_overlaps",
]
